//! `revoke`, `rotate` and their options.

use super::common::DryRunArgs;
use super::values::{millis, parse_age, parse_duration};
use crate::procedure::revoke::{DOCUMENTED_SELECTOR, PreflightCheck, Rerun};
use crate::tool::kubectl::name;
use clap::Args;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The options that `revoke` and `rotate` share.
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RevocationArgs {
    /// Strategy to rerun the jobs [default: auto]
    #[arg(long, value_enum, value_name = "STRATEGY", hide_short_help = true)]
    pub rerun: Option<Rerun>,
    /// The policy sets the strategy
    #[arg(skip)]
    #[serde(default)]
    pub is_rerun_from_policy: bool,
    /// Pods to restart [default: app=token-management]
    #[arg(
        long,
        value_name = "SELECTOR",
        value_parser = name::parse_selector,
        hide_short_help = true
    )]
    pub restart_selector: Option<String>,
    /// Job that creates the keys, if several differ
    #[arg(
        long,
        value_name = "JOB",
        value_parser = name::parse_job_name,
        hide_short_help = true
    )]
    pub key_gen_job: Option<String>,
    /// Job that creates the token, if several differ
    #[arg(
        long,
        value_name = "JOB",
        value_parser = name::parse_job_name,
        hide_short_help = true
    )]
    pub create_admin_token_job: Option<String>,
    /// CONTEXT/NAMESPACE, to confirm without a terminal
    ///
    /// `in-cluster/NS` in a pod without a context.
    #[arg(long, value_name = "TARGET", display_order = 1)]
    #[serde(skip)]
    pub confirm: Option<String>,
    /// Copy of the old token [default: from cluster or profile]
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub old_token_file: Option<PathBuf>,
    /// Maximum time until the old token is rejected
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        value_parser = parse_duration,
        hide_short_help = true
    )]
    #[serde(with = "millis")]
    #[cfg_attr(
        test,
        schemars(
            with = "u64",
            description = "Maximum time in milliseconds until the old token is rejected"
        )
    )]
    pub grace_period: Duration,
    /// Time limit of each wait for a job or for pods
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5m",
        value_parser = parse_duration,
        hide_short_help = true
    )]
    #[serde(with = "millis")]
    #[cfg_attr(
        test,
        schemars(
            with = "u64",
            description = "Time limit in milliseconds of each wait for a job or for pods"
        )
    )]
    pub wait_timeout: Duration,
    /// Deletion with the UID as a precondition
    ///
    /// Not as documented: `kubectl delete --raw` then deletes nothing that was recreated since.
    #[arg(long)]
    pub delete_by_uid: bool,
    /// Deletion of the clones of earlier revocations, after verification
    ///
    /// The newest clone of each job stays.
    #[arg(long)]
    #[serde(default)]
    pub prune_clones: bool,
    /// Preflight check to skip, repeatable
    #[arg(long, value_enum, value_name = "CHECK", hide_short_help = true)]
    pub skip_check: Vec<PreflightCheck>,
    /// New revocation, not the unfinished one
    #[arg(long)]
    pub start_over: bool,
    #[command(flatten)]
    #[serde(skip)]
    pub dry_run: DryRunArgs,
}

impl RevocationArgs {
    /// Returns the strategy to rerun the jobs.
    #[must_use]
    pub fn rerun(&self) -> Rerun {
        self.rerun.unwrap_or(Rerun::Auto)
    }

    /// Returns the selector of the pods that load the keys.
    #[must_use]
    pub fn selector(&self) -> &str {
        self.restart_selector
            .as_deref()
            .unwrap_or(DOCUMENTED_SELECTOR)
    }
}

/// The options of `revoke`.
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RevokeArgs {
    /// Options of the revocation.
    #[command(flatten)]
    pub revocation: RevocationArgs,
    /// Revocation without a new token
    #[arg(long)]
    pub no_new_token: bool,
}

/// The options of `rotate`.
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RotateArgs {
    /// Options of the revocation.
    #[command(flatten)]
    pub revocation: RevocationArgs,
    /// Every profile whose token file has the old token
    #[arg(long, display_order = 2)]
    pub all_profiles: bool,
    /// Permission for a production-like target
    #[arg(long, display_order = 4)]
    pub allow_production: bool,
    /// Rotation only of an older token, such as 90d
    #[arg(long, value_name = "AGE", value_parser = parse_age, display_order = 3)]
    #[serde(skip)]
    pub if_older_than: Option<SignedDuration>,
    /// Program that gets the new token on standard input
    ///
    /// Runs after the verification, with all further words as its arguments. So this is the last
    /// option.
    #[arg(
        long,
        value_names = ["COMMAND", "ARG"],
        num_args = 1..,
        allow_hyphen_values = true,
        value_hint = clap::ValueHint::CommandName,
        hide_short_help = true
    )]
    #[serde(default)]
    pub deliver: Vec<String>,
}
