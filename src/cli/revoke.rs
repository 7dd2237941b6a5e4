//! `revoke` and `rotate` and what they take.

use super::{DryRunFormat, parse_duration};
use crate::procedure::revoke::{DOCUMENTED_SELECTOR, PreflightCheck, Rerun};
use crate::tool::kubectl::name;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// What `revoke` and `rotate` take.
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RevocationArgs {
    /// How the jobs that make keys and token run again: by kubit, which makes deleted jobs again, as clones, or by the documented `create job --from=job/NAME`; auto: by kubit where it runs, else as clones [default: auto]
    #[arg(long, value_enum, value_name = "WAY")]
    pub rerun: Option<Rerun>,
    /// The pods that load the keys [default: app=token-management]
    #[arg(long, value_name = "SELECTOR", value_parser = name::parse_selector)]
    pub restart_selector: Option<String>,
    /// The job that makes the keys, where several differ
    #[arg(long, value_name = "JOB", value_parser = name::parse_job_name)]
    pub key_gen_job: Option<String>,
    /// The job that makes the token, where several differ
    #[arg(long, value_name = "JOB", value_parser = name::parse_job_name)]
    pub create_admin_token_job: Option<String>,
    /// Confirm without a terminal: `in-cluster/NS` where there is no context
    #[arg(long, value_name = "CONTEXT/NAMESPACE")]
    #[serde(skip)]
    pub confirm: Option<String>,
    /// A copy of the old token, for the proof; default: the one in the cluster, else the profile's
    #[arg(long, value_name = "FILE")]
    pub old_token_file: Option<PathBuf>,
    /// How long the old token may still be accepted afterwards
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    #[serde(with = "super::plan::millis")]
    #[cfg_attr(
        test,
        schemars(
            with = "u64",
            description = "How long the old token may still be accepted afterwards, in milliseconds"
        )
    )]
    pub grace_period: Duration,
    /// Time limit of each wait: for a job, for the pods
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    #[serde(with = "super::plan::millis")]
    #[cfg_attr(
        test,
        schemars(
            with = "u64",
            description = "Time limit of each wait, in milliseconds: for a job, for the pods"
        )
    )]
    pub wait_timeout: Duration,
    /// Go on without this proof that the later steps are possible
    #[arg(long, value_enum, value_name = "PROOF")]
    pub skip_check: Option<PreflightCheck>,
    /// Start over: delete new keys, too, that an unfinished revocation has made
    #[arg(long)]
    pub start_over: bool,
    /// Show what would be done, as a plan or as a POSIX script; only reads are run
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "plan", require_equals = true, value_name = "AS")]
    #[serde(skip)]
    pub dry_run: Option<DryRunFormat>,
}

impl RevocationArgs {
    /// How the jobs run again.
    #[must_use]
    pub fn rerun(&self) -> Rerun {
        self.rerun.unwrap_or(Rerun::Auto)
    }

    /// The pods that load the keys.
    #[must_use]
    pub fn selector(&self) -> &str {
        self.restart_selector
            .as_deref()
            .unwrap_or(DOCUMENTED_SELECTOR)
    }
}

/// `revoke`
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RevokeArgs {
    /// How.
    #[command(flatten)]
    pub revocation: RevocationArgs,
    /// Have no new token made: for sites that go back to their identity provider
    #[arg(long)]
    pub no_new_token: bool,
}

/// `rotate`
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateArgs {
    /// How.
    #[command(flatten)]
    pub revocation: RevocationArgs,
    /// Every profile whose token file holds the old token
    #[arg(long)]
    pub all_profiles: bool,
    /// Go on although context or namespace looks like production
    #[arg(long)]
    pub allow_production: bool,
}
