//! "Revoke an admin token": InfluxDB Clustered documentation, "Manage admin tokens".
//!
//! The page of March 2024 deletes the keys and reruns their job with a command that kubectl
//! rejects. The page of September 2024 deletes both secrets and both jobs, and relies on kubit to
//! recreate the jobs. The plan here deletes the keys, then the token. Their jobs recreate them, as
//! clones or by kubit. The pods restart between the two jobs.

mod clones;
mod facts;
mod finalizers;
mod jobs;
mod key_users;
mod operator;
mod options;
mod permissions;
mod planner;
mod stage;
mod strategy;

#[cfg(test)]
mod tests;

pub use facts::{RevocationFacts, RevocationPlan};
pub use finalizers::{describe_blocked_deletion, list_finalizers, suggest_finalizer_removal};
pub use jobs::JobKind;
pub use key_users::find_key_users;
pub use operator::{AppInstances, Operator, SigningKey};
pub use options::{DOCUMENTED_SELECTOR, PreflightCheck, Rerun, RevocationOptions};
pub use permissions::{find_missing_permissions, list_permissions};
pub use planner::{MIN_REJECTIONS, plan_revocation};
pub use stage::{Observation, SecretState};
