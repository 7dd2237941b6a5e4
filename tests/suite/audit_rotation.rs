//! `audit rotate-log`, and logs of several segments.

use crate::audit_verify::assert_shell_agrees;
use crate::crash::{can_trace, kill_orphans, run_with_injection};
use crate::sandbox::{CommandOutput, Sandbox, report_skipped, sha256_hex, split_lines};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const ROTATE_LOG_ARGS: &[&str] = &["audit", "rotate-log"];

/// Lists the segments of the log, newest first.
fn list_log_files(sb: &Sandbox) -> Vec<PathBuf> {
    let run = sb.run(&["audit", "verify", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let logs = report["log_verification"]["logs"]
        .as_array()
        .expect("logs")
        .clone();
    logs.iter()
        .rev()
        .map(|log| PathBuf::from(log["file"].as_str().expect("a path")))
        .collect()
}

fn rotate_log(sb: &Sandbox) -> CommandOutput {
    let run = sb.run(&[ROTATE_LOG_ARGS, &["--reason", "CHG-12"]].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    run
}

/// Creates a log of three segments: an `enable`, a `status`, a `disable`.
fn create_three_segments() -> (Sandbox, Vec<PathBuf>) {
    let sb = Sandbox::new();
    for command in [
        &["enable", "-n", "influxdb"][..],
        &["status", "-n", "influxdb"],
    ] {
        assert_eq!(sb.run(command).code, 0);
        rotate_log(&sb);
    }
    assert_eq!(sb.run(&["disable"]).code, 0);
    let mut files = list_log_files(&sb);
    files.reverse();
    assert_eq!(files.len(), 3, "{files:?}");
    // Segments closed in the same second cannot be ordered by name.
    assert_eq!(
        (
            &read_first_entry(&files[0])["previous"],
            &read_first_entry(&files[1])["previous"]["log"]
        ),
        (&Value::Null, &read_last_entry(&files[0])["log"])
    );
    (sb, files)
}

fn read_first_entry(file: &Path) -> Value {
    let log = std::fs::read(file).expect("a log");
    serde_json::from_slice(split_lines(&log)[0]).expect("JSON")
}

fn read_last_entry(file: &Path) -> Value {
    let log = std::fs::read(file).expect("a log");
    serde_json::from_slice(split_lines(&log).last().expect("an entry")).expect("JSON")
}

fn verify_segments(sb: &Sandbox, files: &[&Path], expect: Option<&str>) -> CommandOutput {
    let named: Vec<&str> = files
        .iter()
        .map(|file| file.to_str().expect("text"))
        .collect();
    let expected = expect.map_or(vec![], |head| vec!["--expect", head]);
    let run = sb.run(&[&["audit", "verify"], &named[..], &expected].concat());
    assert_shell_agrees(sb, &named, expect, &run);
    run
}

#[test]
fn rotation_keeps_closed_log_and_links_new_one() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["enable", "-n", "influxdb"]).code, 0);
    let before = sb.read_log();
    let run = rotate_log(&sb);
    let [new, closed] = &list_log_files(&sb)[..] else {
        panic!("{:?}", list_log_files(&sb))
    };
    let bytes = std::fs::read(closed).expect("an existing file");
    assert_eq!(
        bytes[..before.len()],
        before[..],
        "the old entries are unchanged"
    );
    let end = read_last_entry(closed);
    assert_eq!(
        (&end["type"], &end["reason"], &end["unfinished"]),
        (&json!("log.rotate"), &json!("CHG-12"), &json!([]))
    );
    let head = format!(
        "{}:{}",
        end["seq"],
        sha256_hex(split_lines(&bytes).last().expect("an entry"))
    );
    assert_eq!(
        read_first_entry(new)["previous"],
        json!({"log": end["log"], "head": head})
    );
    assert_ne!(read_first_entry(new)["log"], end["log"]);
    assert!(
        run.stdout.contains(closed.to_str().expect("text")),
        "{}",
        run.stdout
    );
    let heads = [
        format!("audit head {} {head}", end["log"].as_str().expect("a name")),
        format!("1:{}", sha256_hex(&sb.read_log())),
    ];
    assert!(
        heads.iter().all(|head| run.stderr.contains(head)),
        "{heads:?}: {}",
        run.stderr
    );
    let name = closed.file_name().expect("a name").to_str().expect("text");
    let log = end["log"].as_str().expect("a name");
    assert!(
        name.starts_with("audit-20") && name.ends_with(&format!("Z-{}.jsonl", &log[..8])),
        "{name}"
    );
    sb.assert_log_intact();
    // Without new entries there is nothing to rotate.
    let again = rotate_log(&sb);
    assert!(
        again.stdout.contains("nothing to rotate: "),
        "{}",
        again.stdout
    );
    assert_eq!(list_log_files(&sb).len(), 2);
    assert_eq!(sb.run(&["disable"]).code, 0);
    let quiet = sb.run(&["audit", "rotate-log", "-q"]);
    assert!(
        quiet.stderr.matches("audit head ").count() == 2,
        "the anchor is always printed: {}",
        quiet.stderr
    );
}

