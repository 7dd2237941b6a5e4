//! The command line, and nothing else.

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
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// InfluxDB Clustered's admin token in use and out of use, by the real kubectl and influxctl, every command on record.
///
/// For development and testing, when the identity provider must be bypassed; not for production.
#[derive(Parser)]
#[command(name = "bypassctl", version, after_help = "Start here: `bypassctl doctor -n NS`, then `enable -n NS`, and `disable` when done.\nAll options and exit codes: `bypassctl --help`.", after_long_help = examples::render_examples(""))]
#[command(arg_required_else_help = true, infer_subcommands = false)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArgs,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Put the admin token to use: fetch it, try it, write its file, point the profile at it
    #[command(after_long_help = examples::render_examples("enable"))]
    Enable(EnableArgs),
    /// Take it out of use: the token file deleted, the profile as it was; the cluster is not touched
    #[command(after_long_help = examples::render_examples("disable"))]
    Disable(DisableArgs),
    /// Make every admin token so far worthless, have a new one made, and prove it
    #[command(after_long_help = examples::render_examples("revoke"))]
    Revoke(RevokeArgs),
    /// Revoke, and put the new token to use in the named profiles (`default`), or in all that used the old one
    #[command(after_long_help = examples::render_examples("rotate"))]
    Rotate(RotateArgs),
    /// What is in force: tools, cluster, profile, token file, and whether they agree
    #[command(after_long_help = examples::render_examples("status"))]
    Status,
    /// Every precondition of `enable` and of a revocation, each with its remedy; changes nothing
    #[command(after_long_help = examples::render_examples("doctor"))]
    Doctor,
    /// Write down what a command would do, for somebody else to approve; changes nothing
    #[command(after_long_help = examples::render_examples("plan"))]
    Plan(PlanArgs),
    /// Carry out a plan that was written down, and nothing else
    #[command(after_long_help = examples::render_examples("apply"))]
    Apply(ApplyArgs),
    /// Which kubectl and influxctl would run, and whether they are those that the policy has pinned
    #[command(subcommand, after_long_help = examples::render_examples("tools"))]
    Tools(ToolsCommand),
    /// The record of every command that was run
    #[command(subcommand, after_long_help = examples::render_examples("audit"))]
    Audit(AuditCommand),
    /// What this program is: version, commit, and the versions of what it writes
    #[command(after_long_help = examples::render_examples("version"))]
    Version,
    /// Completion for a shell: contexts, profiles, runs and files from this machine, never by asking the cluster
    #[command(after_long_help = examples::render_examples("completion"))]
    Completion {
        /// Which shell
        shell: Shell,
    },
}

/// What every command takes.
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Common options")]
pub struct CommonArgs {
    /// Namespace of InfluxDB Clustered
    #[arg(short, long, global = true, env = "BYPASSCTL_NAMESPACE", value_name = "NS", value_parser = name::parse_namespace)]
    pub namespace: Option<String>,
    /// kubectl's --context; default: the one in force, pinned for the whole run
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// kubectl's --kubeconfig
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath, hide_short_help = true)]
    pub kubeconfig: Option<String>,
    /// kubectl's --as
    #[arg(
        long = "as",
        global = true,
        value_name = "USER",
        hide_short_help = true
    )]
    pub as_user: Option<String>,
    /// kubectl's --as-group, may be repeated
    #[arg(
        long = "as-group",
        global = true,
        value_name = "GROUP",
        hide_short_help = true
    )]
    pub as_groups: Vec<String>,
    /// Which kubectl; default: the first in PATH
    #[arg(long, global = true, value_name = "PATH", hide_short_help = true)]
    pub kubectl: Option<PathBuf>,
    /// Which influxctl; default: the first in PATH
    #[arg(long, global = true, value_name = "PATH", hide_short_help = true)]
    pub influxctl: Option<PathBuf>,
    /// What version influxctl is, where it cannot tell (2.2.0 to 2.4.1)
    #[arg(long, global = true, value_name = "X.Y.Z", hide_short_help = true)]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub assume_influxctl_version: Option<semver::Version>,
    /// influxctl's configuration; default: influxctl's own
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub config: Option<PathBuf>,
    /// Connection profile in it; `rotate` takes several [default: default]
    #[arg(long = "profile", global = true, value_name = "NAME")]
    pub profiles: Vec<String>,
    /// Where the record is kept; default: bypassctl/audit.jsonl in the state directory
    #[arg(
        long,
        global = true,
        env = "BYPASSCTL_AUDIT_LOG",
        value_name = "FILE",
        hide_short_help = true
    )]
    #[serde(skip)]
    pub audit_log: Option<PathBuf>,
    /// What may run, and what is asked for before; default: bypassctl.toml here, above up to the repository's root, or in /etc/bypassctl
    #[arg(
        long,
        global = true,
        env = "BYPASSCTL_POLICY",
        value_name = "FILE",
        hide_short_help = true
    )]
    #[serde(skip)]
    pub policy: Option<PathBuf>,
    /// Why, for the record: a ticket number
    #[arg(long, global = true, value_name = "TEXT")]
    #[serde(skip)]
    pub reason: Option<String>,
    /// Time limit of each command that is run
    #[arg(long, global = true, value_name = "DURATION", default_value = "1m", value_parser = parse_duration, hide_short_help = true)]
    #[serde(with = "plan::millis")]
    #[cfg_attr(
        test,
        schemars(
            with = "u64",
            description = "Time limit of each command that is run, in milliseconds"
        )
    )]
    pub timeout: Duration,
    /// Text for people, one JSON object, or checks as JUnit XML (`doctor`, `status`, `tools verify`, `audit verify`)
    #[arg(short, long, global = true, value_enum, default_value_t = OutputFormat::Text, value_name = "FORMAT")]
    #[serde(skip)]
    pub output: OutputFormat,
    /// Colour: also NO_COLOR
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", hide_short_help = true)]
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
    /// Also every command as it runs
    #[arg(short, long, global = true, hide_short_help = true)]
    #[serde(skip)]
    pub verbose: bool,
}

