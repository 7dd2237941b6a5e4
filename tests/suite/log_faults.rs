//! Failing system calls on the audit log: no command runs without an entry.

use crate::crash::{can_trace, kill_orphans, run_with_injection};
use crate::sandbox::{CommandOutput, Sandbox};
use serde_json::Value;

const ENABLE_ARGS: &[&str] = &["enable", "-n", "influxdb"];

/// Faults of an append-only file: strace's fault, and which calls after the nth fail too. A single
/// failing preallocation is no failure, because the log then asks for less space.
const LOG_FAULTS: [(&str, &str); 6] = [
    ("write:error=ENOSPC", ""),
    ("write:error=EDQUOT", ""),
    ("write:error=EIO", ""),
    ("fdatasync:error=EIO", ""),
    ("fdatasync:error=EDQUOT", ""),
    ("fallocate:error=EDQUOT", "+"),
];

/// Makes the nth of these calls on the audit log fail, in each thread.
fn run_with_log_fault((fault, on): (&str, &str), nth: usize) -> (Sandbox, CommandOutput) {
    let sb = Sandbox::new();
    let log = sb.log_path();
    let which = ["-f", "-P", log.to_str().expect("text")];
    let run = run_with_injection(&sb, &which, &format!("{fault}:when={nth}{on}"), ENABLE_ARGS);
    (sb, run)
}

/// Asserts that the log has the exact arguments of every command that ran. An intent may lack its
/// command.
fn assert_calls_logged(sb: &Sandbox, what: &str) {
    let mut recorded: Vec<Value> = sb
        .read_entries_by_type("intent")
        .into_iter()
        .map(|intent| intent["argv"].clone())
        .collect();
    for call in sb.calls() {
        let argv = Value::from([vec![call.tool], call.argv].concat());
        let at = recorded.iter().position(|words| *words == argv);
        recorded.remove(at.unwrap_or_else(|| panic!("{what}: {argv} ran without a log entry")));
    }
}

fn assert_fails_closed(fault: (&str, &str), nth: usize) -> bool {
    let (sb, run) = run_with_log_fault(fault, nth);
    if run.code == 0 {
        return false;
    }
    let what = format!("{fault:?} {nth}");
    assert_eq!(run.code, 9, "{what}: {}", run.stderr);
    assert!(
        run.stderr.contains("cannot write the audit log"),
        "{what}: {}",
        run.stderr
    );
    assert_calls_logged(&sb, &what);
    assert!(
        sb.read_entries_by_type("run.end").is_empty() || fault.0.starts_with("fdatasync"),
        "{what}: the run has no end entry"
    );
    kill_orphans(&sb);
    let again = sb.run(ENABLE_ARGS);
    assert_eq!(again.code, 0, "{what}: {}", again.stderr);
    sb.assert_log_intact();
    sb.assert_no_secret_leaked(&[std::path::Path::new(
        "home/.config/influxctl/admin-token-default.json",
    )]);
    true
}

#[test]
fn run_stops_when_log_write_fails() {
    if !can_trace() {
        return;
    }
    for fault in LOG_FAULTS {
        // The first call is for `log.open`, the next one for `run.begin`, and so on.
        let call_numbers = if fault.1 == "+" {
            &[1, 2][..]
        } else {
            &[1, 2, 3, 6, 11]
        };
        for nth in call_numbers {
            assert!(
                assert_fails_closed(fault, *nth),
                "{fault:?} {nth}: nothing failed"
            );
        }
    }
}

#[test]
#[ignore = "slow: scripts/check slow"]
fn run_stops_at_every_failing_log_write() {
    if !can_trace() {
        return;
    }
    for fault in LOG_FAULTS {
        let failed = (1..)
            .take_while(|nth| assert_fails_closed(fault, *nth))
            .count();
        assert!(
            failed >= if fault.1 == "+" { 2 } else { 15 },
            "{fault:?}: only {failed}"
        );
    }
}
