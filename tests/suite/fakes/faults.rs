//! Ordered faults.

use super::{run_kubectl, run_kubectl_ok};
use crate::sandbox::Sandbox;
use rustix::process::Signal;
use serde_json::json;
use std::time::{Duration, Instant};

const DELETE_KEYS: &str = "delete secrets/rsa-keys --namespace influxdb";
const GET_VERSION: &str = "version --client";

fn has_keys(sb: &Sandbox) -> bool {
    sb.refresh_cluster()["secrets"]["influxdb/rsa-keys"].is_object()
}

#[test]
fn fault_strikes_before_or_after_the_effect() {
    let failing = json!({"exit": {"code": 7, "stdout": "o", "stderr": "e"}});
    for before in [true, false] {
        let sb = Sandbox::new();
        sb.inject_fault(
            json!({"tool": "kubectl", "contains": ["delete"], "before": before, "do": failing}),
        );
        let run = run_kubectl(&sb, DELETE_KEYS);
        assert_eq!(
            (run.code, run.stdout.as_str(), run.stderr.as_str()),
            (7, "o", "e")
        );
        assert_eq!(has_keys(&sb), before);
        assert_eq!(run_kubectl(&sb, GET_VERSION).code, 0, "another call");
    }
}

#[test]
fn fault_filters_select_calls() {
    let codes = |fault: serde_json::Value| -> Vec<i32> {
        let sb = Sandbox::new();
        sb.inject_fault(fault);
        (0..4).map(|_| run_kubectl(&sb, GET_VERSION).code).collect()
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
fn output_faults_replace_output() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({"tool": "kubectl", "nth": 1, "do": "garbage"}));
    sb.inject_fault(json!({"tool": "kubectl", "nth": 2, "do": "silent"}));
    sb.inject_fault(json!({"tool": "kubectl", "nth": 3, "do": {"flood": {"bytes": 20_000_000}}}));
    sb.inject_fault(
        json!({"tool": "kubectl", "nth": 4, "do": {"flood_stderr": {"bytes": 10_000}}}),
    );
    assert!(run_kubectl(&sb, GET_VERSION).stdout.contains('\u{fffd}'));
    let silent = run_kubectl(&sb, GET_VERSION);
    assert_eq!(
        (silent.code, silent.stdout + &silent.stderr),
        (0, String::new())
    );
    assert_eq!(run_kubectl(&sb, GET_VERSION).stdout.len(), 20_000_000);
    assert_eq!(run_kubectl(&sb, GET_VERSION).stderr.len(), 10_000);
}

#[test]
fn delayed_call_still_succeeds() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({"tool": "kubectl", "do": {"delay": {"ms": 300}}}));
    let start = Instant::now();
    assert!(run_kubectl_ok(&sb, GET_VERSION).starts_with("Client Version: v1.34.5"));
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn hanging_call_ignores_sigterm_until_killed() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({"tool": "kubectl", "before": true, "do": "hang_ignoring_term"}));
    let running = sb.spawn_tool("kubectl", &["version", "--client"]);
    crate::sandbox::wait_until("the tool ignores SIGTERM", || has_sigterm_handler(&sb));
    running.send_signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(100));
    running.send_signal(Signal::KILL);
    assert_eq!(running.wait().code, 128 + 9);
}

/// Returns whether the last call has a handler for SIGTERM (bit 14), by the kernel's list.
fn has_sigterm_handler(sb: &Sandbox) -> bool {
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
fn print_secret_fault_prints_token_in_several_forms() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({"tool": "influxctl", "do": "print_secret"}));
    let run = sb.run_tool("influxctl", &["version"], None);
    let output: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(
        (run.code, output[0].as_bytes().to_vec(), output.len()),
        (1, sb.admin_token(), 6)
    );
    let json: String = serde_json::from_str(output[1]).expect("a string");
    assert_eq!(json.as_bytes(), sb.admin_token());
    assert_eq!(sb.find_leaked_secrets(&[]).len(), 1);
}

#[test]
fn mistyped_fault_is_an_error() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({"tool": "kubectl", "contain": ["x"], "do": "hang"}));
    let run = run_kubectl(&sb, GET_VERSION);
    assert!(
        run.code == 101 && run.stderr.contains("unknown field `contain`"),
        "{}",
        run.stderr
    );
}

const GET_NAMESPACE: &str = "get namespace influxdb --output name";
const VIEWER: &str = "--context sim-viewer --server https://127.0.0.1:26443";
const PROD: &str = "--context acme-prod --server https://prod.k8s.invalid:6443";

fn is_connection_refused(sb: &Sandbox, line: &str) -> bool {
    let run = run_kubectl(sb, line);
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
fn unreachable_fault_affects_one_cluster_temporarily() {
    for before in [true, false] {
        let sb = Sandbox::new();
        sb.inject_fault(json!({
            "tool": "kubectl",
            "nth": 1,
            "before": before,
            "do": {"unreachable": {"ms": 600_000}}
        }));
        assert_eq!(
            is_connection_refused(&sb, GET_NAMESPACE),
            before,
            "the failing call"
        );
        assert!(is_connection_refused(&sb, GET_NAMESPACE));
        assert!(
            is_connection_refused(&sb, &format!("{GET_NAMESPACE} {VIEWER}")),
            "the same cluster"
        );
        assert!(
            !is_connection_refused(&sb, &format!("{GET_NAMESPACE} {PROD}")),
            "another cluster"
        );
    }
    let sb = Sandbox::new();
    let prod_args = json!(["--context", "acme-prod"]);
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": prod_args,
        "nth": 1,
        "do": {"unreachable": {"ms": 300}}
    }));
    let start = Instant::now();
    assert!(!is_connection_refused(
        &sb,
        &format!("{GET_NAMESPACE} {PROD}")
    ));
    assert!(!is_connection_refused(&sb, GET_NAMESPACE));
    crate::sandbox::wait_until("the server answers again", || {
        !is_connection_refused(&sb, &format!("{GET_NAMESPACE} {PROD}"))
    });
    assert!(start.elapsed() >= Duration::from_millis(300));
}
