//! An edit: the new text, the splices that make it, and the changed lines for a person to see.

use std::fmt;
use std::ops::Range;

use super::line::Lines;
use crate::text::escape_controls_except_tab;

/// One replacement: `range`, in bytes of the old text, becomes `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// What goes, in bytes of the old text; empty where something is only put in.
    pub range: Range<usize>,
    /// What comes instead.
    pub text: String,
}

/// A configuration before it is written. Its `Debug` shows no part of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigEdit {
    /// The whole new text.
    pub text: String,
    /// What makes it out of the old one: in order, not overlapping; none if nothing changes.
    pub splices: Vec<Splice>,
}

/// A line that an edit adds or takes away. What else stands on the line is not shown, only `…`:
/// it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedLine {
    /// The line's number from 1: in the new text for `+`, in the old one for `-`.
    pub number: usize,
    /// `+` or `-`.
    pub sign: char,
    /// The line without its ending, control characters spelt out.
    pub text: String,
}

impl ConfigEdit {
    /// `splices` must be in order and not overlap.
    pub(super) fn new(old: &str, splices: Vec<Splice>) -> Self {
        let mut text = String::with_capacity(old.len());
        let mut copied = 0;
        for splice in &splices {
            text.push_str(&old[copied..splice.range.start]);
            text.push_str(&splice.text);
            copied = splice.range.end;
        }
        text.push_str(&old[copied..]);
        Self { text, splices }
    }

    /// Whether the new text is the old one.
    pub fn is_noop(&self) -> bool {
        self.splices.is_empty()
    }

    /// The lines that change, and nothing of their neighbours. `old` is the text that was edited.
    /// Where a line changes in part, only that part is given, with `…` for the rest.
    pub fn changed_lines(&self, old: &str) -> Vec<ChangedLine> {
        let mut changed = Vec::new();
        let mut new_at = 0;
        let mut copied = 0;
        for Splice { range, text } in &self.splices {
            new_at += range.start - copied;
            copied = range.end;
            let whole = |at: &Range<usize>, within| is_whole_lines(within, at);
            let added = new_at..new_at + text.len();
            new_at = added.end;
            let whole = whole(range, old) && whole(&added, &self.text);
            for (sign, text, at) in [('-', old, range), ('+', &self.text, &added)] {
                if !at.is_empty() {
                    changed.extend(build_changed_lines(sign, text, at, whole));
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

/// Whether `at` is made of whole lines: with the newline behind them, or, at the end of a text
/// without a final one, with the newline before them.
fn is_whole_lines(text: &str, at: &Range<usize>) -> bool {
    let lines = Lines(text);
    let inside = &text[at.clone()];
    inside.is_empty()
        || (lines.is_line_start(at.start) && lines.is_line_start(at.end))
        || (inside.starts_with(['\r', '\n']) && at.end == text.len())
}

fn build_changed_lines(sign: char, text: &str, at: &Range<usize>, whole: bool) -> Vec<ChangedLine> {
    let lines = Lines(text);
    let mut part = &text[at.clone()];
    let mut number = lines.line_number(at.start);
    let (mut before, mut after) = (String::new(), "");
    if !whole {
        before = summarize_prefix(&text[lines.line_start(at.start)..at.start]);
        after = summarize_suffix(&text[at.end..lines.next_line_start(at.end)]);
    } else if !lines.is_line_start(at.start) {
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

/// What to show of a line before the part that changes: the key whose value it is, or white space;
/// `…` for anything else.
fn summarize_prefix(before: &str) -> String {
    let is_key = |c: char| c.is_ascii_alphanumeric() || "_-. \t".contains(c);
    let key = match before.trim_end().strip_suffix('=') {
        Some(keys) => keys.trim_end_matches(is_key).len(),
        None => before.trim_end().len(),
    };
    let cut = if key == 0 { "" } else { "…" };
    format!("{cut}{}", &before[key..])
}

fn summarize_suffix(after: &str) -> &'static str {
    if after.trim().is_empty() { "" } else { "…" }
}