#[test]
fn closed_log_is_refused_for_new_entries() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    rotate_log(&sb);
    let closed = list_log_files(&sb)[1].clone();
    let run = sb.run(&["disable", "--audit-log", closed.to_str().expect("text")]);
    assert!(
        run.code == 9 && run.stderr.contains("a rotation closed this log"),
        "{}",
        run.stderr
    );
    assert_eq!(list_log_files(&sb).len(), 2);
    sb.assert_log_intact();
}

#[test]
fn rotation_refuses_to_overwrite_existing_next_log() {
    let sb = Sandbox::new();
    let next = sb.log_path().with_extension("jsonl.next");
    for log in [&next, &sb.log_path()] {
        assert_eq!(
            sb.run(&["disable", "--audit-log", log.to_str().expect("text")])
                .code,
            0
        );
    }
    let before = std::fs::read(&next).expect("a log");
    let run = sb.run(ROTATE_LOG_ARGS);
    assert!(
        run.code == 4 && run.stderr.contains("prevents the rotation"),
        "{}",
        run.stderr
    );
    assert_eq!(std::fs::read(&next).expect("a log"), before);
    sb.assert_log_intact();
}

/// The old segment is closed, but the new one cannot be created: the rotation reports a partial
/// change, and a later run completes it.
#[test]
fn failed_rotation_is_reported_and_completed_later() {
    if !can_trace() {
        return;
    }
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let run = run_with_injection(&sb, &[], "fchmod:error=EPERM", ROTATE_LOG_ARGS);
    assert!(
        run.code == 8 && run.stderr.contains("the next log is not in place"),
        "{}",
        run.stderr
    );
    let next = sb.log_path().with_extension("jsonl.next");
    let before = std::fs::read(&next).expect("an unfinished step");
    sb.write(&next, "junk, and no log");
    let run = sb.run(&["disable"]);
    assert!(
        run.code == 9 && run.stderr.contains("audit.jsonl.next`: not an audit log"),
        "{}",
        run.stderr
    );
    sb.write(&next, before);
    let run = sb.run(&["audit", "rotate-log", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(
        (run.code, &report["changed"]),
        (0, &json!(true)),
        "{}",
        run.stderr
    );
    assert_eq!(report["closed_log"]["file"], json!(list_log_files(&sb)[1]));
    sb.assert_log_intact();
}

#[test]
fn verify_succeeds_during_concurrent_rotations() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..12 {
                assert_eq!(sb.run(&["disable", "--dry-run"]).code, 0);
                rotate_log(&sb);
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            let run = sb.assert_log_intact();
            assert!(!run.stdout.contains("not among these"), "{}", run.stdout);
        }
    });
}

#[test]
fn zombie_process_does_not_block_rotation() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["secrets/admin-token"],
        "before": true,
        "do": "kill_parent"
    }));
    let killed = sb.spawn(&["enable", "-n", "influxdb"]);
    crate::sandbox::wait_until("the run is killed", || {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", killed.pid())).unwrap_or_default();
        stat.contains(") Z ")
    });
    kill_orphans(&sb);
    rotate_log(&sb);
    assert_eq!(killed.wait().code, 128 + 9);
}

