#!/usr/bin/env bash
# scripts/audit-verify.sh: verifies an audit log without any of bypassctl's own code.
#
#   scripts/audit-verify.sh FILE... [HEAD]
#
# Needs bash, coreutils and jq only. Checks the rules of docs/AUDIT.md, section "Verifying":
#
#   - the hash chain and the sequence numbers
#   - the fields of every entry and of each entry type, and the kind of their values
#   - the intent of each result, and the begin and the end of each run
#   - torn bytes and their recovery
#   - the links between several segments
#   - with HEAD, that entry SEQ of one segment has that hash. HEAD is the line
#     `audit head LOG SEQ:HASH` of an earlier run, or its last word
#
# Exits with 0 only if the log is intact. A process starts for each line: 100,000 entries take
# minutes. `bypassctl audit verify` takes a second.
set -euo pipefail
export LC_ALL=C

usage() {
    awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$0" >&2
    exit 2
}
die() { echo "audit-verify.sh: $*" >&2; exit 2; }

files=("$@") expect=""
if [ $# -gt 1 ] && [[ ${!#} =~ ^(audit head [0-9a-fA-F-]{36} )?[0-9]+:[0-9a-fA-F]{64}$ ]]; then
    expect=${!#}
    expect=${expect##* }
    expect=${expect,,}
    unset "files[-1]"
fi
[ ${#files[@]} -gt 0 ] || usage
for index in "${!files[@]}"; do
    case ${files[$index]} in -*) files[index]=./${files[$index]} ;; esac
done
for file in "${files[@]}"; do
    if [ ! -f "$file" ] || [ ! -r "$file" ]; then die "cannot read $file"; fi
done
for tool in jq sha256sum split; do
    command -v $tool >/dev/null || die "$tool not found"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints, for each line, its length with the line feed, and the fields that `check_line` needs, with
# the first error in its form, or null if the line is no entry.
# shellcheck disable=SC2016 # jq's own variables
parse_entry='
  def is_string: type == "string";
  def is_flag: type == "boolean";
  def is_count: type == "number" and . >= 0 and floor == .;
  def is_int32: type == "number" and floor == . and . >= -2147483648 and . < 2147483648;
  def is_uint32: is_count and . < 4294967296;
  def is_hash: is_string and test("^[0-9a-f]{64}$");
  def is_uuid: is_string and test("^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$");
  def is_head: is_string and test("^[0-9]+:[0-9a-f]{64}$");
  def is_time: is_string and test("^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}");
  def is_one_of($words): . as $word | is_string and any($words[]; . == $word);
  def is_text: is_string or (type == "object" and (.b64 | is_string));
  def nullable(check): . == null or check;
  def only(check): if check then . else null end;
  def list(check): type == "array" and all(.[]; check);

  # A field has an error if it is missing, or if its value does not pass the check.
  def field($name; check):
    if has($name) | not then "missing \($name)"
    elif .[$name] | check | not then "invalid \($name)"
    else empty end;
  def optional($name; check): if has($name) then field($name; check) else empty end;
  def object(errors): type == "object" and ([errors] | length == 0);

  def is_executable:
    object(field("path"; is_text), field("sha256"; nullable(is_hash)),
      field("version"; nullable(is_string)));
  def is_actor:
    object(field("uid"; is_uint32), field("user"; nullable(is_string)),
      field("login_uid"; nullable(is_uint32)), field("sudo_user"; nullable(is_string)),
      field("host"; is_string), field("tty"; nullable(is_string)),
      field("ci"; nullable(is_string)));
  def is_target:
    object(field("context"; nullable(is_string)), field("server"; nullable(is_string)),
      field("cluster_uid"; nullable(is_string)), field("namespace_uid"; nullable(is_string)),
      field("namespace"; nullable(is_string)),
      optional("user"; is_string), optional("account"; is_string));
  def is_object_reference:
    object(field("kind"; is_one_of(["Secret", "Job"])), field("name"; is_string),
      field("uid"; is_string));
  def is_secret_version: is_object_reference and object(optional("resource_version"; is_string));
  def is_probe:
    object(field("address"; is_string),
      field("tls"; is_one_of(["verified", "insecure", "disabled"])),
      field("token_hmac"; nullable(is_hash)));
  def is_stream:
    if type == "object" and has("withheld")
    then .withheld == "secret" and (has("bytes") or has("sha256") | not)
    else object(field("bytes"; is_count), field("sha256"; is_hash)) end;
  def is_stdin: is_stream and object(optional("derived_from"; list(is_object_reference)));
  def is_file_change:
    object(field("op"; is_one_of(["write", "delete", "temp-dir"])), field("path"; is_text),
      field("before"; nullable(is_stream)), field("after"; nullable(is_stream)),
      optional("token_file"; object(field("profile"; is_string),
        field("before"; nullable(is_string)), field("after"; nullable(is_string)))));
  def is_exit:
    object(field("code"; nullable(is_int32)), field("signal"; nullable(is_int32)))
    and ((.code == null) != (.signal == null));
  def is_unfinished:
    list(object(field("run"; is_uuid), field("intent"; is_count), field("step"; is_string)));

  def process_fields: ["argv", "exe", "cwd", "env", "stdin"];
  def intent_errors:
    field("step"; is_string), field("effect"; is_one_of(["reads", "changes"])),
    field("actor"; is_actor), field("target"; is_target), field("plan"; nullable(is_hash)),
    field("reason"; nullable(is_string)),
    if has("file") and ([has(process_fields[])] | any)
    then "the intent is about a file and a process"
    elif has("file")
    then field("file"; is_file_change), optional("object"; is_object_reference),
      optional("probe"; is_probe)
    else field("argv"; list(is_text) and length > 0), field("exe"; is_executable),
      field("cwd"; is_text), field("env"; type == "object" and all(.[]; is_text)),
      field("stdin"; nullable(is_stdin)), optional("object"; is_object_reference),
      optional("probe"; is_probe)
    end;
  def type_errors:
    if .type == "log.open" then
      field("bypassctl"; is_string), field("preallocates"; is_flag),
      field("previous"; nullable(object(field("log"; is_uuid), field("head"; is_head))))
    elif .type == "run.begin" then
      field("argv"; list(is_text)), field("exe"; is_executable), field("cwd"; is_text),
      field("actor"; is_actor), field("pid"; is_uint32),
      field("process_start"; nullable(is_string)), field("reason"; nullable(is_string)),
      field("command"; is_string), field("dry_run"; is_flag),
      field("policy"; nullable(is_hash)), optional("policy_file"; is_text),
      optional("policy_redirects"; list(is_string)), field("unfinished"; is_unfinished)
    elif .type == "tool" then
      field("name"; is_string), field("path"; is_text), field("sha256"; nullable(is_hash)),
      field("version"; nullable(is_string)), field("found_at"; is_string)
    elif .type == "intent" then intent_errors
    elif .type == "result" then
      field("intent"; is_count), field("exit"; nullable(is_exit)),
      field("duration_ms"; is_count), field("stdout"; nullable(is_stream)),
      field("stderr"; nullable(is_stream)), field("files"; list(is_file_change)),
      optional("verdict"; is_one_of(["accepted", "rejected", "inconclusive"])),
      optional("error"; is_string)
    elif .type == "creation" then
      field("step"; is_string), field("target"; is_target),
      field("secrets"; list(is_object_reference))
    elif .type == "verification" then
      field("step"; is_string), field("target"; is_target),
      field("secrets"; list(is_secret_version))
    elif .type == "run.end" then
      field("command"; is_string), field("dry_run"; is_flag),
      field("exit_code"; is_count and . < 256), field("outcome"; is_string),
      field("changed"; is_flag), field("target"; is_target)
    elif .type == "log.recover" then
      field("torn"; object(field("bytes"; is_count), field("sha256"; is_hash)))
    elif .type == "log.rotate" then
      field("actor"; is_actor), field("reason"; nullable(is_string)),
      field("unfinished"; is_unfinished)
    else "unknown type" end;
  def part($name; $key): .[$name] | if type == "object" then .[$key] else null end;
  def form_error:
    if .v != 3 then "audit log format \(.v) is not supported, this script reads format 3"
    else
      [field("prev"; is_hash), field("log"; is_uuid), field("ts"; is_time),
        (if .type | startswith("log.") then optional("run"; is_uuid)
          else field("run"; is_uuid) end),
        type_errors]
      | if length > 0 then join(", ") else null end
    end;
  # Only printable ASCII is an entry. `tr` has put the byte 1 in place of all others.
  "\(length + 1) " + (try (if contains("\u0001") then error("not ASCII") else fromjson end
    | if object(field("v"; is_count), field("seq"; is_count), field("prev"; is_string),
        field("type"; is_string), field("log"; is_string)) | not
      then null
      else
        # The shell uses these as array subscripts and numbers, so other values stay out of it.
        [.seq, .prev, .type, .log, .step, (.intent | only(is_count)),
          (part("torn"; "bytes") | only(is_count)), (part("torn"; "sha256") | only(is_hash)),
          (part("previous"; "log") | only(is_uuid)), (part("previous"; "head") | only(is_head)),
          (.run | only(is_uuid)), form_error]
        | map(. // "" | tostring
          | gsub("[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]"; " "))
        | join("\u001f")
      end) catch null | . // "null")'

findings=0 anchored=0 total=0
declare -A begun_runs=()
declare -A previous_log=() previous_head=() file_of_log=() heads=() rotated=() successor=()
report() { findings=$((findings + 1)); echo "$file: $*"; }
report_line() { report "line $line, byte $offset: $*"; }
torn_digest() { # torn_digest BYTES
    tail -c +$((torn_start + 1)) "$work/log" | head -c "$1" | sha256sum | cut -c1-64
}

# Takes the next line as well: if that is the recovery of this line, this line is no entry.
check_line() { # check_line HASH BYTES ENTRY NEXT-ENTRY
    local hash=$1 bytes=$2 entry=$3
    local e_seq e_prev e_type e_log e_step e_intent e_torn_bytes e_torn_digest
    local e_previous_log e_previous_head e_run e_error
    local next_prev next_type next_bytes next_digest
    line=$((line + 1))
    IFS=$'\x1f' read -r _ next_prev next_type _ _ _ next_bytes next_digest _ <<<"$4"
    if [ "$entry" != null ] && [ "$next_type" = log.recover ] && [ "$next_prev" = "$prev" ] &&
        [ "$next_bytes" = $((torn_bytes + bytes)) ]; then
        [ "$torn_bytes" != 0 ] || torn_start=$offset
        [ "$next_digest" != "$(torn_digest "$next_bytes")" ] || entry=null
    fi
    if [ "$entry" = null ]; then
        if [ "$torn_bytes" = 0 ]; then torn_start=$offset torn_line=$line; fi
        torn_bytes=$((torn_bytes + bytes))
    else
        IFS=$'\x1f' read -r e_seq e_prev e_type e_log e_step e_intent e_torn_bytes e_torn_digest \
            e_previous_log e_previous_head e_run e_error <<<"$entry"
        e_log=${e_log,,} e_run=${e_run,,} e_previous_log=${e_previous_log,,}
        entries=$((entries + 1))
        if [ $entries = 1 ] && [[ $e_error = "audit log format"* ]]; then
            echo "$file: $e_error" >&2
            exit 1
        fi
        check_torn_bytes
        check_chain
        check_run
        check_intent
        seq=$e_seq prev=$hash
        [ "$expect" != "$seq:$prev" ] || anchored=1
    fi
    offset=$((offset + bytes))
}
check_torn_bytes() {
    if [ "$torn_bytes" != 0 ] && [ "$e_type" = log.recover ] &&
        [ "$e_torn_bytes" = "$torn_bytes" ] &&
        [ "$e_torn_digest" = "$(torn_digest "$torn_bytes")" ]; then
        echo "$file: line $torn_line: a later run recovered $torn_bytes torn bytes"
    elif [ "$torn_bytes" != 0 ]; then
        report_line "no entry records the recovery of the $torn_bytes torn bytes before this entry"
    elif [ "$e_type" = log.recover ]; then
        report_line "the recovered torn bytes do not exist"
    fi
    torn_bytes=0
}
check_chain() {
    [ "$e_prev" = "$prev" ] || report_line "prev is not the hash of the previous entry"
    [ "$e_seq" = $((seq + 1)) ] || report_line "sequence number is $e_seq, not $((seq + 1))"
    [ -z "$e_error" ] || report_line "$e_error"
    [ "$is_rotated" = 0 ] || report_line "entry after the rotation of the log"
    [ "$e_type" != log.rotate ] || is_rotated=1
    case $e_type in
    log.recover) ;;
    log.open)
        [ "$is_open" = 0 ] || report_line "second log.open"
        previous_log[$file]=$e_previous_log previous_head[$file]=$e_previous_head
        ;;
    *) [ "$is_open" != 0 ] || report_line "the log does not begin with log.open" ;;
    esac
    [ "$e_type" = log.recover ] || is_open=1
    [ -z "$log" ] || [ "$log" = "$e_log" ] || report_line "the entry belongs to another log"
    log=$e_log
}
check_run() {
    [ -n "$e_run" ] || return 0
    if [ "$e_type" = run.begin ]; then
        [ -z "${begun_runs[$e_run]+set}" ] || report_line "second run.begin of the run"
        begun_runs[$e_run]=1
    elif [ -z "${runs[$e_run]+set}" ]; then
        report_line "entry before run.begin or after run.end"
    fi
    runs[$e_run]=1
    # In single quotes, because unset evaluates the subscript itself.
    [ "$e_type" != run.end ] || unset 'runs[$e_run]'
}
check_intent() {
    case $e_type in
    intent) open_intents[$e_seq]=$e_step run_of_intent[$e_seq]=$e_run ;;
    result)
        if [ -z "$e_intent" ]; then return 0; fi # reported already
        if [ -z "${open_intents[$e_intent]+set}" ]; then
            report_line "entry $e_intent is not an intent without a result"
        elif [ "${run_of_intent[$e_intent]}" != "$e_run" ]; then
            report_line "intent $e_intent belongs to another run"
        fi
        unset 'open_intents[$e_intent]'
        ;;
    esac
}

