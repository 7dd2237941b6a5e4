#!/usr/bin/env bash
# scripts/lib/e2e.sh: what scripts/e2e and scripts/e2e-revoke share: the tools, the bundled control plane, the program as
# the only user of a fresh machine, and the checks. Sourced with the variables of the first part set by nobody yet.
# shellcheck disable=SC2034,SC2154 # much of what is set here is used there, and the other way round
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
control_plane=$root/scripts/control-plane
cache=${CONTROL_PLANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bypassctl/control-plane}

die() { echo "${0##*/}: $*" >&2; exit 2; }
usage() { # the comment at the top of the script
    awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$0" >&2
    exit 2
}
absolute() { [ -e "$1" ] || die "no such file: $1"; echo "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"; }

kubectls=() kubeconfig="" context=() namespace="" influxctl="" config="" profile=default
named_kubectl() { # named_kubectl 1.NN|PATH
    if [ -x "$cache/kubectl/kubectl-$1" ]; then kubectls+=("$cache/kubectl/kubectl-$1"); else kubectls+=("$(absolute "$1")") || exit 2; fi
}

prepare() { # prepare TOOL...: what a run needs before its first check; sets bypassctl and work
    local tool
    for tool; do command -v "$tool" >/dev/null || die "$tool is needed"; done
    if [ -n "${BYPASSCTL:-}" ]; then
        bypassctl=$(absolute "$BYPASSCTL") || exit 2
    else
        (cd "$root" && cargo build --release --locked --bin bypassctl) || exit 2
        bypassctl=${CARGO_TARGET_DIR:-$root/target}/release/bypassctl
    fi
    umask 077
    work=$(cd "$(mktemp -d)" && pwd -P)
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}
# shellcheck disable=SC2329 # called by the trap
finish() {
    local plane
    for plane in "$work"/cp*/; do
        [ ! -d "$plane" ] || "$control_plane/down.sh" "$plane"
    done
    if [ "${E2E_KEEP:-0}" = 1 ]; then echo "kept: $work"; else rm -rf "$work"; fi
}