/// `enable`
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EnableArgs {
    /// Where the token goes; default: admin-token-PROFILE.json beside the configuration
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Make the profile if it is not there
    #[arg(long, requires_all = ["host", "port"])]
    pub create_profile: bool,
    /// Its host
    #[arg(long, requires = "create_profile")]
    pub host: Option<String>,
    /// Its port
    #[arg(long, requires = "create_profile")]
    pub port: Option<u16>,
    /// Whether the token must be accepted before anything changes, must not be refused, or is not tried
    #[arg(long, value_enum, default_value = "try", value_name = "HOW")]
    pub verify: VerifyMode,
    /// Show what would be done, as a plan or as a POSIX script; only reads are run
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "plan", require_equals = true, value_name = "AS")]
    #[serde(skip)]
    pub dry_run: Option<DryRunFormat>,
    /// Go on although context or namespace looks like production
    #[arg(long)]
    pub allow_production: bool,
}

/// `disable`
#[derive(Args, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DisableArgs {
    /// Show what would be done, as a plan or as a POSIX script; only reads are run
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "plan", require_equals = true, value_name = "AS")]
    #[serde(skip)]
    pub dry_run: Option<DryRunFormat>,
}

/// `tools`
#[derive(Clone, Copy, Subcommand)]
pub enum ToolsCommand {
    /// Path, version, digest of each, whether it is pinned, and who can replace it
    #[command(after_long_help = examples::render_examples("tools list"))]
    List,
    /// Print what pins those that are installed, to be put into the policy
    #[command(after_long_help = examples::render_examples("tools pin"))]
    Pin {
        /// Put it into the policy in force; all else in it stays as it is
        #[arg(long)]
        write: bool,
    },
    /// Whether what would run is what is pinned: exit code 4 where anything is not
    #[command(after_long_help = examples::render_examples("tools verify"))]
    Verify,
}

/// A shell that completion is for.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

impl Shell {
    /// As it calls itself.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

/// `--dry-run`
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRunFormat {
    /// Each command and each changed line.
    Plan,
    /// A POSIX shell script that does the same.
    Script,
}

impl ValueEnum for VerifyMode {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Require, Self::Try, Self::Skip]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::Require => "require",
            Self::Try => "try",
            Self::Skip => "skip",
        }))
    }
}

impl ValueEnum for Rerun {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.as_str()))
    }
}

impl ValueEnum for PreflightCheck {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.as_str()))
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

/// The longest time limit.
const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

fn parse_duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "a duration looks like 30s, 5m or 1m30s".to_owned())?;
    Duration::try_from(signed)
        .ok()
        .filter(|duration| !duration.is_zero() && *duration <= MAX_TIMEOUT)
        .ok_or_else(|| "a time limit is longer than nothing, and at most a day".to_owned())
}

fn parse_anchor(text: &str) -> Result<(u64, String), String> {
    let parse = || {
        let (seq, hash) = text.split_once(':')?;
        let hash = Digest::from_hex(&hash.to_ascii_lowercase())?;
        Some((seq.parse().ok()?, hash.to_string()))
    };
    parse().ok_or_else(|| "an anchor looks like 41:<64 hexadecimal digits>".to_owned())
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
