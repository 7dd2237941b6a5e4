//! `plan`, `apply` and their options.

use super::common::CommonArgs;
use super::enable::{DisableArgs, EnableArgs};
use super::revoke::{RevocationArgs, RevokeArgs, RotateArgs};
use super::values::{DryRunFormat, parse_duration};
use crate::tool;
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The options of `plan`.
#[derive(Args)]
pub struct PlanArgs {
    #[command(subcommand)]
    pub subcommand: PlanSubcommand,
    /// Plan file to write or replace
    #[arg(long, global = true, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// The command to plan.
#[derive(Subcommand, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PlanSubcommand {
    /// Plan `enable`
    #[command(mut_arg("dry_run", |arg| arg.hide(true)))]
    Enable(EnableArgs),
    /// Plan `disable`
    #[command(mut_arg("dry_run", |arg| arg.hide(true)))]
    Disable(DisableArgs),
    /// Run the preflight checks of `revoke` and plan it
    #[command(
        mut_arg("dry_run", |arg| arg.hide(true)),
        mut_arg("confirm", |arg| arg.hide(true))
    )]
    Revoke(RevokeArgs),
    /// Run the preflight checks of `rotate` and plan it
    #[command(
        mut_arg("dry_run", |arg| arg.hide(true)),
        mut_arg("confirm", |arg| arg.hide(true))
    )]
    Rotate(RotateArgs),
    /// Show a saved plan and its SHA-256
    #[serde(skip)]
    Show(PlanShowArgs),
}

impl PlanSubcommand {
    /// Returns the name of the planned command.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Enable(_) => "enable",
            Self::Disable(_) => "disable",
            Self::Revoke(_) => "revoke",
            Self::Rotate(_) => "rotate",
            Self::Show(_) => "show",
        }
    }

    pub fn dry_run_mut(&mut self) -> Option<&mut Option<DryRunFormat>> {
        match self {
            Self::Enable(args) => Some(&mut args.dry_run.format),
            Self::Disable(args) => Some(&mut args.dry_run.format),
            Self::Revoke(args) => Some(&mut args.revocation.dry_run.format),
            Self::Rotate(args) => Some(&mut args.revocation.dry_run.format),
            Self::Show(_) => None,
        }
    }

    pub fn revocation_mut(&mut self) -> Option<&mut RevocationArgs> {
        match self {
            Self::Revoke(RevokeArgs { revocation, .. })
            | Self::Rotate(RotateArgs { revocation, .. }) => Some(revocation),
            Self::Enable(_) | Self::Disable(_) | Self::Show(_) => None,
        }
    }
}

/// The options of `plan show`.
#[derive(Args, Clone)]
pub struct PlanShowArgs {
    /// Plan file
    pub file: PathBuf,
    /// Rendering of the plan
    #[arg(long, value_enum, default_value_t = PlanFormat::Text, value_name = "FORMAT")]
    pub format: PlanFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// Text for people
    Text,
    /// Equivalent POSIX shell script
    Script,
}

/// The options of `apply`.
#[derive(Args)]
pub struct ApplyArgs {
    /// Plan file
    pub file: PathBuf,
    /// SHA-256 of the approved plan
    #[arg(long, value_name = "SHA256", value_parser = tool::parse_sha256)]
    pub expect: Option<String>,
    /// CONTEXT/NAMESPACE, to confirm without a terminal
    ///
    /// `in-cluster/NS` in a pod without a context.
    #[arg(long, value_name = "TARGET")]
    pub confirm: Option<String>,
    /// Maximum plan age
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    pub max_age: Duration,
}

/// The planned command and its options, to plan it again.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Cluster, tools and profiles.
    pub common: CommonArgs,
    /// The planned command and its own options.
    pub command: PlanSubcommand,
}
