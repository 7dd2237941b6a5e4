//! Where lines begin and end, by byte offset. Spans come from the parser, so an offset is never
//! looked up inside a multi-line string that only looks like structure.

use std::ops::Range;

/// A text seen as lines.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a>(pub(super) &'a str);

impl<'a> Lines<'a> {
    /// Where the line of `at` begins, behind a byte order mark.
    pub(super) fn line_start(self, at: usize) -> usize {
        match self.0[..at].rfind('\n') {
            Some(newline) => newline + 1,
            None if self.0.starts_with('\u{feff}') => at.min('\u{feff}'.len_utf8()),
            None => 0,
        }
    }

    /// Where the line after that of `at` begins, or the end of the text.
    pub(super) fn next_line_start(self, at: usize) -> usize {
        match self.0[at..].find('\n') {
            Some(newline) => at + newline + 1,
            None => self.0.len(),
        }
    }

    /// The whole lines that `span` touches.
    pub(super) fn expand_to_lines(self, span: &Range<usize>) -> Range<usize> {
        self.line_start(span.start)..self.next_line_start(span.end)
    }

    /// The white space that the line of `at` begins with.
    pub(super) fn indent(self, at: usize) -> &'a str {
        let line = &self.0[self.line_start(at)..at];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }

    /// The line ending in use just before `at`, else `\n`.
    pub(super) fn line_ending(self, at: usize) -> &'static str {
        match self.0[..at].rfind('\n') {
            Some(newline) if self.0[..newline].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    /// The number of the line of `at`, from 1.
    pub(super) fn line_number(self, at: usize) -> usize {
        self.0[..at].matches('\n').count() + 1
    }

    /// Whether a line begins at `at`.
    pub(super) fn is_line_start(self, at: usize) -> bool {
        self.line_start(at) == at
    }

    /// `start` moved up over one blank line, if there is one.
    pub(super) fn include_blank_before(self, start: usize) -> usize {
        let Some(end) = self.0[..start].strip_suffix('\n') else {
            return start;
        };
        let blank = self.line_start(end.len());
        if self.0[blank..start].trim().is_empty() {
            blank
        } else {
            start
        }
    }

    /// Behind the comment lines that follow `at` (the beginning of a line) directly, if a blank
    /// line or the end follows them; else `at`: they lead what comes next.
    pub(super) fn skip_comments(self, at: usize) -> usize {
        let mut end = at;
        loop {
            let line = self.0[end..self.next_line_start(end)].trim();
            if line.is_empty() {
                return end;
            }
            if !line.starts_with('#') {
                return at;
            }
            end = self.next_line_start(end);
        }
    }
}
