//! Blocked jobs, and jobs with a TTL.

use super::{build_job, create_object, create_object_ok, get_object, run_kubectl, run_kubectl_ok};
use crate::sandbox::{Sandbox, wait_until};
use serde_json::{Value, json};

/// Creates a sandbox with a job `odd` of this fault and these fields, and a finished ordinary job.
fn create_sandbox_with_odd_job(fate: Option<&str>, more: &Value) -> Sandbox {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| {
        cluster["job_seconds"] = json!(0.2);
        cluster["job_faults"] = fate.map_or(json!({}), |fate| json!({"odd": fate}));
    });
    create_object_ok(&sb, &build_job("odd", more));
    create_object_ok(&sb, &build_job("usual", &json!({})));
    run_kubectl_ok(
        &sb,
        "wait --for=condition=complete job/usual --namespace influxdb --timeout=60s",
    );
    sb
}

fn list_odd_pods(sb: &Sandbox) -> Vec<Value> {
    get_object(sb, "pods --selector job-name=odd")["items"]
        .as_array()
        .expect("a list")
        .clone()
}

fn get_only_odd_pod(sb: &Sandbox) -> Value {
    let mut pods = list_odd_pods(sb);
    assert_eq!(pods.len(), 1, "{pods:?}");
    pods.remove(0)
}

/// Returns status and reason of a pod's condition.
fn find_condition<'a>(object: &'a Value, kind: &str) -> Option<(&'a Value, &'a Value)> {
    let mut all = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    all.find(|condition| condition["type"] == kind)
        .map(|found| (&found["status"], &found["reason"]))
}

/// Removes the fault of the job, which must then complete.
fn assert_job_completes_once_unblocked(sb: &Sandbox) {
    sb.edit_cluster(|cluster| {
        cluster["job_faults"] = json!({});
        cluster["jobs"]["influxdb/odd"]["spec"]["suspend"] = json!(false);
    });
    run_kubectl_ok(
        sb,
        "wait --for=condition=complete job/odd --namespace influxdb --timeout=60s",
    );
    let pod = get_only_odd_pod(sb);
    assert_eq!(
        (&pod["status"]["phase"], &pod["spec"]["nodeName"]),
        (&json!("Succeeded"), &json!("sim-node"))
    );
}

#[test]
fn unpullable_image_keeps_pod_pending() {
    let sb = create_sandbox_with_odd_job(Some("image"), &json!({}));
    let waiting = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"].clone();
    wait_until("the kubelet says so", || {
        waiting(&get_only_odd_pod(&sb)).is_object()
    });
    let pod = get_only_odd_pod(&sb);
    let text = "Back-off pulling image \"sim.invalid/c:1\"";
    assert_eq!(
        waiting(&pod),
        json!({"reason": "ImagePullBackOff", "message": text})
    );
    assert_eq!(
        (&pod["status"]["phase"], &pod["spec"]["nodeName"]),
        (&json!("Pending"), &json!("sim-node"))
    );
    assert_eq!(
        find_condition(&pod, "PodScheduled"),
        Some((&json!("True"), &Value::Null))
    );
    assert_eq!(
        find_condition(&pod, "Ready"),
        Some((&json!("False"), &json!("ContainersNotReady")))
    );
    let status = &get_object(&sb, "job/odd")["status"];
    assert_eq!(
        (&status["active"], &status["conditions"]),
        (&json!(1), &Value::Null)
    );
    assert_job_completes_once_unblocked(&sb);
}

#[test]
fn unschedulable_pod_stays_pending() {
    let sb = create_sandbox_with_odd_job(Some("unschedulable"), &json!({}));
    let pod = get_only_odd_pod(&sb);
    let status = &pod["status"];
    assert_eq!(
        find_condition(&pod, "PodScheduled"),
        Some((&json!("False"), &json!("Unschedulable")))
    );
    assert_eq!(
        status["conditions"][0]["message"],
        "0/1 nodes are available: 1 Insufficient memory."
    );
    assert_eq!(
        (&status["phase"], &status["containerStatuses"]),
        (&json!("Pending"), &Value::Null)
    );
    assert_eq!(pod["spec"]["nodeName"], Value::Null);
    let status = &get_object(&sb, "job/odd")["status"];
    assert_eq!(
        (&status["active"], &status["conditions"]),
        (&json!(1), &Value::Null)
    );
    assert_job_completes_once_unblocked(&sb);
}