verify_segment() {
    local line=0 offset=0 seq=0 prev log="" entries=0 is_rotated=0 is_open=0
    local torn_start=0 torn_bytes=0 torn_line=0
    local hash bytes entry pending="" pending_entry="" is_complete
    local -A open_intents=() runs=() run_of_intent=()
    prev=$(printf '%064d' 0)

    cp -- "$file" "$work/log" # a run can append meanwhile
    is_complete=$(tail -c1 "$work/log" | wc -l) # whether the last line ends with a line feed
    tr -c '\n -~' '\001' <"$work/log" | jq -Rr "$parse_entry" >"$work/entries"
    SHELL=/bin/sh split -l1 --filter='exec sha256sum' "$work/log" >"$work/hashes"
    exec 3<"$work/entries"
    while read -r hash _; do
        IFS=' ' read -r bytes entry <&3
        if [ -n "$pending" ]; then
            # shellcheck disable=SC2086 # two words
            check_line $pending "$pending_entry" "$entry"
        fi
        pending="$hash $bytes" pending_entry=$entry
    done <"$work/hashes"
    if [ -n "$pending" ] && [ "$is_complete" = 0 ]; then
        pending="${pending% *} $((bytes - 1))" pending_entry=null
    fi
    # shellcheck disable=SC2086 # two words
    [ -z "$pending" ] || check_line $pending "$pending_entry" null

    if [ "$torn_bytes" != 0 ]; then
        line=$torn_line offset=$torn_start
        report_line "the last $torn_bytes bytes are torn"
    fi
    [ $entries != 0 ] || report_line "no entries"
    for seq_of_intent in "${!open_intents[@]}"; do
        echo "$file: entry $seq_of_intent, step ${open_intents[$seq_of_intent]}: no result," \
            "its outcome is unknown"
    done
    if [ -n "${file_of_log[${log:-none}]+set}" ]; then
        report "the same log as ${file_of_log[$log]}"
    fi
    file_of_log[${log:-none}]=$file heads[$file]=$seq:$prev rotated[$file]=$is_rotated
    total=$((total + entries))
}

