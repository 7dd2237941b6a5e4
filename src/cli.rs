//! The command line.

mod audit;
mod command;
pub mod examples;
mod plan;
mod revoke;

pub use audit::{AuditCommand, AuditExportArgs, AuditListArgs, ExportFormat};
pub use plan::{ApplyArgs, PlanArgs, PlanFormat, PlanRequest, PlanShowArgs, PlanSubcommand};
pub use revoke::{RevocationArgs, RevokeArgs, RotateArgs};

use crate::digest::Digest;
use crate::error::EXIT_CODES;
use crate::procedure::enable::VerifyMode;
use crate::procedure::revoke::{PreflightCheck, Rerun};
use crate::tool::kubectl::name;
use crate::ui::{Color, OutputFormat};
use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Enable, disable and revoke the admin token of InfluxDB Clustered
///
/// Runs the real kubectl and influxctl and records every command in an audit log. For development
/// and testing when the identity provider must be bypassed, not for production.
#[derive(Parser)]
#[command(
    name = "bypassctl",
    version,
    after_help = START_HINT,
    after_long_help = examples::render_examples(""),
    arg_required_else_help = true,
    infer_subcommands = false
)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(subcommand)]
    pub command: Command,
}

const START_HINT: &str = "Start with `bypassctl doctor -n NS`. \
    All options and exit codes: `bypassctl --help`";

#[derive(Subcommand)]
pub enum Command {
    /// Store the admin token and point an influxctl profile at it
    #[command(after_long_help = examples::render_examples("enable"))]
    Enable(EnableArgs),
    /// Delete the token file and restore the profile
    #[command(after_long_help = examples::render_examples("disable"))]
    Disable(DisableArgs),
    /// Revoke all admin tokens, issue a new one, and verify both
    #[command(after_long_help = examples::render_examples("revoke"))]
    Revoke(RevokeArgs),
    /// Revoke all admin tokens and enable the new one in profiles
    #[command(after_long_help = examples::render_examples("rotate"))]
    Rotate(RotateArgs),
    /// Show the tools, the cluster, the profile and the token file
    #[command(after_long_help = examples::render_examples("status"))]
    Status,
    /// Check the prerequisites of `enable` and `revoke`
    #[command(after_long_help = examples::render_examples("doctor"))]
    Doctor,
    /// Save the plan of a command for approval
    #[command(after_long_help = examples::render_examples("plan"))]
    Plan(PlanArgs),
    /// Execute a saved plan
    #[command(after_long_help = examples::render_examples("apply"))]
    Apply(ApplyArgs),
    /// List, pin and verify kubectl and influxctl
    #[command(subcommand, after_long_help = examples::render_examples("tools"))]
    Tools(ToolsCommand),
    /// Read, verify, export and rotate the audit log
    #[command(subcommand, after_long_help = examples::render_examples("audit"))]
    Audit(AuditCommand),
    /// Print the versions of the program and of its file formats
    #[command(after_long_help = examples::render_examples("version"))]
    Version,
    /// Print a completion script for a shell
    #[command(after_long_help = examples::render_examples("completion"))]
    Completion {
        /// Name of the shell
        shell: Shell,
    },
}

/// The options of every command.
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Common options")]
pub struct CommonArgs {
    /// Namespace of InfluxDB Clustered
    #[arg(
        short,
        long,
        global = true,
        env = "BYPASSCTL_NAMESPACE",
        value_name = "NS",
        value_parser = name::parse_namespace
    )]
    pub namespace: Option<String>,
    /// Context in the kubeconfig [default: current context]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
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
    /// Connection profile, repeatable for `rotate` [default: default]
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
    #[serde(with = "plan::millis")]
    #[cfg_attr(
        test,
        schemars(
            with = "u64",
            description = "Time limit of each command in milliseconds"
        )
    )]
    pub timeout: Duration,
    /// Output format
    #[arg(
        short,
        long,
        global = true,
        value_enum,
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

