//! `audit rotate`, and the record over several files.

use crate::crash::{can_trace, disturbed, end_orphans};
use crate::sandbox::{Run, Sandbox, lines, sha256, skipped};
use crate::verify::shell_agrees;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const ROTATE: &[&str] = &["audit", "rotate"];

/// The files of the record, the newest first, as the tool has them.
fn files(sb: &Sandbox) -> Vec<PathBuf> {
    let run = sb.run(&["audit", "verify", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let logs = report["verify"]["logs"].as_array().expect("logs").clone();
    logs.iter()
        .rev()
        .map(|log| PathBuf::from(log["file"].as_str().expect("a path")))
        .collect()
}

fn rotated(sb: &Sandbox) -> Run {
    let run = sb.run(&[ROTATE, &["--reason", "CHG-12"]].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    run
}

/// Three segments: an `enable`, a `status`, a `disable`.
fn three() -> (Sandbox, Vec<PathBuf>) {
    let sb = Sandbox::new();
    for command in [
        &["enable", "-n", "influxdb"][..],
        &["status", "-n", "influxdb"],
    ] {
        assert_eq!(sb.run(command).code, 0);
        rotated(&sb);
    }
    assert_eq!(sb.run(&["disable"]).code, 0);
    let mut files = files(&sb);
    files.reverse();
    assert_eq!(files.len(), 3, "{files:?}");
    // Both may have been closed in one second, and then the names do not tell which is older.
    assert_eq!(
        (
            &first(&files[0])["previous"],
            &first(&files[1])["previous"]["log"]
        ),
        (&Value::Null, &last(&files[0])["log"])
    );
    (sb, files)
}

fn first(file: &Path) -> Value {
    let log = std::fs::read(file).expect("a log");
    serde_json::from_slice(lines(&log)[0]).expect("JSON")
}

fn last(file: &Path) -> Value {
    let log = std::fs::read(file).expect("a log");
    serde_json::from_slice(lines(&log).last().expect("a record")).expect("JSON")
}

fn verify(sb: &Sandbox, files: &[&Path], expect: Option<&str>) -> Run {
    let named: Vec<&str> = files
        .iter()
        .map(|file| file.to_str().expect("text"))
        .collect();
    let expected = expect.map_or(vec![], |head| vec!["--expect", head]);
    let run = sb.run(&[&["audit", "verify"], &named[..], &expected].concat());
    shell_agrees(sb, &named, expect, &run);
    run
}

#[test]
fn a_closed_log_stays_and_the_next_goes_on_from_it() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["enable", "-n", "influxdb"]).code, 0);
    let before = sb.log_bytes();
    let run = rotated(&sb);
    let [new, closed] = &files(&sb)[..] else {
        panic!("{:?}", files(&sb))
    };
    let bytes = std::fs::read(closed).expect("it stays");
    assert_eq!(
        bytes[..before.len()],
        before[..],
        "what was on record is as it was"
    );
    let end = last(closed);
    assert_eq!(
        (&end["type"], &end["reason"], &end["unfinished"]),
        (&json!("log.rotate"), &json!("CHG-12"), &json!([]))
    );
    let head = format!(
        "{}:{}",
        end["seq"],
        sha256(lines(&bytes).last().expect("a record"))
    );
    assert_eq!(
        first(new)["previous"],
        json!({"log": end["log"], "head": head})
    );
    assert_ne!(first(new)["log"], end["log"]);
    assert!(
        run.stdout.contains(closed.to_str().expect("text")),
        "{}",
        run.stdout
    );
    let heads = [
        format!("audit head {} {head}", end["log"].as_str().expect("a name")),
        format!("1:{}", sha256(&sb.log_bytes())),
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
    sb.assert_verified();
    // Nothing since then: nothing to close.
    let again = rotated(&sb);
    assert!(
        again.stdout.contains("there is nothing to close"),
        "{}",
        again.stdout
    );
    assert_eq!(files(&sb).len(), 2);
    assert_eq!(sb.run(&["disable"]).code, 0);
    let quiet = sb.run(&["audit", "rotate", "-q"]);
    assert!(
        quiet.stderr.matches("audit head ").count() == 2,
        "what anchors is always told: {}",
        quiet.stderr
    );
}

#[test]
fn a_closed_log_is_no_log_to_go_on_in() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    rotated(&sb);
    let closed = files(&sb)[1].clone();
    let run = sb.run(&["disable", "--audit-log", closed.to_str().expect("text")]);
    assert!(
        run.code == 9 && run.stderr.contains("it was closed by a rotation"),
        "{}",
        run.stderr
    );
    assert_eq!(files(&sb).len(), 2);
    sb.assert_verified();
}

