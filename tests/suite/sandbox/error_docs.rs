//! Compares every error and warning of a test run with `docs/ERRORS.md`, with its exit code.

use regex::Regex;
use std::sync::LazyLock;

/// A row of `docs/ERRORS.md`.
pub struct ErrorRow {
    /// The documented message, with `…` for each part that varies.
    pub message: String,
    pattern: Regex,
    /// The exit codes, empty for a warning.
    exit_codes: Vec<i32>,
}

impl ErrorRow {
    /// Returns whether a message matches. Backticks do not count.
    pub fn matches(&self, message: &str) -> bool {
        self.pattern.is_match(&message.replace('`', ""))
    }
}

/// All rows, in order.
pub static ERROR_ROWS: LazyLock<Vec<ErrorRow>> = LazyLock::new(|| {
    let document = include_str!("../../../docs/ERRORS.md");
    let code = Regex::new("`([^`]+)`").expect("a pattern");
    let rows = document
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
            let codes: Vec<i32> = match cells[..] {
                [_, codes, _] => codes
                    .split(", ")
                    .map(|code| code.parse().expect(line))
                    .collect(),
                [_, _] => Vec::new(),
                _ => panic!("docs/ERRORS.md: {line}"),
            };
            let messages: Vec<String> = code
                .captures_iter(cells[0])
                .map(|found| found[1].to_owned())
                .collect();
            messages.into_iter().map(move |message| {
                let parts: Vec<String> = message.split('…').map(regex::escape).collect();
                let pattern =
                    Regex::new(&format!("(?s)^{}$", parts.join(".*"))).expect("a pattern");
                ErrorRow {
                    message,
                    pattern,
                    exit_codes: codes.clone(),
                }
            })
        });
    rows.collect()
});

/// Asserts that the document has every error and warning of this output.
pub fn assert_documented(exit: i32, expected: &str) {
    if let Some(unknown) = find_undocumented(exit, expected) {
        panic!("docs/ERRORS.md has no row for this, or it has no hint: {unknown}\n{expected}");
    }
}

/// Returns the first error or warning without a row or without a hint. `error: ` and `warning: `
/// start a line.
pub fn find_undocumented(exit: i32, stderr: &str) -> Option<String> {
    let lines: Vec<&str> = stderr.lines().collect();
    let is_told = |line: &str| {
        ["error: ", "warning: "]
            .iter()
            .any(|kind| line.starts_with(kind))
    };
    let hinted = |at: usize| {
        lines
            .get(at + 1)
            .is_some_and(|next| next.trim_start().starts_with("hint: "))
    };
    let expected = lines.iter().enumerate().filter(|(_, line)| is_told(line));
    expected
        .filter(|(at, line)| {
            if !hinted(*at) {
                return true;
            }
            let known = |message: &str, of_kind: &dyn Fn(&ErrorRow) -> bool| {
                ERROR_ROWS
                    .iter()
                    .any(|row| of_kind(row) && row.matches(message))
            };
            match (line.strip_prefix("error: "), line.strip_prefix("warning: ")) {
                // After a change every error exits with 8.
                (Some(error), _) => !known(error, &|row| {
                    row.exit_codes.contains(&exit) || (exit == 8 && !row.exit_codes.is_empty())
                }),
                (_, Some(warning)) => !known(warning, &|row| row.exit_codes.is_empty()),
                _ => false,
            }
        })
        .map(|(_, line)| format!("exit code {exit}: {line}"))
        .next()
}
