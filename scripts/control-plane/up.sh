#!/usr/bin/env bash
# up.sh DIR: starts a control plane on loopback and an InfluxDB-like namespace in it. See README.md for its settings.
# What it started is stopped again if it fails half-way; the logs stay in DIR.
set -euo pipefail
export KUBERC=off

[ $# = 1 ] || { echo "usage: up.sh DIR" >&2; exit 2; }
die() { echo "up.sh: $*" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/bin" "$1/influxctl"
dir=$(cd "$1" && pwd)
cd "$dir"

[ -x "${KUBE_BIN:-}/kube-apiserver" ] || die "no kube-apiserver in KUBE_BIN='${KUBE_BIN:-}' (build.sh makes one)"
KUBECTL=$(command -v "${KUBECTL:-kubectl}") || die "no kubectl: set KUBECTL (kubectls.sh gets some)"
read -ra namespaces <<<"${NAMESPACES:-influxdb}"
first=${namespaces[0]}
for p in ./*.pid; do
    [ ! -f "$p" ] || ! kill -0 "$(cat "$p")" 2>/dev/null || die "$dir is in use: down.sh $dir"
done
stop_if_failed() {
    local status=$?
    [ $status = 0 ] || "$here/down.sh" "$dir"
}
trap stop_if_failed EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Ports that are not given are picked among those free now, below the range the kernel hands out by itself.
read -ra free < <(python3 - <<'P'
import random, socket
found, held = [], []
while len(found) < 5:
    port, s = random.randrange(20000, 32000), socket.socket()
    try: s.bind(("127.0.0.1", port))
    except OSError: continue
    if port not in found: found.append(port); held.append(s)
print(*found)
P
)
api_port=${PORT:-${free[0]}}
etcd_port=${ETCD_PORT:-${free[1]}}
http_port=${HTTP_PORT:-${free[2]}}
peer_port=${ETCD_PEER_PORT:-${free[3]}}
kcm_port=${KCM_PORT:-${free[4]}}

start() { # start NAME COMMAND...: in a session of its own, so that a Ctrl-C meant for us leaves it to down.sh
    local name=$1
    shift
    # No descriptor but the log: who waits for the end of our output must not wait for a server.
    setsid "$@" >"$name.log" 2>&1 </dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    echo $! >"$name.pid"
}
until_true() { # until_true SECONDS WHAT COMMAND...
    local end=$((SECONDS + $1)) what=$2 name
    shift 2
    until "$@" >/dev/null 2>&1; do
        for name in etcd api kcm sim; do
            [ ! -f $name.pid ] || kill -0 "$(cat $name.pid)" 2>/dev/null || { tail -n 5 "$name.log" >&2; die "$name ended: $dir/$name.log"; }
        done
        [ $SECONDS -lt $end ] || die "$what: not within $1 s ($dir/*.log)"
        sleep 0.1
    done
}
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
for port in "$api_port" "$etcd_port" "$http_port" "$peer_port" "$kcm_port"; do
    ! port_open "$port" || die "port $port is in use"
done
k() { "$KUBECTL" --kubeconfig "$dir/admin.kubeconfig" "$@"; }

# Accounts. admin may everything, viewer nothing, limited what `bypassctl enable` needs and no more, secret-only just the
# one verb of the documented command, revoker what a revocation with clones needs. The rights of the last three are in
# manifests.py.
umask 077
: >tokens.csv
: >sim.env
uid=0
for who in admin viewer limited secret-only revoker; do
    uid=$((uid + 1))
    group=$who
    [ $who != admin ] || group=system:masters
    token=$(openssl rand -hex 16) # drawn anew, so that no other server, met on our port by mistake, lets us in
    [ $who != admin ] || admin_token=$token
    echo "$token,$who,$uid,\"$group\"" >>tokens.csv
    cat >$who.kubeconfig <<Y
apiVersion: v1
kind: Config
clusters: [{name: sim, cluster: {server: "https://127.0.0.1:$api_port", insecure-skip-tls-verify: true}}]
users: [{name: $who, user: {token: $token}}]
contexts: [{name: sim-dev, context: {cluster: sim, user: $who, namespace: default}}]
current-context: sim-dev
Y
done
[ -f sa.key ] || openssl genrsa -out sa.key 2048 2>/dev/null
umask 022

case $("$KUBE_BIN/etcd" --version 2>&1) in
*"etcd Version"*)
    start etcd "$KUBE_BIN/etcd" --data-dir "$dir/etcd" \
        --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$peer_port" --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
        --initial-cluster "default=http://127.0.0.1:$peer_port"
    ;;
*) start etcd "$KUBE_BIN/etcd" "$dir/etcd" "$etcd_port" "$peer_port" ;; # a substitute that takes DIR PORT PEER-PORT
esac
until_true 30 "etcd listens" port_open "$etcd_port"
start api "$KUBE_BIN/kube-apiserver" "--etcd-servers=http://127.0.0.1:$etcd_port" "--secure-port=$api_port" \
    --bind-address=127.0.0.1 --advertise-address=127.0.0.1 "--cert-dir=$dir/certs" \
    --service-account-key-file=sa.key --service-account-signing-key-file=sa.key --service-account-issuer=https://sim \
    --service-cluster-ip-range=10.0.0.0/24 --authorization-mode=RBAC --token-auth-file=tokens.csv \
    --disable-admission-plugins=ServiceAccount
until_true 60 "the API server is ready" k get --raw /readyz

controllers=job,replicaset,deployment,garbagecollector,namespace,ttl-after-finished
options=(--secure-port="$kcm_port" --bind-address=127.0.0.1 --leader-elect=false)
case $("$KUBE_BIN/kube-controller-manager" --help 2>&1) in
*job-controller*) controllers=job-controller,replicaset-controller,deployment-controller,garbage-collector-controller,namespace-controller,ttl-after-finished-controller ;;
*) options+=(--port=0) ;;
esac
start kcm "$KUBE_BIN/kube-controller-manager" "--kubeconfig=$dir/admin.kubeconfig" "--controllers=$controllers" "${options[@]}"

python3 "$here/manifests.py" --cluster >cluster.json
k apply -f cluster.json >/dev/null
for ns in "${namespaces[@]}"; do
    python3 "$here/manifests.py" "$ns" >"objects-$ns.json"
    k apply -f "objects-$ns.json" >/dev/null
done
if [ "${OPERATOR:-0}" = 1 ]; then
    until_true 30 "AppInstances are served" k get appinstances --all-namespaces
    for ns in "${namespaces[@]}"; do python3 "$here/manifests.py" --operator "$ns" | k apply -f - >/dev/null; done
fi

cat >sim.env <<Y
export SIM_API=127.0.0.1:$api_port SIM_TOKEN=$admin_token SIM_HTTP=$http_port SIM_NAMESPACES="${namespaces[*]}" SIM_OPERATOR=${OPERATOR:-0} SIM_STICKY=${STICKY:-0} SIM_JOB_SECONDS=${JOB_SECONDS:-0.3} SIM_TERM_SECONDS=${TERM_SECONDS:-0.5}
Y
# shellcheck source=/dev/null
. ./sim.env
start sim python3 "$here/sim.py" "$dir"

ln -sf "$KUBECTL" bin/kubectl
# The interpreter itself and no site packages: what `python3` names may be a slow wrapper, and the stand-in is timed.
python=$(python3 -c 'import sys; print(sys.executable)')
sed -e "1s|.*|#!$python -IS|" -e "s/@VERSION@/${INFLUXCTL_VERSION:-2.12.0}/" "$here/influxctl" >bin/influxctl
chmod 755 bin/influxctl
cat >influxctl/config.toml <<Y
# stand-in cluster
[[profile]]
    name = "default"
    product = "clustered"
    host = "127.0.0.1"   # loopback
    port = "$http_port"

    [profile.tls]
        disable = true

    [profile.auth.oauth2]
        client_id = "example"
        device_url = "https://idp.invalid/device"
        token_url = "https://idp.invalid/token"
Y

ready_pods() {
    [ "$(k -n "$1" get pods --selector app=token-management --field-selector status.phase=Running --output name | wc -l)" = 2 ]
}
for ns in "${namespaces[@]}"; do
    until_true 60 "namespace $ns has an admin token" k -n "$ns" get secret admin-token
    until_true 60 "namespace $ns runs token-management" ready_pods "$ns"
done
until_true 30 "the token check listens" port_open "$http_port"
k -n "$first" get secrets,jobs,pods
