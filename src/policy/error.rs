//! Why a policy could not be read.

use std::fmt;
use std::ops::Range;

/// Why a policy could not be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl PolicyError {
    pub(super) fn new(
        text: &str,
        span: Option<Range<usize>>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let at = span.map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..at]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        Self {
            line,
            message: what.into(),
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