/// The options of `enable`.
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnableArgs {
    /// Token file [default: admin-token-PROFILE.json beside the configuration]
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
    #[arg(long, value_enum, default_value = "try", value_name = "MODE")]
    pub verify: VerifyMode,
    /// Plan or POSIX script, without changes
    #[arg(
        long,
        value_enum,
        num_args = 0..=1,
        default_missing_value = "plan",
        require_equals = true,
        value_name = "FORMAT"
    )]
    #[serde(skip)]
    pub dry_run: Option<DryRunFormat>,
    /// Permission for a production-like context or namespace
    #[arg(long)]
    pub allow_production: bool,
}

/// The options of `disable`.
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DisableArgs {
    /// Plan or POSIX script, without changes
    #[arg(
        long,
        value_enum,
        num_args = 0..=1,
        default_missing_value = "plan",
        require_equals = true,
        value_name = "FORMAT"
    )]
    #[serde(skip)]
    pub dry_run: Option<DryRunFormat>,
}

#[derive(Clone, Copy, Subcommand)]
pub enum ToolsCommand {
    /// List the tools with version, digest, pin and writers
    #[command(after_long_help = examples::render_examples("tools list"))]
    List,
    /// Print the policy section that pins the installed tools
    #[command(after_long_help = examples::render_examples("tools pin"))]
    Pin {
        /// Update of the active policy, or a new bypassctl.toml
        #[arg(long)]
        write: bool,
    },
    /// Verify the installed tools against the policy
    #[command(after_long_help = examples::render_examples("tools verify"))]
    Verify,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRunFormat {
    /// Each command and each changed line
    Plan,
    /// Equivalent POSIX shell script
    Script,
}

impl ValueEnum for VerifyMode {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Require, Self::Try, Self::Skip]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Require => ("require", "The token must be accepted"),
            Self::Try => ("try", "The token must not be rejected"),
            Self::Skip => ("skip", "No token probe"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Rerun {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Auto => "`operator` if kubit runs, otherwise `clone`",
            Self::FromJob => "The documented `kubectl create job --from=job/NAME`",
            Self::Clone => "A new job from the template of the old job",
            Self::Operator => "kubit, which recreates a deleted job",
        };
        Some(PossibleValue::new(self.as_str()).help(help))
    }
}

impl ValueEnum for PreflightCheck {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

fn render_exit_codes() -> String {
    let line = |(_, code, _, meaning): &(_, u8, _, &str)| {
        format!("  {code:>3}  {}\n", meaning.replace('`', ""))
    };
    format!(
        "Exit codes:\n{}",
        EXIT_CODES.iter().map(line).collect::<String>()
    )
}

const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
const TIMEOUT_RANGE: &str = "a time limit must be more than 0 and at most 24h";

fn parse_duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "expected a duration such as 30s, 5m or 1m30s".to_owned())?;
    Duration::try_from(signed)
        .ok()
        .filter(|duration| !duration.is_zero() && *duration <= MAX_TIMEOUT)
        .ok_or_else(|| TIMEOUT_RANGE.to_owned())
}

fn parse_anchor(text: &str) -> Result<(u64, String), String> {
    let parse = || {
        let (seq, hash) = text.split_once(':')?;
        let hash = Digest::from_hex(&hash.to_ascii_lowercase())?;
        Some((seq.parse().ok()?, hash.to_string()))
    };
    parse().ok_or_else(|| "expected an anchor such as 41:<64 hexadecimal digits>".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_definition_passes_clap_assertions() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn value_parsers_reject_invalid_values() {
        assert!(name::parse_namespace("influxdb").is_ok());
        for bad in ["", "-n", "a/b", "A", "a-", &"a".repeat(64)] {
            assert!(name::parse_namespace(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "0s", "25h", "-1s", "x", "5"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(
            parse_anchor(&format!("3:{}", "A".repeat(64))),
            Ok((3, "a".repeat(64)))
        );
        assert!(parse_anchor("3:abc").is_err());
    }
}
