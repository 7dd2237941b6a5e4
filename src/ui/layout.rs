//! Layout of text at a terminal: wrapped lines, tables, the home directory as `~`.
//!
//! Pipes and logs get the same text without any of it, so that their lines are stable.

mod time;
mod words;

pub(super) use time::format_relative;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use regex::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;
pub(super) use textwrap::core::display_width;
use words::{abbreviate_home, find_words};

/// Narrower terminals get unwrapped lines: one or two words a line help nobody.
const MIN_WIDTH: usize = 20;

/// The width of a terminal that does not know it.
const DEFAULT_WIDTH: usize = 80;

/// The width below which no flexible column of a table shrinks.
const MIN_COLUMN_WIDTH: u16 = 10;

/// The blanks between the columns of a table.
const COLUMN_GAP: u16 = 2;

/// The number of characters that identify a run or an object for people.
const SHORT_ID_CHARS: usize = 8;

/// The layout of one output stream.
#[derive(Clone, Copy)]
pub(super) struct Layout<'a> {
    /// The width of the terminal. `None` if the stream is no terminal.
    terminal_width: Option<usize>,
    /// The home directory of the user.
    home: Option<&'a str>,
}

impl<'a> Layout<'a> {
    /// Creates the layout of a stream that is no terminal.
    pub(super) const fn unlimited() -> Self {
        Self {
            terminal_width: None,
            home: None,
        }
    }

    /// Creates the layout of a terminal. `columns` is 0 for one that does not know its width, which
    /// is then the value of `COLUMNS`.
    pub(super) fn for_terminal(
        columns: u16,
        variable: Option<usize>,
        home: Option<&'a str>,
    ) -> Self {
        let known = Some(usize::from(columns)).filter(|columns| *columns > 0);
        let width = known
            .or(variable.filter(|columns| *columns > 0))
            .unwrap_or(DEFAULT_WIDTH);
        Self {
            terminal_width: Some(width),
            home,
        }
    }

    /// Returns whether a person reads the stream at a terminal.
    pub(super) const fn is_terminal(&self) -> bool {
        self.terminal_width.is_some()
    }

    /// Returns the width to wrap at.
    fn wrap_width(&self) -> Option<usize> {
        self.terminal_width.filter(|width| *width >= MIN_WIDTH)
    }

    /// Returns `head` and `text`, wrapped with a hanging indent. `head` can contain colours.
    ///
    /// Only blanks are replaced by line breaks, and none in backquotes. A longer word or command
    /// exceeds the width, so that it can be copied.
    pub(super) fn wrap(&self, head: &str, text: &str, indent: usize) -> String {
        let text = match self.home {
            Some(home) => abbreviate_home(text, home),
            None => Cow::Borrowed(text),
        };
        let Some(width) = self.wrap_width() else {
            return format!("{head}{text}");
        };
        let indent = " ".repeat(indent);
        let options = textwrap::Options::new(width)
            .initial_indent(head)
            .subsequent_indent(&indent)
            .break_words(false)
            .word_separator(textwrap::WordSeparator::Custom(find_words))
            .word_splitter(textwrap::WordSplitter::NoHyphenation)
            .wrap_algorithm(textwrap::WrapAlgorithm::FirstFit);
        textwrap::fill(&text, options)
    }

    /// Formats a table with a header and no borders. At a terminal, the flexible columns wrap their
    /// cells.
    pub(super) fn format_table<const N: usize>(
        &self,
        header: [&str; N],
        flexible: &[usize],
        rows: &[[String; N]],
    ) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(header).add_rows(rows);
        let width = self.wrap_width().and_then(|width| width.try_into().ok());
        if let Some(width) = width {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                // The gap after the last column is cut.
                .set_width(u16::saturating_add(width, COLUMN_GAP));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, COLUMN_GAP));
            let constraint = if flexible.contains(&index) {
                // A cell that is narrower than the boundary must not widen the column.
                let cells = rows.iter().map(|row| display_width(&row[index]));
                let content = cells.chain([display_width(header[index])]).max();
                let content = content.unwrap_or(0).try_into().unwrap_or(u16::MAX);
                let boundary = MIN_COLUMN_WIDTH.min(content) + COLUMN_GAP;
                ColumnConstraint::LowerBoundary(Width::Fixed(boundary))
            } else {
                ColumnConstraint::ContentWidth
            };
            column.set_constraint(constraint);
        }
        let lines: Vec<String> = table
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        lines.join("\n")
    }
}

