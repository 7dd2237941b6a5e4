//! Jobs and pods that fail, take long or never start.

use super::{accepted, assert_revoked, enabled, error, quick, revoke, uid};
use crate::sandbox::Sandbox;
use serde_json::json;

#[test]
fn a_job_that_fails_ends_the_wait_at_once() {
    let sb = enabled();
    let old = sb.admin_token();
    sb.cluster(|cluster| cluster["job_faults"] = json!({"key-gen-001": "fail"}));
    let run = revoke(&sb, 8, &[]);
    insta::assert_snapshot!(error(&run), @"
    error: job `key-gen-001` failed (BackoffLimitExceeded: Job has reached the specified backoff limit)
    hint: `kubectl logs job/key-gen-001 --namespace influxdb` shows more; done so far: check-cluster, delete-rsa-keys, delete-admin-token; begun: rerun-key-gen; not done: see-rsa-keys, restart-pods, rerun-create-admin-token, see-admin-token, get-token, prove-revocation; something was changed before this: the same command again carries on from there
    ");
    // Another number, and nothing that held is done again.
    let next = revoke(&sb, 0, &[]);
    assert!(
        next.stdout.contains("job `key-gen-002` is complete"),
        "{}",
        next.stdout
    );
    assert_revoked(&sb, &old, "the second time");
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

/// What is told of a job that never ends, with its pods' own reason.
fn waits_in_vain(fate: &str) -> String {
    let sb = quick();
    sb.cluster(|cluster| cluster["job_faults"] = json!({"key-gen-001": fate}));
    let run = revoke(&sb, 8, &["--wait-timeout", "5s"]);
    let text = run.normalised();
    let at = text
        .find("warning: job")
        .unwrap_or_else(|| panic!("not told: {text}"));
    text[at..]
        .lines()
        .filter(|line| !line.starts_with("audit head"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn a_pod_that_cannot_start_tells_why() {
    let pod = regex::Regex::new(r"key-gen-001-[a-z0-9]{5}").expect("a pattern");
    let all = ["image", "unschedulable", "no-pod"]
        .map(waits_in_vain)
        .join("---\n");
    insta::assert_snapshot!(pod.replace_all(&all, "key-gen-001-[POD]"), @r#"
    warning: job `key-gen-001`: pod `key-gen-001-[POD]` does not start: container `key-gen`: ImagePullBackOff: Back-off pulling image "sim.invalid/key-gen:20240325"
       hint: `kubectl describe pod/key-gen-001-[POD] --namespace influxdb` shows more
    error: waited 5 s until job `key-gen-001` is complete, in vain (kubectl was not done after [DURATION], and was ended)
    hint: `kubectl describe job/key-gen-001 --namespace influxdb` shows more; a longer limit: --wait-timeout; done so far: check-cluster, delete-rsa-keys, delete-admin-token; begun: rerun-key-gen; not done: see-rsa-keys, restart-pods, rerun-create-admin-token, see-admin-token, get-token, prove-revocation; something was changed before this: the same command again carries on from there
    ---
    warning: job `key-gen-001`: pod `key-gen-001-[POD]` does not start: Unschedulable: 0/1 nodes are available: 1 Insufficient memory.
       hint: `kubectl describe pod/key-gen-001-[POD] --namespace influxdb` shows more
    error: waited 5 s until job `key-gen-001` is complete, in vain (kubectl was not done after [DURATION], and was ended)
    hint: `kubectl describe job/key-gen-001 --namespace influxdb` shows more; a longer limit: --wait-timeout; done so far: check-cluster, delete-rsa-keys, delete-admin-token; begun: rerun-key-gen; not done: see-rsa-keys, restart-pods, rerun-create-admin-token, see-admin-token, get-token, prove-revocation; something was changed before this: the same command again carries on from there
    ---
    warning: job `key-gen-001`: no pod of it was made so far: a quota or a pod security policy may forbid it
       hint: `kubectl describe job/key-gen-001 --namespace influxdb` shows more
    error: waited 5 s until job `key-gen-001` is complete, in vain (kubectl was not done after [DURATION], and was ended)
    hint: `kubectl describe job/key-gen-001 --namespace influxdb` shows more; a longer limit: --wait-timeout; done so far: check-cluster, delete-rsa-keys, delete-admin-token; begun: rerun-key-gen; not done: see-rsa-keys, restart-pods, rerun-create-admin-token, see-admin-token, get-token, prove-revocation; something was changed before this: the same command again carries on from there
    "#);
}

#[test]
fn a_watch_that_ends_or_prints_garbage_is_begun_again() {
    for act in [
        json!({"exit": {"code": 0}}),
        json!({"exit": {"code": 1, "stderr": "Unable to connect to the server: EOF\n"}}),
        json!("garbage"),
    ] {
        let sb = quick();
        let old = sb.admin_token();
        for nth in [1, 3, 5] {
            sb.fault(json!({"tool": "kubectl", "contains": ["--watch"], "nth": nth, "before": true, "do": act}));
        }
        let run = revoke(&sb, 0, &[]);
        assert!(run.stdout.contains("revoked, proven"), "{act}");
        assert_revoked(&sb, &old, "watched again");
    }
}

#[test]
fn what_may_not_be_watched_any_more_is_told() {
    let sb = quick();
    let refusal = "Error from server (Forbidden): jobs.batch is forbidden: User \"admin\" cannot watch resource \"jobs\"\n";
    sb.fault(json!({"tool": "kubectl", "contains": ["--watch"], "before": true, "do": {"exit": {"code": 1, "stderr": refusal}}}));
    let run = revoke(&sb, 8, &[]);
    assert!(
        run.stderr.contains("cannot be watched") && run.stderr.contains("Forbidden"),
        "{}",
        run.stderr
    );
}

#[test]
fn old_pods_serve_until_they_are_gone() {
    let sb = quick();
    let old = sb.admin_token();
    sb.cluster(|cluster| cluster["term_seconds"] = json!(2.0));
    let running = sb.spawn(super::REVOKE);
    crate::sandbox::wait_until("new ones are ready beside the old", || {
        let pods = sb.now()["pods"].clone();
        let all = pods.as_object().expect("pods").values();
        all.filter(|pod| {
            pod["meta"]["labels"]["app"] == "token-management" && pod["phase"] == "Running"
        })
        .count()
            == 4
    });
    assert!(accepted(&sb, &old), "they serve it still");
    assert!(
        !running.so_far("stdout").contains("done      restart-pods"),
        "and so the step is not over"
    );
    let run = running.wait();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_revoked(&sb, &old, "afterwards");
}

#[test]
fn pods_that_never_get_ready() {
    let sb = enabled();
    sb.cluster(|cluster| cluster["start_seconds"] = json!(7200.0));
    let run = revoke(&sb, 8, &["--wait-timeout", "2s"]);
    insta::assert_snapshot!(error(&run), @"
    error: waited 2 s until the old pods are gone and 2 new ones are ready, in vain (kubectl was not done after [DURATION], and was ended)
    hint: `kubectl describe pods --selector app=token-management --namespace influxdb` shows more; a longer limit: --wait-timeout; done so far: check-cluster, delete-rsa-keys, delete-admin-token, rerun-key-gen, see-rsa-keys; begun: restart-pods; not done: rerun-create-admin-token, see-admin-token, get-token, prove-revocation; something was changed before this: the same command again carries on from there
    ");
    sb.cluster(|cluster| cluster["start_seconds"] = json!(0.05));
    let keys = uid(&sb, "rsa-keys");
    // No pod had the old keys any more: the copy was refused before, and that shows nothing.
    revoke(&sb, 10, &[]);
    assert_eq!(uid(&sb, "rsa-keys"), keys);
}

/// Holds a run where it deletes the job, while kubit is paused.
fn paused_meanwhile(sb: &Sandbox) -> crate::sandbox::Run {
    sb.fault(json!({"tool": "kubectl", "contains": ["delete", "job/key-gen-7c9d2b41"], "before": true, "do": {"wait_for_file": {"path": "gate"}}}));
    let running = sb.spawn(&[super::REVOKE, &["--wait-timeout", "2s"]].concat());
    sb.wait_reached("gate");
    sb.pause_operator(true);
    sb.release("gate");
    running.wait()
}

#[test]
fn kubit_is_paused_after_the_plan_was_made() {
    let sb = quick();
    sb.operator();
    let old = sb.admin_token();
    let run = paused_meanwhile(&sb);
    assert_eq!(run.code, 8, "{}", run.stderr);
    sb.no_faults();
    // The job is gone and nobody makes it again: nothing to clone, and that is said.
    let stuck = super::ended(&sb, 4, super::REVOKE);
    insta::assert_snapshot!(error(&stuck), @"
    error: there is no job `key-gen`: secret `rsa-keys` could not be made again
    hint: kubit makes it once its pause ends: `kubectl get appinstances.kubecfg.dev --namespace influxdb`
    ");
    sb.pause_operator(false);
    revoke(&sb, 10, &[]);
    assert_revoked(&sb, &old, "once the pause is over");
}

#[test]
fn a_secret_that_a_finalizer_holds() {
    let sb = quick();
    sb.cluster(|cluster| cluster["stuck_deletes"] = json!(["influxdb/rsa-keys"]));
    let run = revoke(&sb, 8, &["--timeout", "2s"]);
    insta::assert_snapshot!(error(&run), @"
    error: kubectl was not done after 2 s, and was ended
    hint: is the network there? a longer limit: --timeout 5m; done so far: check-cluster; begun: delete-rsa-keys; not done: delete-admin-token, rerun-key-gen, see-rsa-keys, restart-pods, rerun-create-admin-token, see-admin-token, get-token, prove-revocation; something was changed before this: the same command again carries on from there
    ");
    sb.cluster(|cluster| cluster["stuck_deletes"] = json!([]));
    revoke(&sb, 0, &[]);
}

#[test]
fn jobs_of_kubit_that_clear_themselves_away() {
    let sb = quick();
    sb.operator();
    sb.cluster(|cluster| {
        for template in cluster["templates"].as_array_mut().expect("templates") {
            template["spec"]["ttlSecondsAfterFinished"] = json!(0);
        }
    });
    let old = sb.admin_token();
    revoke(&sb, 0, &[]);
    assert_revoked(&sb, &old, "although the jobs are gone at once");
}
