//! `--dry-run`: the same looks and proofs, and nothing changed.

use super::{changes, ended, objects, quick, steps};
use crate::enable::shellcheck;
use crate::sandbox::Sandbox;
use serde_json::{Value, json};

/// A dry run, which changes nothing and asks nobody.
fn shown(sb: &Sandbox, more: &[&str]) -> String {
    let (before, picture) = (objects(sb), sb.picture());
    let run = ended(sb, 0, &[&["revoke", "-n", "influxdb"], more].concat());
    assert_eq!((objects(sb), changes(sb).as_str()), (before, ""));
    assert!(sb.picture() == picture);
    run.normalised()
}

#[test]
fn as_a_plan() {
    let sb = quick();
    insta::assert_snapshot!("plan_by_clones", shown(&sb, &["--dry-run"]));
    insta::assert_snapshot!("plan_without_a_new_token", shown(&sb, &["--dry-run", "--no-new-token"]));
    sb.operator();
    insta::assert_snapshot!("plan_by_kubit", shown(&sb, &["--dry-run"]));
}

#[test]
fn of_what_is_left() {
    let sb = quick();
    sb.remove_secret("rsa-keys");
    insta::assert_snapshot!("plan_without_keys", shown(&sb, &["--dry-run"]));
}

#[test]
fn as_json() {
    let sb = quick();
    let run = ended(&sb, 0, &["revoke", "-n", "influxdb", "--dry-run", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!(
        (&report["outcome"], &report["changed"], &report["half_done"]),
        (&json!("done"), &json!(false), &Value::Null)
    );
    let plan = serde_json::to_string_pretty(&report["plan"]).expect("JSON");
    insta::assert_snapshot!("plan_as_json", crate::sandbox::normalised(&plan, sb.root()));
}

#[test]
fn with_pods_that_are_not_ready() {
    let sb = quick();
    sb.cluster(|cluster| {
        cluster["start_seconds"] = json!(7200.0);
        let pods = cluster["pods"].as_object_mut().expect("pods");
        let pod = pods.values_mut().find(|pod| pod["meta"]["labels"]["app"] == "token-management").expect("a pod");
        pod["phase"] = json!("Pending");
    });
    let text = shown(&sb, &["--dry-run"]);
    assert!(text.contains("those of the old UIDs are gone, and 1 others are ready"), "{text}");
    assert!(text.contains("warning: only 1 of 2 pods labelled app=token-management are ready"), "{text}");
}

#[test]
fn as_a_script() {
    let sb = quick();
    sb.operator();
    for (name, more) in [("script_by_clones", "clone"), ("script_by_kubit", "operator")] {
        let args = ["revoke", "-n", "influxdb", "--dry-run=script", "--rerun", more];
        let run = ended(&sb, 0, &args);
        assert_eq!(steps(&run), [""; 0]);
        shellcheck(&sb, &run.stdout);
        insta::assert_snapshot!(name, crate::sandbox::normalised(&run.stdout, sb.root()));
    }
    let rotate = ended(&sb, 0, &["rotate", "-n", "influxdb", "--dry-run=script"]);
    shellcheck(&sb, &rotate.stdout);
    assert!(rotate.stdout.contains("mv -f \"$new_token\""), "{}", rotate.stdout);
}
