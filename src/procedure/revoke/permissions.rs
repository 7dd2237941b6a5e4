//! The permissions that a revocation needs.

use crate::plan::{Action, JobStrategy, Plan, SecretName};
use crate::tool::permission::Permission;

/// Each requirement with the verb and the resource to ask the cluster about.
const REQUIREMENTS: &[(Requirement, &str, &str)] = &[
    (Requirement::Observe, "get", "secrets/admin-token"),
    (Requirement::Observe, "get", "secrets/rsa-keys"),
    (Requirement::DeleteToken, "delete", "secrets/admin-token"),
    (Requirement::DeleteKeys, "delete", "secrets/rsa-keys"),
    (Requirement::Observe, "list", "jobs.batch"),
    (Requirement::WatchJobs, "watch", "jobs.batch"),
    (Requirement::CreateJobs, "create", "jobs.batch"),
    (Requirement::ReadJobs, "get", "jobs.batch"),
    (Requirement::DeleteJobs, "delete", "jobs.batch"),
    (Requirement::Observe, "list", "pods"),
    (Requirement::WatchPods, "watch", "pods"),
    (Requirement::DeletePods, "delete", "pods"),
];

/// The use of a permission.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Requirement {
    Observe,
    DeleteToken,
    DeleteKeys,
    WatchJobs,
    CreateJobs,
    ReadJobs,
    DeleteJobs,
    WatchPods,
    DeletePods,
}

/// Lists every permission that some revocation needs.
///
/// `delete pods --selector` lists the pods and deletes them one by one, so it does not need
/// `deletecollection` (recordings `can-i-*`, and the verbs that the server logs).
pub fn list_permissions(namespace: &str) -> Vec<Permission> {
    REQUIREMENTS
        .iter()
        .map(|(_, verb, resource)| Permission::new(verb, resource, namespace))
        .collect()
}

/// Returns the permissions that the plan needs and the account lacks.
///
/// `allowed` has the order of [`list_permissions`].
pub fn find_missing_permissions(plan: &Plan, namespace: &str, allowed: &[bool]) -> Vec<Permission> {
    let is_needed = |requirement: Requirement| {
        requirement == Requirement::Observe
            || plan
                .steps
                .iter()
                .any(|step| action_requires(&step.action, requirement))
    };
    REQUIREMENTS
        .iter()
        .zip(list_permissions(namespace))
        .zip(allowed)
        .filter(|(((requirement, ..), _), allowed)| !**allowed && is_needed(*requirement))
        .map(|((_, permission), _)| permission)
        .collect()
}

fn action_requires(action: &Action, requirement: Requirement) -> bool {
    match (action, requirement) {
        (Action::DeleteSecret(deletion), Requirement::DeleteToken) => {
            deletion.name == SecretName::AdminToken
        }
        (Action::DeleteSecret(deletion), Requirement::DeleteKeys) => {
            deletion.name == SecretName::RsaKeys
        }
        (Action::RunJob(_), Requirement::WatchJobs) => true,
        (Action::RunJob(run), Requirement::CreateJobs) => {
            matches!(
                run.strategy,
                JobStrategy::Clone { .. } | JobStrategy::FromJob { .. }
            )
        }
        (Action::RunJob(run), Requirement::ReadJobs | Requirement::DeleteJobs) => {
            matches!(run.strategy, JobStrategy::Operator { .. })
        }
        (Action::DeleteClone(_), Requirement::DeleteJobs) => true,
        (Action::RestartPods(_), Requirement::WatchPods) => true,
        (Action::RestartPods(restart), Requirement::DeletePods) => restart.terminating.is_none(),
        _ => false,
    }
}
