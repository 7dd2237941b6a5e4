//! `audit verify`: findings and accepted logs.

use crate::enable::run_system_program;
use crate::sandbox::{CommandOutput, Sandbox, report_skipped, sha256_hex, split_lines};
use serde_json::{Value, json};

/// Creates a sandbox with one logged `enable`. Returns the log and the printed head.
fn create_recorded_sandbox() -> (Sandbox, Vec<u8>, String) {
    let sb = Sandbox::new();
    let run = sb.run(&["enable", "-n", "influxdb"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let log = sb.read_log();
    (sb, log, run.audit_head().to_owned())
}

fn verify_log(sb: &Sandbox, log: &[u8], args: &[&str]) -> CommandOutput {
    let file = sb.write("tmp/copy.jsonl", log);
    let run = sb.run(&[&["audit", "verify", file.to_str().expect("text")], args].concat());
    assert_eq!(
        std::fs::read(&file).expect("copy"),
        log,
        "verify only reads"
    );
    let expect = args
        .iter()
        .position(|arg| *arg == "--expect")
        .map(|at| args[at + 1]);
    assert_shell_agrees(sb, &[file.to_str().expect("text")], expect, &run);
    run
}

/// Asserts that `scripts/audit-verify.sh` reaches the same verdict.
pub fn assert_shell_agrees(
    sb: &Sandbox,
    files: &[&str],
    expect: Option<&str>,
    run: &CommandOutput,
) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/audit-verify.sh");
    if run_system_program(sb, "jq", &["--version"]).is_none() {
        return report_skipped("jq is not installed, so the shell check did not run");
    }
    let (code, output) =
        run_system_program(sb, "bash", &[&[script], files, expect.as_slice()].concat())
            .expect("bash");
    assert_eq!(code, run.code, "{output}\n{}{}", run.stdout, run.stderr);
    let has_verdict = output.contains("is not intact") || output.contains("is intact");
    let is_other_format = output.contains("is not supported");
    assert!(has_verdict || is_other_format || code == 2, "{output}");
}

/// Asserts that this log is not intact.
fn assert_log_broken(sb: &Sandbox, what: &str, log: &[u8], args: &[&str]) -> CommandOutput {
    let run = verify_log(sb, log, args);
    assert_eq!(run.code, 1, "{what}: {}{}", run.stdout, run.stderr);
    assert!(
        run.stderr.contains("is not intact"),
        "{what}: {}",
        run.stderr
    );
    run
}

#[test]
fn verify_accepts_intact_log() {
    let (sb, log, head) = create_recorded_sandbox();
    let run = verify_log(&sb, &log, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stdout.contains(&head) && run.stdout.contains("not anchored"),
        "{}",
        run.stdout
    );
    let run = verify_log(&sb, &log, &["--expect", &head]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stdout.contains("the expected entry exists"),
        "{}",
        run.stdout
    );
    sb.assert_log_intact();
    assert_eq!(sb.read_log(), log, "verify changed the log");
}

/// The sample for other verifiers: an enable, a rotate, and a status killed while it wrote.
#[test]
fn verify_accepts_sample_log() {
    let sb = Sandbox::new();
    let log = include_bytes!("../../fixtures/audit/sample.jsonl");
    let run = verify_log(&sb, log, &[]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    for expected in ["recovered by a later run", "has no result", "146 entries"] {
        assert!(run.stdout.contains(expected), "{}", run.stdout);
    }
}

#[test]
fn verify_detects_changed_byte_in_each_entry() {
    let (sb, log, head) = create_recorded_sandbox();
    let expect: (u64, String) = head
        .split_once(':')
        .map(|(seq, hash)| (seq.parse().expect("a number"), hash.to_owned()))
        .expect("a head");
    let is_intact = |log: &[u8], expect| {
        bypassctl::audit::verify_log(&mut &*log, expect)
            .expect("readable")
            .is_intact()
    };
    assert!(is_intact(&log, Some(expect.clone())));
    let (mut start, all) = (0, split_lines(&log));
    for (index, line) in all.iter().enumerate() {
        let places = [
            0,
            line.len() / 5,
            line.len() / 3,
            line.len() / 2,
            line.len() - 3,
            line.len() - 1,
        ];
        for at in places.map(|place| start + place) {
            let mut copy = log.clone();
            copy[at] ^= 1;
            assert!(
                !is_intact(&copy, Some(expect.clone())),
                "entry {index}, byte {at}"
            );
            // No entry follows the last one to contain its hash.
            assert!(
                index + 1 == all.len() || !is_intact(&copy, None),
                "entry {index}, byte {at}, no anchor"
            );
        }
        start += line.len();
    }
    let mut copy = log.clone();
    copy[split_lines(&log)[0].len() + 5] ^= 1;
    let run = assert_log_broken(&sb, "a changed byte", &copy, &[]);
    assert!(
        run.stdout.contains("line 3, byte ")
            && run
                .stdout
                .contains("rely neither on the previous entry nor on later ones"),
        "{}",
        run.stdout
    );
}

#[test]
fn verify_accepts_head_line_of_earlier_run() {
    let (sb, log, head) = create_recorded_sandbox();
    let id: Value = serde_json::from_slice(split_lines(&log)[0]).expect("an entry");
    let line = format!("audit head {} {head}", id["log"].as_str().expect("a UUID"));
    let run = verify_log(&sb, &log, &["--expect", &line]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    assert!(
        run.stdout.contains("the expected entry exists"),
        "{}",
        run.stdout
    );
    let other = line.replace(&head[head.len() - 8..], "00000000");
    let run = verify_log(&sb, &log, &["--expect", &other]);
    assert_eq!(run.code, 1, "{}{}", run.stdout, run.stderr);
}

#[test]
fn verify_detects_removed_swapped_duplicated_and_inserted_entries() {
    let (sb, log, _) = create_recorded_sandbox();
    let all = split_lines(&log);
    for at in [0, 1, 7, all.len() - 2] {
        let mut deleted = all.clone();
        deleted.remove(at);
        assert_log_broken(&sb, "deleted", &deleted.concat(), &[]);
        let mut swapped = all.clone();
        swapped.swap(at, at + 1);
        assert_log_broken(&sb, "swapped", &swapped.concat(), &[]);
        let mut doubled = all.clone();
        doubled.insert(at, all[at]);
        assert_log_broken(&sb, "doubled", &doubled.concat(), &[]);
        let mut inserted = all.clone();
        inserted.insert(at + 1, b"{\"v\":3}\n");
        assert_log_broken(&sb, "inserted", &inserted.concat(), &[]);
        inserted[at + 1] = b"\n";
        let run = assert_log_broken(&sb, "an empty line", &inserted.concat(), &[]);
        assert!(
            run.stdout.contains(&format!("line {}, byte ", at + 2)),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn verify_detects_removed_run() {
    let (sb, _, _) = create_recorded_sandbox();
    assert_eq!(sb.run(&["status", "-n", "influxdb"]).code, 0);
    let removed = sb.read_entries_by_type("run.begin")[1]["run"].clone();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let log = sb.read_log();
    let is_of_run =
        |line: &&[u8]| serde_json::from_slice::<Value>(line).expect("JSON")["run"] == removed;
    let without: Vec<&[u8]> = split_lines(&log)
        .into_iter()
        .filter(|line| !is_of_run(line))
        .collect();
    assert!(without.len() < split_lines(&log).len());
    let run = assert_log_broken(&sb, "a removed run", &without.concat(), &[]);
    assert!(
        run.stdout.contains("entries are missing or out of order"),
        "{}",
        run.stdout
    );
}

/// Flips each bit of a log of twenty entries. With an anchor, verification finds every flip.
#[test]
#[ignore = "slow: scripts/check slow"]
fn anchored_verify_detects_every_flipped_bit() {
    let (_sb, log, _) = create_recorded_sandbox();
    let log = split_lines(&log)[..20].concat();
    let last = split_lines(&log)[19];
    let is_intact = |log: &[u8]| {
        bypassctl::audit::verify_log(&mut &*log, Some((20, sha256_hex(last))))
            .expect("readable")
            .is_intact()
    };
    assert!(is_intact(&log));
    for at in 0..log.len() {
        for bit in 0..8 {
            let mut copy = log.clone();
            copy[at] ^= 1 << bit;
            assert!(!is_intact(&copy), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn anchored_verify_detects_truncated_log() {
    let (sb, log, head) = create_recorded_sandbox();
    let all = split_lines(&log);
    for left in [1, 4, all.len() - 1] {
        let truncated = all[..left].concat();
        assert_eq!(
            verify_log(&sb, &truncated, &[]).code,
            0,
            "undetectable without an anchor"
        );
        let run = assert_log_broken(&sb, "a truncated log", &truncated, &["--expect", &head]);
        assert!(
            run.stdout.contains("the expected entry is missing"),
            "{}",
            run.stdout
        );
    }
    let more = sb.run(&["disable"]);
    assert_eq!(more.code, 0, "{}", more.stderr);
    assert_eq!(
        verify_log(&sb, &sb.read_log(), &["--expect", &head]).code,
        0,
        "a suffix is allowed"
    );
}

/// Rewrites the log from one entry on, with a valid hash chain.
pub fn rewrite_log(log: &[u8], from: usize, change: impl Fn(&str) -> String) -> Vec<u8> {
    let (mut out, mut previous) = (String::new(), String::new());
    for (index, line) in split_lines(log).into_iter().enumerate() {
        let mut line = String::from_utf8(line.to_vec()).expect("ASCII");
        // A torn line is not part of the chain.
        let entry: Option<Value> = serde_json::from_str(&line).ok();
        if index == from {
            line = change(&line);
        } else if let Some(entry) = entry.as_ref().filter(|_| index > from) {
            line = line.replacen(entry["prev"].as_str().expect("a hash"), &previous, 1);
        }
        if entry.is_some() {
            previous = sha256_hex(line.as_bytes());
        }
        out.push_str(&line);
    }
    out.into_bytes()
}

#[test]
fn anchored_verify_detects_rewrite_before_torn_line() {
    let (sb, log, _) = create_recorded_sandbox();
    sb.write(sb.log_path(), [log.as_slice(), b"{\"v\""].concat());
    let head = sb.run(&["disable", "--dry-run"]).audit_head().to_owned();
    let log = sb.read_log();
    assert_eq!(verify_log(&sb, &log, &["--expect", &head]).code, 0);
    let copy = rewrite_log(&log, 3, |line| {
        line.replacen("\"log\"", "\"x\":1,\"log\"", 1)
    });
    assert_eq!(
        verify_log(&sb, &copy, &[]).code,
        0,
        "undetectable without an anchor"
    );
    assert_log_broken(&sb, "rewritten", &copy, &["--expect", &head]);
}

#[test]
fn anchored_verify_detects_rewritten_tail() {
    let (sb, log, head) = create_recorded_sandbox();
    assert_eq!(rewrite_log(&log, 5, str::to_owned), log);
    for from in [1, 9, split_lines(&log).len() - 1] {
        let copy = rewrite_log(&log, from, |line| {
            line.replacen("\"log\"", "\"x\":1,\"log\"", 1)
        });
        assert_ne!(copy, log);
        assert_eq!(
            verify_log(&sb, &copy, &[]).code,
            0,
            "undetectable without an anchor"
        );
        assert_log_broken(&sb, "rewritten", &copy, &["--expect", &head]);
    }
}

#[test]
fn torn_tail_is_detected_then_recovered() {
    let (sb, log, _) = create_recorded_sandbox();
    let all = split_lines(&log);
    let (last, before) = all.split_last().expect("entries");
    let before = before.concat();
    let torn: [(&str, &[u8]); 6] = [
        ("half an entry", &last[..last.len() / 2]),
        ("one byte", b"{"),
        ("garbage with LF", b"\xff\x00garbage\n"),
        ("several lines", b"x\n\ny\nz"),
        ("a complete valid entry without LF", &last[..last.len() - 1]),
        ("more than is read at first", &[b'x'; 300 << 10]),
    ];
    for (what, torn) in torn {
        let copy = [&before, torn].concat();
        assert_log_broken(&sb, what, &copy, &[]);
        sb.write(sb.log_path(), &copy);
        let run = sb.run(&["disable", "--dry-run"]);
        assert_eq!(run.code, 0, "{what}: {}", run.stderr);
        let recovered = sb.read_entries_by_type("log.recover");
        assert_eq!(recovered.len(), 1, "{what}");
        let whole = if torn.ends_with(b"\n") {
            torn.to_vec()
        } else {
            [torn, b"\n"].concat()
        };
        assert_eq!(recovered[0]["torn"]["bytes"], whole.len(), "{what}");
        assert_eq!(recovered[0]["torn"]["sha256"], sha256_hex(&whole), "{what}");
        assert_eq!(
            recovered[0]["prev"],
            sha256_hex(all[all.len() - 2]),
            "{what}"
        );
        assert!(
            sb.read_log().starts_with(&copy),
            "the copy is a prefix of the log"
        );
        let verified = sb.assert_log_intact();
        assert!(
            verified.stdout.contains("recovered by a later run"),
            "{what}: {}",
            verified.stdout
        );
        assert_eq!(
            sb.run(&["audit", "verify", "--expect", run.audit_head()])
                .code,
            0,
            "{what}"
        );
    }
}

#[test]
fn verify_detects_tampering_with_recovered_bytes() {
    let (sb, log, _) = create_recorded_sandbox();
    let torn = b"{\"v\":3,\"seq\":";
    sb.write(sb.log_path(), [&log, torn.as_slice()].concat());
    assert_eq!(sb.run(&["disable", "--dry-run"]).code, 0);
    let copy = sb.read_log();
    let mut changed = copy.clone();
    changed[log.len() + 2] = b'w';
    assert_log_broken(&sb, "other torn bytes", &changed, &[]);
    let mut without = copy.clone();
    without.drain(log.len()..=log.len() + torn.len());
    assert_log_broken(&sb, "no torn bytes", &without, &[]);
    let lines = split_lines(&copy);
    let good = lines.len() - 3;
    assert!(
        lines[good].starts_with(b"{")
            && String::from_utf8_lossy(lines[good]).contains("log.recover")
    );
    let without = [&lines[..good], &lines[good + 1..]].concat().concat();
    assert_log_broken(&sb, "no recovery", &without, &[]);
}

/// Renumbers and rechains entries. Results keep the reference to their intent.
fn chain_entries(entries: &[Value]) -> Vec<u8> {
    let (mut out, mut previous) = (Vec::new(), "0".repeat(64));
    let number = |old: &Value| {
        entries
            .iter()
            .position(|entry| entry["seq"] == *old)
            .map(|index| index + 1)
    };
    for (index, entry) in entries.iter().enumerate() {
        let mut entry = entry.clone();
        (entry["seq"], entry["prev"]) = ((index + 1).into(), previous.into());
        if let Some(intent) = entry.get_mut("intent") {
            *intent = number(intent).into();
        }
        let line = format!("{entry}\n").into_bytes();
        previous = sha256_hex(&line);
        out.extend(line);
    }
    out
}

#[test]
fn verify_detects_entries_outside_their_run() {
    let (sb, _, _) = create_recorded_sandbox();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let all = sb.read_entries();
    assert_eq!(verify_log(&sb, &chain_entries(&all), &[]).code, 0);
    let at = |kind: &str| {
        all.iter()
            .position(|entry| entry["type"] == kind)
            .expect("the file exists")
    };
    let (begin, end, result) = (at("run.begin"), at("run.end"), at("result"));
    let other = all.last().expect("entries")["run"].clone();
    type CorruptionCase<'a> = (&'a str, &'a dyn Fn(&mut Vec<Value>));
    let changes: [CorruptionCase; 6] = [
        ("second `run.begin` of the run", &|entries| {
            entries.splice(end + 1..end + 1, [all[begin].clone(), all[end].clone()]);
        }),
        ("entry before `run.begin`", &|entries| {
            drop(entries.remove(begin))
        }),
        ("second `run.begin` of the run", &|entries| {
            entries.insert(begin + 1, entries[begin].clone())
        }),
        ("or after `run.end` of its run", &|entries| {
            entries.insert(begin + 1, entries[end].clone())
        }),
        ("or after `run.end` of its run", &|entries| {
            entries.swap(end, end - 1)
        }),
        ("belongs to another run", &|entries| {
            entries[result]["run"] = other.clone()
        }),
    ];
    for (expected, change) in changes {
        let mut entries = all.clone();
        change(&mut entries);
        let run = assert_log_broken(&sb, expected, &chain_entries(&entries), &[]);
        assert!(run.stdout.contains(expected), "{expected}: {}", run.stdout);
    }
}

/// A second begin and end with the ID of an ended run, behind a valid chain.
#[test]
fn list_shows_first_end_of_run_that_begins_twice() {
    let (sb, _, _) = create_recorded_sandbox();
    let mut entries = sb.read_entries();
    let log = chain_entries(&entries);
    let count = entries.len();
    let head = format!("{count}:{}", sha256_hex(split_lines(&log)[count - 1]));
    sb.write(sb.log_path(), &log);
    let at = |kind: &str| {
        entries
            .iter()
            .position(|entry| entry["type"] == kind)
            .expect("an entry")
    };
    let [begin, intent, mut end] =
        ["run.begin", "intent", "run.end"].map(|kind| entries[at(kind)].clone());
    (end["outcome"], end["exit_code"]) = ("failed".into(), 1.into());
    end["target"]["namespace"] = "other".into();
    let first = sb.run(&["audit", "list", "--include-reads"]).stdout;
    // The last entry changes nothing: no `run.begin` of the run precedes it.
    for added in [
        vec![begin, intent.clone(), end.clone()],
        vec![end],
        vec![intent],
    ] {
        entries.truncate(count);
        entries.extend(added);
        let forged = chain_entries(&entries);
        assert!(forged.starts_with(&log), "the anchored entries are there");
        assert_log_broken(&sb, "a second begin", &forged, &["--expect", &head]);
        sb.write(sb.log_path(), &forged);
        let list = sb.run(&["audit", "list", "--include-reads"]);
        assert_eq!(list.stdout, first, "{}", list.stderr);
        assert!(
            list.stderr.contains("the audit log is not intact"),
            "{}",
            list.stderr
        );
        let page = sb.run(&["audit", "export", "--format", "html"]).stdout;
        assert!(!page.contains("sim-dev/other"), "{page}");
    }
}

/// The script verifies logs of others, so no text of an entry may reach the shell as code.
#[test]
fn shell_verifier_runs_no_command_of_forged_entry() {
    let (sb, _, _) = create_recorded_sandbox();
    let all = sb.read_entries();
    let command = format!("$(touch {})", sb.path("forged").display());
    let find = |kind: &str| {
        let entry = all.iter().find(|entry| entry["type"] == kind);
        entry.expect("an entry").clone()
    };
    let [result, end] = ["result", "run.end"].map(find);
    let forge = |entry: &Value, keys: &[&str]| {
        let mut entry = entry.clone();
        for key in keys {
            entry[*key] = command.clone().into();
        }
        entry
    };
    let torn = serde_json::json!({"bytes": command, "sha256": command});
    let previous = serde_json::json!({"log": command, "head": command});
    let mut recovery = forge(&all[0], &["step"]);
    (recovery["type"], recovery["torn"]) = ("log.recover".into(), torn);
    let mut open = all[0].clone();
    open["previous"] = previous;
    let entries = [
        forge(&end, &["run"]),
        forge(&result, &["intent"]),
        forge(&end, &["type", "log", "ts", "run"]),
        recovery,
        open,
    ];
    for entry in entries {
        // `chain_entries` renumbers intents, so the entry follows the chained ones.
        let mut log = chain_entries(&all[..3]);
        let mut entry = entry;
        (entry["seq"], entry["prev"]) = (4.into(), sha256_hex(split_lines(&log)[2]).into());
        log.extend(format!("{entry}\n").into_bytes());
        assert_log_broken(&sb, "a forged entry", &log, &[]);
        assert!(!sb.path("forged").exists(), "{entry}");
    }
}

/// Both verifiers refuse an intent that an export would leave out.
#[test]
fn verify_detects_intent_without_its_keys() {
    let (sb, _, _) = create_recorded_sandbox();
    let all = sb.read_entries();
    let find = |kind: &str| {
        all.iter()
            .find(|entry| entry["type"] == "intent" && entry.get(kind).is_some())
            .expect("an intent")
            .clone()
    };
    let verify = |intent: &Value| {
        let log = chain_entries(&[all[0].clone(), all[1].clone(), intent.clone()]);
        verify_log(&sb, &log, &[])
    };
    let (process, file) = (find("argv"), find("file"));
    assert_eq!((verify(&process).code, verify(&file).code), (0, 0));
    let changes = [
        (&process, "argv"),
        (&process, "exe"),
        (&process, "env"),
        (&process, "effect"),
        (&process, "target"),
        (&file, "file"),
        (&file, "step"),
        (&file, "actor"),
    ];
    for (intent, key) in changes {
        let mut damaged = intent.clone();
        damaged[key] = Value::Null;
        let run = verify(&damaged);
        assert_eq!(run.code, 1, "{key} is null: {}", run.stdout);
        damaged.as_object_mut().expect("an object").remove(key);
        let run = verify(&damaged);
        assert_eq!(run.code, 1, "without {key}: {}", run.stdout);
    }
    for (intent, at) in [
        (&process, "/exe/path"),
        (&process, "/actor/host"),
        (&file, "/file/path"),
        (&file, "/file/op"),
    ] {
        let mut damaged = intent.clone();
        *damaged.pointer_mut(at).expect("a key") = Value::Null;
        let run = verify(&damaged);
        assert_eq!(run.code, 1, "{at} is null: {}", run.stdout);
    }
    let mut damaged = process.clone();
    damaged["object"] = Value::Null;
    assert_eq!(verify(&damaged).code, 1, "`object` is null");
    let mut damaged = process.clone();
    damaged["argv"] = json!([]);
    assert_eq!(verify(&damaged).code, 1, "an export would show no command");
    let mut damaged = process.clone();
    let run = damaged["run"].as_str().expect("a UUID").replace('-', "");
    damaged["run"] = json!(run);
    assert_eq!(verify(&damaged).code, 1, "a UUID without hyphens");
    let mut extended = process.clone();
    extended["previous"] = json!("an unknown key of this type");
    assert_eq!(verify(&extended).code, 0);
}

#[test]
fn log_with_torn_first_line_verifies_after_recovery() {
    let sb = Sandbox::new();
    std::fs::create_dir_all(sb.log_path().parent().expect("a directory")).expect("sandbox");
    for torn in ["{\"v\":3,\"se", "{\"v\":3,\"seq\":1,\"prev\":\"00"] {
        sb.write(sb.log_path(), torn);
        assert_eq!(sb.run(&["disable"]).code, 0);
        let kinds: Vec<Value> = sb
            .read_entries()
            .iter()
            .take(2)
            .map(|entry| entry["type"].clone())
            .collect();
        assert_eq!(kinds, ["log.recover", "log.open"]);
        assert_eq!(verify_log(&sb, &sb.read_log(), &[]).code, 0);
        sb.assert_log_intact();
    }
}

#[test]
fn audit_commands_refuse_irregular_files() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let fifo = sb
        .log_path()
        .with_file_name("audit-20260101T000000Z-1a2b3c4d.jsonl");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .expect("sandbox");
    for args in [
        &["verify"][..],
        &["list"],
        &["verify", fifo.to_str().expect("text")],
        &["verify", "/dev/zero"],
    ] {
        let run = sb.run(&[&["audit"], args].concat());
        assert!(
            run.code == 1 && run.stderr.contains("not a regular file"),
            "{args:?}: {}",
            run.stderr
        );
    }
}

#[test]
fn verify_rejects_files_that_are_no_log() {
    let sb = Sandbox::new();
    assert_log_broken(&sb, "empty", b"", &[]);
    assert_log_broken(&sb, "text", b"hello\n", &[]);
    assert_log_broken(&sb, "other JSON", b"{}\n{}\n", &[]);
    let run = sb.run(&["audit", "verify"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stderr.contains("cannot read the audit log"),
        "{}",
        run.stderr
    );
    assert!(!sb.log_path().exists(), "verify creates no log");
    let directory = sb.run(&["audit", "verify", "."]);
    assert_eq!(directory.code, 1, "{}", directory.stderr);
    for anchor in ["1", "x:y", "1:abc"] {
        assert_eq!(
            sb.run(&["audit", "verify", "--expect", anchor]).code,
            2,
            "{anchor}"
        );
    }
}

#[test]
fn verify_json_report_lists_findings() {
    let (sb, log, head) = create_recorded_sandbox();
    let report = |run: &CommandOutput| serde_json::from_str::<Value>(&run.stdout).expect("JSON");
    let good = report(&verify_log(&sb, &log, &["-o", "json", "--expect", &head]));
    assert_eq!(
        (&good["exit_code"], &good["log_verification"]["anchored"]),
        (&0.into(), &true.into())
    );
    assert_eq!(
        (
            &good["log_verification"]["logs"][0]["entry_count"],
            &good["log_verification"]["logs"][0]["head"]
        ),
        (&split_lines(&log).len().into(), &head.into())
    );
    let complete = split_lines(&log)[..3].concat();
    let text = [complete.as_slice(), b"x"].concat();
    let bad = report(&verify_log(&sb, &text, &["-o", "json"]));
    assert_eq!(
        (&bad["exit_code"], &bad["outcome"]),
        (&1.into(), &"failed".into())
    );
    let finding = &bad["log_verification"]["logs"][0]["findings"][0];
    assert_eq!(
        (&finding["line"], &finding["offset"]),
        (&4.into(), &complete.len().into())
    );
    assert_eq!(bad["log_verification"]["anchored"], Value::Null);
}

#[test]
fn log_of_format_2_is_refused() {
    let message = "audit log format 2 is not supported, this program reads format 3";
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let log = String::from_utf8(sb.read_log()).expect("text");
    let old = log.replace("{\"v\":3,", "{\"v\":2,");
    sb.write(sb.log_path(), &old);
    for (args, code, hint) in [
        (
            &["audit", "verify"][..],
            1,
            "hint: read it with the version of bypassctl",
        ),
        (
            &["audit", "list"],
            1,
            "hint: read it with the version of bypassctl",
        ),
        (
            &["audit", "anchor"],
            1,
            "hint: read it with the version of bypassctl",
        ),
        (&["audit", "rotate-log"], 9, "--audit-log"),
        (&["disable"], 9, "--audit-log"),
    ] {
        let run = sb.run(args);
        assert_eq!(run.code, code, "{args:?}: {}", run.stderr);
        assert!(
            run.stderr.contains(message) && run.stderr.contains(hint),
            "{args:?}: {}",
            run.stderr
        );
    }
    assert_eq!(sb.read_log(), old.as_bytes(), "the log is unchanged");
    let later = log.replacen("\n{\"v\":3,", "\n{\"v\":2,", 1);
    let run = assert_log_broken(&sb, "entry of format 1", later.as_bytes(), &[]);
    assert!(run.stdout.contains(message), "{}", run.stdout);
}
