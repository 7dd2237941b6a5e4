#!/usr/bin/env bash
# attach.sh KUBECONFIG DIR: the stand-in of this directory on a throwaway cluster that is there already, such as one of
# kind: namespace influxdb, what runs in it (sim.py), and an influxctl for it. Nothing but sim.py may schedule pods there:
# in a cluster of kind, stop the scheduler first. See README.md. down.sh DIR ends sim.py; the cluster is left as it is.
set -euo pipefail
export KUBERC=off

[ $# = 2 ] || { echo "usage: attach.sh KUBECONFIG DIR" >&2; exit 2; }
die() { echo "attach.sh: $*" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd)
KUBECTL=$(command -v "${KUBECTL:-kubectl}") || die "no kubectl: set KUBECTL"
mkdir -p "$2/bin" "$2/influxctl"
dir=$(cd "$2" && pwd)
k() { "$KUBECTL" --kubeconfig "$kubeconfig" "$@"; }
kubeconfig=$1

for objects in --cluster influxdb; do
    python3 "$here/manifests.py" $objects >"$dir/objects-${objects#--}.json"
    k apply -f "$dir/objects-${objects#--}.json" >/dev/null
done
k create serviceaccount sim --namespace default --dry-run=client --output yaml | k apply -f - >/dev/null
k create clusterrolebinding sim --clusterrole cluster-admin --serviceaccount default:sim --dry-run=client --output yaml | k apply -f - >/dev/null

server=$(k config view --minify --output 'jsonpath={.clusters[0].cluster.server}')
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
SIM_TOKEN=$(k create token sim --namespace default --duration 2h)
export SIM_TOKEN SIM_API=${server#https://} SIM_HTTP=$port SIM_NAMESPACES=influxdb
setsid python3 "$here/sim.py" "$dir" >"$dir/sim.log" 2>&1 </dev/null &
echo $! >"$dir/sim.pid"

python=$(python3 -c 'import sys; print(sys.executable)')
sed -e "1s|.*|#!$python -IS|" -e "s/@VERSION@/${INFLUXCTL_VERSION:-2.12.0}/" "$here/influxctl" >"$dir/bin/influxctl"
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

running() { k --namespace influxdb get pods --selector app=token-management --field-selector status.phase=Running --output name; }
for try in $(seq 300); do
    if k --namespace influxdb get secret admin-token >/dev/null 2>&1 && [ "$(running | wc -l)" = 2 ]; then break; fi
    [ "$try" != 300 ] || { tail -n 5 "$dir/sim.log" >&2; die "no admin token, or no pods of token-management, within some minutes"; }
    sleep 0.5
done
k --namespace influxdb get secrets,jobs,pods
