//! What becomes of tokens when keys, jobs and pods go.

use super::token::try_token;
use super::{done, kubectl};
use crate::sandbox::{Sandbox, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const NS: &str = "--namespace influxdb";

/// A call in the namespace, which must succeed.
fn here(sb: &Sandbox, line: &str) -> String {
    done(sb, &format!("{line} {NS}"))
}

/// Waits for a job.
fn completed(sb: &Sandbox, job: &str) {
    here(
        sb,
        &format!("wait --for=condition=complete job/{job} --timeout=30s"),
    );
}

/// A job made again under a new name, as the recorded clone.
fn clone_job(sb: &Sandbox, from: &str, name: &str) -> i32 {
    let app = from.rsplit_once('-').expect("a suffix").0;
    let text = here(sb, &format!("get job/{from} --output json"));
    let job: Value = serde_json::from_str(&text).expect("JSON");
    let mut template = job["spec"]["template"].clone();
    template["metadata"] = json!({"labels": {"app": app}});
    let manifest = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": "influxdb"},
                          "spec": {"backoffLimit": 6, "template": template}});
    let create = [
        "create",
        "--filename",
        "-",
        "--namespace",
        "influxdb",
        "--output",
        "name",
    ];
    sb.tool("kubectl", &create, Some(&manifest.to_string()))
        .code
}

#[test]
fn the_first_procedure_with_clones() {
    let sb = Sandbox::new();
    let old = sb.admin_token();
    here(&sb, "delete secrets/rsa-keys secrets/admin-token");
    assert_eq!(
        try_token(&sb, &old).code,
        0,
        "pods keep the key they have loaded"
    );
    assert_eq!(clone_job(&sb, "key-gen-7c9d2b41", "key-gen-001"), 0);
    assert_eq!(
        clone_job(&sb, "key-gen-7c9d2b41", "key-gen-001"),
        1,
        "it is there already"
    );
    completed(&sb, "key-gen-001");
    let text = here(&sb, "delete pods --selector app=token-management");
    assert_eq!(text.lines().count(), 2, "{text}");
    here(
        &sb,
        "wait --for=condition=Ready pods --selector app=token-management --timeout=30s",
    );
    let status = here(
        &sb,
        "rollout status deployment/token-management --timeout=30s",
    );
    assert!(status.ends_with("successfully rolled out\n"));
    assert_eq!(try_token(&sb, &old).code, 1);
    assert_eq!(
        clone_job(&sb, "create-admin-token-7c9d2b41", "create-admin-token-001"),
        0
    );
    completed(&sb, "create-admin-token-001");
    assert_ne!(sb.admin_token(), old);
    assert_eq!(try_token(&sb, &sb.admin_token()).code, 0);
    assert_eq!(try_token(&sb, &old).code, 1);
}

#[test]
fn the_operator_makes_jobs_again_unless_paused() {
    let sb = Sandbox::new();
    sb.operator();
    let old = sb.admin_token();
    let uid = |sb: &Sandbox| sb.now()["jobs"]["influxdb/key-gen-7c9d2b41"]["meta"]["uid"].clone();
    let before = uid(&sb);
    let jobs = format!("delete job/key-gen-7c9d2b41 job/create-admin-token-7c9d2b41 {NS}");
    here(&sb, "delete secret rsa-keys admin-token");
    sb.pause_operator(true);
    done(&sb, &jobs);
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert_eq!(uid(&sb), Value::Null);
    sb.pause_operator(false);
    wait_until("there is a token again", || {
        sb.now()["secrets"]["influxdb/admin-token"].is_object()
    });
    assert_ne!(uid(&sb), before);
    assert_ne!(sb.admin_token(), old);
}

#[test]
fn pods_serve_until_they_are_gone_and_start_when_there_are_keys() {
    let sb = Sandbox::new();
    let old = sb.admin_token();
    sb.cluster(|cluster| cluster["term_seconds"] = json!(1.0));
    here(&sb, "delete secrets/rsa-keys");
    here(
        &sb,
        "delete pods --selector app=token-management --wait=false",
    );
    assert_eq!(try_token(&sb, &old).code, 0);
    let pods = |sb: &Sandbox| {
        let text = here(sb, "get pods --selector app=token-management --output json");
        serde_json::from_str::<Value>(&text).expect("JSON")["items"]
            .as_array()
            .expect("a list")
            .clone()
    };
    assert_eq!(
        pods(&sb).len(),
        4,
        "the old ones going, the new ones waiting"
    );
    wait_until("the old ones are gone", || pods(&sb).len() == 2);
    assert!(
        pods(&sb)
            .iter()
            .all(|pod| pod["status"]["phase"] == "Pending")
    );
    assert_eq!(try_token(&sb, &old).code, 1);
    assert_eq!(clone_job(&sb, "key-gen-7c9d2b41", "key-gen-001"), 0);
    wait_until("they run", || {
        pods(&sb)
            .iter()
            .all(|pod| pod["status"]["phase"] == "Running")
    });
}

