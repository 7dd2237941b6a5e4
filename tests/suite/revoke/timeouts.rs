//! Failing, slow and pending jobs and pods.

use super::{
    assert_revoked, create_enabled_sandbox, create_fast_sandbox, extract_error, get_secret_uid,
    is_token_accepted, run_revoke,
};
use crate::sandbox::{Sandbox, drop_audit_head, wrap_lines};
use serde_json::json;

#[test]
fn failed_job_ends_wait_and_rerun_resumes() {
    let sb = create_enabled_sandbox();
    let old = sb.admin_token();
    sb.edit_cluster(|cluster| cluster["job_faults"] = json!({"key-gen-001": "fail"}));
    let run = run_revoke(&sb, 8, &[]);
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @"
    error: job `key-gen-001` failed: BackoffLimitExceeded: Job has reached the specified backoff
        limit
    hint: a change was made before this error: run the same command again to resume. Read its log:
        `kubectl logs job/key-gen-001 --namespace influxdb`. Steps done: delete-rsa-keys,
        delete-admin-token; started: rerun-key-gen; pending: verify-rsa-keys, restart-pods,
        rerun-create-admin-token, verify-rejection, verify-admin-token, get-token,
        verify-revocation, count-tokens
    ");
    // The job gets another number, and no satisfied step runs again.
    let next = run_revoke(&sb, 0, &[]);
    assert!(
        next.stdout.contains("job `key-gen-002` is complete"),
        "{}",
        next.stdout
    );
    assert_revoked(&sb, &old, "after the rerun");
    let deleted = |word: &str| {
        sb.calls()
            .iter()
            .filter(|call| {
                call.argv
                    .starts_with(&["delete".to_owned(), word.to_owned()])
            })
            .count()
    };
    assert_eq!(
        (deleted("secrets/rsa-keys"), deleted("secrets/admin-token")),
        (1, 1)
    );
}

/// Returns the error about a job that never ends, with the reason of its pod.
fn revoke_until_timeout(fate: &str) -> String {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| cluster["job_faults"] = json!({"key-gen-001": fate}));
    let run = run_revoke(&sb, 8, &["--wait-timeout", "5s"]);
    let text = run.normalized_output();
    let at = text
        .find("warning: job `key-gen-001` has no pod yet")
        .or_else(|| text.find("warning: pod `key-gen-001-"))
        .unwrap_or_else(|| panic!("no warning about the job: {text}"));
    drop_audit_head(&text[at..])
}

