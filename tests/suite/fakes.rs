//! Tests of the fakes and the sandbox.

mod access;
mod create;
mod delete;
mod faults;
mod jobs;
mod patch;
mod revocation;
mod sandbox_self_test;
pub mod token;
mod watch;

use crate::sandbox::{CommandOutput, Sandbox, wait_until};
use serde_json::{Value, json};

/// The documented way to fetch the admin token.
const GET_TOKEN_ARGS: &[&str] = &[
    "get",
    "secrets/admin-token",
    "--template={{.data.token}}",
    "--namespace",
    "influxdb",
];

/// Splits a command line at spaces.
fn split_words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn run_kubectl(sb: &Sandbox, line: &str) -> CommandOutput {
    sb.run_tool("kubectl", &split_words(line), None)
}

/// Runs kubectl, which must succeed, and returns standard output.
fn run_kubectl_ok(sb: &Sandbox, line: &str) -> String {
    let run = run_kubectl(sb, line);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{line}");
    run.stdout
}

/// Returns the manifest of a job with these fields in its spec.
fn build_job(name: &str, more: &Value) -> Value {
    let pod = json!({
        "restartPolicy": "Never",
        "containers": [{"name": "c", "image": "sim.invalid/c:1"}]
    });
    let mut spec = json!({"backoffLimit": 0, "template": {"spec": pod}});
    for (field, value) in more.as_object().expect("fields") {
        spec[field] = value.clone();
    }
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})
}

fn build_list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// Creates the manifest in the namespace, with these flags.
fn create_object(sb: &Sandbox, manifest: &Value, flags: &[&str]) -> CommandOutput {
    let args = [
        &["create", "--filename", "-", "--namespace", "influxdb"],
        flags,
    ]
    .concat();
    sb.run_tool("kubectl", &args, Some(&manifest.to_string()))
}

/// Creates the manifest, which must succeed.
fn create_object_ok(sb: &Sandbox, manifest: &Value) {
    let run = create_object(sb, manifest, &["--output", "name"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{manifest}");
}

/// Returns one object, or a list, of the namespace as JSON.
fn get_object(sb: &Sandbox, what: &str) -> Value {
    serde_json::from_str(&run_kubectl_ok(
        sb,
        &format!("get {what} --namespace influxdb --output json"),
    ))
    .expect("JSON")
}

/// Waits until a running call, the only one, has advanced the world several times.
fn wait_for_polls(sb: &Sandbox) {
    let written = || {
        std::fs::metadata(sb.path("state/cluster.json"))
            .and_then(|m| m.modified())
            .expect("a world")
    };
    for _ in 0..8 {
        let last = written();
        wait_until("the call reads the world", || written() != last);
    }
}