#[test]
fn refused_pods_leave_job_without_pods() {
    let sb = create_sandbox_with_odd_job(Some("no-pod"), &json!({}));
    assert_eq!(list_odd_pods(&sb).len(), 0);
    let status = &get_object(&sb, "job/odd")["status"];
    assert_eq!(
        (&status["active"], &status["conditions"]),
        (&Value::Null, &Value::Null)
    );
    assert!(status["startTime"].is_string());
    assert_job_completes_once_unblocked(&sb);
}

#[test]
fn suspended_job_creates_no_pods() {
    let sb = create_sandbox_with_odd_job(None, &json!({"suspend": true}));
    assert_eq!(list_odd_pods(&sb).len(), 0);
    let job = get_object(&sb, "job/odd");
    assert_eq!(
        find_condition(&job, "Suspended"),
        Some((&json!("True"), &json!("JobSuspended")))
    );
    assert_eq!(
        (&job["status"]["active"], &job["status"]["startTime"]),
        (&Value::Null, &Value::Null)
    );
    run_kubectl_ok(
        &sb,
        "wait --for=condition=Suspended job/odd --namespace influxdb --timeout=1s",
    );
    let table = run_kubectl_ok(&sb, "get jobs --namespace influxdb");
    let row = table
        .lines()
        .find(|line| line.starts_with("odd "))
        .expect("a row");
    assert_eq!(
        row.split_whitespace().take(3).collect::<Vec<_>>(),
        ["odd", "Suspended", "0/1"]
    );
    assert_job_completes_once_unblocked(&sb);
}

#[test]
fn failed_job_reports_reason() {
    let sb = create_sandbox_with_odd_job(Some("fail"), &json!({"backoffLimit": 6}));
    run_kubectl_ok(
        &sb,
        "wait --for=condition=failed job/odd --namespace influxdb --timeout=60s",
    );
    let job = get_object(&sb, "job/odd");
    assert_eq!(
        find_condition(&job, "Failed"),
        Some((&json!("True"), &json!("BackoffLimitExceeded")))
    );
    let conditions = job["status"]["conditions"].as_array().expect("conditions");
    assert!(
        conditions
            .iter()
            .all(|c| c["message"] == "Job has reached the specified backoff limit")
    );
    assert_eq!(list_odd_pods(&sb).len(), 1, "no second attempt");
}

#[test]
fn mistyped_job_fate_is_an_error() {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| cluster["job_faults"] = json!({"odd": "imgae"}));
    let run = run_kubectl(&sb, "get namespace influxdb --output name");
    assert!(
        run.code == 101 && run.stderr.contains("unknown variant `imgae`"),
        "{}",
        run.stderr
    );
}

#[test]
fn finished_jobs_are_deleted_after_ttl() {
    for (fate, seconds) in [(None, 1), (Some("fail"), 0)] {
        let sb = Sandbox::new();
        sb.edit_cluster(|cluster| {
            cluster["job_seconds"] = json!(0.2);
            cluster["job_faults"] = fate.map_or(json!({}), |fate| json!({"odd": fate}));
        });
        create_object_ok(
            &sb,
            &build_job("odd", &json!({"ttlSecondsAfterFinished": seconds})),
        );
        create_object_ok(&sb, &build_job("odd-too", &json!({})));
        let mut ended = 0;
        wait_until("it is gone", || {
            let job = &sb.refresh_cluster()["jobs"]["influxdb/odd"];
            ended = job["ended_ms"].as_u64().unwrap_or(ended);
            job.is_null()
        });
        let clock = sb
            .edit_state(|world| world["clock_ms"].as_u64())
            .expect("a time");
        assert!(
            (ended > 0 || seconds == 0) && clock >= ended + seconds * 1000,
            "{ended} to {clock}"
        );
        assert_eq!(list_odd_pods(&sb).len(), 0, "its pods went with it");
        wait_until("the other has ended", || {
            let phase = sb.refresh_cluster()["jobs"]["influxdb/odd-too"]["phase"].clone();
            phase == "complete" || phase == "failed"
        });
        assert_eq!(
            create_object(&sb, &build_job("odd", &json!({})), &["--output", "name"]).code,
            0,
            "the name is free again"
        );
    }
}
