//! Changes by the recording scripts between the calls.

use crate::sandbox::Sandbox;
use serde_json::{Value, json};

/// Prepares for the call of this name and this standard input.
pub fn prepare_call(sb: &Sandbox, name: &str, stdin: Option<&str>) {
    match name {
        "context-with-tls-server-name" => sb.edit_state(|world| {
            let context = &mut world["contexts"]["sim-dev"];
            context["tls_server_name"] = json!("api.invalid");
            context["insecure"] = json!(false);
        }),
        "delete-raw-conflict" => sb.run_fake(&["secret", "influxdb", "doomed"]),
        "delete-raw-secret" => set_uid(sb, "secrets", stdin),
        "delete-raw-job-conflict" => sb.run_fake(&["job", "influxdb", "doomed"]),
        "delete-raw-job" => set_uid(sb, "jobs", stdin),
        "secret-uids-with-finalizers" => {
            set_finalizers(sb, "rsa-keys", &["example.com/one"]);
            let three = ["example.com/one", "example.com/two", "orphan"];
            set_finalizers(sb, "admin-token", &three);
        }
        "secret-uids-deletion-delayed" => sb.edit_cluster(|cluster| {
            let keys = &mut cluster["secrets"]["influxdb/rsa-keys"];
            keys["deleted_ms"] = keys["meta"]["created_ms"].clone();
        }),
        "create-clone-dry-run-server" => sb.edit_cluster(|cluster| cluster["names"] = json!(100)),
        "wait-failed-job" => {
            sb.run_fake(&["failing-job", "influxdb", "doomed"]);
            crate::sandbox::wait_until("the job has failed", || {
                sb.refresh_cluster()["jobs"]["influxdb/doomed"]["phase"] == "failed"
            });
        }
        // The recording script had deleted it.
        "get-jobs-after-json" => remove_job(sb, "doomed"),
        "watch-job-complete" => sb.run_fake(&["job", "influxdb", "watched"]),
        "watch-job-failed" => sb.run_fake(&["failing-job", "influxdb", "watched-failing"]),
        "get-appinstances" => sb.run_fake(&["appinstance", "influxdb"]),
        "get-appinstances-paused" => sb.edit_cluster(|cluster| {
            let instance = &mut cluster["appinstances"]["influxdb/influxdb"];
            instance["spec"]["pause"] = json!(true);
            instance["meta"]["generation"] = json!(2);
        }),
        "get-operator" => sb.run_fake(&["idle-operator"]),
        "kuberc-interactive-delete" => {
            sb.run_fake(&["secret", "influxdb", "doomed"]);
            write_kuberc(sb, "delete", "interactive", "true");
        }
        "kuberc-create-dry-run" => write_kuberc(sb, "create", "dry-run", "client"),
        "kuberc-off-delete" => write_kuberc(sb, "delete", "interactive", "true"),
        _ => {}
    }
}

/// Sets the UID of the object to the one in the precondition of a deletion.
fn set_uid(sb: &Sandbox, kind: &str, stdin: Option<&str>) {
    let options: Value = serde_json::from_str(stdin.expect("options")).expect("JSON");
    sb.edit_cluster(|cluster| {
        cluster[kind]["influxdb/doomed"]["meta"]["uid"] = options["preconditions"]["uid"].clone();
    });
}

fn set_finalizers(sb: &Sandbox, secret: &str, finalizers: &[&str]) {
    sb.edit_cluster(|cluster| {
        cluster["secrets"][format!("influxdb/{secret}")]["finalizers"] = json!(finalizers);
    });
}

fn remove_job(sb: &Sandbox, name: &str) {
    sb.edit_cluster(|cluster| {
        let jobs = cluster["jobs"].as_object_mut().expect("jobs");
        jobs.remove(&format!("influxdb/{name}"))
            .expect("an existing job");
    });
}

fn write_kuberc(sb: &Sandbox, command: &str, option: &str, value: &str) {
    let text = format!(
        "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\ndefaults:\n\
         - command: {command}\n  options:\n  - name: {option}\n    default: \"{value}\"\n"
    );
    sb.write("home/.kube/kuberc", text);
}
