//! Concurrent changes to the namespace, and inconsistent servers.

use super::{
    REVOKE_ARGS, assert_revoked, create_fast_sandbox, extract_error, list_cluster_changes,
    list_object_uids, run_revoke,
};
use crate::sandbox::{RunningCommand, Sandbox, wrap_lines};
use serde_json::json;

/// Pauses a run after its preflight checks, before the first deletion.
fn spawn_held_before_deletion(sb: &Sandbox) -> RunningCommand {
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["--dry-run=server"],
        "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn(REVOKE_ARGS);
    sb.wait_for_gate("gate");
    running
}

fn replace_secret(sb: &Sandbox, secret: &str) {
    sb.edit_cluster(|cluster| {
        cluster["secrets"][format!("influxdb/{secret}")]["meta"]["uid"] =
            json!("22222222-2222-4222-8222-222222222222")
    });
}

#[test]
fn revoke_refuses_when_keys_are_recreated_concurrently() {
    let sb = create_fast_sandbox();
    let running = spawn_held_before_deletion(&sb);
    replace_secret(&sb, "rsa-keys");
    let before = list_object_uids(&sb);
    sb.release_gate("gate");
    let run = running.wait();
    assert_eq!(run.code, 4, "{}", run.stderr);
    insta::assert_snapshot!(extract_error(&run), @"
    error: secret `rsa-keys` was recreated by someone else during this run
    hint: find out who recreated it, then run the same command again to plan from the new state
    ");
    assert_eq!(
        (list_object_uids(&sb), list_cluster_changes(&sb).as_str()),
        (before, "")
    );
}

#[test]
fn revoke_stops_when_token_is_recreated_concurrently() {
    let sb = create_fast_sandbox();
    let running = spawn_held_before_deletion(&sb);
    replace_secret(&sb, "admin-token");
    sb.release_gate("gate");
    let run = running.wait();
    assert_eq!(run.code, 8, "{}", run.stderr);
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @"
    error: secret `admin-token` was recreated by someone else during this run
    hint: a change was made before this error. Find out who recreated it, then run the same command
        again to plan from the new state. Steps done: delete-rsa-keys; started: delete-admin-token;
        pending: rerun-key-gen, verify-rsa-keys, restart-pods, rerun-create-admin-token,
        verify-rejection, verify-admin-token, get-token, verify-revocation, count-tokens
    ");
    sb.clear_faults();
    run_revoke(&sb, 0, &[]);
}

#[test]
fn revoke_keeps_server_when_context_is_redefined() {
    let sb = create_fast_sandbox();
    let old = sb.admin_token();
    let running = spawn_held_before_deletion(&sb);
    let prod = sb.edit_state(|world| {
        world["contexts"]["sim-dev"] = world["contexts"]["acme-prod"].clone();
        world["clusters"]["prod"]["secrets"].clone()
    });
    sb.release_gate("gate");
    let run = running.wait();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_revoked(&sb, &old, "the cluster of the plan");
    assert_eq!(
        sb.edit_state(|world| world["clusters"]["prod"]["secrets"].clone()),
        prod
    );
}

#[test]
fn second_concurrent_revoke_is_refused() {
    let sb = create_fast_sandbox();
    let old = sb.admin_token();
    let first = spawn_held_before_deletion(&sb);
    let begin = sb.read_entries_by_type("run.begin").remove(0);
    let second = sb.run(REVOKE_ARGS);
    assert_eq!(second.code, 4, "{}", second.stderr);
    let expected = format!(
        "another run is working on namespace `influxdb`: run {} ",
        begin["run"].as_str().expect("a run")
    );
    assert!(
        second.stderr.contains(&expected)
            && second
                .stderr
                .contains(&format!("process {})", begin["pid"])),
        "{}",
        second.stderr
    );
    // The lock also stops another account of the same cluster, but no dry run.
    assert_eq!(
        sb.run(&[REVOKE_ARGS, &["--as", "someone"]].concat()).code,
        4
    );
    sb.clear_faults();
    assert_eq!(sb.run(&["revoke", "-n", "influxdb", "--dry-run"]).code, 0);
    sb.release_gate("gate");
    assert_eq!(first.wait().code, 0);
    assert_revoked(&sb, &old, "the first");
}

#[test]
fn create_fails_after_successful_dry_run() {
    let sb = create_fast_sandbox();
    let old = sb.admin_token();
    sb.edit_cluster(|cluster| {
        cluster["create_refusal"] = json!("exceeded quota: jobs, requested: 1, used: 9, limited: 9")
    });
    let run = run_revoke(&sb, 8, &[]);
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @r#"
    error: cannot create job `key-gen-001`: Error from server (Forbidden): error when creating
        "STDIN": exceeded quota: jobs, requested: 1, used: 9, limited: 9
    hint: a change was made before this error: run the same command again to resume. Raise the
        namespace's quota or free some of it: `kubectl describe quota --namespace influxdb --context
        sim-dev` shows its use. Steps done: delete-rsa-keys, delete-admin-token; started:
        rerun-key-gen; pending: verify-rsa-keys, restart-pods, rerun-create-admin-token,
        verify-rejection, verify-admin-token, get-token, verify-revocation, count-tokens
    "#);
    sb.edit_cluster(|cluster| cluster["create_refusal"] = json!(null));
    // The cluster's token is deleted, and the profile has none. But the first run kept a copy.
    let run = run_revoke(&sb, 0, &[]);
    assert!(
        run.stdout.contains("revoked and verified"),
        "{}",
        run.stdout
    );
    assert_revoked(&sb, &old, "the second time");
}

#[test]
fn cancelled_deletion_is_detected() {
    // Like a kuberc with `--interactive`: exit code 0, but nothing deleted.
    let sb = create_fast_sandbox();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["delete", "secrets/rsa-keys"],
        "before": true,
        "do": {"exit": {"code": 0, "stdout": "deletion is cancelled\n"}}
    }));
    let run = run_revoke(&sb, 8, &[]);
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @"
    error: secret `rsa-keys` still exists after its deletion
    hint: a change was made before this error: run the same command again to resume. Run the
        deletion by hand to see what prevents it: `kubectl delete secrets/rsa-keys --namespace
        influxdb --context sim-dev`. Steps done: nothing; started: delete-rsa-keys; pending:
        delete-admin-token, rerun-key-gen, verify-rsa-keys, restart-pods, rerun-create-admin-token,
        verify-rejection, verify-admin-token, get-token, verify-revocation, count-tokens
    ");
}

#[test]
fn ineffective_pod_restart_is_detected() {
    let sb = create_fast_sandbox();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["delete", "pods"],
        "before": true,
        "do": {"exit": {"code": 0, "stdout": "No resources found\n"}}
    }));
    let run = run_revoke(&sb, 8, &["--wait-timeout", "1s"]);
    let expected = "timed out after 1 s waiting for 2 pods to restart";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
}

#[test]
fn large_job_manifest_is_neither_shown_nor_logged() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| {
        let job = &mut cluster["jobs"]["influxdb/key-gen-7c9d2b41"];
        let container = &mut job["spec"]["template"]["spec"]["containers"][0];
        container["env"] = json!([{"name": "LARGE", "value": "x".repeat(1 << 20)}]);
    });
    let run = run_revoke(&sb, 0, &[]);
    assert!(
        !run.stdout.contains("xxxxxxxx"),
        "the output contains no manifest"
    );
    assert!(
        !String::from_utf8_lossy(&sb.read_log()).contains("xxxxxxxx"),
        "the audit log contains no manifest"
    );
}
