//! `audit` and its options.

use super::values::{parse_age, parse_head};
use crate::error::EXIT_CODES;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Verify the hash chain and the entries of the audit log
    Verify {
        #[command(flatten)]
        logs: LogArgs,
        /// Head that an earlier run printed: `audit head LOG SEQ:HASH` or SEQ:HASH
        #[arg(long, value_name = "HEAD", value_parser = parse_head)]
        expect: Option<(u64, String)>,
    },
    /// List the runs in the audit log, filtered by --namespace too
    List(AuditListArgs),
    /// Show the tools, commands and file changes of one run
    Show {
        /// Run ID or unique prefix [default: the last run]
        run: Option<String>,
        #[command(flatten)]
        logs: LogArgs,
    },
    /// Export runs as a script, a page, or statements to sign
    Export(AuditExportArgs),
    /// Print the head of the audit log, to store elsewhere
    Anchor {
        /// Audit log file [default: the current log]
        file: Option<PathBuf>,
    },
    /// Rotate the audit log and keep the closed segment
    RotateLog,
}

impl AuditCommand {
    /// Returns the name as reports print it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Verify { .. } => "audit verify",
            Self::List(_) => "audit list",
            Self::Show { .. } => "audit show",
            Self::Export(_) => "audit export",
            Self::Anchor { .. } => "audit anchor",
            Self::RotateLog => "audit rotate-log",
        }
    }

    /// Returns the log files named on the command line.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        match self {
            Self::List(args) => &args.logs.files,
            Self::Export(args) => &args.logs.files,
            Self::Verify { logs, .. } | Self::Show { logs, .. } => &logs.files,
            Self::Anchor { file } => file.as_slice(),
            Self::RotateLog => &[],
        }
    }
}

/// The positional arguments that name audit logs.
#[derive(Args)]
pub struct LogArgs {
    /// Audit log files [default: the log and its closed segments]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// POSIX shell script of the commands
    Script,
    /// One in-toto statement per result, and the bytes to sign
    InToto,
    /// Self-contained page
    Html,
}

/// The options of `audit export`.
#[derive(Args)]
pub struct AuditExportArgs {
    /// Format: script, in-toto, html
    #[arg(
        long,
        value_enum,
        default_value_t = ExportFormat::Script,
        value_name = "FORMAT",
        hide_possible_values = true
    )]
    pub format: ExportFormat,
    /// Run ID or unique prefix
    #[arg(long)]
    pub run: Option<String>,
    /// Existing directory for the statements
    #[arg(long, value_name = "DIR", required_if_eq("format", "in-toto"))]
    pub directory: Option<PathBuf>,
    /// Key ID for the envelopes of `in-toto`
    ///
    /// Puts the signatures beside the statements into envelopes.
    #[arg(
        long,
        value_name = "ID",
        requires = "directory",
        value_parser = NonEmptyStringValueParser::new()
    )]
    pub attach_signature: Option<String>,
    #[command(flatten)]
    pub logs: LogArgs,
}

/// The options of `audit list`.
#[derive(Args)]
pub struct AuditListArgs {
    #[command(flatten)]
    pub logs: LogArgs,
    /// Maximum number of runs, the latest [default: 20]
    ///
    /// With `-o json`, the default is all runs.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Runs without a limit
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
    /// Runs that changed nothing, too
    ///
    /// The default with `--command`, `--outcome` or `-o json`.
    #[arg(long)]
    pub include_reads: bool,
    /// Earliest start: 2h, 3d, or a UTC date or time
    ///
    /// Such as 2026-01-31 or 2026-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<jiff::Timestamp>,
    /// Latest start
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<jiff::Timestamp>,
    /// Only runs of this user
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only runs of this command
    ///
    /// One of enable, disable, revoke, rotate, status, doctor, "tools list", "tools pin" and
    /// "tools verify".
    #[arg(
        long,
        value_name = "NAME",
        hide_possible_values = true,
        value_parser = [
            "enable", "disable", "revoke", "rotate", "status", "doctor",
            "tools list", "tools pin", "tools verify",
        ]
    )]
    pub command: Option<String>,
    /// Only runs with this outcome, such as done or refused
    #[arg(
        long,
        value_name = "OUTCOME",
        hide_possible_values = true,
        value_parser = PossibleValuesParser::new(list_outcomes())
    )]
    pub outcome: Option<String>,
}

/// Lists the outcomes, and `unknown` for a run without an end.
fn list_outcomes() -> Vec<&'static str> {
    EXIT_CODES
        .iter()
        .map(|(_, _, name, _)| *name)
        .chain(["unknown"])
        .collect()
}

/// Parses a time, or an age such as `2h`.
fn parse_time(text: &str) -> Result<jiff::Timestamp, &'static str> {
    let parse_age = || {
        let age = parse_age(text).ok()?;
        jiff::Timestamp::now().checked_sub(age).ok()
    };
    let parse_day = || {
        let day = text.parse::<jiff::civil::Date>().ok()?;
        jiff::tz::Offset::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()
    };
    text.parse()
        .ok()
        .or_else(parse_day)
        .or_else(parse_age)
        .ok_or("expected an age such as 2h or 3d, a day such as 2026-01-31, or a time such as 2026-01-31T00:00:00Z")
}
