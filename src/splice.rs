//! Edits of a text by byte ranges, so that every other byte stays as it is.
//!
//! The ranges come from a parser. A multi-line string can look like structure, and no search for
//! text would notice.

use std::ops::Range;

/// A replacement in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splice {
    /// The removed part, in bytes of the old text. Empty for an insertion.
    pub range: Range<usize>,
    /// The inserted text.
    pub text: String,
}

impl Splice {
    pub(crate) fn replace(range: Range<usize>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { range, text }
    }

    pub(crate) fn insert(at: usize, text: impl Into<String>) -> Self {
        Self::replace(at..at, text)
    }

    pub(crate) fn remove(range: Range<usize>) -> Self {
        Self::replace(range, "")
    }
}

/// Applies splices, which must be in order and must not overlap.
pub(crate) fn apply_splices(text: &str, splices: &[Splice]) -> String {
    let mut edited = String::with_capacity(text.len());
    let mut copied = 0;
    for splice in splices {
        edited.push_str(&text[copied..splice.range.start]);
        edited.push_str(&splice.text);
        copied = splice.range.end;
    }
    edited.push_str(&text[copied..]);
    edited
}

/// The lines of a text, found by byte offset.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a>(pub(crate) &'a str);

impl<'a> Lines<'a> {
    /// Returns the start of the line of `at`, after a byte order mark.
    pub(crate) fn line_start(self, at: usize) -> usize {
        match self.0[..at].rfind('\n') {
            Some(newline) => newline + 1,
            None if self.0.starts_with('\u{feff}') => at.min('\u{feff}'.len_utf8()),
            None => 0,
        }
    }

    /// Returns the start of the line after that of `at`, or the end of the text.
    pub(crate) fn next_line_start(self, at: usize) -> usize {
        match self.0[at..].find('\n') {
            Some(newline) => at + newline + 1,
            None => self.0.len(),
        }
    }

    /// Expands a range to whole lines.
    pub(crate) fn expand_to_lines(self, range: &Range<usize>) -> Range<usize> {
        self.line_start(range.start)..self.next_line_start(range.end)
    }

    /// Returns the white space at the start of the line of `at`.
    pub(crate) fn indent(self, at: usize) -> &'a str {
        let line = &self.0[self.line_start(at)..at];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }

    /// Returns the ending of the last line before `at`, or `\n` for the first line.
    pub(crate) fn line_ending(self, at: usize) -> &'static str {
        match self.0[..at].rfind('\n') {
            Some(newline) if self.0[..newline].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    /// Returns the number of the line of `at`, counted from 1.
    pub(crate) fn line_number(self, at: usize) -> usize {
        self.0[..at].matches('\n').count() + 1
    }

    pub(crate) fn is_line_start(self, at: usize) -> bool {
        self.line_start(at) == at
    }
}
