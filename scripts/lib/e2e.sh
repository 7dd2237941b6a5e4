#!/usr/bin/env bash
# scripts/lib/e2e.sh: shared by scripts/e2e, scripts/e2e-revoke and scripts/session.
#
# Finds the tools, starts the bundled control plane, runs bypassctl in a fresh home and counts the
# checks.
# shellcheck disable=SC2034,SC2154 # the sourcing script uses and sets some variables
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
control_plane=$root/scripts/control-plane
cache=${CONTROL_PLANE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bypassctl/control-plane}

die() { echo "${0##*/}: $*" >&2; exit 2; }
usage() {
    awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$0" >&2
    exit 2
}
absolute() {
    [ -e "$1" ] || die "$1 not found"
    echo "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"
}

kubectls=() kubeconfig="" context=() namespace="" influxctl="" config="" profile=default
add_kubectl() { # add_kubectl 1.NN|PATH
    if [ -x "$cache/kubectl/kubectl-$1" ]; then
        kubectls+=("$cache/kubectl/kubectl-$1")
    else
        kubectls+=("$(absolute "$1")") || exit 2
    fi
}

prepare() { # prepare TOOL...: checks the tools, sets bypassctl and work
    local tool
    for tool; do command -v "$tool" >/dev/null || die "$tool not found"; done
    if [ -n "${BYPASSCTL:-}" ]; then
        bypassctl=$(absolute "$BYPASSCTL") || exit 2
    else
        (cd "$root" && cargo build --release --locked --bin bypassctl) || exit 2
        bypassctl=${CARGO_TARGET_DIR:-$root/target}/release/bypassctl
    fi
    umask 077
    work=$(cd "$(mktemp -d)" && pwd -P)
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}
# shellcheck disable=SC2329 # called by the trap
clean_up() {
    local plane
    for plane in "$work"/cp*/; do
        [ ! -d "$plane" ] || "$control_plane/down.sh" "$plane"
    done
    if [ "${E2E_KEEP:-0}" = 1 ]; then echo "kept: $work"; else rm -rf "$work"; fi
}