/// Closes the log under a run, as a host that shares the log and cannot see the process would.
#[test]
fn run_stops_when_its_log_is_closed() {
    let sb = Sandbox::new();
    let gate = json!({"wait_for_file": {"path": "gate"}});
    sb.inject_fault(
        json!({"tool": "kubectl", "contains": ["secrets/admin-token"], "before": true, "do": gate}),
    );
    let running = sb.spawn(&["enable", "-n", "influxdb"]);
    sb.wait_for_gate("gate");
    crate::sandbox::wait_until("no other command is running", || {
        sb.list_unfinished_steps() == ["get-token"]
    });
    let log = sb.read_log();
    let end = split_lines(&log).last().expect("an entry").to_vec();
    let last: Value = serde_json::from_slice(&end).expect("JSON");
    let close = json!({
        "v": 3,
        "seq": last["seq"].as_u64().expect("a number") + 1,
        "prev": sha256_hex(&end),
        "type": "log.rotate",
        "actor": sb.read_entries_by_type("run.begin")[0]["actor"],
        "reason": null,
        "unfinished": [],
        "log": last["log"],
        "ts": last["ts"]
    });
    let close = format!("{close}\n").into_bytes();
    // Appends: the run must never see a shorter log.
    let mut file = std::fs::File::options()
        .append(true)
        .open(sb.path(sb.log_path()))
        .expect("the log");
    std::io::Write::write_all(&mut file, &close).expect("sandbox");
    let closed = [log, close].concat();
    sb.release_gate("gate");
    let run = running.wait();
    assert!(
        run.code == 9
            && run
                .stderr
                .contains("a rotation closed the log during this run"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("missing result of entry"),
        "the completed rotation is reported: {}",
        run.stderr
    );
    assert_eq!(sb.read_log(), closed);
    // The next run completes the rotation and warns, because a segment may be lost.
    let next = sb.run(&["disable", "--dry-run"]);
    assert!(
        next.code == 0
            && next
                .stderr
                .contains("completed an interrupted rotation of the audit log"),
        "{}",
        next.stderr
    );
    sb.assert_log_intact();
    assert_eq!(list_log_files(&sb).len(), 2);
}

#[test]
fn unfinished_remote_run_blocks_rotation_for_a_day() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["secrets/admin-token"],
        "before": true,
        "do": "kill_parent"
    }));
    assert_eq!(sb.run(&["enable", "-n", "influxdb"]).code, 128 + 9);
    kill_orphans(&sb);
    sb.clear_faults();
    let host = sb.read_entries_by_type("run.begin")[0]["actor"]["host"]
        .as_str()
        .expect("a name")
        .to_owned();
    let elsewhere = String::from_utf8(sb.read_log())
        .expect("ASCII")
        .replace(&format!("\"host\":\"{host}\""), "\"host\":\"far\"");
    sb.write(sb.log_path(), &elsewhere);
    let run = sb.run(ROTATE_LOG_ARGS);
    assert!(
        run.code == 4 && run.stderr.contains(" on far) has not ended"),
        "{}",
        run.stderr
    );
    let started = sb.read_entries_by_type("run.begin")[0]["ts"]
        .as_str()
        .expect("a time")[..10]
        .to_owned();
    sb.write(sb.log_path(), elsewhere.replace(&started, "2026-01-01"));
    rotate_log(&sb);
}

#[test]
fn audit_commands_read_every_segment() {
    let (sb, files) = create_three_segments();
    let list = sb.run(&["audit", "list", "--include-reads"]);
    assert_eq!(list.stdout.lines().skip(1).count(), 3, "{}", list.stdout);
    let one = sb.run(&["audit", "list", files[0].to_str().expect("text")]);
    assert!(
        one.stdout.lines().skip(1).count() == 1 && one.stdout.contains("  enable "),
        "{}",
        one.stdout
    );
    let begin = std::fs::read(&files[0]).expect("a log");
    let begin: Value = serde_json::from_slice(split_lines(&begin)[1]).expect("JSON");
    let output = sb.run(&["audit", "show", begin["run"].as_str().expect("a name")]);
    assert!(
        output.stdout.contains("write-token: write "),
        "{}{}",
        output.stdout,
        output.stderr
    );
    let export = sb.run(&["audit", "export"]);
    assert_eq!(export.stdout.matches("\n# run ").count(), 3);
}

