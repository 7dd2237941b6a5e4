//! `plan` and `apply` and what they take.

use super::{
    CommonArgs, DisableArgs, DryRunFormat, EnableArgs, RevocationArgs, RevokeArgs, RotateArgs,
    examples, parse_duration,
};
use crate::tool;
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// `plan`
#[derive(Args)]
pub struct PlanArgs {
    /// The command whose plan it is
    #[command(subcommand)]
    pub subcommand: PlanSubcommand,
    /// Where the plan goes; an older plan there is replaced
    #[arg(long, global = true, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What can be planned.
#[derive(Subcommand, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PlanSubcommand {
    /// `enable`, planned
    #[command(after_long_help = examples::render_examples("plan enable"))]
    Enable(EnableArgs),
    /// `disable`, planned
    #[command(after_long_help = examples::render_examples("plan disable"))]
    Disable(DisableArgs),
    /// `revoke`, planned: with every proof beforehand
    #[command(after_long_help = examples::render_examples("plan revoke"))]
    Revoke(RevokeArgs),
    /// `rotate`, planned: with every proof beforehand
    #[command(after_long_help = examples::render_examples("plan rotate"))]
    Rotate(RotateArgs),
    /// A plan as it was written down, and its SHA-256
    #[serde(skip)]
    #[command(after_long_help = examples::render_examples("plan show"))]
    Show(PlanShowArgs),
}

impl PlanSubcommand {
    /// Whether it only shows what it would do, as on the command line.
    pub fn dry_run_mut(&mut self) -> Option<&mut Option<DryRunFormat>> {
        match self {
            Self::Enable(args) => Some(&mut args.dry_run),
            Self::Disable(args) => Some(&mut args.dry_run),
            Self::Revoke(args) => Some(&mut args.revocation.dry_run),
            Self::Rotate(args) => Some(&mut args.revocation.dry_run),
            Self::Show(_) => None,
        }
    }

    /// How it revokes, where it does.
    pub fn revocation_mut(&mut self) -> Option<&mut RevocationArgs> {
        match self {
            Self::Revoke(RevokeArgs {
                revocation: how, ..
            })
            | Self::Rotate(RotateArgs {
                revocation: how, ..
            }) => Some(how),
            Self::Enable(_) | Self::Disable(_) | Self::Show(_) => None,
        }
    }
}

/// `plan show`
#[derive(Args, Clone)]
pub struct PlanShowArgs {
    /// The plan
    pub file: PathBuf,
    /// As what
    #[arg(long, value_enum, default_value_t = PlanFormat::Text, value_name = "FORMAT")]
    pub format: PlanFormat,
}

/// How a plan is shown.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// For people
    Text,
    /// The POSIX shell script that does the same
    Script,
}

/// `apply`
#[derive(Args)]
pub struct ApplyArgs {
    /// The plan
    pub file: PathBuf,
    /// The SHA-256 that it must have: that of the plan which was approved
    #[arg(long, value_name = "SHA256", value_parser = tool::parse_sha256)]
    pub expect: Option<String>,
    /// Confirm a revocation without a terminal: `in-cluster/NS` where there is no context
    #[arg(long, value_name = "CONTEXT/NAMESPACE")]
    pub confirm: Option<String>,
    /// How old it may be
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    pub max_age: Duration,
}

/// What a plan is the plan of: a command and what it takes, as it can be asked for again.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Which cluster, which tools, which profile.
    pub common: CommonArgs,
    /// The command.
    pub command: PlanSubcommand,
}

/// A time limit as whole milliseconds.
pub(super) mod millis {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let duration = Duration::from_millis(u64::deserialize(from)?);
        let holds = !duration.is_zero() && duration <= super::super::MAX_TIMEOUT;
        if holds {
            Ok(duration)
        } else {
            Err(serde::de::Error::custom(
                "a time limit is longer than nothing, and at most a day",
            ))
        }
    }
}