#[test]
fn timeout_reports_why_pod_does_not_start() {
    let pod = regex::Regex::new(r"key-gen-001-[a-z0-9]{5}").expect("a pattern");
    let all = ["image", "unschedulable", "no-pod"]
        .map(revoke_until_timeout)
        .join("---\n");
    insta::assert_snapshot!(wrap_lines(pod.replace_all(&all, "key-gen-001-[POD]")), @r#"
    warning: pod `key-gen-001-[POD]` of job `key-gen-001` does not start: container `key-gen`:
        ImagePullBackOff: Back-off pulling image "sim.invalid/key-gen:20240325"
       hint: run `kubectl describe pod/key-gen-001-[POD] --namespace influxdb`
    error: timed out after 5 s waiting for job `key-gen-001` to complete
    hint: a change was made before this error: run the same command again to resume. Check it with
        `kubectl describe job/key-gen-001 --namespace influxdb`, or pass a longer --wait-timeout.
        Steps done: delete-rsa-keys, delete-admin-token; started: rerun-key-gen; pending:
        verify-rsa-keys, restart-pods, rerun-create-admin-token, verify-rejection,
        verify-admin-token, get-token, verify-revocation, count-tokens
    ---
    warning: pod `key-gen-001-[POD]` of job `key-gen-001` does not start: Unschedulable: 0/1 nodes
        are available: 1 Insufficient memory.
       hint: run `kubectl describe pod/key-gen-001-[POD] --namespace influxdb`
    error: timed out after 5 s waiting for job `key-gen-001` to complete
    hint: a change was made before this error: run the same command again to resume. Check it with
        `kubectl describe job/key-gen-001 --namespace influxdb`, or pass a longer --wait-timeout.
        Steps done: delete-rsa-keys, delete-admin-token; started: rerun-key-gen; pending:
        verify-rsa-keys, restart-pods, rerun-create-admin-token, verify-rejection,
        verify-admin-token, get-token, verify-revocation, count-tokens
    ---
    warning: job `key-gen-001` has no pod yet: a quota or a pod security policy may forbid one
       hint: run `kubectl describe job/key-gen-001 --namespace influxdb`
    error: timed out after 5 s waiting for job `key-gen-001` to complete
    hint: a change was made before this error: run the same command again to resume. Check it with
        `kubectl describe job/key-gen-001 --namespace influxdb`, or pass a longer --wait-timeout.
        Steps done: delete-rsa-keys, delete-admin-token; started: rerun-key-gen; pending:
        verify-rsa-keys, restart-pods, rerun-create-admin-token, verify-rejection,
        verify-admin-token, get-token, verify-revocation, count-tokens
    "#);
}

#[test]
fn failed_watch_is_restarted() {
    for act in [
        json!({"exit": {"code": 0}}),
        json!({"exit": {"code": 1, "stderr": "Unable to connect to the server: EOF\n"}}),
        json!("garbage"),
    ] {
        let sb = create_fast_sandbox();
        let old = sb.admin_token();
        for nth in [1, 3, 5] {
            sb.inject_fault(json!({
                "tool": "kubectl",
                "contains": ["--watch"],
                "nth": nth,
                "before": true,
                "do": act
            }));
        }
        let run = run_revoke(&sb, 0, &[]);
        assert!(run.stdout.contains("revoked and verified"), "{act}");
        assert_revoked(&sb, &old, "with a restarted watch");
    }
}

#[test]
fn hung_watch_is_replaced() {
    let sb = create_fast_sandbox();
    let old = sb.admin_token();
    // An open connection without events.
    sb.inject_fault(json!({
        "tool": "kubectl", "contains": ["--watch"], "nth": 1, "before": true, "do": "hang"
    }));
    run_revoke(&sb, 0, &["--wait-timeout", "4s"]);
    assert_revoked(&sb, &old, "with a hung watch");
    let errors = sb.read_entries_by_type("result");
    let hung = errors
        .iter()
        .filter(|result| result["error"] == "timed-out");
    assert_eq!(hung.count(), 1);
}

const OVERLOAD: &str = "Error from server (TooManyRequests): the server has received too many \
                        requests and has asked us to try again later (get secrets)\n";

#[test]
fn read_is_repeated_after_failure_of_a_moment() {
    for (failures, code) in [(2, 0), (3, 1)] {
        let sb = create_fast_sandbox();
        sb.inject_fault(json!({
            "tool": "kubectl",
            "contains": ["secrets/rsa-keys"],
            "nth": 1,
            "times": failures,
            "before": true,
            "do": {"exit": {"code": 1, "stderr": OVERLOAD}}
        }));
        let run = sb.run(&["revoke", "-n", "influxdb", "--dry-run"]);
        assert_eq!(run.code, code, "{}", run.stderr);
        let intents = sb.read_entries_by_type("intent");
        let tries = intents.iter().filter(|intent| intent["step"] == "secrets");
        assert_eq!(tries.count(), 3);
        sb.assert_log_intact();
    }
}

#[test]
fn change_is_never_repeated() {
    let sb = create_fast_sandbox();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["delete"],
        "nth": 1,
        "before": true,
        "do": {"exit": {"code": 1, "stderr": OVERLOAD}}
    }));
    run_revoke(&sb, 8, &[]);
    let calls = sb.calls();
    let deletions = calls.iter().filter(|call| call.argv[0] == "delete");
    assert_eq!(deletions.count(), 1);
}

#[test]
fn forbidden_watch_is_reported() {
    let sb = create_fast_sandbox();
    let refusal = "Error from server (Forbidden): jobs.batch is forbidden: User \"admin\" cannot \
                   watch resource \"jobs\"\n";
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["--watch"],
        "before": true,
        "do": {"exit": {"code": 1, "stderr": refusal}}
    }));
    let run = run_revoke(&sb, 8, &[]);
    assert!(
        run.stderr.contains("cannot wait for job") && run.stderr.contains("Forbidden"),
        "{}",
        run.stderr
    );
}

#[test]
fn restart_waits_until_old_pods_are_gone() {
    let sb = create_fast_sandbox();
    let old = sb.admin_token();
    sb.edit_cluster(|cluster| cluster["term_seconds"] = json!(2.0));
    let running = sb.spawn(super::REVOKE_ARGS);
    crate::sandbox::wait_until("new pods are ready beside the old ones", || {
        let pods = sb.refresh_cluster()["pods"].clone();
        let all = pods.as_object().expect("pods").values();
        all.filter(|pod| {
            pod["meta"]["labels"]["app"] == "token-management" && pod["phase"] == "Running"
        })
        .count()
            == 4
    });
    assert!(
        is_token_accepted(&sb, &old),
        "the old pods still accept the old token"
    );
    assert!(
        !running
            .read_output("stdout")
            .contains("done      restart-pods"),
        "the step waits for the old pods"
    );
    let run = running.wait();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_revoked(&sb, &old, "after the restart");
}

