//! Effects on tokens of deleted keys, jobs and pods.

use super::token::probe_token;
use super::{run_kubectl, run_kubectl_ok};
use crate::sandbox::{Sandbox, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const NAMESPACE_FLAG: &str = "--namespace influxdb";

/// Makes a call in the namespace, which must succeed.
fn run_in_namespace(sb: &Sandbox, line: &str) -> String {
    run_kubectl_ok(sb, &format!("{line} {NAMESPACE_FLAG}"))
}

/// Waits for a job.
fn wait_for_job(sb: &Sandbox, job: &str) {
    run_in_namespace(
        sb,
        &format!("wait --for=condition=complete job/{job} --timeout=30s"),
    );
}

/// Clones a job under a new name, like the recorded clone.
fn clone_job(sb: &Sandbox, from: &str, name: &str) -> i32 {
    let app = from.rsplit_once('-').expect("a suffix").0;
    let text = run_in_namespace(sb, &format!("get job/{from} --output json"));
    let job: Value = serde_json::from_str(&text).expect("JSON");
    let mut template = job["spec"]["template"].clone();
    template["metadata"] = json!({"labels": {"app": app}});
    let manifest = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "influxdb"},
        "spec": {"backoffLimit": 6, "template": template}
    });
    let create = [
        "create",
        "--filename",
        "-",
        "--namespace",
        "influxdb",
        "--output",
        "name",
    ];
    sb.run_tool("kubectl", &create, Some(&manifest.to_string()))
        .code
}

#[test]
fn cloned_jobs_revoke_old_token() {
    let sb = Sandbox::new();
    let old = sb.admin_token();
    run_in_namespace(&sb, "delete secrets/rsa-keys secrets/admin-token");
    assert_eq!(
        probe_token(&sb, &old).code,
        0,
        "pods keep the key they have loaded"
    );
    assert_eq!(clone_job(&sb, "key-gen-7c9d2b41", "key-gen-001"), 0);
    assert_eq!(
        clone_job(&sb, "key-gen-7c9d2b41", "key-gen-001"),
        1,
        "the secret already exists"
    );
    wait_for_job(&sb, "key-gen-001");
    let text = run_in_namespace(&sb, "delete pods --selector app=token-management");
    assert_eq!(text.lines().count(), 2, "{text}");
    run_in_namespace(
        &sb,
        "wait --for=condition=Ready pods --selector app=token-management --timeout=30s",
    );
    let status = run_in_namespace(
        &sb,
        "rollout status deployment/token-management --timeout=30s",
    );
    assert!(status.ends_with("successfully rolled out\n"));
    assert_eq!(probe_token(&sb, &old).code, 1);
    assert_eq!(
        clone_job(&sb, "create-admin-token-7c9d2b41", "create-admin-token-001"),
        0
    );
    wait_for_job(&sb, "create-admin-token-001");
    assert_ne!(sb.admin_token(), old);
    assert_eq!(probe_token(&sb, &sb.admin_token()).code, 0);
    assert_eq!(probe_token(&sb, &old).code, 1);
}

#[test]
fn operator_recreates_deleted_jobs_unless_paused() {
    let sb = Sandbox::new();
    sb.install_operator();
    let old = sb.admin_token();
    let uid = |sb: &Sandbox| {
        sb.refresh_cluster()["jobs"]["influxdb/key-gen-7c9d2b41"]["meta"]["uid"].clone()
    };
    let before = uid(&sb);
    let jobs =
        format!("delete job/key-gen-7c9d2b41 job/create-admin-token-7c9d2b41 {NAMESPACE_FLAG}");
    run_in_namespace(&sb, "delete secret rsa-keys admin-token");
    sb.set_operator_paused(true);
    run_kubectl_ok(&sb, &jobs);
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert_eq!(uid(&sb), Value::Null);
    sb.set_operator_paused(false);
    wait_until("there is a token again", || {
        sb.refresh_cluster()["secrets"]["influxdb/admin-token"].is_object()
    });
    assert_ne!(uid(&sb), before);
    assert_ne!(sb.admin_token(), old);
}

