//! Jobs that do not run, and jobs that do not stay.

use super::{create, created, done, job, kubectl, object};
use crate::sandbox::{Sandbox, wait_until};
use serde_json::{Value, json};

/// A sandbox with a job `odd` of this fate and these fields, and one like any other beside it, which has ended.
fn beside_another(fate: Option<&str>, more: &Value) -> Sandbox {
    let sb = Sandbox::new();
    sb.cluster(|cluster| {
        cluster["job_seconds"] = json!(0.2);
        cluster["job_faults"] = fate.map_or(json!({}), |fate| json!({"odd": fate}));
    });
    created(&sb, &job("odd", more));
    created(&sb, &job("usual", &json!({})));
    done(
        &sb,
        "wait --for=condition=complete job/usual --namespace influxdb --timeout=60s",
    );
    sb
}

fn pods(sb: &Sandbox) -> Vec<Value> {
    object(sb, "pods --selector job-name=odd")["items"]
        .as_array()
        .expect("a list")
        .clone()
}

fn only_pod(sb: &Sandbox) -> Value {
    let mut pods = pods(sb);
    assert_eq!(pods.len(), 1, "{pods:?}");
    pods.remove(0)
}

/// The status and the reason of a pod's condition.
fn condition<'a>(object: &'a Value, kind: &str) -> Option<(&'a Value, &'a Value)> {
    let mut all = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    all.find(|condition| condition["type"] == kind)
        .map(|found| (&found["status"], &found["reason"]))
}

/// Nothing keeps the job from running any more.
fn assert_runs_once_let(sb: &Sandbox) {
    sb.cluster(|cluster| {
        cluster["job_faults"] = json!({});
        cluster["jobs"]["influxdb/odd"]["spec"]["suspend"] = json!(false);
    });
    done(
        sb,
        "wait --for=condition=complete job/odd --namespace influxdb --timeout=60s",
    );
    let pod = only_pod(sb);
    assert_eq!(
        (&pod["status"]["phase"], &pod["spec"]["nodeName"]),
        (&json!("Succeeded"), &json!("sim-node"))
    );
}

#[test]
fn an_image_that_cannot_be_pulled() {
    let sb = beside_another(Some("image"), &json!({}));
    let waiting = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"].clone();
    wait_until("the kubelet says so", || {
        waiting(&only_pod(&sb)).is_object()
    });
    let pod = only_pod(&sb);
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
        condition(&pod, "PodScheduled"),
        Some((&json!("True"), &Value::Null))
    );
    assert_eq!(
        condition(&pod, "Ready"),
        Some((&json!("False"), &json!("ContainersNotReady")))
    );
    let status = &object(&sb, "job/odd")["status"];
    assert_eq!(
        (&status["active"], &status["conditions"]),
        (&json!(1), &Value::Null)
    );
    assert_runs_once_let(&sb);
}

#[test]
fn a_pod_that_no_node_takes() {
    let sb = beside_another(Some("unschedulable"), &json!({}));
    let pod = only_pod(&sb);
    let status = &pod["status"];
    assert_eq!(
        condition(&pod, "PodScheduled"),
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
    let status = &object(&sb, "job/odd")["status"];
    assert_eq!(
        (&status["active"], &status["conditions"]),
        (&json!(1), &Value::Null)
    );
    assert_runs_once_let(&sb);
}

#[test]
fn pods_that_the_server_refuses() {
    let sb = beside_another(Some("no-pod"), &json!({}));
    assert_eq!(pods(&sb).len(), 0);
    let status = &object(&sb, "job/odd")["status"];
    assert_eq!(
        (&status["active"], &status["conditions"]),
        (&Value::Null, &Value::Null)
    );
    assert!(status["startTime"].is_string());
    assert_runs_once_let(&sb);
}

#[test]
fn a_suspended_job_waits() {
    let sb = beside_another(None, &json!({"suspend": true}));
    assert_eq!(pods(&sb).len(), 0);
    let job = object(&sb, "job/odd");
    assert_eq!(
        condition(&job, "Suspended"),
        Some((&json!("True"), &json!("JobSuspended")))
    );
    assert_eq!(
        (&job["status"]["active"], &job["status"]["startTime"]),
        (&Value::Null, &Value::Null)
    );
    done(
        &sb,
        "wait --for=condition=Suspended job/odd --namespace influxdb --timeout=1s",
    );
    let table = done(&sb, "get jobs --namespace influxdb");
    let row = table
        .lines()
        .find(|line| line.starts_with("odd "))
        .expect("a row");
    assert_eq!(
        row.split_whitespace().take(3).collect::<Vec<_>>(),
        ["odd", "Suspended", "0/1"]
    );
    assert_runs_once_let(&sb);
}

#[test]
fn a_job_that_failed_says_why() {
    let sb = beside_another(Some("fail"), &json!({"backoffLimit": 6}));
    done(
        &sb,
        "wait --for=condition=failed job/odd --namespace influxdb --timeout=60s",
    );
    let job = object(&sb, "job/odd");
    assert_eq!(
        condition(&job, "Failed"),
        Some((&json!("True"), &json!("BackoffLimitExceeded")))
    );
    let conditions = job["status"]["conditions"].as_array().expect("conditions");
    assert!(
        conditions
            .iter()
            .all(|c| c["message"] == "Job has reached the specified backoff limit")
    );
    assert_eq!(pods(&sb).len(), 1, "no second attempt");
}

#[test]
fn a_mistyped_fate_fails() {
    let sb = Sandbox::new();
    sb.cluster(|cluster| cluster["job_faults"] = json!({"odd": "imgae"}));
    let run = kubectl(&sb, "get namespace influxdb --output name");
    assert!(
        run.code == 101 && run.stderr.contains("unknown variant `imgae`"),
        "{}",
        run.stderr
    );
}

#[test]
fn jobs_go_some_time_after_their_end() {
    for (fate, seconds) in [(None, 1), (Some("fail"), 0)] {
        let sb = Sandbox::new();
        sb.cluster(|cluster| {
            cluster["job_seconds"] = json!(0.2);
            cluster["job_faults"] = fate.map_or(json!({}), |fate| json!({"odd": fate}));
        });
        created(
            &sb,
            &job("odd", &json!({"ttlSecondsAfterFinished": seconds})),
        );
        created(&sb, &job("odd-too", &json!({})));
        let mut ended = 0;
        wait_until("it is gone", || {
            let job = &sb.now()["jobs"]["influxdb/odd"];
            ended = job["ended_ms"].as_u64().unwrap_or(ended);
            job.is_null()
        });
        let clock = sb
            .world(|world| world["clock_ms"].as_u64())
            .expect("a time");
        assert!(
            ended > 0 && clock >= ended + seconds * 1000,
            "{ended} to {clock}"
        );
        assert_eq!(pods(&sb).len(), 0, "its pods went with it");
        wait_until("the other has ended", || {
            let phase = sb.now()["jobs"]["influxdb/odd-too"]["phase"].clone();
            phase == "complete" || phase == "failed"
        });
        assert_eq!(
            create(&sb, &job("odd", &json!({})), &["--output", "name"]).code,
            0,
            "its name is free"
        );
    }
}