#[test]
fn revoke_times_out_when_pods_never_become_ready() {
    let sb = create_enabled_sandbox();
    sb.edit_cluster(|cluster| cluster["start_seconds"] = json!(7200.0));
    let run = run_revoke(&sb, 8, &["--wait-timeout", "2s"]);
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @"
    error: timed out after 2 s waiting for 2 pods to restart
    hint: a change was made before this error: run the same command again to resume. Check it with
        `kubectl describe pods --selector app=token-management --namespace influxdb`, or pass a
        longer --wait-timeout. Steps done: delete-rsa-keys, delete-admin-token, rerun-key-gen,
        verify-rsa-keys; started: restart-pods; pending: rerun-create-admin-token, verify-rejection,
        verify-admin-token, get-token, verify-revocation, count-tokens
    ");
    sb.edit_cluster(|cluster| cluster["start_seconds"] = json!(0.05));
    let keys = get_secret_uid(&sb, "rsa-keys");
    // All pods use the new keys. The server already rejects the copy, and the log shows that it
    // accepted it before.
    run_revoke(&sb, 0, &[]);
    assert_eq!(get_secret_uid(&sb, "rsa-keys"), keys);
}

/// Pauses a run where it deletes the job, while kubit is paused.
fn revoke_while_operator_pauses(sb: &Sandbox) -> crate::sandbox::CommandOutput {
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["delete", "job/key-gen-7c9d2b41"],
        "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn(&[super::REVOKE_ARGS, &["--wait-timeout", "2s"]].concat());
    sb.wait_for_gate("gate");
    sb.set_operator_paused(true);
    sb.release_gate("gate");
    running.wait()
}

#[test]
fn revoke_stops_when_operator_is_paused_meanwhile() {
    let sb = create_fast_sandbox();
    sb.install_operator();
    let old = sb.admin_token();
    let run = revoke_while_operator_pauses(&sb);
    assert_eq!(run.code, 8, "{}", run.stderr);
    sb.clear_faults();
    // The job is gone, nothing recreates it, and no job is left to clone.
    let refused = super::run_with_exit_code(&sb, 4, super::REVOKE_ARGS);
    assert!(
        refused.stderr.contains("kubit is paused"),
        "{}",
        refused.stderr
    );
    let cloning = [super::REVOKE_ARGS, &["--rerun", "clone"]].concat();
    let stuck = super::run_with_exit_code(&sb, 4, &cloning);
    insta::assert_snapshot!(wrap_lines(extract_error(&stuck)), @"
    error: job `key-gen` not found: nothing could recreate secret `rsa-keys`
    hint: end kubit's pause, so that it recreates the job: `kubectl get appinstances.kubecfg.dev
        --namespace influxdb`
    ");
    // The operator is slow, so the run must wait for a job with an unknown name.
    sb.set_operator_paused(false);
    sb.edit_cluster(|cluster| cluster["operator"] = json!(false));
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["get", "jobs", "--watch"],
        "before": true,
        "do": {"wait_for_file": {"path": "gate-2"}}
    }));
    let running = sb.spawn(super::REVOKE_ARGS);
    sb.wait_for_gate("gate-2");
    sb.edit_cluster(|cluster| cluster["operator"] = json!(true));
    sb.release_gate("gate-2");
    let run = running.wait();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_revoked(&sb, &old, "after the pause");
}

#[test]
fn revoke_times_out_when_finalizer_blocks_secret() {
    let sb = create_fast_sandbox();
    let set_finalizers = |finalizers| {
        sb.edit_cluster(|cluster| {
            cluster["secrets"]["influxdb/rsa-keys"]["finalizers"] = finalizers;
        });
    };
    set_finalizers(json!(["example.com/f"]));
    let run = run_revoke(&sb, 8, &["--timeout", "2s", "--skip-check", "finalizers"]);
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @"
    error: kubectl timed out after 2 s and was killed
    hint: a change was made before this error: run the same command again to resume. Check the
        network, or raise the limit: --timeout 5m. Steps done: nothing; started: delete-rsa-keys;
        pending: delete-admin-token, rerun-key-gen, verify-rsa-keys, restart-pods,
        rerun-create-admin-token, verify-rejection, verify-admin-token, get-token,
        verify-revocation, count-tokens
    ");
    set_finalizers(json!([]));
    run_revoke(&sb, 0, &[]);
}

#[test]
fn revoke_succeeds_when_operator_jobs_expire_immediately() {
    let sb = create_fast_sandbox();
    sb.install_operator();
    sb.edit_cluster(|cluster| {
        for template in cluster["templates"].as_array_mut().expect("templates") {
            template["spec"]["ttlSecondsAfterFinished"] = json!(0);
        }
    });
    let old = sb.admin_token();
    run_revoke(&sb, 0, &[]);
    assert_revoked(&sb, &old, "with immediately deleted jobs");
}
