//! The options of a revocation.

use crate::tool::kubectl::DeletionMethod;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The label of the pods that the documented revocation restarts.
pub const DOCUMENTED_SELECTOR: &str = "app=token-management";

/// The strategy to rerun a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Rerun {
    /// kubit if it runs, otherwise a clone.
    Auto,
    /// The documented `create job --from=job/…`.
    FromJob,
    /// A clone of the job.
    Clone,
    /// kubit recreates the job.
    Operator,
}

impl Rerun {
    pub const ALL: &[Self] = &[Self::Auto, Self::FromJob, Self::Clone, Self::Operator];

    /// Returns the value as on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::FromJob => "from-job",
            Self::Clone => "clone",
            Self::Operator => "operator",
        }
    }
}

/// A preflight check that an option can skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PreflightCheck {
    /// The account has all permissions.
    Permissions,
    /// The server accepts the clones in a dry run.
    DryRun,
    /// The jobs have not failed before.
    FailedJob,
    /// The site does not set its own signing key.
    SigningKey,
    /// No finalizer blocks the deletion of a secret.
    Finalizers,
}

impl PreflightCheck {
    pub const ALL: &[Self] = &[
        Self::Permissions,
        Self::DryRun,
        Self::FailedJob,
        Self::SigningKey,
        Self::Finalizers,
    ];

    /// Returns the value as on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permissions => "permissions",
            Self::DryRun => "dry-run",
            Self::FailedJob => "failed-job",
            Self::SigningKey => "signing-key",
            Self::Finalizers => "finalizers",
        }
    }
}

#[derive(Clone, Debug)]
pub struct RevocationOptions {
    pub rerun: Rerun,
    /// The policy sets `rerun`, not the command line.
    pub is_rerun_from_policy: bool,
    /// Selects the pods that load the keys.
    pub selector: String,
    /// The job that creates the keys.
    pub key_gen_job: Option<String>,
    /// The job that creates the token.
    pub create_admin_token_job: Option<String>,
    pub start_over: bool,
    pub deletion_method: DeletionMethod,
    /// Delete the clones of earlier revocations.
    pub prune_clones: bool,
    /// Create a new token.
    pub creates_new_token: bool,
    pub skip_checks: Vec<PreflightCheck>,
    /// The limit of each wait.
    pub timeout: Duration,
}
