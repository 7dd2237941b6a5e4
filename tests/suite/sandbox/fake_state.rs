//! Changes to the fakes' world.

use super::Sandbox;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs::File;

/// The key of the secret `admin-token` in the state.
const ADMIN_TOKEN_KEY: &str = "influxdb/admin-token";

impl Sandbox {
    /// Changes the world: `world["current_context"] = json!("acme-prod")`. An unknown field makes
    /// every later call fail.
    pub fn edit_state<T>(&self, change: impl FnOnce(&mut Value) -> T) -> T {
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.path("state/lock"));
        let lock = lock.expect("sandbox");
        lock.lock().expect("sandbox");
        let mut world: Value =
            serde_json::from_str(&self.read("state/cluster.json")).expect("the fake's state");
        let result = change(&mut world);
        self.write("state/cluster.json", world.to_string());
        result
    }

    /// Changes the cluster of context `sim-dev`: `cluster["unreachable"] = json!(true)`.
    pub fn edit_cluster<T>(&self, change: impl FnOnce(&mut Value) -> T) -> T {
        self.edit_state(|world| change(&mut world["clusters"]["sim"]))
    }

    /// Simulates the time since the last call, then returns the cluster.
    pub fn refresh_cluster(&self) -> Value {
        self.run_fake(&["tick"]);
        self.edit_cluster(|cluster| cluster.clone())
    }

    /// Stops the verification of the certificate, so that another cluster could answer.
    pub fn skip_tls_verification(&self) {
        self.edit_state(|world| world["contexts"]["sim-dev"]["insecure"] = json!(true));
    }

    /// Sets the version of kubectl: `v1.28.3`.
    pub fn set_kubectl_version(&self, version: &str) {
        self.edit_state(|world| world["kubectl_version"] = json!(version));
    }

    /// Sets the version of influxctl, `2.4.0`, its behaviour and its output.
    pub fn set_influxctl_version(&self, version: &str) {
        self.edit_state(|world| world["influxctl_version"] = json!(version));
    }

    /// Sets the output of `influxctl version`.
    pub fn set_influxctl_version_output(&self, text: &str) {
        self.edit_state(|world| world["influxctl_prints"] = json!(text));
    }

    /// Forbids requests: `json!({"verb": "get", "resource": "secrets"})`, optionally with `user`,
    /// `name` or `namespace`.
    pub fn deny_access(&self, rule: Value) {
        self.edit_cluster(|cluster| cluster["denied"].as_array_mut().expect("a list").push(rule));
    }

    /// Orders a fault, see `fixtures/fake/fault.rs`. Faults apply in the order of the calls here.
    pub fn inject_fault(&self, fault: Value) {
        let text =
            std::fs::read_to_string(self.path("state/faults.json")).unwrap_or_else(|_| "[]".into());
        let mut faults: Vec<Value> = serde_json::from_str(&text).expect("a list");
        faults.push(fault);
        self.write("state/faults.json", json!(faults).to_string());
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.write("state/faults.json", "[]");
        self.write("state/fault-counts.json", "[]");
    }

    /// Starts the kubit operator, with an AppInstance in namespace `influxdb`.
    pub fn install_operator(&self) {
        self.run_fake(&["operator", "influxdb"]);
    }

    /// Pauses or resumes the operator.
    pub fn set_operator_paused(&self, pause: bool) {
        self.edit_cluster(|cluster| {
            cluster["appinstances"]["influxdb/influxdb"]["spec"]["pause"] = json!(pause)
        });
    }

    /// Returns the current admin token, decoded.
    pub fn admin_token(&self) -> Vec<u8> {
        let text = self
            .edit_cluster(|cluster| cluster["secrets"][ADMIN_TOKEN_KEY]["data"]["token"].clone());
        STANDARD
            .decode(text.as_str().expect("an admin token"))
            .expect("base64")
    }

    /// Replaces the bytes of the admin token. The server accepts them as well.
    pub fn set_admin_token(&mut self, bytes: &[u8]) {
        self.extra_secrets.push(bytes.to_vec());
        let text = STANDARD.encode(bytes);
        self.edit_cluster(|cluster| {
            cluster["extra_tokens"]
                .as_array_mut()
                .expect("a list")
                .push(json!(text));
            cluster["secrets"][ADMIN_TOKEN_KEY]["data"]["token"] = json!(text);
        });
    }

    /// Replaces the base64 of the admin token with any text: invalid, empty, huge.
    pub fn set_admin_token_base64(&self, text: &str) {
        self.edit_cluster(|cluster| {
            cluster["secrets"][ADMIN_TOKEN_KEY]["data"]["token"] = json!(text)
        });
    }

    /// Removes the key `token` from secret `admin-token`.
    pub fn remove_admin_token_key(&self) {
        self.edit_cluster(|cluster| cluster["secrets"][ADMIN_TOKEN_KEY]["data"] = json!({}));
    }

    /// Replaces the data of a secret in place, as `kubectl patch` does.
    pub fn replace_secret_data(&self, name: &str, data: &Value) {
        self.edit_cluster(|cluster| {
            cluster["secrets"][format!("influxdb/{name}")]["data"] = data.clone();
        });
        self.raise_secret_version(name);
    }

    /// Raises the resource version of a secret, as each change in place does.
    pub fn raise_secret_version(&self, name: &str) {
        self.edit_cluster(|cluster| {
            let revision = cluster["revision"].as_u64().expect("a number") + 1;
            cluster["revision"] = json!(revision);
            cluster["secrets"][format!("influxdb/{name}")]["meta"]["revision"] = json!(revision);
        });
    }

    /// Removes a secret from namespace `influxdb`.
    pub fn remove_secret(&self, name: &str) {
        self.edit_cluster(|cluster| {
            let secrets = cluster["secrets"].as_object_mut().expect("secrets");
            secrets
                .remove(&format!("influxdb/{name}"))
                .expect("an existing secret");
        });
    }
}
