#!/usr/bin/env bash
# scripts/audit-verify.sh: whether an audit record holds, for those who trust none of bypassctl's own code.
#
#   scripts/audit-verify.sh FILE... [SEQ:HASH]
#
# Needs bash, coreutils and jq only. Checks what docs/AUDIT.md says under "Verifying": chain and sequence, what every
# record has and what each type has, each result's intent, torn lines and their recovery, of several files that each but
# the oldest goes on from another, and, where it is given, that record SEQ of one of them has that hash. Exit code 0 only
# if all holds. It starts some processes for each line: a log of a hundred thousand records takes minutes, and
# `bypassctl audit verify` a moment.
set -euo pipefail
export LC_ALL=C

files=("$@") expect=""
if [ $# -gt 1 ] && [[ ${!#} =~ ^[0-9]+:[0-9a-fA-F]{64}$ ]]; then expect=${!#}; expect=${expect,,}; unset "files[-1]"; fi
if [ ${#files[@]} = 0 ]; then sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2; fi
for file in "${!files[@]}"; do case ${files[$file]} in -*) files[file]=./${files[$file]} ;; esac; done
for file in "${files[@]}"; do if [ ! -f "$file" ] || [ ! -r "$file" ]; then echo "cannot read $file" >&2; exit 2; fi; done
for tool in jq sha256sum split; do command -v $tool >/dev/null || { echo "$tool is needed" >&2; exit 2; }; done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export work

# shellcheck disable=SC2016 # jq's own variables
read_record='
  def hash: type == "string" and test("^[0-9a-f]{64}$");
  def uuid: type == "string" and test("^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$");
  def process: ["argv", "exe", "cwd", "env", "stdin"];
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
          else [.seq, .prev, .type, .log, .step, .intent, .torn?.bytes, .torn?.sha256, .previous?.log, .previous?.head, .run, (
            if .v != 1 then "its version is \(.v)"
            elif needs[.type] == null then "its type is not known"
            elif (.prev | hash | not) then "its prev is no hash"
            elif (.log | uuid | not) then "its log is no UUID"
            elif (.ts | type) != "string" then "it has no time"
            elif has("run") and (.run | uuid | not) then "its run is no UUID"
            elif .type == "log.open" and .previous != null and ((.previous.log? | uuid | not) or (.previous.head? | type != "string" or (test("^[0-9]+:[0-9a-f]{64}$") | not))) then "its previous is not a UUID and SEQ:HASH"
            elif .type == "intent" and (if has("file") then any(process[] as $k | $r | has($k); .) else any(process[] as $k | $r | has($k); . | not) end) then "it is not about a process or a file"
            else ([needs[$r.type][] | select(. as $k | $r | has($k) | not)] | if length > 0 then "it lacks \(join(", "))" else null end) end)]
            | map(. // "" | tostring | gsub("[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]"; " ")) | join("\u001f")
          end
      end) catch null | . // "null"'

bad=0 anchored=0 all=0
declare -A before=() before_head=() of_log=() heads=() ends=() follower=()
finding() { bad=$((bad + 1)); echo "$file: $*"; }
find() { finding "line $line, byte $offset: $*"; }
digest() { tail -c +$((torn_start + 1)) "$file" | head -c "$1" | sha256sum | cut -c1-64; } # of the torn bytes
# One line behind: whether a line is a record is known when the next one is, for that may be its recovery.
judge() { # judge HASH BYTES LAST RECORD NEXT
    local hash=$1 bytes=$2 last=$3 record=$4 is prev_is kind log_is step intent bytes_is digest_is before_is head_is run_is fault
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
        IFS=$'\x1f' read -r is prev_is kind log_is step intent bytes_is digest_is before_is head_is run_is fault <<<"$record"
        records=$((records + 1))
        if [ "$torn_bytes" != 0 ] && [ "$kind" = log.recover ] && [ "$bytes_is" = "$torn_bytes" ] && [ "$digest_is" = "$(digest "$torn_bytes")" ]; then
            echo "$file: line $torn_line: $torn_bytes bytes are no record; a later run found and recorded them"
        elif [ "$torn_bytes" != 0 ]; then
            find "$torn_bytes bytes before it are no record, and no recovery of them is on record"
        elif [ "$kind" = log.recover ]; then
            find "it records torn bytes that are not there"
        fi
        torn_bytes=0
        [ "$prev_is" = "$prev" ] || find "its prev is not the hash of the record before it"
        [ "$is" = $((seq + 1)) ] || find "its sequence number is $is, not $((seq + 1))"
        [ -z "$fault" ] || find "$fault"
        [ "$closed" = 0 ] || find "the log was closed by a rotation before it"
        [ "$kind" != log.rotate ] || closed=1
        case $kind in
        log.recover) ;;
        log.open)
            [ "$opened" = 0 ] || find "a log is opened once"
            before[$file]=$before_is before_head[$file]=$head_is
            ;;
        *) [ "$opened" != 0 ] || find "a log begins with log.open" ;;
        esac
        [ "$kind" = log.recover ] || opened=1
        if [ "$kind" = run.begin ]; then
            [ -z "${runs[$run_is]+there}" ] || find "its run has begun already"
        elif [ -n "$run_is" ] && [ -z "${runs[$run_is]+there}" ]; then
            find "its run has not begun, or has ended"
        fi
        [ -z "$run_is" ] || runs[$run_is]=there
        [ "$kind" != run.end ] || unset "runs[$run_is]"
        [ -z "$log" ] || [ "$log" = "$log_is" ] || find "it belongs to another log"
        log=$log_is
        case $kind in
        intent) open[$is]=$step of_run[$is]=$run_is ;;
        result)
            if [ -z "${open[$intent]+there}" ]; then
                find "it is the result of record $intent, which is no intent that waits for one"
            elif [ "${of_run[$intent]}" != "$run_is" ]; then
                find "it is the result of record $intent, which is of another run"
            fi
            unset "open[$intent]"
            ;;
        esac
        seq=$is prev=$hash
        [ "$expect" != "$seq:$prev" ] || anchored=1
    fi
    offset=$((offset + bytes))
}

