//! The options of every command, and `--dry-run`.

use super::values::{DryRunFormat, millis, parse_duration};
use crate::tool::kubectl::name;
use crate::ui::{Color, OutputFormat};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The options of every command.
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Common options")]
pub struct CommonArgs {
    /// Namespace of InfluxDB Clustered
    ///
    /// Without it and --target, the variable BYPASSCTL_NAMESPACE.
    #[arg(
        short,
        long,
        global = true,
        value_name = "NS",
        value_parser = name::parse_namespace
    )]
    pub namespace: Option<String>,
    /// The namespace comes from the variable, not from the command line.
    #[arg(skip)]
    #[serde(skip)]
    pub is_namespace_from_variable: bool,
    /// Context in the kubeconfig [default: current context]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Target in the policy, instead of namespace and context
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// kubeconfig file, as in kubectl
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        value_hint = clap::ValueHint::FilePath,
        hide_short_help = true
    )]
    pub kubeconfig: Option<String>,
    /// User to impersonate, as in kubectl
    #[arg(
        long = "as",
        global = true,
        value_name = "USER",
        hide_short_help = true
    )]
    pub as_user: Option<String>,
    /// Group to impersonate, as in kubectl, repeatable
    #[arg(
        long = "as-group",
        global = true,
        value_name = "GROUP",
        hide_short_help = true
    )]
    pub as_groups: Vec<String>,
    /// Path of kubectl [default: the first in PATH]
    #[arg(long, global = true, value_name = "PATH", hide_short_help = true)]
    pub kubectl: Option<PathBuf>,
    /// Path of influxctl [default: the first in PATH]
    #[arg(long, global = true, value_name = "PATH", hide_short_help = true)]
    pub influxctl: Option<PathBuf>,
    /// Version of influxctl 2.2.0 to 2.4.1, which cannot report it
    #[arg(long, global = true, value_name = "X.Y.Z", hide_short_help = true)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub assume_influxctl_version: Option<semver::Version>,
    /// Configuration file of influxctl [default: influxctl's default]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub config: Option<PathBuf>,
    /// Connection profile [default: default]
    ///
    /// Repeatable for `rotate`.
    #[arg(long = "profile", global = true, value_name = "NAME")]
    pub profiles: Vec<String>,
    /// Audit log file [default: bypassctl/audit.jsonl in the state directory]
    #[arg(
        long,
        global = true,
        env = "BYPASSCTL_AUDIT_LOG",
        value_name = "FILE",
        hide_short_help = true
    )]
    #[serde(skip)]
    pub audit_log: Option<PathBuf>,
    /// Policy file [default: nearest bypassctl.toml, otherwise the one in /etc/bypassctl]
    #[arg(
        long,
        global = true,
        env = "BYPASSCTL_POLICY",
        value_name = "FILE",
        hide_short_help = true
    )]
    #[serde(skip)]
    pub policy: Option<PathBuf>,
    /// Reason for the audit log, such as a ticket number
    #[arg(long, global = true, value_name = "TEXT")]
    #[serde(skip)]
    pub reason: Option<String>,
    /// Time limit of each command
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        default_value = "1m",
        value_parser = parse_duration,
        hide_short_help = true
    )]
    #[serde(with = "millis")]
    #[cfg_attr(
        test,
        schemars(
            with = "u64",
            description = "Time limit of each command in milliseconds"
        )
    )]
    pub timeout: Duration,
    /// Output format: text, json or junit
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        hide_possible_values = true,
        default_value_t = OutputFormat::Text,
        value_name = "FORMAT"
    )]
    #[serde(skip)]
    pub output: OutputFormat,
    /// Colour of the output
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = Color::Auto,
        value_name = "WHEN",
        hide_short_help = true
    )]
    #[serde(skip)]
    pub color: Color,
    /// Only warnings, errors and the audit head
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        hide_short_help = true
    )]
    #[serde(skip)]
    pub quiet: bool,
    /// Every command as it runs
    #[arg(short, long, global = true, hide_short_help = true)]
    #[serde(skip)]
    pub verbose: bool,
}

/// The option of the commands that change something.
#[derive(Args, Clone, Copy, Default)]
pub struct DryRunArgs {
    /// Plan without changes, or =script
    ///
    /// The plan has each command and each changed line. `--dry-run=script` prints a POSIX script of
    /// the same commands.
    #[arg(
        id = "dry_run",
        long = "dry-run",
        value_enum,
        hide_possible_values = true,
        num_args = 0..=1,
        default_missing_value = "plan",
        require_equals = true,
        value_name = "FORMAT",
        display_order = 0
    )]
    pub format: Option<DryRunFormat>,
}
