//! Ctrl-C, SIGTERM and a killed terminal, wherever a rotation is.

use super::{CommandPoint, POINTS, accepted, assert_revoked, enabled, error, revoke, uid};
use crate::sandbox::{Run, Running, Sandbox};
use rustix::process::Signal;
use serde_json::json;

fn held(sb: &Sandbox, point: &CommandPoint) -> Running {
    sb.fault(
        json!({"tool": point.tool, "contains": point.contains, "lacks": point.lacks, "nth": point.nth, "before": true,
        "do": {"wait_for_file": {"path": "gate"}}}),
    );
    let running = sb.spawn(super::REVOKE);
    sb.wait_reached("gate");
    running
}

fn point(name: &str) -> &'static CommandPoint {
    POINTS
        .iter()
        .find(|point| point.name == name)
        .expect("a point")
}

/// Ended in order: all on record.
fn assert_ended(sb: &Sandbox, run: &Run, code: i32, what: &str) {
    assert_eq!(run.code, code, "{what}: {}", run.stderr);
    assert_eq!(sb.open_steps(), Vec::<String>::new(), "{what}");
    let end = sb.records_of("run.end").pop().expect("an end");
    assert_eq!(
        (&end["code"], &end["command"]),
        (&json!(code), &json!("revoke")),
        "{what}"
    );
}

#[test]
fn before_anything_has_changed() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        let sb = enabled();
        let before = super::objects(&sb);
        let running = held(&sb, point("dry run"));
        running.signal(signal);
        assert_ended(&sb, &running.wait(), code, "before");
        assert_eq!(super::objects(&sb), before);
    }
}

#[test]
fn in_each_wait() {
    for name in ["watch key-gen", "watch pods", "watch create-admin-token"] {
        for signal in [Signal::INT, Signal::TERM] {
            let sb = enabled();
            let old = sb.admin_token();
            let running = held(&sb, point(name));
            running.signal(signal);
            let run = running.wait();
            assert_ended(&sb, &run, 8, name);
            if name == "watch pods" && signal == Signal::INT {
                insta::assert_snapshot!(error(&run), @"
                error: stopped by Ctrl-C
                hint: the same command can be run again; done so far: check-cluster, delete-rsa-keys, delete-admin-token, rerun-key-gen, see-rsa-keys; begun: restart-pods; not done: rerun-create-admin-token, see-admin-token, get-token, prove-revocation; something was changed before this: the same command again carries on from there
                ");
            }
            sb.no_faults();
            let keys = uid(&sb, "rsa-keys");
            let again = sb.run(super::REVOKE);
            assert!([0, 10].contains(&again.code), "{name}: {}", again.stderr);
            assert!(keys.is_none() || uid(&sb, "rsa-keys") == keys, "{name}");
            assert!(!accepted(&sb, &old), "{name}");
        }
    }
}

/// A watch that its run has left behind may go on for as long as the server likes.
#[test]
fn a_watch_left_behind_keeps_nobody_waiting() {
    for name in ["watch key-gen", "watch pods"] {
        let sb = enabled();
        let running = held(&sb, point(name));
        running.signal(Signal::KILL);
        assert_eq!(running.wait().code, 128 + 9);
        sb.no_faults();
        let again = sb.run(super::REVOKE);
        assert!([0, 10].contains(&again.code), "{name}: {}", again.stderr);
        sb.release("gate");
        crate::crash::end_orphans(&sb);
    }
}

#[test]
fn what_changes_something_may_finish() {
    for name in [
        "delete keys",
        "delete token",
        "create key-gen",
        "delete pods",
    ] {
        let sb = enabled();
        let old = sb.admin_token();
        let running = held(&sb, point(name));
        running.signal(Signal::INT);
        sb.release("gate");
        assert_ended(&sb, &running.wait(), 8, name);
        let results = sb.records_of("result");
        assert!(
            results
                .iter()
                .all(|result| result["error"] != "interrupted"),
            "{name}: its outcome is known"
        );
        sb.no_faults();
        let again = sb.run(super::REVOKE);
        assert!([0, 10].contains(&again.code), "{name}: {}", again.stderr);
        assert_revoked(&sb, &old, name);
    }
}

#[test]
fn a_second_signal_does_not_wait() {
    let sb = enabled();
    let running = held(&sb, point("delete keys"));
    running.signal(Signal::INT);
    // The first has been heard when the second is sent: they are told apart by a handler, not by a queue.
    std::thread::sleep(std::time::Duration::from_millis(200));
    running.signal(Signal::INT);
    let run = running.wait();
    assert_ended(&sb, &run, 8, "twice");
    assert!(
        sb.records_of("result")
            .iter()
            .any(|result| result["error"] == "interrupted")
    );
    sb.no_faults();
    revoke(&sb, 0, &[]);
}
