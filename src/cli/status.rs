//! `status`, `doctor` and their options.

use super::values::parse_age;
use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use std::path::PathBuf;

/// The options of `status`.
#[derive(Args)]
pub struct StatusArgs {
    /// State that exits with 0
    #[arg(long, value_enum, default_value_t = RequiredState::On, value_name = "STATE")]
    pub require: RequiredState,
    /// Maximum age of the token, such as 90d
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub max_age: Option<SignedDuration>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RequiredState {
    /// The profile uses the token of the cluster
    On,
    /// The profile uses no token file, as before production
    Off,
}

/// The options of `doctor`.
#[derive(Args)]
pub struct DoctorArgs {
    /// Role with all permissions as YAML, for `kubectl apply`
    #[arg(long)]
    pub role: bool,
    /// Support report to write, and to read before you send it
    ///
    /// What influxctl prints, the keys of the configuration without values, and the last runs.
    #[arg(long, value_name = "FILE", conflicts_with = "role")]
    pub report: Option<PathBuf>,
}
