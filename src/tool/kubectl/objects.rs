//! What is read of Kubernetes' objects: only the fields that this program looks at.

use serde::Deserialize;

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
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(deserialize_with = "null_as_empty")]
    conditions: Vec<Condition>,
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<Condition>, D::Error> {
    Ok(Option::deserialize(input)?.unwrap_or_default())
}

impl Status {
    fn holds(&self, kind: &str) -> bool {
        self.conditions.iter().any(|condition| condition.kind == kind && condition.status == "True")
    }
}

/// A job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Job {
    /// Name and UID.
    pub metadata: Metadata,
    status: Status,
}

impl Job {
    /// Whether it failed; complete and failed are two conditions.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.status.holds("Failed")
    }
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Name and UID.
    pub metadata: Metadata,
    status: Status,
}

impl Pod {
    /// Whether it serves and is not on its way out.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.metadata.deletion_timestamp.is_none() && self.status.holds("Ready")
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
    pub fn running(&self) -> bool {
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
    pub fn paused(&self) -> bool {
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
    pub created: String,
}

impl SecretUid {
    /// One row of the columns NAME, UID, CREATED.
    pub(super) fn parse(row: &str) -> Option<Self> {
        let mut columns = row.split_whitespace().map(str::to_owned);
        let secret = Self { name: columns.next()?, uid: columns.next()?, created: columns.next()? };
        columns.next().is_none().then_some(secret)
    }
}
