//! Every fault in every step of a rotation, and the rerun of the same command.
//!
//! The rerun happens on the same host, or on another one without the audit log.

use super::{
    COMMAND_POINTS, CommandPoint, create_enabled_sandbox, get_secret_uid, is_token_accepted,
};
use crate::crash::kill_orphans;
use crate::enable::TOKEN_FILE;
use crate::sandbox::{CommandOutput, Sandbox, check_in_parallel, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

const ROTATE_ARGS: &[&str] = &[
    "rotate",
    "-n",
    "influxdb",
    "--confirm",
    "sim-dev/influxdb",
    "--wait-timeout",
    "5s",
    "--timeout",
    "5s",
    "--grace-period",
    "2s",
];

/// The state before a disturbed run.
struct InitialState {
    token: Vec<u8>,
    keys: Option<String>,
}

impl InitialState {
    fn capture(sb: &Sandbox) -> Self {
        Self {
            token: sb.admin_token(),
            keys: get_secret_uid(sb, "rsa-keys"),
        }
    }
}

/// Reruns the command, on this host or another: it converges and repeats no satisfied step. A
/// completed run leaves nothing to resume.
fn assert_rerun_converges(
    sb: &Sandbox,
    before: &InitialState,
    ended: bool,
    same_host: bool,
    what: &str,
) {
    kill_orphans(sb);
    sb.clear_faults();
    sb.edit_cluster(|cluster| cluster["unreachable_until_ms"] = Value::Null);
    if !same_host {
        // An earlier rerun would wait for the running job. This one starts after it has finished.
        let settled = |job: &Value| job["phase"] == "complete" || job["phase"] == "failed";
        wait_until("no job is running", || {
            sb.refresh_cluster()["jobs"]
                .as_object()
                .expect("jobs")
                .values()
                .all(settled)
        });
    }
    let (keys, token) = (
        get_secret_uid(sb, "rsa-keys"),
        get_secret_uid(sb, "admin-token"),
    );
    let unfinished = sb.list_unfinished_steps();
    let elsewhere = sb.path("elsewhere.jsonl").display().to_string();
    let more: &[&str] = if same_host {
        &[]
    } else {
        &["--audit-log", &elsewhere]
    };
    let again = sb.run(&[ROTATE_ARGS, more].concat());
    // Another host has neither the audit log nor a copy of the old token. So its rejection, which
    // can have begun before, verifies nothing there.
    assert!(
        again.code == 0 || (again.code == 10 && !same_host),
        "{what}: {}{}",
        again.stdout,
        again.stderr
    );
    assert!(
        !is_token_accepted(sb, &before.token),
        "{what}: the old token is accepted"
    );
    let new = sb.admin_token();
    assert!(
        is_token_accepted(sb, &new) && sb.read(TOKEN_FILE).into_bytes() == new,
        "{what}"
    );
    let keys_are_new = keys.is_some() && keys != before.keys;
    let in_order = keys_are_new && token.is_some();
    if keys_are_new && !ended && (same_host || !in_order) {
        assert_eq!(
            get_secret_uid(sb, "rsa-keys"),
            keys,
            "{what}: new keys are not deleted a second time"
        );
        assert!(
            !in_order || get_secret_uid(sb, "admin-token") == token,
            "{what}: a new token is not deleted a second time"
        );
    }
    // Either this run or a refused one in between reports an interruption, and only once.
    let named = sb
        .read_entries_by_type("run.begin")
        .iter()
        .map(|begin| begin["unfinished"].to_string())
        .collect::<String>();
    for step in unfinished.iter().filter(|_| same_host) {
        assert!(
            named.contains(&format!("\"step\":\"{step}\"")),
            "{what}, {step}: {}",
            again.stderr
        );
    }
    let verified = sb.assert_log_intact();
    assert_eq!(
        verified.stdout.matches("has no result").count(),
        unfinished.len(),
        "{what}: {}",
        verified.stdout
    );
}

fn build_fault(point: &CommandPoint, more: &Value) -> Value {
    let mut fault = json!({
        "tool": point.tool,
        "contains": point.contains,
        "lacks": point.lacks,
        "nth": point.nth
    });
    for (name, value) in more.as_object().expect("fields") {
        fault[name] = value.clone();
    }
    fault
}

/// Disturbs a rotation at each point and resumes it. Hosts alternate, the first point tests both.
fn assert_recovers_from_fault(
    points: &[CommandPoint],
    how: &Value,
    ends: impl Fn(&CommandOutput) -> bool + Sync,
) {
    let turns = points.iter().zip([true, false].into_iter().cycle());
    let cases = turns.chain(points.first().map(|first| (first, false)));
    check_in_parallel(cases, |(point, same_host)| {
        let what = format!("{}, {how}, same host {same_host}", point.name);
        let sb = create_enabled_sandbox();
        let before = InitialState::capture(&sb);
        sb.inject_fault(build_fault(point, how));
        let run = sb.run(ROTATE_ARGS);
        assert!(
            ends(&run),
            "{what}: {} {}{}",
            run.code,
            run.stdout,
            run.stderr
        );
        assert_rerun_converges(
            &sb,
            &before,
            [0, 10, 11].contains(&run.code),
            same_host,
            &what,
        );
    });
}

#[test]
fn rotate_killed_before_each_command_resumes() {
    assert_recovers_from_fault(
        COMMAND_POINTS,
        &json!({"before": true, "do": "kill_parent"}),
        |run| run.code == 128 + 9,
    );
}

#[test]
fn rotate_killed_before_each_result_is_logged_resumes() {
    let ending: Vec<CommandPoint> = COMMAND_POINTS
        .iter()
        .filter(|point| !point.is_watch)
        .cloned()
        .collect();
    assert_recovers_from_fault(
        &ending,
        &json!({"before": false, "do": "kill_parent"}),
        |run| run.code == 128 + 9,
    );
}

/// Kills a run during a command. The orphaned command completes.
#[test]
fn rotate_killed_during_each_command_resumes() {
    check_in_parallel(COMMAND_POINTS.iter().enumerate(), |(number, point)| {
        let what = format!("{}, killed during", point.name);
        let sb = create_enabled_sandbox();
        let before = InitialState::capture(&sb);
        sb.inject_fault(build_fault(
            point,
            &json!({"before": true, "do": {"wait_for_file": {"path": "gate"}}}),
        ));
        let running = sb.spawn(ROTATE_ARGS);
        sb.wait_for_gate("gate");
        running.send_signal(Signal::KILL);
        assert_eq!(running.wait().code, 128 + 9);
        // The orphan keeps the lock of the namespace, unless it only watches.
        if !point.is_watch {
            let meanwhile = sb.run(ROTATE_ARGS);
            assert!(
                meanwhile.code == 4 && meanwhile.stderr.contains("another run is working"),
                "{what}: {}",
                meanwhile.stderr
            );
            sb.release_gate("gate");
            crate::crash::wait_for_orphans(&sb);
        }
        sb.release_gate("gate");
        assert_rerun_converges(&sb, &before, false, number % 2 == 0, &what);
    });
}

#[test]
fn rotate_resumes_after_each_command_fails() {
    let failing = json!({
        "exit": {
            "code": 1,
            "stderr": "Error from server (InternalError): an error on the server\n"
        }
    });
    let stops = |run: &CommandOutput| run.code != 128 + 9;
    assert_recovers_from_fault(
        COMMAND_POINTS,
        &json!({"before": true, "do": failing}),
        stops,
    );
}

#[test]
fn rotate_resumes_after_each_command_prints_garbage() {
    assert_recovers_from_fault(
        COMMAND_POINTS,
        &json!({"before": false, "do": "garbage"}),
        |run| run.code != 128 + 9,
    );
}

#[test]
fn rotate_resumes_after_each_changing_command_hangs() {
    let some: Vec<CommandPoint> = COMMAND_POINTS
        .iter()
        .filter(|point| point.is_change)
        .cloned()
        .collect();
    assert_recovers_from_fault(&some, &json!({"before": true, "do": "hang"}), |run| {
        run.code == 8
    });
}

#[test]
fn rotate_recovers_from_network_outage_at_each_command() {
    assert_recovers_from_fault(
        COMMAND_POINTS,
        &json!({"before": true, "do": {"unreachable": {"ms": 700}}}),
        |run| [0, 5, 8, 10].contains(&run.code),
    );
}
