//! The options of `enable` and `disable`.

use super::common::DryRunArgs;
use crate::procedure::enable::VerifyMode;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The options of `enable`.
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnableArgs {
    /// Token file [default: admin-token-PROFILE.json]
    ///
    /// The default is beside the configuration.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// New profile, if none has this name
    #[arg(long, requires_all = ["host", "port"])]
    pub create_profile: bool,
    /// Host of the new profile
    #[arg(long, requires = "create_profile")]
    pub host: Option<String>,
    /// Port of the new profile
    #[arg(long, requires = "create_profile")]
    pub port: Option<u16>,
    /// Token probe before the first change
    #[arg(
        long,
        value_enum,
        default_value = "try",
        value_name = "MODE",
        hide_short_help = true
    )]
    pub verify: VerifyMode,
    #[command(flatten)]
    #[serde(skip)]
    pub dry_run: DryRunArgs,
    /// Permission for a production-like target
    #[arg(long, display_order = 1)]
    pub allow_production: bool,
    /// Replacement of the token of another namespace
    #[arg(long)]
    #[serde(default)]
    pub replace: bool,
}

/// The options of `disable`.
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DisableArgs {
    #[command(flatten)]
    #[serde(skip)]
    pub dry_run: DryRunArgs,
}