#[test]
fn segments_verify_in_any_order_and_subset() {
    let (sb, files) = create_three_segments();
    let [a, b, c] = [&files[0], &files[1], &files[2]].map(PathBuf::as_path);
    let head = format!(
        "{}:{}",
        read_last_entry(a)["seq"],
        sha256_hex(
            split_lines(&std::fs::read(a).expect("a log"))
                .last()
                .expect("an entry")
        )
    );
    for (named, notes) in [
        (&[a, b, c][..], 0),
        (&[c, a, b], 0),
        (&[a, b], 1),
        (&[b, c], 1),
        (&[b], 2),
        (&[a], 1),
    ] {
        let run = verify_segments(&sb, named, None);
        assert_eq!(run.code, 0, "{named:?}: {}{}", run.stdout, run.stderr);
        let note_count = run.stdout.matches("is not among the files").count();
        assert_eq!(note_count, notes, "{named:?}: {}", run.stdout);
    }
    assert_eq!(
        verify_segments(&sb, &[a, b, c], Some(&head)).code,
        0,
        "an anchor may be in any segment"
    );
    assert_eq!(verify_segments(&sb, &[b, c], Some(&head)).code, 1);
    let json = sb.run(&["audit", "verify", "-o", "json"]);
    let report: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(
        (
            &report["log_verification"]["intact"],
            &report["log_verification"]["logs"][2]["closed"]
        ),
        (&json!(true), &json!(false))
    );
}

fn copy_file(from: &Path, to: &Path) {
    let bytes = std::fs::read(from).expect("the file exists");
    std::fs::write(to, bytes).expect("sandbox");
}

/// A change to the three segments, and the expected finding.
type CorruptionCase = (&'static str, fn(&[PathBuf]));

#[test]
fn verify_detects_inconsistent_segments() {
    let changes: [CorruptionCase; 6] = [
        ("continue no other of the files", |files| {
            std::fs::remove_file(&files[1]).expect("the file exists")
        }),
        ("which is not the end of", |files| {
            let log = std::fs::read(&files[0]).expect("a log");
            let all = split_lines(&log);
            std::fs::write(&files[0], all[..all.len() - 1].concat()).expect("sandbox");
        }),
        ("which is not the end of", |files| {
            let text = std::fs::read_to_string(&files[1]).expect("a log");
            std::fs::write(&files[1], text.replace("CHG-12", "CHG-13")).expect("sandbox");
        }),
        ("continue no other of the files", |files| {
            let text = std::fs::read_to_string(&files[2]).expect("a log");
            let begin = format!("{}\n", text.lines().next().expect("an entry"));
            let parts: Vec<&str> = begin.split("\"previous\":").collect();
            let rest = parts[1].split_once('}').expect("an object").1;
            std::fs::write(&files[2], format!("{}\"previous\":null{rest}", parts[0]))
                .expect("sandbox");
        }),
        ("the log is the same as", |files| {
            copy_file(&files[0], &files[1])
        }),
        ("a rotation closed the log before this entry", |files| {
            let text = std::fs::read_to_string(&files[1]).expect("a log");
            let end = text.lines().last().expect("an entry");
            std::fs::write(&files[1], format!("{text}{end}\n")).expect("sandbox");
        }),
    ];
    let (sb, files) = create_three_segments();
    let originals: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).expect("a log"))
        .collect();
    for (expected, change) in changes {
        change(&files);
        let existing: Vec<&Path> = files
            .iter()
            .map(PathBuf::as_path)
            .filter(|file| file.exists())
            .collect();
        let run = verify_segments(&sb, &existing, None);
        assert!(
            run.code == 1 && run.stdout.contains(expected),
            "{expected}: {}{}",
            run.stdout,
            run.stderr
        );
        // The same without file arguments.
        assert_eq!(sb.run(&["audit", "verify"]).code, 1, "{expected}");
        files
            .iter()
            .zip(&originals)
            .for_each(|(file, bytes)| std::fs::write(file, bytes).expect("sandbox"));
    }
}

#[test]
fn verify_detects_run_that_begins_in_two_segments() {
    let (sb, files) = create_three_segments();
    let ended = read_last_run(&files[0]);
    let log = std::fs::read_to_string(&files[2]).expect("a log");
    let mut previous = String::new();
    let other = read_last_run(&files[2]);
    let forged: String = log
        .split_inclusive('\n')
        .map(|line| {
            let prev = serde_json::from_str::<Value>(line).expect("JSON")["prev"].take();
            let mut line = line.replace(&other, &ended);
            if !previous.is_empty() {
                line = line.replacen(prev.as_str().expect("a hash"), &previous, 1);
            }
            previous = sha256_hex(line.as_bytes());
            line
        })
        .collect();
    sb.write(&files[2], &forged);
    let named: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let run = verify_segments(&sb, &named, None);
    assert_eq!(run.code, 1, "{}", run.stdout);
    let expected = format!("run {ended} begins in");
    assert!(run.stdout.contains(&expected), "{}", run.stdout);
    assert_eq!(verify_segments(&sb, &[&files[2]], None).code, 0);
}