# Starts the bundled control plane with settings of up.sh. Sets cp and kubeconfig.
start_cluster() { # start_cluster DIR [NAME=VALUE]...
    cp=$work/$1
    shift
    [ -x "$cache/bin/kube-apiserver" ] ||
        die "no control plane in $cache: run scripts/control-plane/build.sh and kubectls.sh on it"
    [ ${#kubectls[@]} -gt 0 ] || kubectls=("$cache/kubectl/kubectl-1.34")
    namespace=${namespace:-influxdb}
    env NAMESPACES="$namespace" KUBE_BIN="$cache/bin" KUBECTL="${kubectls[0]}" "$@" \
        "$control_plane/up.sh" "$cp" >"$work/up.log" 2>&1 || {
        cat "$work/up.log" "$cp"/*.log >&2
        die "the control plane did not start"
    }
    kubeconfig=$cp/admin.kubeconfig
}

# ---- running and checking ---------------------------------------------------------------------
passed=0 failed=0 skipped=0
pass() { passed=$((passed + 1)); printf 'ok    %s\n' "$*"; }
skip() { skipped=$((skipped + 1)); printf 'skip  %s\n' "$*"; }
fail() {
    failed=$((failed + 1))
    printf 'FAIL  %s\n' "$*"
    local file
    for file in "${last:-}.out" "${last:-}.err"; do
        [ -s "$file" ] || continue
        if [ -n "${needles:-}" ] && contains_token "$file"; then
            echo "      (${file##*/} withheld: it contains the token)"
        else
            sed 's/^/      | /' "$file" | head -n 20 | cut -c1-400
        fi
    done
}
check() { # check NAME COMMAND...
    local name=$1
    shift
    if "$@" >/dev/null 2>&1; then pass "$name"; else fail "$name"; fi
}
not() { ! "$@"; }
is_missing() { [ ! -e "$1" ]; }

# Variables of the environment that would steer the tools or change the output.
unset_options=()
steering='^(INFLUXCTL_|BYPASSCTL_|KUBECONFIG$|KUBERC$|KUBECTL_|XDG_|GITHUB_ACTIONS$)'
while read -r name; do unset_options+=(-u "$name"); done < <(compgen -e | grep -E "$steering")
in_home() { # in_home HOME COMMAND...: runs a command as the only user of a fresh machine
    local home=$1
    shift
    (
        umask 022 # the default: bypassctl itself must make files private
        env "${unset_options[@]}" HOME="$home" XDG_CONFIG_HOME="$home/.config" \
            XDG_CACHE_HOME="$home/.cache" XDG_DATA_HOME="$home/.local/share" \
            XDG_STATE_HOME="$home/.local/state" XDG_RUNTIME_DIR="$home/run" \
            PATH="$tools:$PATH" timeout 60 "$@" </dev/null
    )
}
runs=0
next_run() { # next_run NAME: sets last, the path of the run's output files without the suffix
    runs=$((runs + 1))
    last=$dir/run-$(printf %02d $runs)-$1
}
run() { # run HOME ARGUMENTS...: runs bypassctl, sets status and last
    local home=$1
    shift
    next_run "$1"
    in_home "$home" "$bypassctl" "$@" >"$last.out" 2>"$last.err"
    status=$?
}
expect() { # expect CODE NAME ARGUMENTS...: checks the exit code of bypassctl in $home
    local code=$1 name=$2
    shift 2
    run "$home" "$@"
    if [ "$status" = "$code" ]; then
        pass "$name"
    else
        fail "$name: exit code $status, not $code"
    fi
}
use_kubeconfig() { # use_kubeconfig FILE: sets the common options of the next runs
    common=(--kubeconfig "$1" "${context[@]}" --namespace "$namespace" --profile "$profile")
}

# Prints one line a file of a home: equal only if no process wrote to it, not even the same bytes.
# Skips the audit log, kubectl's own cache and the runtime directory.
snapshot() {
    python3 - "$1" <<'P'
import hashlib, os, sys
top = sys.argv[1]
skipped = (".local/state", ".kube/cache", ".kube/http-cache", "run")
for path, dirs, files in os.walk(top):
    kept = [d for d in dirs if os.path.relpath(os.path.join(path, d), top) not in skipped]
    dirs[:] = sorted(kept)
    for name in sorted(files):
        full = os.path.join(path, name)
        s = os.lstat(full)
        digest = hashlib.sha256(open(full, "rb").read()).hexdigest()
        print(os.path.relpath(full, top), oct(s.st_mode), s.st_ino, s.st_mtime_ns, digest)
P
}
take_snapshot() { before=$(snapshot "$home"); }
check_unchanged() { # check_unchanged NAME: no file differs from the snapshot
    last=$dir/snapshot
    : >"$last.err"
    diff <(echo "$before") <(snapshot "$home") >"$last.out"
    check "$1: no file changed" test ! -s "$last.out"
}

# Reads a token in base64. Prints its sensitive parts in every encoding that a log could use, one a
# line. They stay in memory.
encodings() {
    python3 -c '
import base64, json, re, sys, urllib.parse
raw = base64.b64decode(sys.stdin.read())
parts = {raw} | {m for m in re.findall(rb"[A-Za-z0-9_.=-]{32,}", raw)}
parts |= {p.rsplit(b".", 1)[1] for p in parts if p.count(b".") == 2}
for p in parts:
    text = p.decode("utf-8", "replace")
    for s in (text, json.dumps(text)[1:-1], base64.b64encode(p).decode(),
              base64.urlsafe_b64encode(p).decode().rstrip("="), p.hex(), p.hex().upper(),
              urllib.parse.quote(text, safe="")):
        if len(s) >= 16 and "\n" not in s: print(s)'
}
contains_token() { grep -rqaF -f <(printf '%s\n' "$needles") -- "$@"; }
is_only_in() { # is_only_in FILE DIRECTORY: FILE and no other file in DIRECTORY contains the token
    [ "$(grep -rlaF -f <(printf '%s\n' "$needles") -- "$2")" = "$1" ]
}
mode() {
    python3 -c 'import os, sys; print(oct(os.lstat(sys.argv[1]).st_mode & 0o7777)[2:])' "$1"
}
only_adds_lines() { ! diff "$1" "$2" | grep -q '^<'; }
sha256() { openssl dgst -sha256 -r | cut -c1-64; }

every_intent_has_result() { # every_intent_has_result LOG
    jq -s -e '[.[] | select(.type == "intent").seq] as $intents
        | [.[] | select(.type == "result").intent] as $results
        | ($intents | length) > 0 and ($intents - $results) == []' "$1"
}
audit_head() { # audit_head FILE...: prints the last audit head in bypassctl's output
    sed -n 's/.*audit head [0-9a-f-]* \([0-9]*:[0-9a-f]\{64\}\).*/\1/p' "$@" | tail -n 1
}

new_home() { # new_home NAME: sets home, conf and token_file
    home=$dir/$1
    conf=$home/$conf_path
    token_file=$(dirname "$conf")/admin-token-$profile.json
    mkdir -p "$home/run" "$(dirname "$conf")"
    cp "$config" "$conf"
    chmod 640 "$conf"
}
conf_path=.config/influxctl/config.toml
[ "$(uname)" != Darwin ] || conf_path="Library/Application Support/influxctl/config.toml"

begin_scenario() { # begin_scenario NAME KUBECTL INFLUXCTL: sets dir and tools
    dir=$work/$1
    tools=$dir/bin
    runs=0 last=""
    mkdir -p "$tools"
    ln -s "$2" "$tools/kubectl"
    ln -s "$3" "$tools/influxctl"
    use_kubeconfig "$kubeconfig"
}
influxctl_works() {
    in_home "$home" influxctl --profile "$profile" --timeout 10s database list --format json |
        jq -e 'type == "array"'
}
