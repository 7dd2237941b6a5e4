//! The identity of a cluster. A context is only a name, which can lead to another cluster tomorrow.

use super::client::Kubectl;
use crate::tool::invocation::Invocation;

/// The best identification of a cluster that the account can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterId {
    /// The UID of namespace `kube-system`.
    KubeSystem(String),
    /// The UID of the given namespace, if the account cannot read `kube-system`.
    Namespace(String),
    /// The pinned URL of the server, if the account can read neither.
    Server(String),
    /// The cluster of the pod that this program runs in. No context could lead to another one.
    InCluster,
}

impl ClusterId {
    /// Returns the command that reads the identification again, and the expected output. Returns
    /// `None` if no later command can reach another cluster, or if the account can read no UID.
    #[must_use]
    pub fn recheck(&self, kubectl: &Kubectl, namespace: &str) -> Option<(Invocation, &str)> {
        if !kubectl.can_change_cluster() {
            return None;
        }
        match self {
            Self::KubeSystem(uid) => Some((kubectl.get_cluster_uid(), uid)),
            Self::Namespace(uid) => Some((kubectl.get_namespace_uid(namespace), uid)),
            Self::Server(_) | Self::InCluster => None,
        }
    }
}
