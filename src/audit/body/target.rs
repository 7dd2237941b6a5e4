//! The target of a run.

use super::fields;
use super::text::EntryText;
use serde::{Deserialize, Serialize};

/// The target of a run, as far as known at that moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Target"))]
#[serde(expecting = "an object")]
#[serde(bound(deserialize = "S: EntryText<'de>"))]
pub struct Target<S = String> {
    /// Context. Null inside a cluster.
    #[serde(deserialize_with = "Option::deserialize")]
    pub context: Option<S>,
    /// Address of the API server.
    #[serde(deserialize_with = "Option::deserialize")]
    pub server: Option<S>,
    /// UID of namespace `kube-system`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub cluster_uid: Option<S>,
    /// UID of the namespace. Null if the run does not read it.
    #[serde(deserialize_with = "Option::deserialize")]
    pub namespace_uid: Option<S>,
    /// Namespace.
    #[serde(deserialize_with = "Option::deserialize")]
    pub namespace: Option<S>,
    /// User of the kubeconfig. Missing if unknown.
    #[serde(
        default,
        deserialize_with = "fields::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub user: Option<S>,
    /// Account that the cluster sees. Missing if unknown.
    #[serde(
        default,
        deserialize_with = "fields::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub account: Option<S>,
}

impl Target {
    /// Returns whether both are the same namespace of the same cluster, as far as known.
    #[must_use]
    pub fn is_same_namespace(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.namespace_uid, &other.namespace_uid);
        if ours.is_some() && theirs.is_some() {
            return ours == theirs && self.namespace == other.namespace;
        }
        let is_same_cluster = match (&self.cluster_uid, &other.cluster_uid) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => self.server == other.server,
        };
        self.namespace == other.namespace && is_same_cluster
    }
}
