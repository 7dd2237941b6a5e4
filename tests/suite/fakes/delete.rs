//! Deletions that never complete.

use super::{run_kubectl_ok, wait_for_polls};
use crate::sandbox::{RunningCommand, Sandbox, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

const DELETE_KEYS: &str = "delete secrets/rsa-keys --namespace influxdb";
const DELETE_OUTPUT: &str = "secret \"rsa-keys\" deleted from influxdb namespace\n";

fn get_keys_uid(sb: &Sandbox) -> Value {
    sb.refresh_cluster()["secrets"]["influxdb/rsa-keys"]["meta"]["uid"].clone()
}

fn set_finalizers(sb: &Sandbox, finalizers: Value) {
    sb.edit_cluster(|cluster| cluster["secrets"]["influxdb/rsa-keys"]["finalizers"] = finalizers);
}

/// Creates a sandbox with a finalizer on the keys. Returns their UID and a waiting deletion.
fn spawn_stuck_deletion() -> (Sandbox, Value, RunningCommand) {
    let sb = Sandbox::new();
    set_finalizers(&sb, json!(["example.com/f"]));
    let keys = get_keys_uid(&sb);
    let deletion = sb.spawn_tool("kubectl", &super::split_words(DELETE_KEYS));
    wait_until("it says so", || {
        deletion.read_output("stdout") == DELETE_OUTPUT
    });
    wait_for_polls(&sb);
    (sb, keys, deletion)
}

#[test]
fn deletion_waits_while_finalizer_holds_secret() {
    let (sb, keys, deletion) = spawn_stuck_deletion();
    deletion.send_signal(Signal::TERM);
    let run = deletion.wait();
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (128 + 15, DELETE_OUTPUT, "")
    );
    assert!(keys.is_string());
    assert_eq!(get_keys_uid(&sb), keys);
    assert_eq!(
        run_kubectl_ok(&sb, &format!("{DELETE_KEYS} --wait=false")),
        DELETE_OUTPUT
    );
    assert_eq!(get_keys_uid(&sb), keys);
    run_kubectl_ok(&sb, "delete secrets/admin-token --namespace influxdb");
    assert!(
        sb.refresh_cluster()["secrets"]["influxdb/admin-token"].is_null(),
        "no finalizer blocks this secret"
    );
}

#[test]
fn deletion_completes_when_finalizer_removed() {
    let (sb, _, deletion) = spawn_stuck_deletion();
    set_finalizers(&sb, json!([]));
    assert_eq!(deletion.wait().code, 0);
    assert_eq!(get_keys_uid(&sb), Value::Null);
}