#[test]
fn a_log_of_the_name_that_is_needed_is_not_overwritten() {
    let sb = Sandbox::new();
    let next = sb.log().with_extension("jsonl.next");
    for log in [&next, &sb.log()] {
        assert_eq!(
            sb.run(&["disable", "--audit-log", log.to_str().expect("text")])
                .code,
            0
        );
    }
    let before = std::fs::read(&next).expect("a log");
    let run = sb.run(ROTATE);
    assert!(
        run.code == 4 && run.stderr.contains("is in the way of its rotation"),
        "{}",
        run.stderr
    );
    assert_eq!(std::fs::read(&next).expect("a log"), before);
    sb.assert_verified();
}

/// The log is closed and the next one cannot be made: that is told as a change begun, and brought to its end later.
#[test]
fn a_rotation_that_stops_half_way_says_so() {
    if !can_trace() {
        return;
    }
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let run = disturbed(&sb, &[], "fchmod:error=EPERM", ROTATE);
    assert!(
        run.code == 8 && run.stderr.contains("no other goes on from it yet"),
        "{}",
        run.stderr
    );
    let next = sb.log().with_extension("jsonl.next");
    let before = std::fs::read(&next).expect("what was begun");
    sb.write(&next, "junk, and no log");
    let run = sb.run(&["disable"]);
    assert!(
        run.code == 9
            && run
                .stderr
                .contains("audit.jsonl.next`: it is not an audit log"),
        "{}",
        run.stderr
    );
    sb.write(&next, before);
    let run = sb.run(&["audit", "rotate", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(
        (run.code, &report["changed"]),
        (0, &json!(true)),
        "{}",
        run.stderr
    );
    assert_eq!(report["closed"]["file"], json!(files(&sb)[1]));
    sb.assert_verified();
}

#[test]
fn to_look_while_logs_are_closed_raises_no_alarm() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..12 {
                assert_eq!(sb.run(&["disable", "--dry-run"]).code, 0);
                rotated(&sb);
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            let run = sb.assert_verified();
            assert!(!run.stdout.contains("not among these"), "{}", run.stdout);
        }
    });
}

#[test]
fn a_process_that_nobody_asked_after_is_no_run_under_way() {
    let sb = Sandbox::new();
    sb.fault(json!({"tool": "kubectl", "contains": ["secrets/admin-token"], "before": true, "do": "kill_parent"}));
    let killed = sb.spawn(&["enable", "-n", "influxdb"]);
    crate::sandbox::wait_until("it is killed", || {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", killed.pid())).unwrap_or_default();
        stat.contains(") Z ")
    });
    end_orphans(&sb);
    rotated(&sb);
    assert_eq!(killed.wait().code, 128 + 9);
}

/// As one of another host would do that shares the log and cannot see this one's processes.
#[test]
fn a_run_whose_log_was_closed_meanwhile_writes_nothing_more_there() {
    let sb = Sandbox::new();
    let gate = json!({"wait_for_file": {"path": "gate"}});
    sb.fault(
        json!({"tool": "kubectl", "contains": ["secrets/admin-token"], "before": true, "do": gate}),
    );
    let running = sb.spawn(&["enable", "-n", "influxdb"]);
    sb.wait_reached("gate");
    crate::sandbox::wait_until("nothing else is under way", || {
        sb.open_steps() == ["get-token"]
    });
    let log = sb.log_bytes();
    let end = lines(&log).last().expect("a record").to_vec();
    let record: Value = serde_json::from_slice(&end).expect("JSON");
    let close = json!({"v": 1, "seq": record["seq"].as_u64().expect("a number") + 1, "prev": sha256(&end), "type": "log.rotate",
        "who": sb.records_of("run.begin")[0]["who"], "reason": null, "unfinished": [], "log": record["log"], "ts": record["ts"]});
    let closed = [log, format!("{close}\n").into_bytes()].concat();
    sb.write(sb.log(), &closed);
    sb.release("gate");
    let run = running.wait();
    assert!(
        run.code == 9 && run.stderr.contains("it was closed by a rotation meanwhile"),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("that is missing there"),
        "what has happened is told: {}",
        run.stderr
    );
    assert_eq!(sb.log_bytes(), closed);
    // The next brings the rotation to its end, and says so: a log may have been lost.
    let next = sb.run(&["disable", "--dry-run"]);
    assert!(
        next.code == 0
            && next
                .stderr
                .contains("a rotation of the record was cut short"),
        "{}",
        next.stderr
    );
    sb.assert_verified();
    assert_eq!(files(&sb).len(), 2);
}

