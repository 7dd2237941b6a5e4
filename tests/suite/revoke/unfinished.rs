//! What other commands report while a revocation has not finished.

use super::{COMMAND_POINTS, create_enabled_sandbox, run_with_exit_code};
use crate::crash::kill_orphans;
use crate::sandbox::{RunningCommand, Sandbox};
use rustix::process::Signal;
use serde_json::json;

const ROTATE_ARGS: &[&str] = &[
    "rotate",
    "--confirm",
    "sim-dev/influxdb",
    "--reason",
    "CHG 14",
    "-n",
    "influxdb",
];

/// The command that resumes `ROTATE_ARGS`.
const RESUME_COMMAND: &str = "bypassctl rotate -n influxdb --reason 'CHG 14'";

/// Starts a revocation that waits in this command.
fn spawn_held(sb: &Sandbox, args: &[&str], point: &str) -> RunningCommand {
    let point = COMMAND_POINTS
        .iter()
        .find(|candidate| candidate.name == point)
        .expect("a point");
    sb.inject_fault(
        json!({"tool": point.tool, "contains": point.contains, "lacks": point.lacks,
        "nth": point.nth, "before": true, "do": {"wait_for_file": {"path": "gate"}}}),
    );
    let running = sb.spawn(args);
    sb.wait_for_gate("gate");
    running
}

/// Kills a rotation that has deleted both secrets.
fn create_unfinished_rotation() -> Sandbox {
    let sb = create_enabled_sandbox();
    let running = spawn_held(&sb, ROTATE_ARGS, "create key-gen");
    running.send_signal(Signal::KILL);
    assert_eq!(running.wait().code, 128 + 9);
    kill_orphans(&sb);
    sb.clear_faults();
    sb
}

/// Returns the beginning of the run's description.
fn describe_first_rotation(sb: &Sandbox) -> String {
    let begins = sb.read_entries_by_type("run.begin");
    let begin = begins.iter().find(|begin| begin["command"] == "rotate");
    let run = begin.expect("a rotation")["run"].as_str().expect("a run");
    format!("run {} (`rotate`, CHG 14) ", &run[..8])
}

#[test]
fn status_enable_and_doctor_name_command_that_resumes() {
    let sb = create_unfinished_rotation();
    let expected = describe_first_rotation(&sb) + "stopped at step `rerun-key-gen`";
    for (code, args) in [
        (1, &["status", "-n", "influxdb"] as &[_]),
        (1, &["doctor", "-n", "influxdb"]),
        (1, &["enable", "-n", "influxdb"]),
    ] {
        let run = run_with_exit_code(&sb, code, args);
        let output = run.stdout + &run.stderr;
        assert!(output.contains(&expected), "{output}");
        assert!(
            output.contains(&format!("hint: resume it: `{RESUME_COMMAND}`")),
            "{output}"
        );
        assert!(!output.contains("`bypassctl revoke`"), "{output}");
        if args[0] == "status" {
            assert!(!output.contains("`bypassctl enable`"), "{output}");
        }
    }
    // Another namespace has no unfinished revocation.
    let other = sb.run(&["status", "-n", "other"]);
    assert!(!other.stdout.contains("revocation"), "{}", other.stdout);
    run_with_exit_code(&sb, 0, ROTATE_ARGS);
    let run = run_with_exit_code(&sb, 0, &["status", "-n", "influxdb"]);
    assert!(!run.stdout.contains("revocation"), "{}", run.stdout);
}

#[test]
fn status_reports_interrupted_rotation() {
    let sb = create_enabled_sandbox();
    let running = spawn_held(&sb, ROTATE_ARGS, "delete keys");
    running.send_signal(Signal::INT);
    sb.release_gate("gate");
    assert_eq!(running.wait().code, 8);
    let run = sb.run(&["status", "-n", "influxdb"]);
    let expected = describe_first_rotation(&sb) + "stopped at step `delete-rsa-keys`";
    assert!(run.stdout.contains(&expected), "{}", run.stdout);
}

#[test]
fn status_starts_with_the_running_rotation() {
    let sb = create_enabled_sandbox();
    let running = spawn_held(&sb, ROTATE_ARGS, "delete keys");
    let run = sb.run(&["status", "-n", "influxdb"]);
    let mut lines = run.stdout.lines();
    let first = lines.next().expect("a line");
    assert!(
        first.starts_with(&format!(
            "warning   revocation: {}",
            describe_first_rotation(&sb)
        )) && first.ends_with(&format!("(process {}) is working", running.pid())),
        "{}",
        run.stdout
    );
    assert!(
        lines
            .next()
            .is_some_and(|hint| hint.ends_with("hint: wait until it ends")),
        "{}",
        run.stdout
    );
    sb.release_gate("gate");
    assert_eq!(running.wait().code, 0);
}

