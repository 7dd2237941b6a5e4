//! `--dry-run`: the same looks and proofs, and nothing changed.

use super::{changes, enabled, ended, objects, quick, steps};
use crate::enable::{run_script, shellcheck};
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
    insta::assert_snapshot!(
        "plan_without_a_new_token",
        shown(&sb, &["--dry-run", "--no-new-token"])
    );
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
    let run = ended(
        &sb,
        0,
        &["revoke", "-n", "influxdb", "--dry-run", "-o", "json"],
    );
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
        let pod = pods
            .values_mut()
            .find(|pod| pod["meta"]["labels"]["app"] == "token-management")
            .expect("a pod");
        pod["phase"] = json!("Pending");
    });
    let text = shown(&sb, &["--dry-run"]);
    assert!(
        text.contains("those of the old UIDs are gone, and 1 others are ready"),
        "{text}"
    );
    assert!(
        text.contains("warning: only 1 of 2 pods labelled app=token-management are ready"),
        "{text}"
    );
}

#[test]
fn as_a_script() {
    let sb = quick();
    sb.operator();
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
        let run = ended(&sb, 0, &args);
        assert_eq!(steps(&run), [""; 0]);
        shellcheck(&sb, &run.stdout);
        insta::assert_snapshot!(name, crate::sandbox::normalised(&run.stdout, sb.root()));
    }
}

/// What it does with the argument is shown on a real control plane, by `scripts/e2e-revoke`.
#[test]
fn the_script_asks_for_the_phrase() {
    for command in ["revoke", "rotate"] {
        let sb = enabled();
        let script = ended(&sb, 0, &[command, "-n", "influxdb", "--dry-run=script"]).stdout;
        let before = objects(&sb);
        for args in [&[][..], &["sim-dev/influxdc"]] {
            let (code, told) = run_script(&sb, &script, args);
            assert!(
                code == 1 && told.contains("give this script the argument sim-dev/influxdb"),
                "{told}"
            );
        }
        assert_eq!(objects(&sb), before, "{command}");
    }
}
