//! Ctrl-C, SIGTERM and a closed terminal at every point of a rotation.

use super::{
    COMMAND_POINTS, CommandPoint, assert_revoked, create_enabled_sandbox, extract_error,
    get_secret_uid, is_token_accepted, run_revoke,
};
use crate::sandbox::{CommandOutput, RunningCommand, Sandbox, check_in_parallel, wrap_lines};
use rustix::process::Signal;
use serde_json::json;
use std::sync::Mutex;

fn spawn_held_revoke(sb: &Sandbox, point: &CommandPoint) -> RunningCommand {
    spawn_held(sb, point, super::REVOKE_ARGS, "gate")
}

/// Starts a command, which this gate holds at this point.
fn spawn_held(sb: &Sandbox, point: &CommandPoint, args: &[&str], gate: &str) -> RunningCommand {
    sb.inject_fault(json!({
        "tool": point.tool,
        "contains": point.contains,
        "lacks": point.lacks,
        "nth": point.nth,
        "before": true,
        "do": {"wait_for_file": {"path": gate}}
    }));
    let running = sb.spawn(args);
    sb.wait_for_gate(gate);
    running
}

fn find_point(name: &str) -> &'static CommandPoint {
    COMMAND_POINTS
        .iter()
        .find(|point| point.name == name)
        .expect("a point")
}

/// Asserts an orderly end: every intent has a result.
fn assert_clean_interrupt(sb: &Sandbox, run: &CommandOutput, code: i32, what: &str) {
    assert_eq!(run.code, code, "{what}: {}", run.stderr);
    assert_eq!(sb.list_unfinished_steps(), Vec::<String>::new(), "{what}");
    let end = sb.read_entries_by_type("run.end").pop().expect("an end");
    assert_eq!(
        (&end["exit_code"], &end["command"]),
        (&json!(code), &json!("revoke")),
        "{what}"
    );
}

#[test]
fn interrupt_before_first_change_changes_nothing() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        let sb = create_enabled_sandbox();
        let before = super::list_object_uids(&sb);
        let running = spawn_held_revoke(&sb, find_point("dry run"));
        running.send_signal(signal);
        let run = running.wait();
        assert_clean_interrupt(&sb, &run, code, "before");
        assert!(
            run.stderr.contains(" before the first change\nhint: "),
            "{}",
            run.stderr
        );
        assert_eq!(super::list_object_uids(&sb), before);
    }
}