#[test]
fn a_run_of_another_host_counts_for_a_day() {
    let sb = Sandbox::new();
    sb.fault(json!({"tool": "kubectl", "contains": ["secrets/admin-token"], "before": true, "do": "kill_parent"}));
    assert_eq!(sb.run(&["enable", "-n", "influxdb"]).code, 128 + 9);
    end_orphans(&sb);
    sb.no_faults();
    let host = sb.records_of("run.begin")[0]["who"]["host"]
        .as_str()
        .expect("a name")
        .to_owned();
    let elsewhere = String::from_utf8(sb.log_bytes())
        .expect("ASCII")
        .replace(&format!("\"host\":\"{host}\""), "\"host\":\"far\"");
    sb.write(sb.log(), &elsewhere);
    let run = sb.run(ROTATE);
    assert!(
        run.code == 4 && run.stderr.contains(" on far) has not ended"),
        "{}",
        run.stderr
    );
    let begun = sb.records_of("run.begin")[0]["ts"]
        .as_str()
        .expect("a time")[..10]
        .to_owned();
    sb.write(sb.log(), elsewhere.replace(&begun, "2026-01-01"));
    rotated(&sb);
}

#[test]
fn what_is_on_record_is_found_in_every_segment() {
    let (sb, files) = three();
    let list = sb.run(&["audit", "list"]);
    assert_eq!(list.stdout.lines().count(), 3, "{}", list.stdout);
    let one = sb.run(&["audit", "list", files[0].to_str().expect("text")]);
    assert!(
        one.stdout.lines().count() == 1 && one.stdout.contains("enable: done"),
        "{}",
        one.stdout
    );
    let begin = std::fs::read(&files[0]).expect("a log");
    let begin: Value = serde_json::from_slice(lines(&begin)[1]).expect("JSON");
    let shown = sb.run(&["audit", "show", begin["run"].as_str().expect("a name")]);
    assert!(
        shown.stdout.contains("write-token: write "),
        "{}{}",
        shown.stdout,
        shown.stderr
    );
    let export = sb.run(&["audit", "export"]);
    assert_eq!(export.stdout.matches("\n# run ").count(), 3);
}

