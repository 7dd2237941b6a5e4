//! What cannot be undone is confirmed. A person at a terminal is played in `scripts/e2e-revoke`.

use super::{REVOKE, changes, error, objects, quick};
use crate::sandbox::Sandbox;

fn unconfirmed(sb: &Sandbox, args: &[&str]) -> String {
    let before = objects(sb);
    let run = sb.run(args);
    assert_eq!(run.code, 7, "{}{}", run.stdout, run.stderr);
    assert_eq!((objects(sb), changes(sb).as_str()), (before, ""));
    error(&run)
}

#[test]
fn without_a_terminal() {
    let sb = quick();
    insta::assert_snapshot!(unconfirmed(&sb, &["revoke", "-n", "influxdb"]), @"
    error: nobody can be asked (no terminal, output redirected, -q or -o json), and what cannot be undone needs to be confirmed
    hint: if that is what you mean: --confirm 'sim-dev/influxdb'
    ");
    assert!(
        sb.run_with_stdin(&["rotate", "-n", "influxdb"], "sim-dev/influxdb\n")
            .code
            == 7,
        "a pipe is nobody"
    );
    let end = sb.records_of("run.end").pop().expect("an end");
    assert_eq!(
        (end["outcome"].as_str(), end["changed"].as_bool()),
        (Some("confirmation-needed"), Some(false))
    );
}

#[test]
fn at_a_terminal_where_something_else_is_typed() {
    for (typed, told) in [
        ("\n", "to go on: error: not confirmed"),
        (
            "sim-dev/other\n",
            "to go on: error: what was typed is not `sim-dev/influxdb`",
        ),
        // The end of the input: nobody has ended the line of the question.
        ("\u{4}", "to go on: \nerror: not confirmed"),
    ] {
        let sb = quick();
        let shell = ["/bin/bash", "-c", "exec bypassctl revoke -n influxdb"];
        let run = sb.type_in_shell(&shell, typed);
        let shown = run.stdout.replace('\r', "");
        assert!(run.code == 7 && shown.contains(told), "{typed:?}: {shown}");
        assert!(
            shown.contains(
                "hint: nothing was changed; to go on, run it again and type sim-dev/influxdb"
            ),
            "{shown}"
        );
        assert_eq!(changes(&sb), "");
    }
}

#[test]
fn for_another_place() {
    let sb = quick();
    insta::assert_snapshot!(unconfirmed(&sb, &["revoke", "-n", "influxdb", "--confirm", "acme-prod/influxdb"]), @"
    error: `acme-prod/influxdb` was confirmed, but this is `sim-dev/influxdb`
    hint: if that is what you mean: --confirm 'sim-dev/influxdb'
    ");
}

#[test]
fn in_ci() {
    let mut sb = quick();
    sb.env("CI", "true");
    insta::assert_snapshot!(unconfirmed(&sb, &["revoke", "-n", "influxdb"]), @"
    error: nobody can be asked in CI, and what cannot be undone needs to be confirmed
    hint: if that is what you mean: --confirm 'sim-dev/influxdb'
    ");
    assert_eq!(sb.run(REVOKE).code, 0);
}

#[test]
fn in_a_cluster_there_is_no_context() {
    let sb = quick();
    sb.world(|world| {
        world["in_cluster"] = world["contexts"]["sim-dev"].clone();
        world["current_context"] = serde_json::json!("");
    });
    let mut sb = sb;
    sb.env("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", "443");
    let told = unconfirmed(&sb, &["revoke", "-n", "influxdb"]);
    assert!(told.contains("--confirm 'in-cluster/influxdb'"), "{told}");
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