/// The earlier run made changes, so this one names none as the first.
#[test]
fn interrupt_of_resumed_run_says_how_to_resume() {
    let sb = create_enabled_sandbox();
    // The job never completes.
    sb.edit_cluster(|cluster| cluster["job_seconds"] = json!(600));
    for gate in ["first", "second"] {
        let point = find_point("watch key-gen");
        let running = spawn_held(&sb, point, super::REVOKE_ARGS, gate);
        running.send_signal(Signal::INT);
        let run = running.wait();
        sb.clear_faults();
        assert_eq!(run.code, 8, "{}", run.stderr);
        assert!(
            run.stderr.contains(
                "error: interrupted by Ctrl-C\nhint: a change was made before this error. Run the \
                 same command again to resume. Steps done: "
            ),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn interrupt_after_start_over_names_the_command_that_resumes() {
    let sb = create_enabled_sandbox();
    let args = [super::REVOKE_ARGS, &["--start-over"]].concat();
    let running = spawn_held(&sb, find_point("watch key-gen"), &args, "gate");
    running.send_signal(Signal::INT);
    let run = running.wait();
    assert_eq!(run.code, 8, "{}", run.stderr);
    assert!(
        run.stderr
            .contains("Run the same command without `--start-over` to resume")
            && !run.stderr.contains("again"),
        "{}",
        run.stderr
    );
}

#[test]
fn interrupt_during_each_wait_can_be_resumed() {
    let names = ["watch key-gen", "watch pods", "watch create-admin-token"];
    let cases = names
        .into_iter()
        .flat_map(|name| [(name, Signal::INT), (name, Signal::TERM)]);
    let error = Mutex::new(String::new());
    check_in_parallel(cases, |(name, signal)| {
        let sb = create_enabled_sandbox();
        let old = sb.admin_token();
        let running = spawn_held_revoke(&sb, find_point(name));
        running.send_signal(signal);
        let run = running.wait();
        assert_clean_interrupt(&sb, &run, 8, name);
        assert_eq!(
            run.stderr.matches("un the same command again").count(),
            1,
            "{}",
            run.stderr
        );
        if name == "watch pods" && signal == Signal::INT {
            *error.lock().expect("no case fails here") = extract_error(&run);
        }
        sb.clear_faults();
        let keys = get_secret_uid(&sb, "rsa-keys");
        let again = sb.run(super::REVOKE_ARGS);
        assert_eq!(again.code, 0, "{name}: {}", again.stderr);
        assert!(
            keys.is_none() || get_secret_uid(&sb, "rsa-keys") == keys,
            "{name}"
        );
        assert!(!is_token_accepted(&sb, &old), "{name}");
    });
    let error = error.into_inner().expect("no case fails there");
    insta::assert_snapshot!(wrap_lines(error), @"
    error: interrupted by Ctrl-C
    hint: a change was made before this error. Run the same command again to resume. Steps done:
        delete-rsa-keys, delete-admin-token, rerun-key-gen, verify-rsa-keys; started: restart-pods;
        pending: rerun-create-admin-token, verify-rejection, verify-admin-token, get-token,
        verify-revocation, count-tokens
    ");
}

/// The orphaned watch of a killed run may continue as long as the server allows.
#[test]
fn orphaned_watch_does_not_block_next_run() {
    for name in ["watch key-gen", "watch pods"] {
        let sb = create_enabled_sandbox();
        let running = spawn_held_revoke(&sb, find_point(name));
        running.send_signal(Signal::KILL);
        assert_eq!(running.wait().code, 128 + 9);
        sb.clear_faults();
        let again = sb.run(super::REVOKE_ARGS);
        assert_eq!(again.code, 0, "{name}: {}", again.stderr);
        sb.release_gate("gate");
        crate::crash::kill_orphans(&sb);
    }
}

#[test]
fn interrupt_lets_changing_command_finish() {
    let cases = [
        ("delete keys", Signal::HUP),
        ("delete token", Signal::TERM),
        ("create key-gen", Signal::INT),
        ("delete pods", Signal::HUP),
    ];
    check_in_parallel(cases.into_iter(), |(name, signal)| {
        let sb = create_enabled_sandbox();
        let old = sb.admin_token();
        let running = spawn_held_revoke(&sb, find_point(name));
        running.send_signal(signal);
        sb.release_gate("gate");
        let run = running.wait();
        assert_clean_interrupt(&sb, &run, 8, name);
        assert!(
            run.stderr.contains("un the same command again to resume"),
            "{}",
            run.stderr
        );
        // The signal can arrive as late as in the next command, which only reads.
        let results = sb.read_entries_by_type("result");
        let interrupted = results
            .iter()
            .filter(|result| result["error"] == "interrupted");
        let intents: Vec<_> = interrupted.map(|result| &result["intent"]).collect();
        for entry in sb.read_entries_by_type("intent") {
            let command = entry["argv"].to_string();
            let changes = command.contains("\"delete\"") || command.contains("\"create\"");
            assert!(
                !changes || !intents.contains(&&entry["seq"]),
                "{name}: {command}"
            );
        }
        sb.clear_faults();
        let again = sb.run(super::REVOKE_ARGS);
        assert_eq!(again.code, 0, "{name}: {}", again.stderr);
        assert_revoked(&sb, &old, name);
    });
}

#[test]
fn second_interrupt_kills_running_command() {
    let sb = create_enabled_sandbox();
    let running = spawn_held_revoke(&sb, find_point("delete keys"));
    running.send_signal(Signal::INT);
    // The handler has seen the first signal before the second one is sent. Pending signals of the
    // same kind would merge.
    std::thread::sleep(std::time::Duration::from_millis(200));
    running.send_signal(Signal::INT);
    let run = running.wait();
    assert_clean_interrupt(&sb, &run, 8, "twice");
    assert!(
        sb.read_entries_by_type("result")
            .iter()
            .any(|result| result["error"] == "interrupted")
    );
    sb.clear_faults();
    run_revoke(&sb, 0, &[]);
}
