//! Deletions that do not end.

use super::{done, wait_for_looks};
use crate::sandbox::{Running, Sandbox, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

const DELETE: &str = "delete secrets/rsa-keys --namespace influxdb";
const DELETED: &str = "secret \"rsa-keys\" deleted from influxdb namespace\n";

fn uid(sb: &Sandbox) -> Value {
    sb.now()["secrets"]["influxdb/rsa-keys"]["meta"]["uid"].clone()
}

/// A sandbox whose keys something holds, the UID of those, and a deletion that waits.
fn held() -> (Sandbox, Value, Running) {
    let sb = Sandbox::new();
    sb.cluster(|cluster| cluster["stuck_deletes"] = json!(["influxdb/rsa-keys"]));
    let keys = uid(&sb);
    let deletion = sb.spawn_tool("kubectl", &super::words(DELETE));
    wait_until("it says so", || deletion.so_far("stdout") == DELETED);
    wait_for_looks(&sb);
    (sb, keys, deletion)
}

#[test]
fn what_is_held_stays_and_the_deletion_waits() {
    let (sb, keys, deletion) = held();
    deletion.signal(Signal::TERM);
    let run = deletion.wait();
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (128 + 15, DELETED, "")
    );
    assert!(keys.is_string());
    assert_eq!(uid(&sb), keys);
    assert_eq!(done(&sb, &format!("{DELETE} --wait=false")), DELETED);
    assert_eq!(uid(&sb), keys);
    done(&sb, "delete secrets/admin-token --namespace influxdb");
    assert!(
        sb.now()["secrets"]["influxdb/admin-token"].is_null(),
        "nothing holds this one"
    );
}

#[test]
fn what_is_let_go_goes() {
    let (sb, _, deletion) = held();
    sb.cluster(|cluster| cluster["stuck_deletes"] = json!([]));
    assert_eq!(deletion.wait().code, 0);
    assert_eq!(uid(&sb), Value::Null);
}
