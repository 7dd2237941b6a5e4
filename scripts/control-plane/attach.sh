#!/usr/bin/env bash
# attach.sh KUBECONFIG DIR: adds the stand-in to an existing throwaway cluster, such as one of kind.
#
# Creates the namespace influxdb, starts sim.py, and installs an influxctl in DIR. Only sim.py may
# schedule pods on the cluster: stop the scheduler of kind first. See README.md. down.sh DIR stops
# sim.py and keeps the cluster.
set -euo pipefail
export KUBERC=off

[ $# = 2 ] || { echo "usage: attach.sh KUBECONFIG DIR" >&2; exit 2; }
die() { echo "attach.sh: $*" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
KUBECTL=$(command -v "${KUBECTL:-kubectl}") || die "kubectl not found: set KUBECTL"
mkdir -p "$2/bin" "$2/influxctl"
dir=$(cd "$2" && pwd)
k() { "$KUBECTL" --kubeconfig "$kubeconfig" "$@"; }
kubeconfig=$1

for objects in --cluster influxdb; do
    python3 "$here/manifests.py" $objects >"$dir/objects-${objects#--}.json"
    k apply -f "$dir/objects-${objects#--}.json" >/dev/null
done
apply_new() { k create "$@" --dry-run=client --output yaml | k apply -f - >/dev/null; }
apply_new serviceaccount sim --namespace default
apply_new clusterrolebinding sim --clusterrole cluster-admin --serviceaccount default:sim

server=$(k config view --minify --output 'jsonpath={.clusters[0].cluster.server}')
port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
SIM_TOKEN=$(k create token sim --namespace default --duration 2h)
export SIM_TOKEN SIM_API=${server#https://} SIM_HTTP=$port SIM_NAMESPACES=influxdb
setsid python3 "$here/sim.py" "$dir" >"$dir/sim.log" 2>&1 </dev/null &
echo $! >"$dir/sim.pid"

python=$(python3 -c 'import sys; print(sys.executable)')
sed -e "1s|.*|#!$python -IS|" -e "s/@VERSION@/${INFLUXCTL_VERSION:-2.12.0}/" \
    "$here/influxctl" >"$dir/bin/influxctl"
chmod 755 "$dir/bin/influxctl"
cat >"$dir/influxctl/config.toml" <<Y
[[profile]]
    name = "default"
    product = "clustered"
    host = "127.0.0.1"
    port = "$port"

    [profile.tls]
        disable = true
Y

is_ready() {
    k --namespace influxdb get secret admin-token >/dev/null 2>&1 &&
        [ "$(k --namespace influxdb get pods --selector app=token-management \
            --field-selector status.phase=Running --output name | wc -l)" = 2 ]
}
for try in $(seq 300); do
    if is_ready; then break; fi
    [ "$try" != 300 ] || {
        tail -n 5 "$dir/sim.log" >&2
        die "timed out waiting for the admin token and the pods of token-management"
    }
    sleep 0.5
done
k --namespace influxdb get secrets,jobs,pods
