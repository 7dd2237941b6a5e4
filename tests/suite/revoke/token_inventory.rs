//! The count of the tokens that a revocation does not revoke.

use super::{
    REVOKE_ARGS, assert_revoked, create_enabled_sandbox, create_fast_sandbox, run_revoke,
    run_with_exit_code,
};
use crate::sandbox::{Call, CommandOutput, Sandbox, check_in_parallel};
use serde_json::{Value, json};

const ROTATE_ARGS: &[&str] = &["rotate", "-n", "influxdb", "--confirm", "sim-dev/influxdb"];
const COUNTS: &str = "\nother tokens, not revoked: 2 management tokens and 3 database tokens\n";
const NOTE: &str = "\nthe other tokens could not be counted: ";

/// Returns the calls of influxctl that list other tokens: `token` or `management`.
fn list_inventory_calls(sb: &Sandbox) -> Vec<String> {
    let to_subject = |call: &Call| {
        let words = call.argv.iter();
        words
            .filter(|word| *word == "token" || *word == "management")
            .cloned()
            .collect::<String>()
    };
    let calls = sb.calls().into_iter();
    calls
        .filter(|call| call.tool == "influxctl")
        .map(|call| to_subject(&call))
        .filter(|subject| !subject.is_empty())
        .collect()
}

fn read_counts(run: &CommandOutput) -> [Value; 2] {
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let object = report.as_object().expect("an object");
    ["management_tokens", "database_tokens"].map(|key| object[key].clone())
}

/// Runs a rotation whose list of tokens fails. Returns the line of the note.
fn run_with_failing_list(sb: &Sandbox, subject: &str, action: Value) -> String {
    sb.inject_fault(json!({
        "tool": "influxctl",
        "contains": [subject],
        "before": true,
        "do": action
    }));
    let run = run_with_exit_code(sb, 0, &[ROTATE_ARGS, &["--timeout", "10s"]].concat());
    let at = run.stdout.find(NOTE).expect("a note");
    let note = run.stdout[at + 1..].lines().next().expect("a line");
    note.to_owned()
}

#[test]
fn rotate_and_revoke_count_valid_tokens() {
    for args in [ROTATE_ARGS, REVOKE_ARGS] {
        let sb = create_enabled_sandbox();
        let run = run_with_exit_code(&sb, 0, args);
        assert!(run.stdout.contains(COUNTS), "{}", run.stdout);
        assert_eq!(list_inventory_calls(&sb), ["token", "management"]);
        // The log records both commands and withholds their output.
        let intents = sb.read_entries_by_type("intent");
        let is_list = |intent: &&Value| intent["step"] == "count-tokens";
        let lists: Vec<&Value> = intents.iter().filter(is_list).collect();
        assert_eq!(lists.len(), 2, "{args:?}");
        let verified = sb.read_entries_by_type("verification").pop();
        let verified = verified.expect("a verification");
        for list in lists {
            assert!(verified["seq"].as_u64() < list["seq"].as_u64());
            let results = sb.read_entries_by_type("result");
            let result = results
                .iter()
                .find(|result| result["intent"] == list["seq"] && result["run"] == list["run"]);
            let result = result.expect("a result");
            assert_eq!(result["stdout"], json!({"withheld": "secret"}));
            // They are no token probes.
            assert_eq!((list.get("probe"), result.get("verdict")), (None, None));
        }
        let log = String::from_utf8(sb.read_log()).expect("text");
        let ids = ["Client1 token", "00010000-", "10010000-", "read/write"];
        for text in ids {
            assert!(!run.stdout.contains(text) && !log.contains(text), "{text}");
        }
        sb.assert_log_intact();
    }
}

#[test]
fn report_has_both_counts() {
    let sb = create_enabled_sandbox();
    let run = run_revoke(&sb, 0, &["-o", "json"]);
    assert_eq!(read_counts(&run), [json!(2), json!(3)]);
    sb.edit_cluster(|cluster| {
        cluster["management_tokens"] = json!([]);
        let first = cluster["database_tokens"][0].take();
        cluster["database_tokens"] = json!([first]);
    });
    let run = run_revoke(&sb, 0, &[]);
    assert!(
        run.stdout
            .contains("\nother tokens, not revoked: 0 management tokens and 1 database token\n"),
        "{}",
        run.stdout
    );
}

