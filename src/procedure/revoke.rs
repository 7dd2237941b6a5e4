//! "Revoke an admin token": InfluxDB Clustered documentation, "Manage admin tokens", as of March and of September 2024.
//!
//! The page of March deletes the keys, then runs their job again with a command that no kubectl accepts. That of
//! September deletes both secrets and both jobs and counts on kubit to make the jobs again. Here the keys go first, then
//! the token; each is made again by its job, as a clone or by kubit, with the restart of the pods in between, and nothing
//! goes before all that comes after it has been shown to be possible.

mod jobs;
mod operator;
mod planner;
mod rights;
mod stage;

#[cfg(test)]
mod tests;

pub use jobs::{CREATE_ADMIN_TOKEN, JobKind, KEY_GEN};
pub use operator::Operator;
use planner::Planner;
pub use rights::{find_missing_permissions, list_permissions};
pub use stage::{Observation, PodState, SecretState, Stage};

use crate::error::{Error, Result};
use crate::plan::{ClusterTarget, Plan, Step, TokenProbe};
use crate::tool::invocation::ObjectRef;
use crate::tool::kubectl::{ClusterId, Job, Pod, SecretUid};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The label of the pods that the documented revocation restarts.
pub const DOCUMENTED_SELECTOR: &str = "app=token-management";

/// How a job is made to run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rerun {
    /// By kubit where it runs, else as a clone.
    Auto,
    /// By the documented `create job --from=job/…`.
    FromJob,
    /// As a clone.
    Clone,
    /// By kubit.
    Operator,
}

impl Rerun {
    /// Every way.
    pub const ALL: &[Self] = &[Self::Auto, Self::FromJob, Self::Clone, Self::Operator];

    /// As on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::FromJob => "from-job",
            Self::Clone => "clone",
            Self::Operator => "operator",
        }
    }
}

/// What is shown before anything is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PreflightCheck {
    /// That the account may do all that is needed.
    Permissions,
    /// That the server would make the clones.
    DryRun,
    /// That the jobs have not failed before.
    FailedJob,
}

impl PreflightCheck {
    /// Every proof that can be waived.
    pub const ALL: &[Self] = &[Self::Permissions, Self::DryRun, Self::FailedJob];

    /// As on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permissions => "permissions",
            Self::DryRun => "dry-run",
            Self::FailedJob => "failed-job",
        }
    }
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct RevocationOptions {
    /// How jobs run again.
    pub rerun: Rerun,
    /// Which pods load the keys.
    pub selector: String,
    /// The job that makes the keys.
    pub key_gen_job: Option<String>,
    /// The job that makes the token.
    pub create_admin_token_job: Option<String>,
    /// Whether to start over.
    pub start_over: bool,
    /// Whether a new token is made.
    pub new_token: bool,
    /// The proof to go without.
    pub skip_check: Option<PreflightCheck>,
    /// The limit of each wait.
    pub timeout: Duration,
}

/// All that planning may know.
#[cfg_attr(test, derive(Debug))]
pub struct RevocationFacts {
    /// Where it is done.
    pub target: ClusterTarget,
    /// Which cluster that is.
    pub cluster: ClusterId,
    /// What the plan is about, for people.
    pub about: String,
    /// The command that asks: `revoke` or `rotate`.
    pub command: &'static str,
    /// The secrets that are there.
    pub secrets: Vec<SecretUid>,
    /// All jobs of the namespace.
    pub jobs: Vec<Job>,
    /// The pods that load the keys; where there are none, all pods of the namespace.
    pub pods: Vec<Pod>,
    /// Whether the selector matched any.
    pub pods_matched: bool,
    /// kubit.
    pub operator: Operator,
    /// What unfinished revocations on record have begun to delete.
    pub begun_deletions: Vec<ObjectRef>,
    /// What was asked for.
    pub options: RevocationOptions,
    /// How a token is tried; `None` where there is no way to.
    pub token_probe: Option<TokenProbe>,
    /// How long the old token may still be accepted afterwards.
    pub grace_period: Duration,
}

/// What is to be done, and what must be shown to be possible first.
pub struct RevocationPlan {
    /// The steps.
    pub plan: Plan,
    /// How far an earlier revocation has come, where one has.
    pub resuming: Option<String>,
    /// The steps that hold already.
    pub satisfied: Vec<(&'static str, String)>,
    /// What deserves a second thought, each with what to do about it.
    pub warnings: Vec<(String, String)>,
}

/// Plans a revocation, or refuses it. `local` is what puts the new token to use on this machine, for `rotate`.
///
/// # Errors
/// [`crate::error::Kind::Refused`]: nothing has been changed.
pub fn plan_revocation(facts: &RevocationFacts, local: Vec<Step>) -> Result<RevocationPlan> {
    let seen = Observation {
        secrets: &facts.secrets,
        jobs: &facts.jobs,
        pods: &facts.pods,
        begun_deletions: &facts.begun_deletions,
    };
    ensure_clustered_namespace(facts)?;
    let stage = seen.determine_stage(facts.options.start_over);
    // Those that were deleted may just not be there again yet.
    if stage.keys != SecretState::New {
        ensure_pods_match(facts)?;
    }
    Planner::new(facts, stage).build_plan(local)
}

fn ensure_clustered_namespace(facts: &RevocationFacts) -> Result<()> {
    let jobs = |kind: &JobKind| kind.filter_jobs(&facts.jobs).next().is_some();
    if !facts.secrets.is_empty() || jobs(&KEY_GEN) || jobs(&CREATE_ADMIN_TOKEN) {
        return Ok(());
    }
    let namespace = &facts.target.namespace;
    Err(Error::refusal(format!(
        "namespace `{namespace}` has neither the secrets nor the jobs of InfluxDB Clustered"
    ))
    .hint(format!(
        "is it the right namespace? `kubectl get secrets,jobs --namespace {namespace}`"
    )))
}

fn ensure_pods_match(facts: &RevocationFacts) -> Result<()> {
    if facts.pods_matched {
        return Ok(());
    }
    let selector = &facts.options.selector;
    let loads = |pod: &&Pod| !pod.is_finished() && pod.uses_secret("rsa-keys");
    let mut loading: Vec<String> = facts
        .pods
        .iter()
        .filter(loads)
        .map(describe_workload)
        .collect();
    loading.sort();
    loading.dedup();
    let told = format!(
        "no pod matches `{selector}`: nothing would be restarted, and the old keys stay in use"
    );
    let hint = if loading.is_empty() {
        format!(
            "no pod of namespace `{}` mounts or reads secret `rsa-keys` either: find out which do (`kubectl get pods --namespace {0} --output yaml`), then name them with --restart-selector",
            facts.target.namespace
        )
    } else {
        format!(
            "these mount or read secret `rsa-keys`: {}; name those that serve tokens with --restart-selector (ingesters, if among them, need not restart)",
            loading.join(", ")
        )
    };
    Err(Error::refusal(told).hint(hint))
}

/// How a person would select the workload of a pod.
fn describe_workload(pod: &Pod) -> String {
    let label = |wanted: &str| {
        pod.labels()
            .find(|(name, _)| *name == wanted)
            .map(|(name, value)| format!("`{name}={value}`"))
    };
    label("app")
        .or_else(|| label("app.kubernetes.io/name"))
        .unwrap_or_else(|| format!("pod `{}`", pod.metadata.name))
}
