//! Errors of a policy.

use std::fmt;
use std::ops::Range;

/// An invalid policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// Counted from 1.
    pub line: usize,
    pub message: String,
    pub hint: String,
}

impl PolicyError {
    /// Computes the line from a byte range of the text. Without a range it is the first line.
    pub(super) fn new(
        text: &str,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let start = span.map_or(0, |span| span.start.min(text.len()));
        let before = &text.as_bytes()[..start];
        Self {
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            message: message.into(),
            hint: hint.into(),
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for PolicyError {}
