//! Entries of the audit log in words, for `audit list`, `audit show` and the exports.

use crate::audit::{ActionResult, Body, Executable, RunBegin, RunEntry, Stdin, Stream, Text};
use crate::text::sanitize;
use std::collections::BTreeMap;

/// Returns each argument as text, non-UTF-8 ones as the base64 that the entry contains.
pub(super) fn format_words(argv: &[Text]) -> Vec<String> {
    argv.iter().map(format_text).collect()
}

pub(super) fn format_text(text: &Text) -> String {
    match text {
        Text::Utf8(text) => sanitize(text),
        Text::Bytes { b64 } => format!("<base64 {b64}>"),
    }
}

/// Formats an RFC 3339 time with a blank instead of the `T`.
pub(crate) fn format_time(ts: &str) -> String {
    sanitize(&ts.replacen('T', " ", 1))
}

/// Returns `1 entry`, `2 entries`.
pub(super) fn format_count(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Describes the policy of a run, with the keys that redirect the run.
pub(super) fn describe_policy(begin: &RunBegin) -> Option<String> {
    let file = format_text(begin.policy_file.as_ref()?);
    let redirections = begin.policy_redirects.join(", ");
    let redirections = if redirections.is_empty() {
        String::new()
    } else {
        format!(" (sets {redirections})")
    };
    Some(format!("{file}{redirections}"))
}

pub(super) fn describe_executable(exe: &Executable) -> String {
    format!(
        "{}, {}, sha256 {}",
        exe.version.as_deref().unwrap_or("(unknown version)"),
        format_text(&exe.path),
        exe.sha256.as_deref().unwrap_or("unknown")
    )
}

/// Describes the standard input of a process, as far as the entry does.
pub(super) fn describe_stdin(stdin: &Stdin) -> String {
    let content = match &stdin.stream {
        Stream::Digest { bytes, sha256 } => format!("{bytes} bytes, sha256 {sha256}"),
        Stream::Withheld { .. } => "withheld".to_owned(),
    };
    let sources: Vec<String> = stdin.derived_from.iter().map(ToString::to_string).collect();
    let derived = if sources.is_empty() {
        String::new()
    } else {
        format!(", derived from {}", sources.join(", "))
    };
    sanitize(&format!("input: {content}{derived}"))
}

pub(super) fn describe_changed(changed: bool) -> &'static str {
    if changed {
        "something changed"
    } else {
        "nothing changed"
    }
}

/// The results of a run, by the sequence number of their intent.
pub(super) struct Results<'a>(BTreeMap<u64, &'a ActionResult>);

impl<'a> Results<'a> {
    pub(super) fn from_entries(entries: &'a [RunEntry]) -> Self {
        let result = |entry: &'a RunEntry| match &entry.body {
            Body::Result(result) => Some((result.intent, &**result)),
            _ => None,
        };
        Self(entries.iter().filter_map(result).collect())
    }

    pub(super) fn get(&self, intent: u64) -> Option<&'a ActionResult> {
        self.0.get(&intent).copied()
    }

    pub(super) fn describe(&self, intent: u64) -> String {
        self.get(intent)
            .map_or_else(|| "result unknown".to_owned(), describe_result)
    }
}

fn describe_result(result: &ActionResult) -> String {
    let exit = result.exit.as_ref().map(|exit| (exit.code, exit.signal));
    let end = match (&result.error, exit) {
        _ if is_condition_met(result) => "stopped, condition met".to_owned(),
        (Some(error), _) => error.clone(),
        (None, Some((Some(code), _))) => format!("exit {code}"),
        (None, Some((None, signal))) => format!("signal {}", signal.unwrap_or_default()),
        (None, None) => "done".to_owned(),
    };
    format!("{end} after {} ms", result.duration_ms)
}

/// Returns whether bypassctl stopped a watch because it had reported the awaited condition.
fn is_condition_met(result: &ActionResult) -> bool {
    result.error.as_deref() == Some("condition-met")
}

/// Returns whether the process or file change ended as intended.
pub(super) fn is_success(result: &ActionResult) -> bool {
    match (&result.error, &result.exit) {
        (Some(_), _) => is_condition_met(result),
        (None, exit) => exit.as_ref().is_none_or(|exit| exit.code == Some(0)),
    }
}
