//! Faults on order.

use super::{done, kubectl};
use crate::sandbox::Sandbox;
use rustix::process::Signal;
use serde_json::json;
use std::time::{Duration, Instant};

const DELETE: &str = "delete secrets/rsa-keys --namespace influxdb";
const VERSION: &str = "version --client";

fn has_keys(sb: &Sandbox) -> bool {
    sb.now()["secrets"]["influxdb/rsa-keys"].is_object()
}

#[test]
fn before_or_after_the_effect() {
    let failing = json!({"exit": {"code": 7, "stdout": "o", "stderr": "e"}});
    for before in [true, false] {
        let sb = Sandbox::new();
        sb.fault(
            json!({"tool": "kubectl", "contains": ["delete"], "before": before, "do": failing}),
        );
        let run = kubectl(&sb, DELETE);
        assert_eq!(
            (run.code, run.stdout.as_str(), run.stderr.as_str()),
            (7, "o", "e")
        );
        assert_eq!(has_keys(&sb), before);
        assert_eq!(kubectl(&sb, VERSION).code, 0, "another call");
    }
}

#[test]
fn which_of_the_calls() {
    let codes = |fault: serde_json::Value| -> Vec<i32> {
        let sb = Sandbox::new();
        sb.fault(fault);
        (0..4).map(|_| kubectl(&sb, VERSION).code).collect()
    };
    let failing = json!({"exit": {"code": 1}});
    assert_eq!(
        codes(json!({"tool": "kubectl", "do": failing})),
        [1, 1, 1, 1]
    );
    assert_eq!(
        codes(json!({"tool": "kubectl", "nth": 2, "do": failing})),
        [0, 1, 0, 0]
    );
    assert_eq!(
        codes(json!({"tool": "kubectl", "times": 2, "do": failing})),
        [1, 1, 0, 0]
    );
    assert_eq!(
        codes(json!({"tool": "kubectl", "nth": 2, "times": 2, "do": failing})),
        [0, 1, 1, 0]
    );
    assert_eq!(
        codes(json!({"tool": "influxctl", "do": failing})),
        [0, 0, 0, 0]
    );
    assert_eq!(
        codes(json!({"tool": "kubectl", "lacks": ["create", "--client"], "do": failing})),
        [0, 0, 0, 0]
    );
    assert_eq!(
        codes(json!({"tool": "kubectl", "lacks": ["create", "--clien"], "do": failing})),
        [1, 1, 1, 1]
    );
    assert_eq!(
        codes(json!({"tool": "kubectl", "contains": ["version", "--other"], "do": failing})),
        [0, 0, 0, 0]
    );
}

#[test]
fn strange_output() {
    let sb = Sandbox::new();
    sb.fault(json!({"tool": "kubectl", "nth": 1, "do": "garbage"}));
    sb.fault(json!({"tool": "kubectl", "nth": 2, "do": "silent"}));
    sb.fault(json!({"tool": "kubectl", "nth": 3, "do": {"flood": {"bytes": 20_000_000}}}));
    sb.fault(json!({"tool": "kubectl", "nth": 4, "do": {"flood_stderr": {"bytes": 10_000}}}));
    assert!(kubectl(&sb, VERSION).stdout.contains('\u{fffd}'));
    let silent = kubectl(&sb, VERSION);
    assert_eq!(
        (silent.code, silent.stdout + &silent.stderr),
        (0, String::new())
    );
    assert_eq!(kubectl(&sb, VERSION).stdout.len(), 20_000_000);
    assert_eq!(kubectl(&sb, VERSION).stderr.len(), 10_000);
}

#[test]
fn a_delay_goes_on() {
    let sb = Sandbox::new();
    sb.fault(json!({"tool": "kubectl", "do": {"delay": {"ms": 300}}}));
    let start = Instant::now();
    assert!(done(&sb, VERSION).starts_with("Client Version: v1.34.5"));
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn hanging_politely_or_not() {
    let sb = Sandbox::new();
    sb.fault(json!({"tool": "kubectl", "before": true, "do": "hang_ignoring_term"}));
    let running = sb.spawn_tool("kubectl", &["version", "--client"]);
    crate::sandbox::wait_until("it ignores SIGTERM", || ignores_term(&sb));
    running.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(100));
    running.signal(Signal::KILL);
    assert_eq!(running.wait().code, 128 + 9);
}

/// Whether the kernel lists SIGTERM (bit 14) among the signals that the last call has a handler for.
fn ignores_term(sb: &Sandbox) -> bool {
    let Some(call) = sb.calls().pop() else {
        return false;
    };
    let status = std::fs::read_to_string(format!("/proc/{}/status", call.pid)).unwrap_or_default();
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:\t"))
        .unwrap_or("0");
    u64::from_str_radix(caught, 16).expect("hex") & (1 << 14) != 0
}

#[test]
fn a_tool_that_tells() {
    let sb = Sandbox::new();
    sb.fault(json!({"tool": "influxctl", "do": "print_secret"}));
    let run = sb.tool("influxctl", &["version"], None);
    let told: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(
        (run.code, told[0].as_bytes().to_vec(), told.len()),
        (1, sb.admin_token(), 6)
    );
    let json: String = serde_json::from_str(told[1]).expect("a string");
    assert_eq!(json.as_bytes(), sb.admin_token());
    assert_eq!(sb.find_secrets(&[]).len(), 1);
}

#[test]
fn a_mistyped_fault_fails() {
    let sb = Sandbox::new();
    sb.fault(json!({"tool": "kubectl", "contain": ["x"], "do": "hang"}));
    let run = kubectl(&sb, VERSION);
    assert!(
        run.code == 101 && run.stderr.contains("unknown field `contain`"),
        "{}",
        run.stderr
    );
}

const NAMESPACE: &str = "get namespace influxdb --output name";

fn is_refused(sb: &Sandbox, line: &str) -> bool {
    let run = kubectl(sb, line);
    let refused = run
        .stderr
        .ends_with("was refused - did you specify the right host or port?\n");
    assert_eq!(
        (run.code, run.stdout.is_empty()),
        (i32::from(refused), refused),
        "{}",
        run.stderr
    );
    refused
}

#[test]
fn a_server_is_away_for_a_while() {
    for before in [true, false] {
        let sb = Sandbox::new();
        sb.fault(json!({"tool": "kubectl", "nth": 1, "before": before, "do": {"unreachable": {"ms": 600_000}}}));
        assert_eq!(is_refused(&sb, NAMESPACE), before, "the call itself");
        assert!(is_refused(&sb, NAMESPACE));
        assert!(
            is_refused(&sb, &format!("{NAMESPACE} --context sim-viewer")),
            "the same cluster"
        );
        assert!(
            !is_refused(&sb, &format!("{NAMESPACE} --context acme-prod")),
            "another cluster"
        );
    }
    let sb = Sandbox::new();
    let of_prod = json!(["--context", "acme-prod"]);
    sb.fault(json!({"tool": "kubectl", "contains": of_prod, "nth": 1, "do": {"unreachable": {"ms": 300}}}));
    let start = Instant::now();
    assert!(!is_refused(
        &sb,
        &format!("{NAMESPACE} --context acme-prod")
    ));
    assert!(!is_refused(&sb, NAMESPACE));
    crate::sandbox::wait_until("it is back", || {
        !is_refused(&sb, &format!("{NAMESPACE} --context acme-prod"))
    });
    assert!(start.elapsed() >= Duration::from_millis(300));
}
