//! Changes by the recording scripts between the calls.

use crate::sandbox::Sandbox;
use serde_json::json;

/// Prepares for the call of this name.
pub fn prepare_call(sb: &Sandbox, name: &str) {
    match name {
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