# The bundled control plane, with the settings of up.sh that are named; sets where it is.
cluster() { # cluster DIR [NAME=VALUE]...
    cp=$work/$1
    shift
    [ -x "$cache/bin/kube-apiserver" ] || die "no control plane in $cache: run scripts/control-plane/build.sh and kubectls.sh with that directory"
    [ ${#kubectls[@]} -gt 0 ] || kubectls=("$cache/kubectl/kubectl-1.34")
    namespace=${namespace:-influxdb}
    env NAMESPACES="$namespace" KUBE_BIN="$cache/bin" KUBECTL="${kubectls[0]}" "$@" "$control_plane/up.sh" "$cp" >"$work/up.log" 2>&1 ||
        { cat "$work/up.log" "$cp"/*.log >&2; die "the control plane did not start"; }
    kubeconfig=$cp/admin.kubeconfig
}

# ---- running and checking -----------------------------------------------------------------------------------------
passed=0 failed=0 skipped=0
ok() { passed=$((passed + 1)); printf 'ok    %s\n' "$*"; }
skip() { skipped=$((skipped + 1)); printf 'skip  %s\n' "$*"; }
fail() {
    failed=$((failed + 1))
    printf 'FAIL  %s\n' "$*"
    local file
    for file in "${last:-}.out" "${last:-}.err"; do
        [ -s "$file" ] || continue
        if [ -n "${needles:-}" ] && holds_token "$file"; then echo "      (${file##*/} withheld: it holds the token)"; else sed 's/^/      | /' "$file" | head -n 20 | cut -c1-400; fi
    done
}
check() { # check NAME COMMAND...
    local name=$1
    shift
    if "$@" >/dev/null 2>&1; then ok "$name"; else fail "$name"; fi
}
not() { ! "$@"; }
absent() { [ ! -e "$1" ]; }

clean=() # what would steer the tools besides the flags, and how it is told
while read -r name; do clean+=(-u "$name"); done < <(compgen -e | grep -E '^(INFLUXCTL_|BYPASSCTL_|KUBECONFIG$|KUBERC$|KUBECTL_|XDG_|GITHUB_ACTIONS$)')
inside() { # inside HOME COMMAND...: as the only user of a fresh machine
    local home=$1
    shift
    (
        umask 022 # the usual one: what must be private has to be made so
        env "${clean[@]}" HOME="$home" XDG_CONFIG_HOME="$home/.config" XDG_CACHE_HOME="$home/.cache" XDG_DATA_HOME="$home/.local/share" \
            XDG_STATE_HOME="$home/.local/state" XDG_RUNTIME_DIR="$home/run" PATH="$tools:$PATH" timeout 60 "$@" </dev/null
    )
}
runs=0
run() { # run HOME ARGUMENTS...: bypassctl; sets status, and last, the path of its outputs without the suffix
    local home=$1
    shift
    runs=$((runs + 1))
    last=$dir/run-$(printf %02d $runs)-$1
    inside "$home" "$bypassctl" "$@" >"$last.out" 2>"$last.err"
    status=$?
}
expect() { # expect CODE NAME ARGUMENTS...: bypassctl in $home ends with CODE
    local code=$1 name=$2
    shift 2
    run "$home" "$@"
    if [ "$status" = "$code" ]; then ok "$name"; else fail "$name: exit $status, not $code"; fi
}
on() { common=(--kubeconfig "$1" "${context[@]}" --namespace "$namespace" --profile "$profile"); } # the cluster for the next runs

# All of a home but the record, kubectl's own cache and the runtime directory: one line a file, equal only if nobody
# wrote to it, not even the same bytes.
snapshot() {
    python3 - "$1" <<'P'
import hashlib, os, sys
top = sys.argv[1]
for path, dirs, files in os.walk(top):
    dirs[:] = [d for d in sorted(dirs) if os.path.relpath(os.path.join(path, d), top) not in (".local/state", ".kube/cache", ".kube/http-cache", "run")]
    for name in sorted(files):
        full = os.path.join(path, name)
        s = os.lstat(full)
        print(os.path.relpath(full, top), oct(s.st_mode), s.st_ino, s.st_mtime_ns, hashlib.sha256(open(full, "rb").read()).hexdigest())
P
}
remember() { before=$(snapshot "$home"); }
unchanged() {
    last=$dir/snapshot
    : >"$last.err"
    diff <(echo "$before") <(snapshot "$home") >"$last.out"
    check "$1: no file touched" test ! -s "$last.out"
}

# The token, and what of it would give it away, in every spelling a log could use; one a line, in memory only.
spellings() {
    python3 -c '
import base64, json, re, sys, urllib.parse
raw = base64.b64decode(sys.stdin.read())
parts = {raw} | {m for m in re.findall(rb"[A-Za-z0-9_.=-]{32,}", raw)}
parts |= {p.rsplit(b".", 1)[1] for p in parts if p.count(b".") == 2}
for p in parts:
    text = p.decode("utf-8", "replace")
    for s in (text, json.dumps(text)[1:-1], base64.b64encode(p).decode(), base64.urlsafe_b64encode(p).decode().rstrip("="), p.hex(), p.hex().upper(), urllib.parse.quote(text, safe="")):
        if len(s) >= 16 and "\n" not in s: print(s)'
}
holds_token() { grep -rqaF -f <(printf '%s\n' "$needles") -- "$@"; }
only_in() { # only_in FILE DIRECTORY: the token is in FILE and nowhere else in DIRECTORY
    [ "$(grep -rlaF -f <(printf '%s\n' "$needles") -- "$2")" = "$1" ]
}
mode() { python3 -c 'import os, sys; print(oct(os.lstat(sys.argv[1]).st_mode & 0o7777)[2:])' "$1"; }
nothing_removed() { ! diff "$1" "$2" | grep -q '^<'; }
sha256() { openssl dgst -sha256 -r | cut -c1-64; }

all_answered() { # each intent has its result
    jq -s -e '[.[] | select(.type == "intent").seq] as $i | [.[] | select(.type == "result").intent] as $r | ($i | length) > 0 and ($i - $r) == []' "$1"
}
head_of() { sed -n 's/.*audit head [0-9a-f-]* \([0-9]*:[0-9a-f]\{64\}\).*/\1/p' "$@" | tail -n 1; }

new_home() {
    home=$dir/$1
    conf=$home/$conf_path
    token_file=$(dirname "$conf")/admin-token-$profile.json
    mkdir -p "$home/run" "$(dirname "$conf")"
    cp "$config" "$conf"
    chmod 640 "$conf"
}
conf_path=.config/influxctl/config.toml
[ "$(uname)" != Darwin ] || conf_path="Library/Application Support/influxctl/config.toml"

begin() { # begin NAME KUBECTL INFLUXCTL
    dir=$work/$1
    tools=$dir/bin
    runs=0 last=""
    mkdir -p "$tools"
    ln -s "$2" "$tools/kubectl"
    ln -s "$3" "$tools/influxctl"
    on "$kubeconfig"
}
works() { inside "$home" influxctl --profile "$profile" --timeout 10s database list --format json | jq -e 'type == "array"'; }