/// Shortens the UIDs in a text to 8 characters.
pub(super) fn shorten_uids(text: &str) -> Cow<'_, str> {
    static UID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
            .expect("the pattern is a constant")
    });
    UID.replace_all(text, "$1")
}

/// Cuts a line that is wider than `width`, and marks the cut.
pub(super) fn truncate_line(line: &str, width: usize) -> String {
    if display_width(line) <= width {
        return line.to_owned();
    }
    let ends = line.char_indices().map(|(index, _)| index);
    let end = ends
        .take_while(|end| display_width(&line[..*end]) < width)
        .last();
    format!("{}…", &line[..end.unwrap_or(0)])
}

/// Returns the length of the shortest prefix, 8 characters or more, that no two IDs share.
#[must_use]
pub fn find_short_id_length<'a>(ids: impl IntoIterator<Item = &'a str>) -> usize {
    let mut ids: Vec<&str> = ids.into_iter().collect();
    ids.sort_unstable();
    ids.dedup();
    let common = |pair: &[&str]| {
        let pairs = pair[0].chars().zip(pair[1].chars());
        pairs.take_while(|(a, b)| a == b).count()
    };
    let longest = ids.windows(2).map(common).max();
    longest.map_or(SHORT_ID_CHARS, |longest| SHORT_ID_CHARS.max(longest + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminal(width: u16) -> Layout<'static> {
        Layout::for_terminal(width, None, Some("/home/ann"))
    }

    #[test]
    fn terminal_width_falls_back_to_columns_and_80() {
        let width =
            |columns, variable| Layout::for_terminal(columns, variable, None).terminal_width;
        assert_eq!(width(100, Some(40)), Some(100));
        assert_eq!(width(0, Some(40)), Some(40));
        assert_eq!(width(0, Some(0)), Some(80));
        assert_eq!(width(0, None), Some(80));
    }

    #[test]
    fn wrap_indents_continuations_and_keeps_commands_whole() {
        let text = "run `kubectl get pods -n x` as said in \
                    https://example.com/a-very-long/path/to-a-page and /home/ann/x";
        insta::assert_snapshot!(terminal(30).wrap("\u{1b}[1merror\u{1b}[0m: ", text, 7), @"
        \u{1b}[1merror\u{1b}[0m: run
               `kubectl get pods -n x`
               as said in
               https://example.com/a-very-long/path/to-a-page
               and ~/x
        ");
        assert_eq!(terminal(19).wrap("a: ", text, 3).lines().count(), 1);
        let unlimited = Layout::unlimited().wrap("a: ", text, 3);
        assert_eq!(unlimited, format!("a: {text}"));
    }

    #[test]
    fn table_wraps_flexible_columns_within_the_width() {
        let rows = [
            ["1", "done", "a reason that is longer than its column"],
            ["22", "日本", "e\u{301}"],
        ]
        .map(|row| row.map(str::to_owned));
        let format = |layout: Layout| layout.format_table(["ID", "OUTCOME", "WHY"], &[2], &rows);
        insta::assert_snapshot!(format(terminal(30)), @"
        ID  OUTCOME  WHY
        1   done     a reason that is
                     longer than its
                     column
        22  日本     e\u{301}
        ");
        insta::assert_snapshot!(format(Layout::unlimited()), @"
        ID  OUTCOME  WHY
        1   done     a reason that is longer than its column
        22  日本     e\u{301}
        ");
    }

    #[test]
    fn shortened_uids_keep_other_text() {
        let text = "UID cbd43bc4-f685-498d-a173-f46ad91e876e is gone, not deadbeef-1";
        let short = "UID cbd43bc4 is gone, not deadbeef-1";
        assert_eq!(shorten_uids(text), short);
    }

    #[test]
    fn truncated_line_fits_the_width() {
        assert_eq!(truncate_line("four", 4), "four");
        assert_eq!(truncate_line("fives", 4), "fiv…");
        assert_eq!(truncate_line("日本語", 4), "日…");
        assert_eq!(truncate_line("日本", 1), "…");
    }

    #[test]
    fn short_ids_grow_until_they_are_unique() {
        assert_eq!(find_short_id_length(["12345678-1", "a"]), 8);
        assert_eq!(find_short_id_length(["12345678-1", "12345678-2"]), 10);
        assert_eq!(find_short_id_length(["12345678-1", "12345678-1"]), 8);
        assert_eq!(find_short_id_length([]), 8);
    }
}