verify() { # one file
    local line=0 offset=0 seq=0 prev log="" records=0 closed=0 opened=0 torn_start=0 torn_bytes=0 torn_line=0
    local -A open=() runs=() of_run=()
    prev=$(printf '%064d' 0)

    # What each line is by itself: its SHA-256, its length, and its record or null. Without an LF it is none.
    # shellcheck disable=SC2016 # expanded by the shell that split starts
    split -l1 --filter='cat >"$work/line"; sha256sum <"$work/line" | cut -c1-64; wc -c <"$work/line"; tail -c1 "$work/line" | od -An -tx1 | tr -d " "; if tr -d "\n -~" <"$work/line" | head -c1 | wc -c | grep -qx 0; then head -c -1 "$work/line"; echo; else echo null; fi' "$file" >"$work/lines"
    jq -Rr "$read_record" <(while read -r _ && read -r _ && read -r _ && IFS= read -r line; do printf '%s\n' "$line"; done <"$work/lines") >"$work/records"
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
    for is in "${!open[@]}"; do echo "$file: record $is, step ${open[$is]}, has no result: whether it happened is not known"; done
    if [ -n "${of_log[${log:-none}]+there}" ]; then finding "it is the same log as ${of_log[$log]}"; fi
    of_log[${log:-none}]=$file heads[$file]=$seq:$prev ends[$file]=$closed
    all=$((all + records))
}

for file in "${files[@]}"; do verify; done

# How they go on from each other: one is the oldest, and each other goes on from the end of one of them.
oldest=0
for file in "${files[@]}"; do
    is=${before[$file]:-}
    if [ -z "$is" ]; then oldest=$((oldest + 1)); continue; fi
    [ -z "${follower[$is]+there}" ] || finding "${follower[$is]} goes on from the same log"
    follower[$is]=$file
    other=${of_log[$is]:-}
    if [ -z "$other" ]; then
        oldest=$((oldest + 1))
        echo "$file: it goes on from log $is, ${before_head[$file]}, which is not among these"
    elif [ "${ends[$other]}" != 1 ] || [ "${heads[$other]}" != "${before_head[$file]}" ]; then
        finding "it goes on from ${before_head[$file]}, which is not the end of $other"
    fi
done
for file in "${files[@]}"; do
    log=""
    for is in "${!of_log[@]}"; do [ "${of_log[$is]}" != "$file" ] || log=$is; done
    if [ "${ends[$file]}" = 1 ] && [ -z "${follower[$log]+there}" ]; then
        echo "$file: it was closed by a rotation, and the log that goes on from it is not among these"
    fi
done
[ "$oldest" -le 1 ] || finding "these files are not one record: $oldest of them go on from none of the others"

head=${heads[$file]}
if [ -z "$expect" ]; then
    echo "not anchored: records cut off at the end would not be seen; the last one is $head"
elif [ $anchored = 0 ]; then
    finding "the expected record is not there; the last one is $head"
fi
if [ $bad != 0 ]; then
    echo "the record does not hold: $bad findings" >&2
    exit 1
fi
echo "$all records hold"
