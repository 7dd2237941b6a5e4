#!/usr/bin/env bash
# down.sh DIR: stops what `up.sh DIR` started, by the process ids it wrote, and waits until it is gone. DIR itself stays.
set -uo pipefail

[ $# = 1 ] || { echo "usage: down.sh DIR" >&2; exit 2; }
dir=$(cd "$1" 2>/dev/null && pwd) || exit 0

# Ours only if its command line names DIR: after a reboot the number may be somebody else's.
ours() { grep -qaF -- "$dir" "/proc/$1/cmdline" 2>/dev/null; }

for name in sim kcm api etcd; do # etcd last: the others write to it
    [ -f "$dir/$name.pid" ] || continue
    pid=$(cat "$dir/$name.pid")
    if [ -n "$pid" ] && ours "$pid"; then
        kill "$pid" 2>/dev/null
        for try in $(seq 100); do
            ours "$pid" || break
            [ "$try" != 80 ] || kill -9 "$pid" 2>/dev/null
            sleep 0.1
        done
    fi
    rm -f "$dir/$name.pid"
done
exit 0