for file in "${files[@]}"; do verify_segment; done

# One segment is the oldest. Each other one continues the end of another segment.
oldest=0
for file in "${files[@]}"; do
    log=${previous_log[$file]:-}
    if [ -z "$log" ]; then oldest=$((oldest + 1)); continue; fi
    [ -z "${successor[$log]+set}" ] || report "${successor[$log]} continues the same log"
    successor[$log]=$file
    other=${file_of_log[$log]:-}
    if [ -z "$other" ]; then
        oldest=$((oldest + 1))
        echo "$file: the previous log $log, ${previous_head[$file]}, is not among these files"
    elif [ "${rotated[$other]}" != 1 ] || [ "${heads[$other]}" != "${previous_head[$file]}" ]; then
        report "previous is ${previous_head[$file]}, which is not the end of $other"
    fi
done
for file in "${files[@]}"; do
    log=""
    for candidate in "${!file_of_log[@]}"; do
        [ "${file_of_log[$candidate]}" != "$file" ] || log=$candidate
    done
    if [ "${rotated[$file]}" = 1 ] && [ -z "${successor[${log:-none}]+set}" ]; then
        echo "$file: the log was rotated, and the next log is not among these files"
    fi
done
[ "$oldest" -le 1 ] || report "these files are not one audit log: $oldest have no previous segment"

head=${heads[$file]}
if [ -z "$expect" ]; then
    echo "not anchored: a log that was cut off or rewritten as a whole would go unnoticed," \
        "head $head"
elif [ $anchored = 0 ]; then
    report "the expected entry is missing, head $head"
fi
if [ $findings != 0 ]; then
    echo "the audit log is not intact: $findings findings" >&2
    exit 1
fi
echo "the audit log is intact: $total entries"
