//! The namespace that a plan acts on.

use crate::tool::invocation::Invocation;
use crate::tool::kubectl::Kubectl;

#[derive(Clone, Debug)]
pub struct ClusterTarget {
    /// With context, server and other flags pinned.
    pub kubectl: Kubectl,
    pub namespace: String,
}

impl ClusterTarget {
    /// Returns `CONTEXT/NAMESPACE`, which confirms a plan. Inside a cluster, no context exists.
    pub fn confirmation_phrase(&self) -> String {
        let context = self.kubectl.global_flags.context.as_deref();
        format!("{}/{}", context.unwrap_or("in-cluster"), self.namespace)
    }

    /// Returns commands that identify the cluster. The first one that the account can run counts.
    /// Without any, the pinned server identifies the cluster.
    pub(super) fn identity_commands(&self) -> [Invocation; 2] {
        [
            self.kubectl.get_cluster_uid(),
            self.kubectl.get_namespace_uid(&self.namespace),
        ]
    }
}
