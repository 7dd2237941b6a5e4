#!/usr/bin/env bash
# down.sh DIR: stops the processes of `up.sh DIR` by their process IDs. Keeps DIR.
set -uo pipefail

[ $# = 1 ] || { echo "usage: down.sh DIR" >&2; exit 2; }
dir=$(cd "$1" 2>/dev/null && pwd) || exit 0

# After a reboot another process can have the ID, so its command line must name DIR.
is_ours() { grep -qaF -- "$dir" "/proc/$1/cmdline" 2>/dev/null; }

for name in sim kcm api etcd; do # etcd last, because the others write to it
    [ -f "$dir/$name.pid" ] || continue
    pid=$(cat "$dir/$name.pid")
    if [ -n "$pid" ] && is_ours "$pid"; then
        kill "$pid" 2>/dev/null
        for try in $(seq 100); do
            is_ours "$pid" || break
            [ "$try" != 80 ] || kill -9 "$pid" 2>/dev/null
            sleep 0.1
        done
    fi
    rm -f "$dir/$name.pid"
done
exit 0
