//! How a cluster is told from another that the same context name may lead to.

use super::super::invocation::Invocation;
use super::Kubectl;

/// What names a cluster, as far as the account may look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterId {
    /// The UID of namespace `kube-system`.
    KubeSystem(String),
    /// The UID of the namespace itself, for an account that may not read `kube-system`.
    Namespace(String),
    /// Only the server's address, for an account that may read neither.
    Server(String),
    /// The cluster that this pod runs in: there is no context that could lead to another.
    InCluster,
}

impl ClusterId {
    /// What shows whether it is still the same, and what that must print; nothing for a pod.
    #[must_use]
    pub fn recheck(&self, kubectl: &Kubectl, namespace: &str) -> Option<(Invocation, &str)> {
        match self {
            Self::KubeSystem(uid) => Some((kubectl.get_cluster_uid(), uid)),
            Self::Namespace(uid) => Some((kubectl.get_namespace_uid(namespace), uid)),
            Self::Server(server) => Some((kubectl.get_server(), server)),
            Self::InCluster => None,
        }
    }
}