#[test]
fn influxctl_without_management_tokens_leaves_a_note() {
    let sb = create_enabled_sandbox();
    sb.set_influxctl_version("2.5.0");
    let run = run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert!(
        run.stdout.contains("\nrevoked and verified\n")
            && run
                .stdout
                .contains("\nother tokens, not revoked: 3 database tokens\n")
            && run
                .stdout
                .contains(&format!("{NOTE}No help topic for 'management'\n")),
        "{}",
        run.stdout
    );
    assert_eq!(run.stderr.matches("could not be counted").count(), 0);
    let run = run_with_exit_code(&sb, 0, &[ROTATE_ARGS, &["-o", "json"]].concat());
    assert_eq!(read_counts(&run), [Value::Null, json!(3)]);
}

#[test]
fn failing_list_is_a_note_and_stops_the_count() {
    let cases = [
        (
            json!({"exit": {"code": 1, "stderr": "error\trpc error: code = Unimplemented\n"}}),
            "rpc error: code = Unimplemented",
        ),
        (
            json!({"exit": {"code": 0, "stdout": "no JSON\n"}}),
            "influxctl exited with 0 but printed no list of tokens",
        ),
        (
            json!("garbage"),
            "influxctl exited with 0 but printed no list of tokens",
        ),
        (
            json!("hang"),
            "influxctl timed out after 10 s and was killed",
        ),
    ];
    check_in_parallel(cases.into_iter(), |(action, reason)| {
        let sb = create_enabled_sandbox();
        let note = run_with_failing_list(&sb, "token", action);
        assert!(note.contains(reason), "{note}");
        assert_eq!(list_inventory_calls(&sb), ["token"]);
        let status = sb.run(&["status", "-n", "influxdb"]);
        assert_eq!(status.code, 0, "{}", status.stdout);
        let end = sb.read_entries_by_type("run.end");
        assert!(end.iter().all(|end| end["outcome"] == "done"));
    });
}

#[test]
fn nothing_is_counted_without_a_new_token() {
    let sb = create_enabled_sandbox();
    let run = run_revoke(&sb, 0, &["--no-new-token", "-o", "json"]);
    assert_eq!(read_counts(&run), [Value::Null, Value::Null]);
    assert_eq!(list_inventory_calls(&sb), [""; 0]);
    // A run without a probe of tokens never has the token in influxctl's hands.
    let sb = create_fast_sandbox();
    std::fs::remove_file(sb.config_path()).expect("the configuration");
    let run = run_revoke(&sb, 10, &[]);
    assert!(!run.stdout.contains("other tokens"), "{}", run.stdout);
    assert_eq!(list_inventory_calls(&sb), [""; 0]);
}

#[test]
fn interrupted_count_leaves_revocation_verified() {
    let sb = create_enabled_sandbox();
    sb.inject_fault(json!({
        "tool": "influxctl",
        "contains": ["management"],
        "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn(ROTATE_ARGS);
    sb.wait_for_gate("gate");
    running.send_signal(rustix::process::Signal::INT);
    let run = running.wait();
    sb.release_gate("gate");
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stdout.contains("\nrevoked and verified\n") && run.stdout.contains(NOTE),
        "{}",
        run.stdout
    );
    // The run is complete, so the next one revokes the token that was issued since.
    let old = sb.admin_token();
    sb.clear_faults();
    run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert_revoked(&sb, &old, "rotate");
}

#[test]
fn plan_shows_the_lists() {
    let sb = create_enabled_sandbox();
    let run = run_with_exit_code(&sb, 0, &["rotate", "-n", "influxdb", "--dry-run"]);
    let (_, step) = run.stdout.rsplit_once(". count-tokens: ").expect("a step");
    insta::assert_snapshot!(step, @"
    count the tokens that this revocation does not revoke
       with the new token: $ influxctl --config <throwaway configuration> --profile default token list --format json
       with the new token: $ influxctl --config <throwaway configuration> --profile default management list --format json
       then: their numbers are known, or a note gives the reason
    dry run, nothing changed
    ");
    assert_eq!(list_inventory_calls(&sb), [""; 0]);
}
