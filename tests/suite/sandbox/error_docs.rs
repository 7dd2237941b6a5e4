//! Every error and warning that the program tells in a test is in `docs/ERRORS.md`, with its exit code.

use regex::Regex;
use std::sync::LazyLock;

/// A row of `docs/ERRORS.md`.
pub struct ErrorRow {
    /// The message as it stands there, `…` for what varies.
    pub message: String,
    pattern: Regex,
    /// The exit codes; none for a warning.
    exit_codes: Vec<i32>,
}

impl ErrorRow {
    /// Whether that message is meant; backticks are for who reads the table.
    pub fn matches(&self, message: &str) -> bool {
        self.pattern.is_match(&message.replace('`', ""))
    }
}

/// All rows, in the order of the document.
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

/// Fails the test where the program told something that the document has not.
pub fn assert_documented(exit: i32, told: &str) {
    if let Some(unknown) = find_undocumented(exit, told) {
        panic!("docs/ERRORS.md has no row for this, or it has no hint: {unknown}\n{told}");
    }
}

/// The first error or warning that no row has, or that has no hint; `error: ` and `warning: ` begin a line.
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
    let told = lines.iter().enumerate().filter(|(_, line)| is_told(line));
    told.filter(|(at, line)| {
        if !hinted(*at) {
            return true;
        }
        let known = |message: &str, of_kind: &dyn Fn(&ErrorRow) -> bool| {
            ERROR_ROWS
                .iter()
                .any(|row| of_kind(row) && row.matches(message))
        };
        match (line.strip_prefix("error: "), line.strip_prefix("warning: ")) {
            // Whatever it was, it is 8 once something was changed.
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