#[test]
fn segments_hold_together() {
    let (sb, files) = three();
    let [a, b, c] = [&files[0], &files[1], &files[2]].map(PathBuf::as_path);
    let head = format!(
        "{}:{}",
        last(a)["seq"],
        sha256(
            lines(&std::fs::read(a).expect("a log"))
                .last()
                .expect("a record")
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
        let run = verify(&sb, named, None);
        assert_eq!(run.code, 0, "{named:?}: {}{}", run.stdout, run.stderr);
        let told = run.stdout.matches("which is not among these").count()
            + run.stdout.matches("is not among these\n").count();
        assert_eq!(told, notes, "{named:?}: {}", run.stdout);
    }
    assert_eq!(
        verify(&sb, &[a, b, c], Some(&head)).code,
        0,
        "an anchor may be in any of them"
    );
    assert_eq!(verify(&sb, &[b, c], Some(&head)).code, 1);
    let json = sb.run(&["audit", "verify", "-o", "json"]);
    let report: Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(
        (
            &report["verify"]["holds"],
            &report["verify"]["logs"][2]["closed"]
        ),
        (&json!(true), &json!(false))
    );
}

fn copy(from: &Path, to: &Path) {
    let bytes = std::fs::read(from).expect("there");
    std::fs::write(to, bytes).expect("sandbox");
}

/// A change to the three files, and what is then said.
type Change = (&'static str, fn(&[PathBuf]));

#[test]
fn segments_that_do_not_fit_are_found() {
    let changes: [Change; 6] = [
        ("neither goes on from another of these", |files| {
            std::fs::remove_file(&files[1]).expect("there")
        }),
        ("which is not the end of", |files| {
            let log = std::fs::read(&files[0]).expect("a log");
            let all = lines(&log);
            std::fs::write(&files[0], all[..all.len() - 1].concat()).expect("sandbox");
        }),
        ("which is not the end of", |files| {
            let text = std::fs::read_to_string(&files[1]).expect("a log");
            std::fs::write(&files[1], text.replace("CHG-12", "CHG-13")).expect("sandbox");
        }),
        ("neither goes on from another of these", |files| {
            let text = std::fs::read_to_string(&files[2]).expect("a log");
            let begin = format!("{}\n", text.lines().next().expect("a record"));
            let cut: Vec<&str> = begin.split("\"previous\":").collect();
            let rest = cut[1].split_once('}').expect("an object").1;
            std::fs::write(&files[2], format!("{}\"previous\":null{rest}", cut[0]))
                .expect("sandbox");
        }),
        ("it is the same log as", |files| copy(&files[0], &files[1])),
        ("the log was closed by a rotation before it", |files| {
            let text = std::fs::read_to_string(&files[1]).expect("a log");
            let end = text.lines().last().expect("a record");
            std::fs::write(&files[1], format!("{text}{end}\n")).expect("sandbox");
        }),
    ];
    let (sb, files) = three();
    let kept: Vec<Vec<u8>> = files
        .iter()
        .map(|file| std::fs::read(file).expect("a log"))
        .collect();
    for (told, change) in changes {
        change(&files);
        let there: Vec<&Path> = files
            .iter()
            .map(PathBuf::as_path)
            .filter(|file| file.exists())
            .collect();
        let run = verify(&sb, &there, None);
        assert!(
            run.code == 1 && run.stdout.contains(told),
            "{told}: {}{}",
            run.stdout,
            run.stderr
        );
        // The same without naming them.
        assert_eq!(sb.run(&["audit", "verify"]).code, 1, "{told}");
        files
            .iter()
            .zip(&kept)
            .for_each(|(file, bytes)| std::fs::write(file, bytes).expect("sandbox"));
    }
}

#[test]
fn copies_and_forged_ends() {
    let (sb, files) = three();
    // Two that go on from the same one.
    let other = sb.path("other.jsonl");
    copy(&files[2], &other);
    let text = std::fs::read_to_string(&other).expect("a log").replace(
        first(&other)["log"].as_str().expect("a name"),
        "00000000-0000-4000-8000-000000000000",
    );
    let line = text.lines().next().expect("a record");
    std::fs::write(&other, format!("{line}\n")).expect("sandbox");
    let run = verify(&sb, &[&files[1], &files[2], &other], None);
    assert!(
        run.code == 1 && run.stdout.contains("goes on from the same log"),
        "{}",
        run.stdout
    );
    // A copy beside the log is somebody's own.
    copy(&files[2], &files[2].with_file_name("audit-copy.jsonl"));
    sb.assert_verified();
}

#[test]
fn a_log_in_use_is_not_closed() {
    let sb = Sandbox::new();
    sb.fault(json!({"tool": "kubectl", "contains": ["secrets/admin-token"], "before": true, "do": {"wait_for_file": {"path": "gate"}}}));
    let running = sb.spawn(&["enable", "-n", "influxdb"]);
    sb.wait_reached("gate");
    let run = sb.run(ROTATE);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(
        run.stderr.contains("`enable` (run ") && run.stderr.contains("has not ended"),
        "{}",
        run.stderr
    );
    assert_eq!(files(&sb).len(), 1);
    sb.release("gate");
    let enabled = running.wait();
    assert_eq!(enabled.code, 0, "{}", enabled.stderr);
    rotated(&sb);
}

#[test]
fn what_was_cut_short_is_named_in_the_log_that_is_closed() {
    let sb = Sandbox::new();
    sb.fault(json!({"tool": "kubectl", "contains": ["secrets/admin-token"], "before": true, "do": "kill_parent"}));
    assert_eq!(sb.run(&["enable", "-n", "influxdb"]).code, 128 + 9);
    end_orphans(&sb);
    sb.no_faults();
    let cut = sb.open_steps();
    assert!(!cut.is_empty());
    let run = rotated(&sb);
    assert_eq!(
        run.stderr.matches("was cut off in step").count(),
        cut.len(),
        "{}",
        run.stderr
    );
    let named = last(&files(&sb)[1])["unfinished"].clone();
    let named: Vec<&str> = named
        .as_array()
        .expect("steps")
        .iter()
        .map(|one| one["step"].as_str().expect("text"))
        .collect();
    assert_eq!(named, cut);
    sb.assert_verified();
}

#[test]
fn a_revocation_that_did_not_come_to_its_end_keeps_the_log() {
    let sb = Sandbox::new();
    let revoke: &[&str] = &["revoke", "-n", "influxdb", "--confirm", "sim-dev/influxdb"];
    sb.fault(
        json!({"tool": "kubectl", "contains": ["delete"], "before": false, "do": "kill_parent"}),
    );
    assert_eq!(sb.run(revoke).code, 128 + 9);
    end_orphans(&sb);
    sb.no_faults();
    let run = sb.run(ROTATE);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(
        run.stderr.contains("bypassctl revoke -n influxdb"),
        "{}",
        run.stderr
    );
    let carried_on = sb.run(revoke);
    assert!([0, 10].contains(&carried_on.code), "{}", carried_on.stderr);
    rotated(&sb);
}

#[test]
fn a_rotation_killed_at_any_point_is_brought_to_its_end() {
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
            let run = disturbed(
                &sb,
                &[],
                &format!("{syscall}:signal=KILL:when={nth}"),
                ROTATE,
            );
            let finish = if nth % 2 == 0 {
                ROTATE
            } else {
                &["disable", "--dry-run"]
            };
            brought_to_its_end(&sb, finish, &format!("{syscall} {nth}"));
            if run.code == 0 {
                break;
            }
            assert_eq!(run.code, 128 + 9, "{syscall} {nth}: {}", run.stderr);
            killed += 1;
        }
    }
    assert!(killed > 25, "only {killed}");
}

