//! Confirmation of destructive commands. `scripts/e2e-revoke` tests it at a terminal.

use super::{
    REVOKE_ARGS, create_fast_sandbox, extract_error, list_cluster_changes, list_object_uids,
};
use crate::sandbox::{Sandbox, wrap_lines};

fn expect_confirmation_needed(sb: &Sandbox, args: &[&str]) -> String {
    let before = list_object_uids(sb);
    let run = sb.run(args);
    assert_eq!(run.code, 7, "{}{}", run.stdout, run.stderr);
    assert_eq!(
        (list_object_uids(sb), list_cluster_changes(sb).as_str()),
        (before, "")
    );
    extract_error(&run)
}

#[test]
fn confirmation_options_of_other_programs_point_to_confirm() {
    let sb = Sandbox::new();
    for option in ["--yes", "-y", "--force", "--auto-approve"] {
        let run = sb.run(&["rotate", "-n", "influxdb", option]);
        let is_named = run
            .stderr
            .contains("hint: to confirm without a terminal, pass `--confirm");
        assert!(run.code == 2 && is_named, "{option}: {}", run.stderr);
        let other = sb.run(&["enable", "-n", "influxdb", option]);
        assert!(
            !other.stderr.contains("--confirm"),
            "{option}: {}",
            other.stderr
        );
    }
}

#[test]
fn revoke_without_terminal_requires_confirm_flag() {
    let sb = create_fast_sandbox();
    let error = expect_confirmation_needed(&sb, &["revoke", "-n", "influxdb"]);
    insta::assert_snapshot!(wrap_lines(error), @"
    error: cannot ask for confirmation: standard input is no terminal
    hint: check context and namespace, then pass `--confirm 'sim-dev/influxdb'`
    ");
    assert!(
        sb.run_with_stdin(&["rotate", "-n", "influxdb"], "sim-dev/influxdb\n")
            .code
            == 7,
        "a pipe cannot confirm"
    );
    for (flags, reason) in [
        (&["-q"][..], "-q hides the plan"),
        (&["-o", "json"], "the output is JSON"),
        (&[], "standard input is no terminal"),
    ] {
        let args = [&["revoke", "-n", "influxdb"], flags].concat();
        let error = expect_confirmation_needed(&sb, &args);
        assert!(error.contains(reason), "{error}");
    }
    let end = sb.read_entries_by_type("run.end").pop().expect("an end");
    assert_eq!(
        (end["outcome"].as_str(), end["changed"].as_bool()),
        (Some("confirmation-needed"), Some(false))
    );
}

#[test]
fn wrong_phrase_at_terminal_is_refused() {
    for (typed, expected) in [
        ("\n", "to continue: error: not confirmed"),
        (
            "sim-dev/other\n",
            "to continue: error: input does not match `sim-dev/influxdb`",
        ),
        // At the end of the input no newline follows the question.
        ("\u{4}", "to continue: \nerror: not confirmed"),
    ] {
        let sb = create_fast_sandbox();
        let shell = ["/bin/bash", "-c", "exec bypassctl revoke -n influxdb"];
        let run = sb.run_shell_in_terminal(&shell, typed);
        let output = run.stdout.replace('\r', "");
        assert!(
            run.code == 7 && output.contains(expected),
            "{typed:?}: {output}"
        );
        assert!(
            output.contains(
                "hint: nothing changed: run the same command again and type sim-dev/influxdb"
            ),
            "{output}"
        );
        assert_eq!(list_cluster_changes(&sb), "");
    }
}

#[test]
fn confirmation_for_another_target_is_refused() {
    let sb = create_fast_sandbox();
    let wrong_phrase = [
        "revoke",
        "-n",
        "influxdb",
        "--confirm",
        "acme-prod/influxdb",
    ];
    let error = expect_confirmation_needed(&sb, &wrong_phrase);
    insta::assert_snapshot!(wrap_lines(error), @"
    error: confirmation `acme-prod/influxdb` does not match `sim-dev/influxdb`
    hint: check context and namespace, then pass `--confirm 'sim-dev/influxdb'`
    ");
}

#[test]
fn revoke_in_ci_requires_confirm_flag() {
    let mut sb = create_fast_sandbox();
    sb.set_env("CI", "true");
    insta::assert_snapshot!(expect_confirmation_needed(&sb, &["revoke", "-n", "influxdb"]), @"
    error: cannot ask for confirmation: a CI system runs this command
    hint: check context and namespace, then pass `--confirm 'sim-dev/influxdb'`
    ");
    assert_eq!(sb.run(REVOKE_ARGS).code, 0);
}

#[test]
fn in_cluster_confirmation_names_no_context() {
    let sb = create_fast_sandbox();
    sb.edit_state(|world| {
        world["in_cluster"] = world["contexts"]["sim-dev"].clone();
        world["current_context"] = serde_json::json!("");
    });
    let mut sb = sb;
    sb.set_env("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        .set_env("KUBERNETES_SERVICE_PORT", "443");
    let output = expect_confirmation_needed(&sb, &["revoke", "-n", "influxdb"]);
    assert!(
        output.contains("--confirm 'in-cluster/influxdb'"),
        "{output}"
    );
    assert_eq!(
        sb.run(&[
            "revoke",
            "-n",
            "influxdb",
            "--confirm",
            "in-cluster/influxdb"
        ])
        .code,
        0
    );
}
