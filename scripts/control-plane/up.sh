#!/usr/bin/env bash
# up.sh DIR: starts a control plane on loopback with a simulated InfluxDB namespace.
#
# README.md lists the settings. On failure it stops all processes and keeps the logs in DIR.
set -euo pipefail
export KUBERC=off

[ $# = 1 ] || { echo "usage: up.sh DIR" >&2; exit 2; }
die() { echo "up.sh: $*" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/bin" "$1/influxctl"
dir=$(cd "$1" && pwd)
cd "$dir"

[ -x "${KUBE_BIN:-}/kube-apiserver" ] ||
    die "no kube-apiserver in KUBE_BIN='${KUBE_BIN:-}': run build.sh"
KUBECTL=$(command -v "${KUBECTL:-kubectl}") ||
    die "kubectl not found: set KUBECTL, or run kubectls.sh"
read -ra namespaces <<<"${NAMESPACES:-influxdb}"
first=${namespaces[0]}
for p in ./*.pid; do
    [ ! -f "$p" ] || ! kill -0 "$(cat "$p")" 2>/dev/null ||
        die "$dir is in use: run down.sh $dir"
done
stop_if_failed() {
    local status=$?
    [ $status = 0 ] || "$here/down.sh" "$dir"
}
trap stop_if_failed EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Picks free ports below the kernel's ephemeral range.
read -ra free < <(python3 - <<'P'
import random, socket
sockets = {}
while len(sockets) < 5:
    port, s = random.randrange(20000, 32000), socket.socket()
    try: s.bind(("127.0.0.1", port))
    except OSError: continue
    sockets[port] = s
print(*sockets)
P
)
api_port=${PORT:-${free[0]}}
etcd_port=${ETCD_PORT:-${free[1]}}
http_port=${HTTP_PORT:-${free[2]}}
peer_port=${ETCD_PEER_PORT:-${free[3]}}
kcm_port=${KCM_PORT:-${free[4]}}

start() { # start NAME COMMAND...: in its own session, so that Ctrl-C leaves it to down.sh
    local name=$1
    shift
    # Keeps only the log open, so that a reader of this script's output does not wait for servers.
    setsid "$@" >"$name.log" 2>&1 </dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    echo $! >"$name.pid"
}
wait_until() { # wait_until SECONDS CONDITION COMMAND...
    local seconds=$1 end=$((SECONDS + $1)) condition=$2 name
    shift 2
    until "$@" >/dev/null 2>&1; do
        for name in etcd api kcm sim; do
            [ ! -f $name.pid ] || kill -0 "$(cat $name.pid)" 2>/dev/null || {
                tail -n 5 "$name.log" >&2
                die "$name exited: see $dir/$name.log"
            }
        done
        [ $SECONDS -lt $end ] ||
            die "timed out after $seconds s waiting until $condition, see $dir/*.log"
        sleep 0.1
    done
}
is_port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
for port in "$api_port" "$etcd_port" "$http_port" "$peer_port" "$kcm_port"; do
    ! is_port_open "$port" || die "port $port is in use"
done
k() { "$KUBECTL" --kubeconfig "$dir/admin.kubeconfig" "$@"; }

# README.md lists the accounts. manifests.py has the permissions of the last three.
umask 077
: >tokens.csv
: >sim.env
uid=0
for account in admin viewer limited secret-only revoker; do
    uid=$((uid + 1))
    group=$account
    [ $account != admin ] || group=system:masters
    # A random token never works on another server that happens to listen on the same port.
    token=$(openssl rand -hex 16)
    [ $account != admin ] || admin_token=$token
    echo "$token,$account,$uid,\"$group\"" >>tokens.csv
    cat >$account.kubeconfig <<Y
apiVersion: v1
kind: Config
clusters:
- name: sim
  cluster: {server: "https://127.0.0.1:$api_port", certificate-authority: "$dir/certs/apiserver.crt"}
users: [{name: $account, user: {token: $token}}]
contexts: [{name: sim-dev, context: {cluster: sim, user: $account, namespace: default}}]
current-context: sim-dev
Y
done
[ -f sa.key ] || openssl genrsa -out sa.key 2048 2>/dev/null
umask 022

case $("$KUBE_BIN/etcd" --version 2>&1) in
*"etcd Version"*)
    start etcd "$KUBE_BIN/etcd" --data-dir "$dir/etcd" \
        --listen-client-urls "http://127.0.0.1:$etcd_port" \
        --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$peer_port" \
        --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
        --initial-cluster "default=http://127.0.0.1:$peer_port"
    ;;
*) start etcd "$KUBE_BIN/etcd" "$dir/etcd" "$etcd_port" "$peer_port" ;; # a substitute for etcd
esac
wait_until 30 "etcd listens" is_port_open "$etcd_port"
start api "$KUBE_BIN/kube-apiserver" "--etcd-servers=http://127.0.0.1:$etcd_port" \
    "--secure-port=$api_port" --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
    "--cert-dir=$dir/certs" \
    --service-account-key-file=sa.key --service-account-signing-key-file=sa.key \
    --service-account-issuer=https://sim \
    --service-cluster-ip-range=10.0.0.0/24 --authorization-mode=RBAC --token-auth-file=tokens.csv \
    --disable-admission-plugins=ServiceAccount
wait_until 60 "the API server is ready" k get --raw /readyz

controllers=job,replicaset,deployment,garbagecollector,namespace,ttl-after-finished
options=(--secure-port="$kcm_port" --bind-address=127.0.0.1 --leader-elect=false)
case $("$KUBE_BIN/kube-controller-manager" --help 2>&1) in
*job-controller*)
    controllers=job-controller,replicaset-controller,deployment-controller
    controllers+=,garbage-collector-controller,namespace-controller,ttl-after-finished-controller
    ;;
*) options+=(--port=0) ;;
esac
start kcm "$KUBE_BIN/kube-controller-manager" "--kubeconfig=$dir/admin.kubeconfig" \
    "--controllers=$controllers" "${options[@]}"

python3 "$here/manifests.py" --cluster >cluster.json
k apply -f cluster.json >/dev/null
for ns in "${namespaces[@]}"; do
    python3 "$here/manifests.py" "$ns" >"objects-$ns.json"
    k apply -f "objects-$ns.json" >/dev/null
done
if [ "${OPERATOR:-0}" = 1 ]; then
    wait_until 30 "AppInstances are served" k get appinstances --all-namespaces
    for ns in "${namespaces[@]}"; do
        python3 "$here/manifests.py" --operator "$ns" | k apply -f - >/dev/null
    done
fi

cat >sim.env <<Y
export SIM_API=127.0.0.1:$api_port SIM_TOKEN=$admin_token SIM_HTTP=$http_port
export SIM_NAMESPACES="${namespaces[*]}" SIM_OPERATOR=${OPERATOR:-0} SIM_STICKY=${STICKY:-0}
export SIM_JOB_SECONDS=${JOB_SECONDS:-0.3} SIM_TERM_SECONDS=${TERM_SECONDS:-0.5}
Y
# shellcheck source=/dev/null
. ./sim.env
start sim python3 "$here/sim.py" "$dir"

ln -sf "$KUBECTL" bin/kubectl
# Names the interpreter itself and skips site packages: a slow `python3` wrapper would distort
# scripts/bench.
python=$(python3 -c 'import sys; print(sys.executable)')
sed -e "1s|.*|#!$python -IS|" -e "s/@VERSION@/${INFLUXCTL_VERSION:-2.12.0}/" \
    "$here/influxctl" >bin/influxctl
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

has_ready_pods() { # has_ready_pods NAMESPACE
    [ "$(k -n "$1" get pods --selector app=token-management \
        --field-selector status.phase=Running --output name | wc -l)" = 2 ]
}
for ns in "${namespaces[@]}"; do
    wait_until 60 "namespace $ns has an admin token" k -n "$ns" get secret admin-token
    wait_until 60 "namespace $ns runs token-management" has_ready_pods "$ns"
done
wait_until 30 "the token check listens" is_port_open "$http_port"
k -n "$first" get secrets,jobs,pods
