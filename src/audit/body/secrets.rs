//! The secrets that an entry is about.

use super::fields;
use super::target::Target;
use crate::tool::invocation::{ObjectKind, ObjectRef};
use crate::tool::kubectl::SecretUid;
use serde::{Deserialize, Serialize};

/// Secrets as a step observed them.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct ObservedSecrets {
    /// ID of the step.
    pub step: String,
    /// The target.
    pub target: Target,
    /// The secrets.
    pub secrets: Vec<ObjectRef>,
}

/// Secrets that a step verified.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct VerifiedSecrets {
    /// ID of the step.
    pub step: String,
    /// The target.
    pub target: Target,
    /// The secrets, each in the version that the run saw first.
    pub secrets: Vec<SecretVersion>,
}

/// A secret in one version. The UID stays if somebody replaces the data, the version does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct SecretVersion {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its `resourceVersion`. Missing in entries of older programs.
    #[serde(
        default,
        deserialize_with = "fields::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub resource_version: Option<String>,
}

impl SecretVersion {
    #[must_use]
    pub fn to_object_ref(&self) -> ObjectRef {
        ObjectRef {
            kind: self.kind,
            name: self.name.clone(),
            uid: self.uid.clone(),
        }
    }

    /// Returns whether both are the same secret, in any version.
    #[must_use]
    pub fn is_same_secret(&self, other: &Self) -> bool {
        (&self.name, &self.uid) == (&other.name, &other.uid)
    }
}

impl From<&SecretUid> for SecretVersion {
    fn from(secret: &SecretUid) -> Self {
        let ObjectRef { kind, name, uid } = secret.to_object_ref();
        Self {
            kind,
            name,
            uid,
            resource_version: Some(secret.resource_version.clone()),
        }
    }
}
