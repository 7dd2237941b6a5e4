//! Limits of the system, signals and variables that steer the tools.

use crate::crash::{can_trace, run_with_injection};
use crate::sandbox::{RunningCommand, Sandbox, check_in_parallel, extract_error};
use rustix::process::Signal;
use serde_json::json;

const ENABLE_ARGS: &[&str] = &["enable", "-n", "influxdb"];

/// Starts `enable`, which waits while kubectl reads the token.
fn spawn_held_enable(sb: &Sandbox, wrapper: &[&str]) -> RunningCommand {
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["secrets/admin-token"],
        "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn_with_wrapper(wrapper, ENABLE_ARGS);
    sb.wait_for_gate("gate");
    running
}

#[cfg(target_os = "linux")]
#[test]
fn core_dumps_are_disabled() {
    let sb = Sandbox::new();
    let running = spawn_held_enable(&sb, &["/bin/sh", "-c", "exec \"$@\"", "sh"]);
    let limits =
        std::fs::read_to_string(format!("/proc/{}/limits", running.pid())).expect("limits");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.expect("the limit").split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{limits}");
    sb.release_gate("gate");
    assert_eq!(running.wait().code, 0);
}

#[test]
fn missing_thread_does_not_panic() {
    if !can_trace() {
        return;
    }
    let cases = ["1+", "2+", "3+", "5+", "8+", "2", "3", "4", "6", "9"];
    check_in_parallel(cases.into_iter(), |when| {
        let sb = Sandbox::new();
        let inject = format!("clone3,clone:error=EAGAIN:when={when}");
        let run = run_with_injection(
            &sb,
            &["-f", "-e", "trace=clone3,clone"],
            &inject,
            ENABLE_ARGS,
        );
        assert!(
            ![101, 134].contains(&run.code) && !run.stderr.contains("panicked"),
            "{when}: {} {}",
            run.code,
            run.stderr
        );
        if sb.log_path().exists() {
            assert_eq!(sb.list_unfinished_steps(), Vec::<String>::new(), "{when}");
        }
    });
}

/// `nohup` ignores the signal, and so do the programs that it starts.
#[cfg(target_os = "linux")]
#[test]
fn hangup_is_ignored_under_nohup() {
    for (command, code) in [("exec \"$@\"", 143), ("trap '' HUP; exec \"$@\"", 0)] {
        let sb = Sandbox::new();
        let running = spawn_held_enable(&sb, &["/bin/sh", "-c", command, "sh"]);
        running.send_signal(Signal::HUP);
        std::thread::sleep(std::time::Duration::from_millis(200));
        sb.release_gate("gate");
        assert_eq!(running.wait().code, code, "{command}");
    }
}

#[test]
fn failing_webhook_is_not_an_unreachable_server() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["secrets/admin-token"],
        "do": {"exit": {
            "code": 1,
            "stderr": "Error from server (InternalError): Internal error occurred: failed calling \
                       webhook \"pods.example\": failed to call webhook: Post \
                       \"https://hook.example:443/\": dial tcp 10.0.0.1:443: connect: connection \
                       refused\n"
        }}
    }));
    let run = sb.run(ENABLE_ARGS);
    assert_eq!(run.code, 1);
    insta::assert_snapshot!(extract_error(&run), @r#"
    error: cannot read secret `admin-token`: Error from server (InternalError): Internal error occurred: failed calling webhook "pods.example": failed to call webhook: Post "https://hook.example:443/": dial tcp 10.0.0.1:443: connect: connection refused
    hint: make the webhook work, or have it removed: `kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations` lists them
    audit head [UID] 15:[SHA256]
    "#);
}

#[test]
fn stderr_of_token_read_is_withheld_with_godebug() {
    let mut sb = Sandbox::new();
    sb.set_env("KUBECTL_SITE_PASSWORD", "not-for-the-log");
    let result = |sb: &Sandbox| {
        assert_eq!(sb.run(ENABLE_ARGS).code, 0);
        let intents = sb.read_entries_by_type("intent");
        let intent = intents
            .into_iter()
            .rfind(|intent| intent["step"] == "get-token");
        let intent = intent.expect("an intent");
        let results = sb.read_entries_by_type("result");
        let result = results
            .into_iter()
            .find(|result| result["intent"] == intent["seq"]);
        (
            intent["env"].clone(),
            result.expect("a result")["stderr"].clone(),
        )
    };
    let (env, stderr) = result(&sb);
    assert_eq!(stderr["bytes"], 0);
    assert_eq!(env["KUBECTL_SITE_PASSWORD"], "[withheld]");
    sb.set_env("GODEBUG", "http2debug=2");
    let (env, stderr) = result(&sb);
    assert_eq!(stderr, json!({"withheld": "secret"}));
    assert_eq!(env["GODEBUG"], "http2debug=2");
    assert!(!String::from_utf8_lossy(&sb.read_log()).contains("not-for-the-log"));
}
