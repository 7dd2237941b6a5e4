//! `audit`: what was recorded, and whether the record holds. Starts nothing, and changes nothing but for `rotate`.

mod anchor;
mod export;
mod list;
mod rotate;
mod show;
mod verify;

use super::{Outcome, places};
use crate::audit::{self, Body, Record, Source, Stdin, Stream, Text, in_order, segments};
use crate::cli::{Audit, Common};
use crate::error::{Error, Kind, Result};
use crate::exec::Surroundings;
use crate::tool::invocation::printable;
use crate::ui::Ui;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// As it is told in JSON.
pub(super) fn name(command: &Audit) -> &'static str {
    match command {
        Audit::Verify { .. } => "audit verify",
        Audit::List(_) => "audit list",
        Audit::Show { .. } => "audit show",
        Audit::Export(_) => "audit export",
        Audit::Anchor { .. } => "audit anchor",
        Audit::Rotate => "audit rotate",
    }
}

/// Also whether anything was changed.
pub(super) fn run(
    command: &Audit,
    common: &Common,
    surroundings: &Surroundings,
    ui: &Ui,
) -> (Outcome, bool) {
    let read = |act: &dyn Fn(&[Source]) -> Outcome| {
        let logs = logs(command.files(), common, surroundings);
        (logs.and_then(|logs| act(&logs)), false)
    };
    match command {
        Audit::Verify { expect, .. } => read(&|logs| verify::run(logs, expect.as_ref(), ui)),
        Audit::List(args) => read(&|logs| list::run(logs, args, common.namespace.as_deref(), ui)),
        Audit::Show { run, .. } => read(&|logs| show::run(logs, run, ui)),
        Audit::Export(args) => read(&|logs| export::run(logs, args, surroundings, ui)),
        Audit::Anchor { .. } => read(&|logs| anchor::run(logs, ui)),
        Audit::Rotate => {
            let log = places::audit_log(common, surroundings);
            let rotated = log.and_then(|log| rotate::run(&log, common, surroundings, ui));
            let changed = rotated
                .as_ref()
                .map_or_else(|error| error.kind == Kind::Stopped, |rotated| *rotated);
            (rotated.map(|_| None), changed)
        }
    }
}

/// The files that hold the record, the oldest first.
fn logs(named: &[PathBuf], common: &Common, surroundings: &Surroundings) -> Result<Vec<Source>> {
    if named.is_empty() {
        let log = places::audit_log(common, surroundings)?;
        return segments(&log).map_err(|error| unreadable(&log, &error));
    }
    let mut sources: Vec<Source> = Vec::new();
    for file in named {
        let path = surroundings.cwd.join(file);
        let source = Source::open(&path).map_err(|error| unreadable(&path, &error))?;
        if sources.iter().any(|other| other.is_same_file(&source)) {
            return Err(Error::usage(format!("`{}` is named twice", path.display()))
                .hint("name each file once"));
        }
        sources.push(source);
    }
    Ok(in_order(sources))
}

/// What is read of each file, one after another.
fn of_each<T>(
    logs: &[Source],
    read: impl Fn(&mut dyn BufRead) -> io::Result<Vec<T>>,
) -> Result<Vec<T>> {
    let each = |log: &Source| {
        let records = log.read().and_then(|file| read(&mut BufReader::new(file)));
        records.map_err(|error| unreadable(&log.path, &error))
    };
    Ok(logs
        .iter()
        .map(each)
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect())
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::failed(format!(
        "the record `{}` cannot be read: {error}",
        path.display()
    ))
    .hint("name the file: bypassctl audit … FILE, or --audit-log FILE")
}

/// The one run whose name begins so.
fn only_run<'a, T>(found: &'a [(String, T)], wanted: &str) -> Result<&'a (String, T)> {
    match found {
        [run] => Ok(run),
        _ => {
            let what = if found.is_empty() {
                "there is no run whose name begins so".to_owned()
            } else {
                format!("{} runs have names that begin so", found.len())
            };
            Err(Error::failed(format!("{what}: `{wanted}`"))
                .hint("bypassctl audit list shows their names"))
        }
    }
}

/// What the record holds may come from anywhere: nothing in it steers a terminal.
pub(super) fn plain(text: &str) -> String {
    printable(text, usize::MAX)
}

/// Bytes that are no text are shown as what they are recorded as.
fn words(argv: &[Text]) -> Vec<String> {
    let word = |text: &Text| match text {
        Text::Utf8(text) => plain(text),
        Text::Bytes { b64 } => format!("<base64 {b64}>"),
    };
    argv.iter().map(word).collect()
}

/// `2026-01-01T00:00:00.123Z` as people read it.
pub(super) fn moment(ts: &str) -> String {
    plain(&ts.replacen('T', " ", 1))
}

/// What a command read, as far as that is on record.
fn input(stdin: &Stdin) -> String {
    let from: Vec<&str> = stdin
        .made_from
        .iter()
        .map(|object| object.name.as_str())
        .collect();
    let from = if from.is_empty() {
        String::new()
    } else {
        format!(", made from {}", from.join(", "))
    };
    let what = match &stdin.stream {
        Stream::Seen { bytes, sha256 } => format!("{bytes} bytes, sha256 {sha256}"),
        Stream::Withheld { .. } => "withheld".to_owned(),
    };
    plain(&format!("input: {what}{from}"))
}

/// How each command of a run ended.
struct Ends<'a>(BTreeMap<u64, &'a audit::Outcome>);

impl<'a> Ends<'a> {
    fn of(records: &'a [Record]) -> Self {
        let result = |record: &'a Record| match &record.body {
            Body::Result(result) => Some((result.intent, &**result)),
            _ => None,
        };
        Self(records.iter().filter_map(result).collect())
    }

    /// Of the intent with this number; `None` where that is not on record.
    fn of_intent(&self, intent: u64) -> Option<&'a audit::Outcome> {
        self.0.get(&intent).copied()
    }

    /// In words.
    fn told(&self, intent: u64) -> String {
        self.of_intent(intent)
            .map_or_else(|| "how it ended is not known".to_owned(), ended)
    }
}

fn ended(result: &audit::Outcome) -> String {
    let how = match (
        &result.error,
        result.exit.as_ref().map(|exit| (exit.code, exit.signal)),
    ) {
        (Some(error), _) if error == "enough" => "ended, having shown enough".to_owned(),
        (Some(error), _) => error.clone(),
        (None, Some((Some(code), _))) => format!("exit {code}"),
        (None, Some((None, signal))) => format!("signal {}", signal.unwrap_or_default()),
        (None, None) => "done".to_owned(),
    };
    format!("{how} after {} ms", result.ms)
}
