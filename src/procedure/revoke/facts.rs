//! The input and the result of planning a revocation.

use super::operator::{AppInstances, Operator};
use super::options::RevocationOptions;
use crate::plan::{ClusterTarget, Plan, TokenProbe};
use crate::tool::invocation::ObjectRef;
use crate::tool::kubectl::{ClusterId, Job, Pod, SecretUid};
use std::time::Duration;

/// Everything that the plan depends on.
#[cfg_attr(test, derive(Debug))]
pub struct RevocationFacts {
    pub target: ClusterTarget,
    pub cluster: ClusterId,
    /// The subject of the plan, for people.
    pub description: String,
    /// `revoke` or `rotate`.
    pub command: &'static str,
    /// The existing secrets.
    pub secrets: Vec<SecretUid>,
    /// All jobs of the namespace.
    pub jobs: Vec<Job>,
    /// The pods that match the selector. If none does, all pods of the namespace.
    pub pods: Vec<Pod>,
    /// A pod matches the selector.
    pub pods_match_selector: bool,
    /// Pods outside the selector that use the keys, as [`find_key_users`] describes them.
    ///
    /// [`find_key_users`]: super::find_key_users
    pub other_key_users: Vec<String>,
    pub operator: Operator,
    pub app_instances: AppInstances,
    /// Unfinished revocations in the audit log have started to change something.
    pub has_unfinished_changes: bool,
    /// The deletions that unfinished revocations in the audit log have started.
    pub started_deletions: Vec<ObjectRef>,
    /// The secrets that jobs of unfinished revocations in the audit log have created.
    pub created_secrets: Vec<ObjectRef>,
    /// The audit log has a verification of exactly these secrets.
    pub are_secrets_verified: bool,
    pub options: RevocationOptions,
    /// `None` without a way to probe a token.
    pub token_probe: Option<TokenProbe>,
    /// The time in which the server can still accept the old token.
    pub grace_period: Duration,
}

/// A plan, with everything to report about it.
pub struct RevocationPlan {
    pub plan: Plan,
    /// Why the plan resumes an earlier revocation, if it does.
    pub resuming: Option<String>,
    /// IDs of the steps that are already satisfied, with the reason.
    pub satisfied: Vec<(&'static str, String)>,
    /// Warnings, each with its hint.
    pub warnings: Vec<(String, String)>,
    /// The finished clones that are older than the newest one of the same original.
    pub earlier_clones: Vec<ObjectRef>,
}