#[test]
fn a_sticky_token_outlives_its_key() {
    let sb = Sandbox::new();
    sb.cluster(|cluster| cluster["sticky"] = json!(true));
    let old = sb.admin_token();
    here(&sb, "delete secrets/rsa-keys secrets/admin-token");
    assert_eq!(clone_job(&sb, "key-gen-7c9d2b41", "key-gen-001"), 0);
    completed(&sb, "key-gen-001");
    here(&sb, "delete pods --selector app=token-management");
    assert_eq!(try_token(&sb, &old).code, 0);
    assert_eq!(
        clone_job(&sb, "create-admin-token-7c9d2b41", "create-admin-token-001"),
        0
    );
    completed(&sb, "create-admin-token-001");
    assert_eq!(try_token(&sb, &old).code, 1);
}

#[test]
fn jobs_fail_or_never_end_on_order() {
    let sb = Sandbox::new();
    sb.cluster(|cluster| {
        cluster["job_faults"] = json!({"key-gen-001": "fail", "key-gen-002": "stuck"})
    });
    assert_eq!(clone_job(&sb, "key-gen-7c9d2b41", "key-gen-001"), 0);
    assert_eq!(clone_job(&sb, "key-gen-7c9d2b41", "key-gen-002"), 0);
    here(
        &sb,
        "wait --for=condition=failed job/key-gen-001 --timeout=30s",
    );
    let run = kubectl(
        &sb,
        &format!("wait --for=condition=failed job/key-gen-002 {NS} --timeout=1s"),
    );
    assert_eq!(
        run.stderr,
        "error: timed out waiting for the condition on jobs/key-gen-002\n"
    );
    let text = here(
        &sb,
        "get pods --selector job-name=key-gen-002 --output json",
    );
    assert!(text.contains("\"phase\": \"Pending\""), "{text}");
}

#[test]
fn dry_runs_can_be_refused() {
    let sb = Sandbox::new();
    sb.cluster(|cluster| {
        cluster["dry_run_refusal"] = json!("admission webhook \"w\" does not support dry run")
    });
    let manifest = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"},
                          "spec": {"template": {"spec": {"containers": []}}}});
    let create = |more: &[&str]| {
        let args = [
            &["create", "--filename", "-", "--namespace", "influxdb"],
            more,
        ]
        .concat();
        sb.tool("kubectl", &args, Some(&manifest.to_string()))
    };
    let run = create(&["--dry-run=server", "--output", "name"]);
    assert!(
        run.code == 1 && run.stderr.contains("does not support dry run"),
        "{}",
        run.stderr
    );
    let run = create(&["--output", "json"]);
    let job: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(
        job["metadata"]["uid"],
        sb.now()["jobs"]["influxdb/x"]["meta"]["uid"]
    );
}

#[test]
fn a_watch_shows_pods_come_and_go() {
    let sb = Sandbox::new();
    let selector = [
        "--selector",
        "app=token-management",
        "--namespace",
        "influxdb",
    ];
    let watch = [
        &["get", "pods"],
        &selector[..],
        &["--output", "json", "--watch"],
    ]
    .concat();
    let running = sb.spawn_tool("kubectl", &watch);
    wait_until("both are printed", || {
        running.so_far("stdout").matches("\n}\n").count() == 2
    });
    here(&sb, "delete pods --selector app=token-management");
    wait_until("new ones run", || {
        running_uids(&running.so_far("stdout")).len() == 4
    });
    sb.deny(json!({"verb": "watch", "resource": "pods"}));
    let run = sb.tool("kubectl", &watch, None);
    assert!(
        run.code == 1 && run.stderr.contains("cannot watch resource \"pods\""),
        "{}",
        run.stderr
    );
}

/// The UIDs of the pods that a watch showed running and staying.
fn running_uids(watched: &str) -> BTreeSet<String> {
    let documents = serde_json::Deserializer::from_str(watched).into_iter::<Value>();
    let running = documents
        .filter_map(Result::ok)
        .filter(|d| d["status"]["phase"] == "Running");
    let staying = running.filter(|d| d["metadata"]["deletionTimestamp"].is_null());
    staying.map(|d| d["metadata"]["uid"].to_string()).collect()
}

#[test]
fn other_workloads() {
    let sb = Sandbox::new();
    sb.cluster(|cluster| {
        let all = cluster["deployments"].as_object_mut().expect("deployments");
        all.remove("influxdb/token-management").expect("there");
        cluster["pods"] = json!({});
    });
    sb.fake(&[
        "deployment",
        "influxdb",
        "core",
        "app=core",
        "1",
        "rsa-keys",
    ]);
    wait_until("its pod serves", || {
        try_token(&sb, &sb.admin_token()).code == 0
    });
    let none = kubectl(
        &sb,
        &format!("delete pods --selector app=token-management {NS}"),
    );
    assert_eq!(
        (none.code, none.stdout.as_str()),
        (0, "No resources found\n")
    );
}
