//! Changing the world that the fakes play.

use super::Sandbox;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs::File;

/// The secret of the admin token, as the state calls it.
const ADMIN_TOKEN_KEY: &str = "influxdb/admin-token";

impl Sandbox {
    /// Changes anything: `world["current_context"] = json!("acme-prod")`. A field that the fake does not know makes
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

    /// Changes the cluster of context `sim-dev`: `c["unreachable"] = json!(true)`.
    pub fn edit_cluster<T>(&self, change: impl FnOnce(&mut Value) -> T) -> T {
        self.edit_state(|world| change(&mut world["clusters"]["sim"]))
    }

    /// Lets the time since the last call have its effects, then looks.
    pub fn refresh_cluster(&self) -> Value {
        self.run_fake(&["tick"]);
        self.edit_cluster(|cluster| cluster.clone())
    }

    /// Which kubectl: `v1.28.3`.
    pub fn set_kubectl_version(&self, version: &str) {
        self.edit_state(|world| world["kubectl_version"] = json!(version));
    }

    /// Which influxctl, as it behaves and as it says: `2.4.0`.
    pub fn set_influxctl_version(&self, version: &str) {
        self.edit_state(|world| world["influxctl_version"] = json!(version));
    }

    /// Exactly what `influxctl version` prints.
    pub fn set_influxctl_version_output(&self, text: &str) {
        self.edit_state(|world| world["influxctl_prints"] = json!(text));
    }

    /// Forbids: `json!({"verb": "get", "resource": "secrets"})`, and where wanted `user`, `name`, `namespace`.
    pub fn deny_access(&self, rule: Value) {
        self.edit_cluster(|cluster| cluster["denied"].as_array_mut().expect("a list").push(rule));
    }

    /// Orders a fault; see `fixtures/fake/fault.rs`. The order of orders is kept.
    pub fn inject_fault(&self, fault: Value) {
        let text =
            std::fs::read_to_string(self.path("state/faults.json")).unwrap_or_else(|_| "[]".into());
        let mut faults: Vec<Value> = serde_json::from_str(&text).expect("a list");
        faults.push(fault);
        self.write("state/faults.json", json!(faults).to_string());
    }

    /// No faults from now on.
    pub fn clear_faults(&self) {
        self.write("state/faults.json", "[]");
        self.write("state/fault-counts.json", "[]");
    }

    /// The kubit operator, running, with an AppInstance of namespace `influxdb`.
    pub fn install_operator(&self) {
        self.run_fake(&["operator", "influxdb"]);
    }

    /// Pauses it, or ends the pause.
    pub fn set_operator_paused(&self, pause: bool) {
        self.edit_cluster(|cluster| {
            cluster["appinstances"]["influxdb/influxdb"]["spec"]["pause"] = json!(pause)
        });
    }

    /// The decoded admin token as the cluster has it now.
    pub fn admin_token(&self) -> Vec<u8> {
        let text = self
            .edit_cluster(|cluster| cluster["secrets"][ADMIN_TOKEN_KEY]["data"]["token"].clone());
        STANDARD
            .decode(text.as_str().expect("an admin token"))
            .expect("base64")
    }

    /// Puts other bytes into the admin token. influxctl accepts them as it did the old ones.
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

    /// Puts a text where the base64 of the admin token should be: invalid, empty, huge.
    pub fn set_admin_token_base64(&self, text: &str) {
        self.edit_cluster(|cluster| {
            cluster["secrets"][ADMIN_TOKEN_KEY]["data"]["token"] = json!(text)
        });
    }

    /// Takes the key `token` out of secret `admin-token`.
    pub fn remove_admin_token_key(&self) {
        self.edit_cluster(|cluster| cluster["secrets"][ADMIN_TOKEN_KEY]["data"] = json!({}));
    }

    /// Takes a secret of namespace `influxdb` away.
    pub fn remove_secret(&self, name: &str) {
        self.edit_cluster(|cluster| {
            let secrets = cluster["secrets"].as_object_mut().expect("secrets");
            secrets
                .remove(&format!("influxdb/{name}"))
                .expect("a secret that is there");
        });
    }
}
