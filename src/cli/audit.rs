//! `audit` and what it takes.

use super::{examples, parse_anchor};
use crate::error::EXIT_CODES;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `audit`
#[derive(Subcommand)]
pub enum AuditCommand {
    /// Whether the record is whole: chain, sequence, intents without a result, torn lines
    #[command(after_long_help = examples::render_examples("audit verify"))]
    Verify {
        /// Where they are looked for
        #[command(flatten)]
        logs: LogArgs,
        /// A record that must be there, from the end of an earlier run: `audit head LOG SEQ:HASH`
        #[arg(long, value_name = "SEQ:HASH", value_parser = parse_anchor)]
        expect: Option<(u64, String)>,
    },
    /// The runs on record: when, what, how it ended, who; --namespace filters as well
    #[command(after_long_help = examples::render_examples("audit list"))]
    List(AuditListArgs),
    /// One run, as it went: who, which tools, each command and each file, and how each ended
    #[command(after_long_help = examples::render_examples("audit show"))]
    Show {
        /// Its name, or how that begins
        run: String,
        /// Where they are looked for
        #[command(flatten)]
        logs: LogArgs,
    },
    /// The record in another form: a script, a page for people, statements to be signed
    #[command(after_long_help = examples::render_examples("audit export"))]
    Export(AuditExportArgs),
    /// The last record as a line to be kept elsewhere: what anchors all records before it
    #[command(after_long_help = examples::render_examples("audit anchor"))]
    Anchor {
        /// The log; default: the one that is written to
        file: Option<PathBuf>,
    },
    /// Close the log, and go on in a new one; the closed one stays beside it, and nothing is ever removed
    #[command(after_long_help = examples::render_examples("audit rotate-log"))]
    RotateLog,
}

impl AuditCommand {
    /// The logs that were named.
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

/// The files that hold the record.
#[derive(Args)]
pub struct LogArgs {
    /// The logs; default: the one that is written to, and those beside it that rotations have closed
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// As what the record is exported.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The commands as a POSIX shell script
    Script,
    /// in-toto statements, one for each result, and the bytes to sign
    InToto,
    /// One self-contained page
    Html,
}

/// `audit export`
#[derive(Args)]
pub struct AuditExportArgs {
    /// As what
    #[arg(long, value_enum, default_value_t = ExportFormat::Script, value_name = "FORMAT")]
    pub format: ExportFormat,
    /// Only this run: its name, or how that begins
    #[arg(long)]
    pub run: Option<String>,
    /// Where the statements go (`in-toto`); it must be there, and nothing in it is overwritten
    #[arg(long, value_name = "DIR", required_if_eq("format", "in-toto"))]
    pub directory: Option<PathBuf>,
    /// Make envelopes of the statements there and their signatures, which were made with the key of this name (`in-toto`)
    #[arg(long, value_name = "KEYID", requires = "directory", value_parser = NonEmptyStringValueParser::new())]
    pub attach_signature: Option<String>,
    /// Where they are looked for
    #[command(flatten)]
    pub logs: LogArgs,
}

/// `audit list`
#[derive(Args)]
pub struct AuditListArgs {
    /// Where they are looked for
    #[command(flatten)]
    pub logs: LogArgs,
    /// Only those that began then or later: 2026-01-31T00:00:00Z, or 2026-01-31 for its first moment (UTC)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<jiff::Timestamp>,
    /// Only those that began then or earlier
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<jiff::Timestamp>,
    /// Only those of this user
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only those of this command
    #[arg(long, value_name = "NAME", value_parser = ["enable", "disable", "revoke", "rotate", "status", "doctor", "tools list", "tools pin", "tools verify"])]
    pub command: Option<String>,
    /// Only those that ended so
    #[arg(long, value_name = "WORD", value_parser = PossibleValuesParser::new(list_outcomes()))]
    pub outcome: Option<String>,
}

/// The names of all outcomes, and of a run that did not say how it ended.
fn list_outcomes() -> Vec<&'static str> {
    EXIT_CODES
        .iter()
        .map(|(_, _, name, _)| *name)
        .chain(["unknown"])
        .collect()
}

fn parse_time(text: &str) -> Result<jiff::Timestamp, jiff::Error> {
    let day = |text: &str| {
        jiff::tz::Offset::UTC.to_timestamp(text.parse::<jiff::civil::Date>()?.at(0, 0, 0, 0))
    };
    text.parse().or_else(|error| day(text).map_err(|_| error))
}
