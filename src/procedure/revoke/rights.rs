//! What a revocation must be allowed to do.

use crate::plan::{Action, JobStrategy, Plan};
use crate::tool::permission::Permission;

/// What a step needs to be allowed, and the right as the cluster is asked for it.
const REQUIREMENTS: &[(Requirement, &str, &str)] = &[
    (Requirement::Observe, "get", "secrets/admin-token"),
    (Requirement::Observe, "get", "secrets/rsa-keys"),
    (Requirement::DeleteToken, "delete", "secrets/admin-token"),
    (Requirement::DeleteKeys, "delete", "secrets/rsa-keys"),
    (Requirement::Observe, "list", "jobs.batch"),
    (Requirement::WatchJobs, "watch", "jobs.batch"),
    (Requirement::CreateJobs, "create", "jobs.batch"),
    (Requirement::DeleteJobs, "get", "jobs.batch"),
    (Requirement::DeleteJobs, "delete", "jobs.batch"),
    (Requirement::Observe, "list", "pods"),
    (Requirement::WatchPods, "watch", "pods"),
    (Requirement::DeletePods, "delete", "pods"),
];

/// What a right is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Requirement {
    Observe,
    DeleteToken,
    DeleteKeys,
    WatchJobs,
    CreateJobs,
    DeleteJobs,
    WatchPods,
    DeletePods,
}

/// What a revocation may need, and no more: `delete pods --selector` lists and deletes one by one, it does not need
/// `deletecollection` (recordings `can-i-*`, and the verbs that the server logs).
#[must_use]
pub fn list_permissions(namespace: &str) -> Vec<Permission> {
    REQUIREMENTS
        .iter()
        .map(|(_, verb, resource)| Permission::new(verb, resource, namespace))
        .collect()
}

/// Those of [`permissions`] that this plan needs and that are not given.
#[must_use]
pub fn find_missing_permissions(plan: &Plan, namespace: &str, allowed: &[bool]) -> Vec<Permission> {
    let needed = |right: Requirement| {
        plan.steps
            .iter()
            .any(|step| action_requires(&step.action, right))
    };
    let rows = REQUIREMENTS
        .iter()
        .zip(list_permissions(namespace))
        .zip(allowed);
    rows.filter(|((row, _), allowed)| {
        !**allowed && (row.0 == Requirement::Observe || needed(row.0))
    })
    .map(|((_, permission), _)| permission)
    .collect()
}

fn action_requires(action: &Action, right: Requirement) -> bool {
    match (action, right) {
        (Action::DeleteSecret(deletion), Requirement::DeleteToken) => {
            deletion.name == "admin-token"
        }
        (Action::DeleteSecret(deletion), Requirement::DeleteKeys) => deletion.name == "rsa-keys",
        (Action::RunJob(_), Requirement::WatchJobs) => true,
        (Action::RunJob(run), Requirement::CreateJobs) => {
            matches!(
                run.strategy,
                JobStrategy::Clone { .. } | JobStrategy::FromJob { .. }
            )
        }
        (Action::RunJob(run), Requirement::DeleteJobs) => {
            matches!(run.strategy, JobStrategy::Operator { .. })
        }
        (Action::RestartPods(_), Requirement::WatchPods) => true,
        (Action::RestartPods(restart), Requirement::DeletePods) => restart.terminating.is_none(),
        _ => false,
    }
}