fn read_last_run(file: &Path) -> String {
    let log = std::fs::read(file).expect("a log");
    let end = split_lines(&log)
        .into_iter()
        .map(|line| serde_json::from_slice::<Value>(line).expect("JSON"))
        .rfind(|entry| entry["type"] == "run.end")
        .expect("an end");
    end["run"].as_str().expect("a UUID").to_owned()
}

#[test]
fn verify_detects_forked_segments_and_ignores_copies() {
    let (sb, files) = create_three_segments();
    // Two segments with the same previous segment.
    let other = sb.path("other.jsonl");
    copy_file(&files[2], &other);
    let text = std::fs::read_to_string(&other).expect("a log").replace(
        read_first_entry(&other)["log"].as_str().expect("a name"),
        "00000000-0000-4000-8000-000000000000",
    );
    let line = text.lines().next().expect("an entry");
    std::fs::write(&other, format!("{line}\n")).expect("sandbox");
    let run = verify_segments(&sb, &[&files[1], &files[2], &other], None);
    assert!(
        run.code == 1 && run.stdout.contains("continues the same log as"),
        "{}",
        run.stdout
    );
    // A copy beside the log is not a segment.
    copy_file(&files[2], &files[2].with_file_name("audit-copy.jsonl"));
    sb.assert_log_intact();
}

#[test]
fn rotation_refuses_while_run_is_active() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["secrets/admin-token"],
        "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn(&["enable", "-n", "influxdb"]);
    sb.wait_for_gate("gate");
    let run = sb.run(ROTATE_LOG_ARGS);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(
        run.stderr.contains("`enable` (run ") && run.stderr.contains("has not ended"),
        "{}",
        run.stderr
    );
    assert_eq!(list_log_files(&sb).len(), 1);
    sb.release_gate("gate");
    let enabled = running.wait();
    assert_eq!(enabled.code, 0, "{}", enabled.stderr);
    rotate_log(&sb);
}

#[test]
fn closed_log_lists_unfinished_steps() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["secrets/admin-token"],
        "before": true,
        "do": "kill_parent"
    }));
    assert_eq!(sb.run(&["enable", "-n", "influxdb"]).code, 128 + 9);
    kill_orphans(&sb);
    sb.clear_faults();
    let unfinished = sb.list_unfinished_steps();
    assert!(!unfinished.is_empty());
    let run = rotate_log(&sb);
    assert_eq!(
        run.stderr.matches("was killed in step").count(),
        unfinished.len(),
        "{}",
        run.stderr
    );
    let named = read_last_entry(&list_log_files(&sb)[1])["unfinished"].clone();
    let named: Vec<&str> = named
        .as_array()
        .expect("steps")
        .iter()
        .map(|one| one["step"].as_str().expect("text"))
        .collect();
    assert_eq!(named, unfinished);
    sb.assert_log_intact();
}

#[test]
fn unfinished_revocation_blocks_rotation() {
    let sb = Sandbox::new();
    let revoke: &[&str] = &["revoke", "-n", "influxdb", "--confirm", "sim-dev/influxdb"];
    sb.inject_fault(
        json!({"tool": "kubectl", "contains": ["delete"], "before": false, "do": "kill_parent"}),
    );
    assert_eq!(sb.run(revoke).code, 128 + 9);
    kill_orphans(&sb);
    sb.clear_faults();
    let run = sb.run(ROTATE_LOG_ARGS);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(
        run.stderr.contains("bypassctl revoke -n influxdb"),
        "{}",
        run.stderr
    );
    let carried_on = sb.run(revoke);
    assert!([0, 10].contains(&carried_on.code), "{}", carried_on.stderr);
    rotate_log(&sb);
}

