//! `audit`: what was recorded, and whether the record holds. Starts nothing, and changes nothing but for `rotate`.

mod anchor;
mod export;
mod list;
mod rotate;
mod show;
mod verify;

use crate::audit::{
    self, Body, LogFile, Record, Stdin, Stream, Text, UnsupportedFormat, open_segments,
    sort_by_chain,
};
use crate::cli::{AuditCommand, CommonArgs};
use crate::error::CommandResult;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::Environment;
use crate::session::paths;
use crate::text::sanitize;
use crate::ui::Ui;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Also whether anything was changed.
pub(crate) fn run(
    command: &AuditCommand,
    common: &CommonArgs,
    environment: &Environment,
    ui: &Ui,
) -> (CommandResult, bool) {
    let read = |act: &dyn Fn(&[LogFile]) -> CommandResult| {
        let logs = open_logs(command.files(), common, environment);
        (logs.and_then(|logs| act(&logs)), false)
    };
    match command {
        AuditCommand::Verify { expect, .. } => read(&|logs| verify::run(logs, expect.as_ref(), ui)),
        AuditCommand::List(args) => {
            read(&|logs| list::run(logs, args, common.namespace.as_deref(), ui))
        }
        AuditCommand::Show { run, .. } => read(&|logs| show::run(logs, run, ui)),
        AuditCommand::Export(args) => read(&|logs| export::run(logs, args, environment, ui)),
        AuditCommand::Anchor { .. } => read(&|logs| anchor::run(logs, ui)),
        AuditCommand::RotateLog => {
            let log = paths::audit_log_path(common, environment);
            let rotated = log.and_then(|log| rotate::run(&log, common, environment, ui));
            let changed = rotated
                .as_ref()
                .map_or_else(|error| error.kind == ErrorKind::Stopped, |rotated| *rotated);
            (rotated.map(|_| None), changed)
        }
    }
}

/// The files that hold the record, the oldest first.
fn open_logs(
    named: &[PathBuf],
    common: &CommonArgs,
    environment: &Environment,
) -> Result<Vec<LogFile>> {
    if named.is_empty() {
        let log = paths::audit_log_path(common, environment)?;
        return open_segments(&log).map_err(|error| log_read_error(&log, &error));
    }
    let mut sources: Vec<LogFile> = Vec::new();
    for file in named {
        let path = environment.cwd.join(file);
        let source = LogFile::open(&path).map_err(|error| log_read_error(&path, &error))?;
        if sources.iter().any(|other| other.is_same_file(&source)) {
            return Err(Error::usage(format!("`{}` is named twice", path.display()))
                .hint("name each file once"));
        }
        sources.push(source);
    }
    Ok(sort_by_chain(sources))
}

/// What is read of each file, one after another.
fn read_each<T>(
    logs: &[LogFile],
    read: impl Fn(&mut dyn BufRead) -> io::Result<Vec<T>>,
) -> Result<Vec<T>> {
    let each = |log: &LogFile| {
        let records = log
            .reader()
            .and_then(|file| read(&mut BufReader::new(file)));
        records.map_err(|error| log_read_error(&log.path, &error))
    };
    Ok(logs
        .iter()
        .map(each)
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
}

fn log_read_error(path: &Path, error: &io::Error) -> Error {
    Error::failure(format!(
        "the record `{}` cannot be read: {error}",
        path.display()
    ))
    .hint(if UnsupportedFormat::is_cause_of(error) {
        "read it with the version of bypassctl that wrote it"
    } else {
        "name the file: bypassctl audit … FILE, or --audit-log FILE"
    })
}

/// The one run whose name begins so.
fn select_run<'a, T>(found: &'a [(String, T)], wanted: &str) -> Result<&'a (String, T)> {
    match found {
        [run] => Ok(run),
        _ => {
            let what = if found.is_empty() {
                "there is no run whose name begins so".to_owned()
            } else {
                format!("{} runs have names that begin so", found.len())
            };
            Err(Error::failure(format!("{what}: `{wanted}`"))
                .hint("bypassctl audit list shows their names"))
        }
    }
}

/// Bytes that are no text are shown as what they are recorded as.
fn format_words(argv: &[Text]) -> Vec<String> {
    let word = |text: &Text| match text {
        Text::Utf8(text) => sanitize(text),
        Text::Bytes { b64 } => format!("<base64 {b64}>"),
    };
    argv.iter().map(word).collect()
}

/// `2026-01-01T00:00:00.123Z` as people read it.
pub(crate) fn format_time(ts: &str) -> String {
    sanitize(&ts.replacen('T', " ", 1))
}

/// What a command read, as far as that is on record.
fn describe_input(stdin: &Stdin) -> String {
    let from: Vec<&str> = stdin
        .derived_from
        .iter()
        .map(|object| object.name.as_str())
        .collect();
    let from = if from.is_empty() {
        String::new()
    } else {
        format!(", made from {}", from.join(", "))
    };
    let what = match &stdin.stream {
        Stream::Digest { bytes, sha256 } => format!("{bytes} bytes, sha256 {sha256}"),
        Stream::Withheld { .. } => "withheld".to_owned(),
    };
    sanitize(&format!("input: {what}{from}"))
}

/// How each command of a run ended.
struct CommandOutcomes<'a>(BTreeMap<u64, &'a audit::ResultRecord>);

impl<'a> CommandOutcomes<'a> {
    fn from_records(records: &'a [Record]) -> Self {
        let result = |record: &'a Record| match &record.body {
            Body::Result(result) => Some((result.intent, &**result)),
            _ => None,
        };
        Self(records.iter().filter_map(result).collect())
    }

    /// Of the intent with this number; `None` where that is not on record.
    fn find_outcome(&self, intent: u64) -> Option<&'a audit::ResultRecord> {
        self.0.get(&intent).copied()
    }

    /// In words.
    fn describe_outcome(&self, intent: u64) -> String {
        self.find_outcome(intent)
            .map_or_else(|| "how it ended is not known".to_owned(), describe_result)
    }
}

fn describe_result(result: &audit::ResultRecord) -> String {
    let how = match (
        &result.error,
        result.exit.as_ref().map(|exit| (exit.code, exit.signal)),
    ) {
        (Some(error), _) if error == "condition-met" => "ended, having shown enough".to_owned(),
        (Some(error), _) => error.clone(),
        (None, Some((Some(code), _))) => format!("exit {code}"),
        (None, Some((None, signal))) => format!("signal {}", signal.unwrap_or_default()),
        (None, None) => "done".to_owned(),
    };
    format!("{how} after {} ms", result.duration_ms)
}
