//! System calls that fail on the record: nothing runs that is not on it.

use crate::crash::{can_trace, disturbed, end_orphans};
use crate::sandbox::{Run, Sandbox};
use serde_json::Value;

const ENABLE: &[&str] = &["enable", "-n", "influxdb"];

/// What can go wrong with a file that is only appended to, and how often: where there is no room for much, less is asked
/// for, so that one refusal is none.
const FAULTS: [(&str, &str); 6] = [
    ("write:error=ENOSPC", ""),
    ("write:error=EDQUOT", ""),
    ("write:error=EIO", ""),
    ("fdatasync:error=EIO", ""),
    ("fdatasync:error=EDQUOT", ""),
    ("fallocate:error=EDQUOT", "+"),
];

/// The nth of these calls on the record fails, in each thread.
fn failing((fault, on): (&str, &str), nth: usize) -> (Sandbox, Run) {
    let sb = Sandbox::new();
    let log = sb.log();
    let which = ["-f", "-P", log.to_str().expect("text")];
    let run = disturbed(&sb, &which, &format!("{fault}:when={nth}{on}"), ENABLE);
    (sb, run)
}

/// Every command that ran is on record, word by word; a record need not have had its command.
fn all_on_record(sb: &Sandbox, what: &str) {
    let mut recorded: Vec<Value> = sb
        .records_of("intent")
        .into_iter()
        .map(|intent| intent["argv"].clone())
        .collect();
    for call in sb.calls() {
        let argv = Value::from([vec![call.tool], call.argv].concat());
        let at = recorded.iter().position(|words| *words == argv);
        recorded.remove(at.unwrap_or_else(|| panic!("{what}: {argv} ran, and is not on record")));
    }
}

fn fails_closed(fault: (&str, &str), nth: usize) -> bool {
    let (sb, run) = failing(fault, nth);
    if run.code == 0 {
        return false;
    }
    let what = format!("{fault:?} {nth}");
    assert_eq!(run.code, 9, "{what}: {}", run.stderr);
    assert!(
        run.stderr.contains("the audit record could not be made"),
        "{what}: {}",
        run.stderr
    );
    all_on_record(&sb, &what);
    assert!(
        sb.records_of("run.end").is_empty() || fault.0.starts_with("fdatasync"),
        "{what}: it ended unrecorded"
    );
    end_orphans(&sb);
    let again = sb.run(ENABLE);
    assert_eq!(again.code, 0, "{what}: {}", again.stderr);
    sb.assert_verified();
    sb.assert_no_secret(&[std::path::Path::new(
        "home/.config/influxctl/admin-token-default.json",
    )]);
    true
}

#[test]
fn a_record_that_fails_stops_the_run() {
    if !can_trace() {
        return;
    }
    for fault in FAULTS {
        // The first is the log's own first record, and room for it; then the run's begin, and so on.
        let wanted = if fault.1 == "+" {
            &[1, 2][..]
        } else {
            &[1, 2, 3, 6, 11]
        };
        for nth in wanted {
            assert!(fails_closed(fault, *nth), "{fault:?} {nth}: nothing failed");
        }
    }
}

#[test]
#[ignore = "slow: scripts/check slow"]
fn whichever_record_fails_the_run_stops() {
    if !can_trace() {
        return;
    }
    for fault in FAULTS {
        let failed = (1..).take_while(|nth| fails_closed(fault, *nth)).count();
        assert!(
            failed >= if fault.1 == "+" { 2 } else { 15 },
            "{fault:?}: only {failed}"
        );
    }
}