#[test]
fn rotation_killed_at_each_syscall_is_completed() {
    if !can_trace() {
        return;
    }
    let mut killed = 0;
    for syscall in [
        "?open,?openat",
        "write",
        "fdatasync",
        "fsync",
        "flock",
        "?renameat2",
        "fallocate",
        "?ftruncate",
        "fchmod",
    ] {
        for nth in 1.. {
            let sb = Sandbox::new();
            assert_eq!(sb.run(&["disable"]).code, 0);
            let run = run_with_injection(
                &sb,
                &[],
                &format!("{syscall}:signal=KILL:when={nth}"),
                ROTATE_LOG_ARGS,
            );
            let finish = if nth % 2 == 0 {
                ROTATE_LOG_ARGS
            } else {
                &["disable", "--dry-run"]
            };
            assert_rotation_completes(&sb, finish, &format!("{syscall} {nth}"));
            if run.code == 0 {
                break;
            }
            assert_eq!(run.code, 128 + 9, "{syscall} {nth}: {}", run.stderr);
            killed += 1;
        }
    }
    assert!(killed > 25, "only {killed}");
}

/// Asserts that the log is intact, and that the next run leaves no trace of the interruption.
fn assert_rotation_completes(sb: &Sandbox, next: &[&str], what: &str) {
    let closed = !sb.read_entries_by_type("log.rotate").is_empty()
        || sb.read_entries()[0]["previous"] != Value::Null;
    sb.assert_log_intact();
    let run = sb.run(next);
    assert_eq!(run.code, 0, "{what}: {}", run.stderr);
    let closed = closed || next == ROTATE_LOG_ARGS;
    assert_eq!(
        list_log_files(sb).len(),
        if closed { 2 } else { 1 },
        "{what}: {:?}",
        list_log_files(sb)
    );
    assert!(
        !sb.log_path().with_extension("jsonl.next").exists(),
        "{what}: the rotation is unfinished"
    );
    let runs = sb.run(&["audit", "list", "--include-reads", "--all"]);
    assert_eq!(
        runs.stdout.lines().skip(1).count(),
        if next == ROTATE_LOG_ARGS { 1 } else { 2 },
        "{what}: {}",
        runs.stdout
    );
    sb.assert_log_intact();
}

#[test]
fn concurrent_rotations_and_runs_lose_no_entries() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let started: Vec<_> = (0..24)
        .map(|n| {
            (
                n % 3 == 0,
                sb.spawn(if n % 3 == 0 {
                    ROTATE_LOG_ARGS
                } else {
                    &["disable", "--dry-run"]
                }),
            )
        })
        .collect();
    let mut done = 1;
    for (rotates, running) in started {
        let run = running.wait();
        match run.code {
            0 => done += usize::from(!rotates),
            // Another run is in progress.
            4 => assert!(rotates, "{}", run.stderr),
            other => panic!("{other}: {}", run.stderr),
        }
    }
    sb.assert_log_intact();
    let runs = sb.run(&["audit", "list", "--include-reads", "--all"]);
    assert_eq!(runs.stdout.lines().skip(1).count(), done, "{}", runs.stdout);
}

/// Sets a flag of a file and returns whether that succeeded. Reports a failure as a skipped test.
fn set_file_flag(flag: &str, file: &Path) -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests set what an administrator would"
    )]
    let set = Command::new("/usr/bin/chattr")
        .arg(flag)
        .arg(file)
        .output()
        .is_ok_and(|output| output.status.success());
    if !set {
        report_skipped("chattr cannot set flags here");
    }
    set
}

#[test]
fn append_only_log_works_but_rotation_refuses() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    if !set_file_flag("+a", &sb.log_path()) {
        return;
    }
    let torn = [sb.read_log().as_slice(), b"{\"v\""].concat();
    let mut file = std::fs::File::options()
        .append(true)
        .open(sb.log_path())
        .expect("an appendable file");
    std::io::Write::write_all(&mut file, &torn[torn.len() - 4..]).expect("room");
    let run = sb.run(&["enable", "-n", "influxdb"]);
    let refused = sb.run(ROTATE_LOG_ARGS);
    assert!(
        set_file_flag("-a", &sb.log_path()),
        "the sandbox is deletable"
    );
    assert_eq!(
        (run.code, sb.read_entries_by_type("log.recover").len()),
        (0, 1),
        "{}",
        run.stderr
    );
    assert!(
        refused.code == 4 && refused.stderr.contains("chattr -a"),
        "{}",
        refused.stderr
    );
    sb.assert_log_intact();
    rotate_log(&sb);
}
