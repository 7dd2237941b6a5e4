//! Kubernetes objects, reduced to the fields that this program reads.

use crate::tool::invocation::{ObjectKind, ObjectRef};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The label of the jobs that this program creates in the place of others.
pub(super) const CLONE_LABEL: &str = "bypassctl/clone";

/// The annotation of a clone with the name of the job that it was created from.
pub(super) const CLONE_SOURCE_ANNOTATION: &str = "bypassctl/clone-of";

/// `metadata` of any object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    pub name: String,
    /// Empty for an object without a namespace.
    pub namespace: String,
    /// Distinguishes the object from another of the same name.
    pub uid: String,
    /// To the second.
    pub creation_timestamp: Option<String>,
    /// Set while the server deletes the object.
    pub deletion_timestamp: Option<String>,
    #[serde(deserialize_with = "deserialize_null_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "deserialize_null_default")]
    annotations: BTreeMap<String, String>,
}

impl Metadata {
    /// Returns the creation time, to the second, unless it is missing or invalid.
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
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

impl Condition {
    /// Joins reason and message, unless they are empty.
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

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Job {
    pub metadata: Metadata,
    spec: Value,
    status: ObjectStatus,
}

impl Job {
    #[must_use]
    pub fn spec(&self) -> &Value {
        &self.spec
    }

    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.status.is_condition_true("Failed")
    }

    /// Returns whether the job succeeded. `SuccessCriteriaMet`, which recent servers set earlier,
    /// does not count, because pods of the job may still run.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.status.is_condition_true("Complete")
    }

    /// Returns reason and message of the `Failed` condition.
    #[must_use]
    pub fn failure_reason(&self) -> Option<String> {
        self.status
            .find_condition("Failed", "True")
            .map(Condition::describe)
    }

    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.spec["suspend"] == true && !self.is_complete() && !self.is_failed()
    }

    /// Returns whether the job runs or is going to run.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.is_complete()
            && !self.is_failed()
            && !self.is_suspended()
            && self.metadata.deletion_timestamp.is_none()
    }

    /// Returns the completion time, to the second.
    #[must_use]
    pub fn completion_time(&self) -> Option<Timestamp> {
        self.status.completion_time.as_ref()?.parse().ok()
    }

    /// Returns whether this program created the job in the place of another.
    #[must_use]
    pub fn is_clone(&self) -> bool {
        self.metadata.labels.contains_key(CLONE_LABEL)
    }

    /// Returns the name of the job that a clone was created from. `None` unless the job has both
    /// the label and the annotation that this program gives a clone.
    #[must_use]
    pub fn clone_source(&self) -> Option<&str> {
        let Metadata {
            labels,
            annotations,
            ..
        } = &self.metadata;
        labels.get(CLONE_LABEL).filter(|value| *value == "true")?;
        let source = annotations.get(CLONE_SOURCE_ANNOTATION)?;
        Some(source.as_str()).filter(|source| !source.is_empty())
    }

    /// Returns whether the job has ended for good and is not being deleted.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        (self.is_complete() || self.is_failed()) && self.metadata.deletion_timestamp.is_none()
    }

    #[must_use]
    pub fn to_object_ref(&self) -> ObjectRef {
        ObjectRef {
            kind: ObjectKind::Job,
            name: self.metadata.name.clone(),
            uid: self.metadata.uid.clone(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pod {
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
    #[serde(
        rename = "initContainers",
        deserialize_with = "deserialize_null_default"
    )]
    init_containers: Vec<Value>,
}

impl Pod {
    /// Returns whether the pod is ready and not being deleted.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.metadata.deletion_timestamp.is_none()
            && self.status.object_status.is_condition_true("Ready")
    }

    /// Returns whether all containers have terminated for good.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Describes name, phase and why the pod waits, for people.
    #[must_use]
    pub fn describe_state(&self) -> String {
        let containers = self.status.init_container_statuses.iter();
        let waiting = containers
            .chain(&self.status.container_statuses)
            .find_map(|container| container.state.waiting.as_ref())
            .map(|waiting| waiting.reason.as_str())
            .filter(|reason| !reason.is_empty());
        let reason = waiting.map_or_else(String::new, |reason| format!(", {reason}"));
        format!("pod {} {}{reason}", self.metadata.name, self.status.phase)
    }

    /// Returns why the pod has not started: the reason of the scheduler or of a waiting container.
    #[must_use]
    pub fn waiting_reason(&self) -> Option<String> {
        let containers = self
            .status
            .init_container_statuses
            .iter()
            .chain(&self.status.container_statuses);
        // Every container passes through these two states.
        let is_usual =
            |reason: &str| matches!(reason, "" | "ContainerCreating" | "PodInitializing");
        let waiting = containers
            .filter_map(|container| {
                container
                    .state
                    .waiting
                    .as_ref()
                    .map(|waiting| (&container.name, waiting))
            })
            .find(|(_, waiting)| !is_usual(&waiting.reason) || !waiting.message.is_empty())
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
        unscheduled.filter(|reason| !reason.is_empty()).or(waiting)
    }

    /// Returns whether the pod mounts a secret or reads it into the environment of a container.
    #[must_use]
    pub fn uses_secret(&self, name: &str) -> bool {
        let text = Value::from(name);
        let names = [("secretName", &text), ("name", &text)];
        let is_reference = |value: &Value| refers_to_secret(value, &names, false);
        let PodSpec {
            volumes,
            containers,
            init_containers,
        } = &self.spec;
        let parts = volumes.iter().chain(containers).chain(init_containers);
        parts.into_iter().any(is_reference)
    }

    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Finds `secret: {secretName: X}`, `secretKeyRef: {name: X}`, `secretRef: {name: X}` and projected
/// secrets. `in_secret` is set below a key that starts with `secret`.
fn refers_to_secret(value: &Value, names: &[(&str, &Value)], in_secret: bool) -> bool {
    match value {
        Value::Object(fields) => {
            (in_secret
                && names
                    .iter()
                    .any(|(field, name)| fields.get(*field) == Some(name)))
                || fields
                    .iter()
                    .any(|(key, value)| refers_to_secret(value, names, key.starts_with("secret")))
        }
        Value::Array(items) => items
            .iter()
            .any(|item| refers_to_secret(item, names, in_secret)),
        _ => false,
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Deployment {
    pub metadata: Metadata,
    status: DeploymentStatus,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DeploymentStatus {
    ready_replicas: u32,
}

impl Deployment {
    /// Returns whether any pod is ready.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status.ready_replicas > 0
    }
}
