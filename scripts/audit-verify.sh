#!/usr/bin/env bash
# scripts/audit-verify.sh: whether an audit record holds, for those who trust none of bypassctl's own code.
#
#   scripts/audit-verify.sh FILE [SEQ:HASH]
#
# Needs bash, coreutils and jq only. Checks what docs/AUDIT.md says under "Verifying": chain and sequence, what every
# record has and what each type has, each result's intent, torn lines and their recovery, and, where it is given, that
# record SEQ has that hash. Exit code 0 only if all holds. It starts some processes for each line: a log of a hundred
# thousand records takes minutes, and `bypassctl audit verify` a moment.
set -euo pipefail
export LC_ALL=C

if [ $# -lt 1 ] || [ $# -gt 2 ]; then sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; fi
file=$1 expect=${2:-}
[ -r "$file" ] || { echo "cannot read $file" >&2; exit 2; }
for tool in jq sha256sum split; do command -v $tool >/dev/null || { echo "$tool is needed" >&2; exit 2; }; done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export work

# What each line is by itself: its SHA-256, its length, and its record or null. Without an LF it is none.
# shellcheck disable=SC2016 # expanded by the shell that split starts
split -l1 --filter='cat >"$work/line"; sha256sum <"$work/line" | cut -c1-64; wc -c <"$work/line"; tail -c1 "$work/line" | od -An -tx1 | tr -d " "; if tr -d "\n -~" <"$work/line" | head -c1 | wc -c | grep -qx 0; then head -c -1 "$work/line"; echo; else echo null; fi' "$file" >"$work/lines"

# shellcheck disable=SC2016 # jq's own variables
read_record='
  def hash: type == "string" and test("^[0-9a-f]{64}$");
  def every: {v: "number", seq: "number", prev: "string", type: "string", log: "string"};
  def needs: {
    "log.open": ["bypassctl", "reserves", "previous"],
    "run.begin": ["run", "argv", "exe", "cwd", "who", "pid", "started", "reason", "command", "dry_run", "policy", "unfinished"],
    "tool": ["run", "name", "path", "sha256", "version", "found"],
    "intent": ["run", "step", "effect", "who", "target", "plan", "reason"],
    "result": ["run", "intent", "exit", "ms", "stdout", "stderr", "files"],
    "run.end": ["run", "command", "dry_run", "code", "outcome", "changed", "target"],
    "log.recover": ["torn"],
    "log.rotate": ["who", "reason", "unfinished"]};
  try (fromjson
    | if type != "object" then null
      else . as $r
        | if all(every | to_entries[]; ($r[.key] | type) == .value) | not then null
          else [.seq, .prev, .type, .log, .step, .intent, .torn?.bytes, .torn?.sha256, (
            if .v != 1 then "its version is \(.v)"
            elif needs[.type] == null then "its type is not known"
            elif (.prev | hash | not) then "its prev is no hash"
            elif (.ts | type) != "string" then "it has no time"
            else ([needs[$r.type][] | select(. as $k | $r | has($k) | not)] | if length > 0 then "it lacks \(join(", "))" else null end) end)]
            | map(. // "" | tostring | gsub("[\u0000-\u001f]"; " ")) | join("\u001f")
          end
      end) catch null | . // "null"'
jq -Rr "$read_record" <(while read -r _ && read -r _ && read -r _ && IFS= read -r line; do printf '%s\n' "$line"; done <"$work/lines") >"$work/records"

bad=0 line=0 offset=0 seq=0 prev=$(printf '%064d' 0) log="" records=0 anchored=0
torn_start=0 torn_bytes=0 torn_line=0
declare -A open=()
find() { bad=$((bad + 1)); echo "line $line, byte $offset: $*"; }
digest() { tail -c +$((torn_start + 1)) "$file" | head -c "$1" | sha256sum | cut -c1-64; } # of the torn bytes
# One line behind: whether a line is a record is known when the next one is, for that may be its recovery.
judge() { # judge HASH BYTES LAST RECORD NEXT
    local hash=$1 bytes=$2 last=$3 record=$4 is prev_is kind log_is step intent bytes_is digest_is fault
    local next_prev next_kind next_bytes next_digest
    line=$((line + 1))
    [ "$last" = 0a ] || record=null
    IFS=$'\x1f' read -r _ next_prev next_kind _ _ _ next_bytes next_digest _ <<<"$5"
    if [ "$record" != null ] && [ "$next_kind" = log.recover ] && [ "$next_prev" = "$prev" ] && [ "$next_bytes" = $((torn_bytes + bytes)) ]; then
        [ "$torn_bytes" != 0 ] || torn_start=$offset
        [ "$next_digest" != "$(digest "$next_bytes")" ] || record=null
    fi
    if [ "$record" = null ]; then
        if [ "$torn_bytes" = 0 ]; then torn_start=$offset torn_line=$line; fi
        torn_bytes=$((torn_bytes + bytes))
    else
        IFS=$'\x1f' read -r is prev_is kind log_is step intent bytes_is digest_is fault <<<"$record"
        records=$((records + 1))
        if [ "$torn_bytes" != 0 ] && [ "$kind" = log.recover ] && [ "$bytes_is" = "$torn_bytes" ] && [ "$digest_is" = "$(digest "$torn_bytes")" ]; then
            echo "line $torn_line: $torn_bytes bytes are no record; a later run found and recorded them"
        elif [ "$torn_bytes" != 0 ]; then
            find "$torn_bytes bytes before it are no record, and no recovery of them is on record"
        elif [ "$kind" = log.recover ]; then
            find "it records torn bytes that are not there"
        fi
        torn_bytes=0
        [ "$prev_is" = "$prev" ] || find "its prev is not the hash of the record before it"
        [ "$is" = $((seq + 1)) ] || find "its sequence number is $is, not $((seq + 1))"
        [ -z "$fault" ] || find "$fault"
        case $kind in
        log.recover) ;;
        log.open) [ "$seq" = 0 ] || find "a log is opened once" ;;
        *) [ "$seq" != 0 ] || find "a log begins with log.open" ;;
        esac
        [ -z "$log" ] || [ "$log" = "$log_is" ] || find "it belongs to another log"
        log=$log_is
        case $kind in
        intent) open[$is]=$step ;;
        result) if [ -n "${open[$intent]+there}" ]; then unset "open[$intent]"; else find "it is the result of record $intent, which is no intent that waits for one"; fi ;;
        esac
        seq=$is prev=$hash
        [ "$expect" != "$seq:$prev" ] || anchored=1
    fi
    offset=$((offset + bytes))
}

held=""
exec 3<"$work/records"
while read -r hash && read -r bytes && read -r last && IFS= read -r _; do
    IFS= read -r record <&3
    if [ -n "$held" ]; then
        # shellcheck disable=SC2086 # three words and a record without blanks at its ends
        judge $held "$held_record" "$record"
    fi
    held="$hash $bytes $last" held_record=$record
done <"$work/lines"
# shellcheck disable=SC2086
[ -z "$held" ] || judge $held "$held_record" null

if [ "$torn_bytes" != 0 ]; then line=$torn_line offset=$torn_start; find "the last $torn_bytes bytes are no record"; fi
[ $records != 0 ] || find "there is no record in it"
for is in "${!open[@]}"; do echo "record $is, step ${open[$is]}, has no result: whether it happened is not known"; done
if [ -z "$expect" ]; then
    echo "not anchored: records cut off at the end would not be seen; the last one is $seq:$prev"
elif [ $anchored = 0 ]; then
    find "the expected record is not there; the last one is $seq:$prev"
fi
if [ $bad != 0 ]; then
    echo "$file does not hold: $bad findings" >&2
    exit 1
fi
echo "$records records hold"
