//! What a revocation must be allowed to do.

use crate::plan::{Action, Plan, Way};
use crate::tool::permission::Permission;

/// What a step needs to be allowed, and the right as the cluster is asked for it.
const RIGHTS: &[(Right, &str, &str)] = &[
    (Right::Look, "get", "secrets/admin-token"),
    (Right::Look, "get", "secrets/rsa-keys"),
    (Right::DeleteToken, "delete", "secrets/admin-token"),
    (Right::DeleteKeys, "delete", "secrets/rsa-keys"),
    (Right::Look, "list", "jobs.batch"),
    (Right::WatchJobs, "watch", "jobs.batch"),
    (Right::CreateJobs, "create", "jobs.batch"),
    (Right::DeleteJobs, "get", "jobs.batch"),
    (Right::DeleteJobs, "delete", "jobs.batch"),
    (Right::Look, "list", "pods"),
    (Right::WatchPods, "watch", "pods"),
    (Right::DeletePods, "delete", "pods"),
];

/// What a right is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Right {
    Look,
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
pub fn permissions(namespace: &str) -> Vec<Permission> {
    RIGHTS
        .iter()
        .map(|(_, verb, resource)| Permission::new(verb, resource, namespace))
        .collect()
}

/// Those of [`permissions`] that this plan needs and that are not given.
#[must_use]
pub fn missing(plan: &Plan, namespace: &str, allowed: &[bool]) -> Vec<Permission> {
    let needed = |right: Right| plan.steps.iter().any(|step| needs(&step.action, right));
    let rows = RIGHTS.iter().zip(permissions(namespace)).zip(allowed);
    rows.filter(|((row, _), allowed)| !**allowed && (row.0 == Right::Look || needed(row.0)))
        .map(|((_, permission), _)| permission)
        .collect()
}

fn needs(action: &Action, right: Right) -> bool {
    match (action, right) {
        (Action::DeleteSecret(deletion), Right::DeleteToken) => deletion.name == "admin-token",
        (Action::DeleteSecret(deletion), Right::DeleteKeys) => deletion.name == "rsa-keys",
        (Action::RunJob(_), Right::WatchJobs) => true,
        (Action::RunJob(run), Right::CreateJobs) => {
            matches!(run.way, Way::Clone { .. } | Way::FromJob { .. })
        }
        (Action::RunJob(run), Right::DeleteJobs) => matches!(run.way, Way::Operator { .. }),
        (Action::Restart(_), Right::WatchPods) => true,
        (Action::Restart(restart), Right::DeletePods) => restart.going.is_none(),
        _ => false,
    }
}