#[test]
fn terminating_pods_serve_and_new_pods_await_keys() {
    let sb = Sandbox::new();
    let old = sb.admin_token();
    sb.edit_cluster(|cluster| cluster["term_seconds"] = json!(1.0));
    run_in_namespace(&sb, "delete secrets/rsa-keys");
    run_in_namespace(
        &sb,
        "delete pods --selector app=token-management --wait=false",
    );
    assert_eq!(probe_token(&sb, &old).code, 0);
    let pods = |sb: &Sandbox| {
        let text = run_in_namespace(sb, "get pods --selector app=token-management --output json");
        serde_json::from_str::<Value>(&text).expect("JSON")["items"]
            .as_array()
            .expect("a list")
            .clone()
    };
    assert_eq!(
        pods(&sb).len(),
        4,
        "two terminating pods and two pending pods"
    );
    wait_until("the old ones are gone", || pods(&sb).len() == 2);
    assert!(
        pods(&sb)
            .iter()
            .all(|pod| pod["status"]["phase"] == "Pending")
    );
    assert_eq!(probe_token(&sb, &old).code, 1);
    assert_eq!(clone_job(&sb, "key-gen-7c9d2b41", "key-gen-001"), 0);
    wait_until("they run", || {
        pods(&sb)
            .iter()
            .all(|pod| pod["status"]["phase"] == "Running")
    });
}

#[test]
fn sticky_token_stays_valid_until_replaced() {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| cluster["sticky"] = json!(true));
    let old = sb.admin_token();
    run_in_namespace(&sb, "delete secrets/rsa-keys secrets/admin-token");
    assert_eq!(clone_job(&sb, "key-gen-7c9d2b41", "key-gen-001"), 0);
    wait_for_job(&sb, "key-gen-001");
    run_in_namespace(&sb, "delete pods --selector app=token-management");
    assert_eq!(probe_token(&sb, &old).code, 0);
    assert_eq!(
        clone_job(&sb, "create-admin-token-7c9d2b41", "create-admin-token-001"),
        0
    );
    wait_for_job(&sb, "create-admin-token-001");
    assert_eq!(probe_token(&sb, &old).code, 1);
}

#[test]
fn job_faults_make_jobs_fail_or_hang() {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| {
        cluster["job_faults"] = json!({"key-gen-001": "fail", "key-gen-002": "stuck"})
    });
    assert_eq!(clone_job(&sb, "key-gen-7c9d2b41", "key-gen-001"), 0);
    assert_eq!(clone_job(&sb, "key-gen-7c9d2b41", "key-gen-002"), 0);
    run_in_namespace(
        &sb,
        "wait --for=condition=failed job/key-gen-001 --timeout=30s",
    );
    let run = run_kubectl(
        &sb,
        &format!("wait --for=condition=failed job/key-gen-002 {NAMESPACE_FLAG} --timeout=1s"),
    );
    assert_eq!(
        run.stderr,
        "error: timed out waiting for the condition on jobs/key-gen-002\n"
    );
    let text = run_in_namespace(
        &sb,
        "get pods --selector job-name=key-gen-002 --output json",
    );
    assert!(text.contains("\"phase\": \"Pending\""), "{text}");
}

#[test]
fn server_dry_run_can_be_refused() {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| {
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
        sb.run_tool("kubectl", &args, Some(&manifest.to_string()))
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
        sb.refresh_cluster()["jobs"]["influxdb/x"]["meta"]["uid"]
    );
}

#[test]
fn pod_watch_shows_deletions_and_replacements() {
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
        running.read_output("stdout").matches("\n}\n").count() == 2
    });
    run_in_namespace(&sb, "delete pods --selector app=token-management");
    wait_until("new ones run", || {
        list_running_uids(&running.read_output("stdout")).len() == 4
    });
    sb.deny_access(json!({"verb": "watch", "resource": "pods"}));
    let run = sb.run_tool("kubectl", &watch, None);
    assert!(
        run.code == 1 && run.stderr.contains("cannot watch resource \"pods\""),
        "{}",
        run.stderr
    );
}

/// Returns the UIDs of the pods that a watch shows as running and not deleted.
fn list_running_uids(watched: &str) -> BTreeSet<String> {
    let documents = serde_json::Deserializer::from_str(watched).into_iter::<Value>();
    let running = documents
        .filter_map(Result::ok)
        .filter(|d| d["status"]["phase"] == "Running");
    let staying = running.filter(|d| d["metadata"]["deletionTimestamp"].is_null());
    staying.map(|d| d["metadata"]["uid"].to_string()).collect()
}

#[test]
fn other_deployment_can_serve_tokens() {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| {
        let all = cluster["deployments"].as_object_mut().expect("deployments");
        all.remove("influxdb/token-management")
            .expect("the file exists");
        cluster["pods"] = json!({});
    });
    sb.run_fake(&[
        "deployment",
        "influxdb",
        "core",
        "app=core",
        "1",
        "rsa-keys",
    ]);
    wait_until("its pod serves", || {
        probe_token(&sb, &sb.admin_token()).code == 0
    });
    let none = run_kubectl(
        &sb,
        &format!("delete pods --selector app=token-management {NAMESPACE_FLAG}"),
    );
    assert_eq!(
        (none.code, none.stdout.as_str()),
        (0, "No resources found\n")
    );
}
