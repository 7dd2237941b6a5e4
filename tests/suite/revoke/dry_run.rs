//! `--dry-run`: the same reads and preflight checks, without a change.

use super::{
    create_enabled_sandbox, create_fast_sandbox, list_cluster_changes, list_object_uids,
    list_plan_steps, run_with_exit_code,
};
use crate::enable::{check_script, run_script};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};

/// Runs a dry run, which must change nothing and ask no question.
fn render_dry_run(sb: &Sandbox, more: &[&str]) -> String {
    let (before, picture) = (list_object_uids(sb), sb.snapshot_files());
    let run = run_with_exit_code(sb, 0, &[&["revoke", "-n", "influxdb"], more].concat());
    assert_eq!(
        (list_object_uids(sb), list_cluster_changes(sb).as_str()),
        (before, "")
    );
    assert!(sb.snapshot_files() == picture);
    run.normalized_output()
}

#[test]
fn dry_run_prints_plan() {
    let sb = create_fast_sandbox();
    insta::assert_snapshot!("plan_by_clones", render_dry_run(&sb, &["--dry-run"]));
    insta::assert_snapshot!(
        "plan_without_a_new_token",
        render_dry_run(&sb, &["--dry-run", "--no-new-token"])
    );
    sb.install_operator();
    insta::assert_snapshot!("plan_by_kubit", render_dry_run(&sb, &["--dry-run"]));
}

#[test]
fn dry_run_omits_deletion_of_missing_keys() {
    let sb = create_fast_sandbox();
    sb.remove_secret("rsa-keys");
    insta::assert_snapshot!("plan_without_keys", render_dry_run(&sb, &["--dry-run"]));
}

#[test]
fn dry_run_json_report_contains_plan() {
    let sb = create_fast_sandbox();
    let run = run_with_exit_code(
        &sb,
        0,
        &["revoke", "-n", "influxdb", "--dry-run", "-o", "json"],
    );
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!(
        (&report["outcome"], &report["changed"], &report["resuming"]),
        (&json!("done"), &json!(false), &Value::Null)
    );
    let plan = serde_json::to_string_pretty(&report["plan"]).expect("JSON");
    insta::assert_snapshot!("plan_as_json", crate::sandbox::normalize(&plan, sb.root()));
}

#[test]
fn dry_run_warns_about_unready_pods() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| {
        cluster["start_seconds"] = json!(7200.0);
        let pods = cluster["pods"].as_object_mut().expect("pods");
        let pod = pods
            .values_mut()
            .find(|pod| pod["meta"]["labels"]["app"] == "token-management")
            .expect("a pod");
        pod["phase"] = json!("Pending");
    });
    let text = render_dry_run(&sb, &["--dry-run"]);
    assert!(
        text.contains("the pods with the old UIDs are gone, and 1 others are ready"),
        "{text}"
    );
    assert!(
        text.contains("warning: only 1 of 2 pods with label app=token-management are ready"),
        "{text}"
    );
}

#[test]
fn dry_run_prints_script() {
    let sb = create_fast_sandbox();
    sb.install_operator();
    for (name, more) in [
        ("script_by_clones", "clone"),
        ("script_by_kubit", "operator"),
    ] {
        let args = [
            "revoke",
            "-n",
            "influxdb",
            "--dry-run=script",
            "--rerun",
            more,
        ];
        let run = run_with_exit_code(&sb, 0, &args);
        assert_eq!(list_plan_steps(&run), [""; 0]);
        check_script(&sb, &run.stdout);
        insta::assert_snapshot!(name, crate::sandbox::normalize(&run.stdout, sb.root()));
    }
}

/// `scripts/e2e-revoke` tests the effect of the argument on a real control plane.
#[test]
fn script_requires_confirmation_phrase() {
    for command in ["revoke", "rotate"] {
        let sb = create_enabled_sandbox();
        let script =
            run_with_exit_code(&sb, 0, &[command, "-n", "influxdb", "--dry-run=script"]).stdout;
        let before = list_object_uids(&sb);
        for args in [&[][..], &["sim-dev/influxdc"]] {
            let (code, output) = run_script(&sb, &script, args);
            assert!(
                code == 1 && output.contains("give this script the argument sim-dev/influxdb"),
                "{output}"
            );
        }
        assert_eq!(list_object_uids(&sb), before, "{command}");
    }
}
