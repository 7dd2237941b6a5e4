//! Others who are at work on the same namespace, and servers that change their mind.

use super::{REVOKE, assert_revoked, changes, error, objects, quick, revoke};
use crate::sandbox::{Running, Sandbox};
use serde_json::json;

/// A run that is held when all is looked at and nothing is deleted yet.
fn held_before_the_deed(sb: &Sandbox) -> Running {
    sb.fault(json!({"tool": "kubectl", "contains": ["--dry-run=server"], "before": true, "do": {"wait_for_file": {"path": "gate"}}}));
    let running = sb.spawn(REVOKE);
    sb.wait_reached("gate");
    running
}

fn made_anew(sb: &Sandbox, secret: &str) {
    sb.cluster(|cluster| {
        cluster["secrets"][format!("influxdb/{secret}")]["meta"]["uid"] =
            json!("22222222-2222-4222-8222-222222222222")
    });
}

#[test]
fn the_keys_are_made_anew_by_someone_else() {
    let sb = quick();
    let running = held_before_the_deed(&sb);
    made_anew(&sb, "rsa-keys");
    let before = objects(&sb);
    sb.release("gate");
    let run = running.wait();
    assert_eq!(run.code, 4, "{}", run.stderr);
    insta::assert_snapshot!(error(&run), @"
    error: secret `rsa-keys` was made anew by someone else meanwhile
    hint: find out by whom; the same command looks again and starts from what is there then
    ");
    assert_eq!((objects(&sb), changes(&sb).as_str()), (before, ""));
}

#[test]
fn the_token_is_made_anew_by_someone_else() {
    let sb = quick();
    let running = held_before_the_deed(&sb);
    made_anew(&sb, "admin-token");
    sb.release("gate");
    let run = running.wait();
    assert_eq!(run.code, 8, "{}", run.stderr);
    insta::assert_snapshot!(error(&run), @"
    error: secret `admin-token` was made anew by someone else meanwhile
    hint: find out by whom; the same command looks again and starts from what is there then; done so far: check-cluster, delete-rsa-keys; begun: delete-admin-token; not done: rerun-key-gen, see-rsa-keys, restart-pods, rerun-create-admin-token, see-admin-token, get-token, prove-revocation; something was changed before this: the same command again carries on from there
    ");
    sb.no_faults();
    revoke(&sb, 0, &[]);
}

#[test]
fn two_at_once() {
    let sb = quick();
    let old = sb.admin_token();
    let first = held_before_the_deed(&sb);
    let begin = sb.records_of("run.begin").remove(0);
    let second = sb.run(REVOKE);
    assert_eq!(second.code, 4, "{}", second.stderr);
    let who = format!(
        "another run is at work on namespace `influxdb`: run {} ",
        begin["run"].as_str().expect("a run")
    );
    assert!(
        second.stderr.contains(&who)
            && second
                .stderr
                .contains(&format!("process {})", begin["pid"])),
        "{}",
        second.stderr
    );
    // Another account of the same cluster is kept away as well, a dry run is not.
    assert_eq!(sb.run(&[REVOKE, &["--as", "someone"]].concat()).code, 4);
    sb.no_faults();
    assert_eq!(sb.run(&["revoke", "-n", "influxdb", "--dry-run"]).code, 0);
    sb.release("gate");
    assert_eq!(first.wait().code, 0);
    assert_revoked(&sb, &old, "the first");
}

#[test]
fn yes_to_the_dry_run_and_no_to_the_deed() {
    let sb = quick();
    let old = sb.admin_token();
    sb.cluster(|cluster| {
        cluster["create_refusal"] = json!("exceeded quota: jobs, requested: 1, used: 9, limited: 9")
    });
    let run = revoke(&sb, 8, &[]);
    insta::assert_snapshot!(error(&run), @r#"
    error: job `key-gen-001` could not be made: Error from server (Forbidden): error when creating "STDIN": exceeded quota: jobs, requested: 1, used: 9, limited: 9
    hint: the namespace's quota is used up: `kubectl describe quota --namespace NS`; done so far: check-cluster, delete-rsa-keys, delete-admin-token; begun: rerun-key-gen; not done: see-rsa-keys, restart-pods, rerun-create-admin-token, see-admin-token, get-token, prove-revocation; something was changed before this: the same command again carries on from there
    "#);
    sb.cluster(|cluster| cluster["create_refusal"] = json!(null));
    // The pods have not been restarted: the profile has no copy of the old token, and the cluster's is deleted.
    let run = revoke(&sb, 10, &[]);
    assert!(
        run.stderr.contains("no copy of the old token is at hand"),
        "{}",
        run.stderr
    );
    assert_revoked(&sb, &old, "the second time");
}

#[test]
fn a_cancelled_deletion_is_seen() {
    // As if a kuberc were heeded after all: exit 0, and nothing deleted.
    let sb = quick();
    sb.fault(json!({"tool": "kubectl", "contains": ["delete", "secrets/rsa-keys"], "before": true, "do": {"exit": {"code": 0, "stdout": "deletion is cancelled\n"}}}));
    let run = revoke(&sb, 8, &[]);
    insta::assert_snapshot!(error(&run), @"
    error: secret `rsa-keys` is still there after its deletion
    hint: `kubectl describe secrets/rsa-keys --namespace influxdb`: a finalizer may hold it; done so far: check-cluster; begun: delete-rsa-keys; not done: delete-admin-token, rerun-key-gen, see-rsa-keys, restart-pods, rerun-create-admin-token, see-admin-token, get-token, prove-revocation; something was changed before this: the same command again carries on from there
    ");
}

#[test]
fn a_restart_that_restarts_nothing_is_seen() {
    let sb = quick();
    sb.fault(json!({"tool": "kubectl", "contains": ["delete", "pods"], "before": true, "do": {"exit": {"code": 0, "stdout": "No resources found\n"}}}));
    let run = revoke(&sb, 8, &["--wait-timeout", "1s"]);
    assert!(
        run.stderr
            .contains("waited 1 s until the old pods are gone and 2 new ones are ready, in vain"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_large_job() {
    let sb = quick();
    sb.cluster(|cluster| {
        let container = &mut cluster["jobs"]["influxdb/key-gen-7c9d2b41"]["spec"]["template"]["spec"]["containers"][0];
        container["env"] = json!([{"name": "LARGE", "value": "x".repeat(1 << 20)}]);
    });
    let run = revoke(&sb, 0, &[]);
    assert!(!run.stdout.contains("xxxxxxxx"), "a manifest is not shown");
    assert!(
        !String::from_utf8_lossy(&sb.log_bytes()).contains("xxxxxxxx"),
        "nor recorded"
    );
}
