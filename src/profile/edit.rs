//! An edit of a configuration, and the changed lines to show to the user.

use std::fmt;
use std::ops::Range;

use super::model::TokenFileChange;
use crate::splice::{Lines, Splice, apply_splices};
use crate::text::escape_controls_except_tab;

/// An edited configuration. Its `Debug` shows no part of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigEdit {
    /// The whole new text.
    pub text: String,
    /// The changes of the old text, in order and without overlap.
    pub splices: Vec<Splice>,
    /// The change of the token file. `None` for an edit that changes nothing.
    pub token_file: Option<TokenFileChange>,
}

/// A line that an edit adds or removes. `…` replaces the unchanged parts of the line, which can
/// contain a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedLine {
    /// Counted from 1, in the new text for `+` and in the old text for `-`.
    pub number: usize,
    /// `+` or `-`.
    pub sign: char,
    /// The line without its ending, with escaped control characters.
    pub text: String,
}

impl ConfigEdit {
    /// Applies splices, which must be in order and must not overlap.
    pub(super) fn new(old: &str, splices: Vec<Splice>, change: TokenFileChange) -> Self {
        let text = apply_splices(old, &splices);
        let token_file = Some(change).filter(|_| !splices.is_empty());
        Self {
            text,
            splices,
            token_file,
        }
    }

    pub fn is_noop(&self) -> bool {
        self.splices.is_empty()
    }

    /// Returns the changed lines. `old` is the text before the edit.
    pub fn changed_lines(&self, old: &str) -> Vec<ChangedLine> {
        let mut changed = Vec::new();
        let mut old_end = 0;
        let mut new_end = 0;
        for Splice { range, text } in &self.splices {
            let new_start = new_end + range.start - old_end;
            let added = new_start..new_start + text.len();
            (old_end, new_end) = (range.end, added.end);
            let is_whole = is_whole_lines(old, range) && is_whole_lines(&self.text, &added);
            for (sign, text, range) in [('-', old, range), ('+', &self.text, &added)] {
                if !range.is_empty() {
                    changed.extend(build_changed_lines(sign, text, range, is_whole));
                }
            }
        }
        changed
    }
}

impl fmt::Debug for ConfigEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit")
            .field("bytes", &self.text.len())
            .field("splices", &self.splices.len())
            .finish_non_exhaustive()
    }
}

/// Returns whether a range consists of whole lines with their newlines. At the end of a text
/// without a final newline, the range includes the newline before the lines instead.
fn is_whole_lines(text: &str, range: &Range<usize>) -> bool {
    let lines = Lines(text);
    let part = &text[range.clone()];
    part.is_empty()
        || (lines.is_line_start(range.start) && lines.is_line_start(range.end))
        || (part.starts_with(['\r', '\n']) && range.end == text.len())
}

fn build_changed_lines(
    sign: char,
    text: &str,
    range: &Range<usize>,
    is_whole: bool,
) -> Vec<ChangedLine> {
    let lines = Lines(text);
    let mut part = &text[range.clone()];
    let mut number = lines.line_number(range.start);
    let (mut before, mut after) = (String::new(), "");
    if !is_whole {
        before = summarize_prefix(&text[lines.line_start(range.start)..range.start]);
        after = summarize_suffix(&text[range.end..lines.next_line_start(range.end)]);
    } else if !lines.is_line_start(range.start) {
        part = part
            .trim_start_matches('\r')
            .strip_prefix('\n')
            .unwrap_or(part);
        number += 1;
    }
    let part = format!("{before}{part}{after}");
    let part = part.strip_suffix('\n').unwrap_or(&part);
    part.split('\n')
        .zip(number..)
        .map(|(line, number)| {
            let text = escape_controls_except_tab(line.strip_suffix('\r').unwrap_or(line));
            ChangedLine { number, sign, text }
        })
        .collect()
}

/// Shortens the unchanged start of a line to the key of a changed value, or to white space.
fn summarize_prefix(before: &str) -> String {
    let is_key_char = |c: char| c.is_ascii_alphanumeric() || "_-. \t".contains(c);
    let start = match before.trim_end().strip_suffix('=') {
        Some(keys) => keys.trim_end_matches(is_key_char).len(),
        None => before.trim_end().len(),
    };
    let ellipsis = if start == 0 { "" } else { "…" };
    format!("{ellipsis}{}", &before[start..])
}

fn summarize_suffix(after: &str) -> &'static str {
    if after.trim().is_empty() { "" } else { "…" }
}