/// Holds as it is, and after the next run of any kind is as if nothing had happened.
fn brought_to_its_end(sb: &Sandbox, next: &[&str], what: &str) {
    let closed =
        !sb.records_of("log.rotate").is_empty() || sb.records()[0]["previous"] != Value::Null;
    sb.assert_verified();
    let run = sb.run(next);
    assert_eq!(run.code, 0, "{what}: {}", run.stderr);
    let closed = closed || next == ROTATE;
    assert_eq!(
        files(sb).len(),
        if closed { 2 } else { 1 },
        "{what}: {:?}",
        files(sb)
    );
    assert!(
        !sb.log().with_extension("jsonl.next").exists(),
        "{what}: what was begun is not left"
    );
    let runs = sb.run(&["audit", "list"]);
    assert_eq!(
        runs.stdout.lines().count(),
        if next == ROTATE { 1 } else { 2 },
        "{what}: {}",
        runs.stdout
    );
    sb.assert_verified();
}

#[test]
fn rotations_and_runs_at_once_lose_nothing() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let started: Vec<_> = (0..24)
        .map(|n| {
            (
                n % 3 == 0,
                sb.spawn(if n % 3 == 0 {
                    ROTATE
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
            // A run is under way.
            4 => assert!(rotates, "{}", run.stderr),
            other => panic!("{other}: {}", run.stderr),
        }
    }
    sb.assert_verified();
    let runs = sb.run(&["audit", "list"]);
    assert_eq!(runs.stdout.lines().count(), done, "{}", runs.stdout);
}

/// Whether a flag of a file could be set; said aloud where it could not.
fn chattr(flag: &str, file: &Path) -> bool {
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
        skipped("chattr cannot set flags here");
    }
    set
}

#[test]
fn an_append_only_log_works_and_is_not_closed() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    if !chattr("+a", &sb.log()) {
        return;
    }
    let torn = [sb.log_bytes().as_slice(), b"{\"v\""].concat();
    let mut file = std::fs::File::options()
        .append(true)
        .open(sb.log())
        .expect("it can be appended to");
    std::io::Write::write_all(&mut file, &torn[torn.len() - 4..]).expect("room");
    let run = sb.run(&["enable", "-n", "influxdb"]);
    let refused = sb.run(ROTATE);
    assert!(chattr("-a", &sb.log()), "the sandbox is to be deleted");
    assert_eq!(
        (run.code, sb.records_of("log.recover").len()),
        (0, 1),
        "{}",
        run.stderr
    );
    assert!(
        refused.code == 4 && refused.stderr.contains("chattr -a"),
        "{}",
        refused.stderr
    );
    sb.assert_verified();
    rotated(&sb);
}
