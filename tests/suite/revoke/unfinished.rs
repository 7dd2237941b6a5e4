//! What other commands report while a revocation has not finished.

use super::{
    COMMAND_POINTS, assert_revoked, create_enabled_sandbox, create_fast_sandbox,
    list_cluster_changes, run_with_exit_code,
};
use crate::crash::kill_orphans;
use crate::enable::{CONFIG_FILE, TOKEN_FILE};
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
    kill_rotation(&sb);
    sb
}

fn kill_rotation(sb: &Sandbox) {
    let running = spawn_held(sb, ROTATE_ARGS, "create key-gen");
    running.send_signal(Signal::KILL);
    assert_eq!(running.wait().code, 128 + 9);
    kill_orphans(sb);
    sb.clear_faults();
}

/// Returns the beginning of the run's description.
fn describe_first_rotation(sb: &Sandbox) -> String {
    let begins = sb.read_entries_by_type("run.begin");
    let begin = begins.iter().find(|begin| begin["command"] == "rotate");
    let run = begin.expect("a rotation")["run"].as_str().expect("a run");
    format!("run {} (`rotate`, CHG 14) ", &run[..8])
}

#[test]
fn disable_keeps_token_that_unfinished_rotation_needs() {
    let sb = create_unfinished_rotation();
    let before = (sb.read(TOKEN_FILE), sb.read(CONFIG_FILE));
    let expected = describe_first_rotation(&sb) + "stopped at step `rerun-key-gen`";
    for args in [&["disable"] as &[_], &["disable", "--dry-run"]] {
        let run = run_with_exit_code(&sb, 4, args);
        for part in [
            "error: a revocation that has not finished needs the token file",
            &expected,
            &format!("resume it: `{RESUME_COMMAND}`"),
            "--old-token-file",
        ] {
            assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
        }
        assert_eq!((sb.read(TOKEN_FILE), sb.read(CONFIG_FILE)), before);
    }
}

#[test]
fn revocation_that_resumes_a_rotation_names_the_rotation() {
    let sb = create_unfinished_rotation();
    let run = run_with_exit_code(&sb, 0, &["revoke", "-n", "influxdb", "--dry-run"]);
    for part in [
        &format!(
            "{}stopped at step `rerun-key-gen`",
            describe_first_rotation(&sb)
        ),
        &format!(
            "this run resumes it without its profiles. To update them, too, resume it: `{RESUME_COMMAND}`"
        ),
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
}

/// More than the last megabytes of a log, which a busy host writes in a day.
const MANY_BYTES: usize = 5 << 20;

#[test]
fn unfinished_rotation_is_found_behind_megabytes_of_entries() {
    let sb = create_unfinished_rotation();
    let old = sb.read(TOKEN_FILE).into_bytes();
    sb.append_long_run(MANY_BYTES);
    sb.assert_log_intact();
    let run = run_with_exit_code(&sb, 4, &["disable"]);
    assert!(run.stderr.contains(RESUME_COMMAND), "{}", run.stderr);
    let run = run_with_exit_code(&sb, 4, &["audit", "rotate-log"]);
    assert!(run.stderr.contains("has not finished"), "{}", run.stderr);
    sb.clear_calls();
    // The copy of the old token alone does not show that the server accepted the token before.
    run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert!(!list_cluster_changes(&sb).contains("delete secrets/rsa-keys"));
    assert_revoked(&sb, &old, "resumed");
}

/// Adds profile `other` to the configuration.
fn add_other_profile(sb: &Sandbox) {
    let other = sb.read(CONFIG_FILE).replace("\"default\"", "\"other\"");
    sb.write(CONFIG_FILE, sb.read(CONFIG_FILE) + &other);
}

#[test]
fn disable_of_other_profile_succeeds_during_unfinished_rotation() {
    let sb = create_fast_sandbox();
    add_other_profile(&sb);
    for profile in ["default", "other"] {
        let args = ["enable", "-n", "influxdb", "--profile", profile];
        assert_eq!(sb.run(&args).code, 0);
    }
    kill_rotation(&sb);
    assert_eq!(sb.run(&["disable"]).code, 4);
    assert_eq!(sb.run(&["disable", "--profile", "other"]).code, 0);
}

#[test]
fn disable_succeeds_during_unfinished_rotation_of_other_namespace() {
    let sb = create_unfinished_rotation();
    let text = String::from_utf8(sb.read_log()).expect("ASCII");
    let begin = text.find("\"command\":\"rotate\"").expect("a rotation");
    let (before, rotation) = text.split_at(begin);
    let rotation = rotation.replace(r#""namespace":"influxdb""#, r#""namespace":"influxdc""#);
    sb.write(sb.log_path(), before.to_owned() + &rotation);
    run_with_exit_code(&sb, 0, &["disable"]);
}

#[test]
fn disable_succeeds_after_rotation_is_resumed() {
    let sb = create_unfinished_rotation();
    let old = sb.read(TOKEN_FILE).into_bytes();
    run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert_revoked(&sb, &old, "resumed");
    run_with_exit_code(&sb, 0, &["disable"]);
}

#[test]
fn moved_token_file_allows_disable_and_verifies_resumed_rotation() {
    let sb = create_unfinished_rotation();
    let old = sb.read(TOKEN_FILE).into_bytes();
    std::fs::rename(sb.path(TOKEN_FILE), sb.path("home/old.json")).expect("sandbox");
    run_with_exit_code(&sb, 0, &["disable"]);
    let file = sb.path("home/old.json").display().to_string();
    run_with_exit_code(
        &sb,
        0,
        &[ROTATE_ARGS, &["--old-token-file", &file]].concat(),
    );
    assert_revoked(&sb, &old, "resumed");
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
        assert!(!output.contains("`bypassctl revoke` to create"), "{output}");
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
fn status_names_the_running_rotation_before_the_cluster() {
    let sb = create_enabled_sandbox();
    let running = spawn_held(&sb, ROTATE_ARGS, "delete keys");
    let run = sb.run(&["status", "-n", "influxdb"]);
    let mut checks = run
        .stdout
        .lines()
        .skip_while(|line| line.starts_with("ok "));
    let (first, hint) = (checks.next(), checks.next());
    let first = first.expect("a line");
    assert!(
        first.starts_with(&format!(
            "warning   revocation: {}",
            describe_first_rotation(&sb)
        )) && first.ends_with(&format!("(process {}) is working", running.pid())),
        "{}",
        run.stdout
    );
    assert!(
        hint.is_some_and(|hint| hint.ends_with("hint: wait until it ends"))
            && checks.any(|line| line.contains(" context: ")),
        "{}",
        run.stdout
    );
    sb.release_gate("gate");
    assert_eq!(running.wait().code, 0);
}

#[test]
fn disable_waits_for_the_running_revocation() {
    let sb = create_enabled_sandbox();
    let running = spawn_held(&sb, super::REVOKE_ARGS, "delete keys");
    let run = run_with_exit_code(&sb, 4, &["disable"]);
    assert!(
        run.stderr
            .contains(") is working\nhint: wait until it ends\n"),
        "{}",
        run.stderr
    );
    sb.release_gate("gate");
    assert_eq!(running.wait().code, 0);
    run_with_exit_code(&sb, 0, &["disable"]);
}
