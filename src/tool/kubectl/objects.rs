//! What is read of Kubernetes' objects: only the fields that this program looks at.

use super::manifest::CLONE_LABEL;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// `metadata` of any object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// Its namespace; empty for what belongs to the whole cluster.
    pub namespace: String,
    /// What tells it from another of the same name.
    pub uid: String,
    /// When it was made, to the second.
    pub creation_timestamp: Option<String>,
    /// Set once its deletion has begun.
    pub deletion_timestamp: Option<String>,
    #[serde(deserialize_with = "deserialize_null_default")]
    labels: BTreeMap<String, String>,
}

impl Metadata {
    /// When it was made, to the second; `None` where that cannot be read.
    #[must_use]
    pub fn creation_time(&self) -> Option<Timestamp> {
        self.creation_timestamp.as_ref()?.parse().ok()
    }
}

/// One condition of a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// `Complete`, `Failed`, `Ready`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
}

impl Condition {
    /// Reason and message, as far as there are any.
    #[must_use]
    pub fn describe(&self) -> String {
        join_reason(&self.reason, &self.message)
    }
}

fn join_reason(reason: &str, message: &str) -> String {
    [reason, message]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(": ")
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectStatus {
    #[serde(deserialize_with = "deserialize_null_default")]
    conditions: Vec<Condition>,
    completion_time: Option<String>,
}

fn deserialize_null_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    input: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

impl ObjectStatus {
    fn find_condition(&self, kind: &str, status: &str) -> Option<&Condition> {
        self.conditions
            .iter()
            .find(|condition| condition.kind == kind && condition.status == status)
    }

    fn is_condition_true(&self, kind: &str) -> bool {
        self.find_condition(kind, "True").is_some()
    }
}

/// A job.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Name and UID.
    pub metadata: Metadata,
    spec: Value,
    status: ObjectStatus,
}

impl Job {
    /// What it does.
    #[must_use]
    pub fn spec(&self) -> &Value {
        &self.spec
    }

    /// Whether it failed; complete and failed are two conditions.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.status.is_condition_true("Failed")
    }

    /// Whether it is done. `SuccessCriteriaMet`, which recent servers show before, does not count: its pods may still
    /// be there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.status.is_condition_true("Complete")
    }

    /// Why it failed.
    #[must_use]
    pub fn failure_reason(&self) -> Option<String> {
        self.status
            .find_condition("Failed", "True")
            .map(Condition::describe)
    }

    /// Whether it waits for somebody to let it run.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.spec["suspend"] == true && !self.is_complete() && !self.is_failed()
    }

    /// Whether it is at work, or about to be.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.is_complete()
            && !self.is_failed()
            && !self.is_suspended()
            && self.metadata.deletion_timestamp.is_none()
    }

    /// When it was done, to the second.
    #[must_use]
    pub fn completion_time(&self) -> Option<Timestamp> {
        self.status.completion_time.as_ref()?.parse().ok()
    }

    /// Whether this program made it in the place of another.
    #[must_use]
    pub fn is_clone(&self) -> bool {
        self.metadata.labels.contains_key(CLONE_LABEL)
    }
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Name and UID.
    pub metadata: Metadata,
    spec: PodSpec,
    status: PodStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    #[serde(flatten)]
    object_status: ObjectStatus,
    #[serde(deserialize_with = "deserialize_null_default")]
    container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "deserialize_null_default")]
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct ContainerStatus {
    name: String,
    state: ContainerState,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct ContainerState {
    waiting: Option<WaitingState>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct WaitingState {
    reason: String,
    message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct PodSpec {
    #[serde(deserialize_with = "deserialize_null_default")]
    volumes: Vec<Value>,
    #[serde(deserialize_with = "deserialize_null_default")]
    containers: Vec<Value>,
}

impl Pod {
    /// Whether it serves and is not on its way out.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.metadata.deletion_timestamp.is_none()
            && self.status.object_status.is_condition_true("Ready")
    }

    /// Whether it has come to its own end and serves no more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Why it has not started: the scheduler's reason, or that of a container that waits.
    #[must_use]
    pub fn waiting_reason(&self) -> Option<String> {
        let containers = self
            .status
            .init_container_statuses
            .iter()
            .chain(&self.status.container_statuses);
        // These two are what every container passes through.
        let usual = |reason: &str| matches!(reason, "" | "ContainerCreating" | "PodInitializing");
        let waiting = containers
            .filter_map(|container| {
                container
                    .state
                    .waiting
                    .as_ref()
                    .map(|waiting| (&container.name, waiting))
            })
            .find(|(_, waiting)| !usual(&waiting.reason) || !waiting.message.is_empty())
            .map(|(name, waiting)| {
                format!(
                    "container `{name}`: {}",
                    join_reason(&waiting.reason, &waiting.message)
                )
            });
        let unscheduled = self
            .status
            .object_status
            .find_condition("PodScheduled", "False")
            .map(Condition::describe);
        unscheduled.filter(|why| !why.is_empty()).or(waiting)
    }

    /// Whether a secret is among its volumes or its containers' environment.
    #[must_use]
    pub fn uses_secret(&self, name: &str) -> bool {
        let text = Value::from(name);
        let names = [("secretName", &text), ("name", &text)];
        let refers = |value: &Value| refers_to_secret(value, &names, false);
        self.spec.volumes.iter().any(refers) || self.spec.containers.iter().any(refers)
    }

    /// Its labels.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Looks for `secret: {secretName: X}`, `secretKeyRef: {name: X}`, `secretRef: {name: X}` and projected ones.
fn refers_to_secret(value: &Value, names: &[(&str, &Value)], below: bool) -> bool {
    match value {
        Value::Object(fields) => {
            (below
                && names
                    .iter()
                    .any(|(field, name)| fields.get(*field) == Some(name)))
                || fields
                    .iter()
                    .any(|(key, value)| refers_to_secret(value, names, key.starts_with("secret")))
        }
        Value::Array(items) => items
            .iter()
            .any(|item| refers_to_secret(item, names, below)),
        _ => false,
    }
}

/// A deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Deployment {
    /// Name and namespace.
    pub metadata: Metadata,
    status: DeploymentStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeploymentStatus {
    ready_replicas: u32,
}

impl Deployment {
    /// Whether any of its pods is ready.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status.ready_replicas > 0
    }
}

/// kubit's `AppInstance`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AppInstance {
    /// Name and namespace.
    pub metadata: Metadata,
    spec: AppInstanceSpec,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct AppInstanceSpec {
    pause: bool,
}

impl AppInstance {
    /// Whether kubit leaves it alone for now.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.spec.pause
    }
}

/// A secret without its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUid {
    /// Its name.
    pub name: String,
    /// What tells it from another of the same name.
    pub uid: String,
    /// When it was made, to the second.
    pub created_at: String,
}

impl SecretUid {
    /// When it was made, to the second; `None` where that cannot be read.
    #[must_use]
    pub fn creation_time(&self) -> Option<Timestamp> {
        self.created_at.parse().ok()
    }

    /// One row of the columns NAME, UID, CREATED.
    pub(super) fn parse_row(row: &str) -> Option<Self> {
        let mut columns = row.split_whitespace().map(str::to_owned);
        let secret = Self {
            name: columns.next()?,
            uid: columns.next()?,
            created_at: columns.next()?,
        };
        columns.next().is_none().then_some(secret)
    }
}
