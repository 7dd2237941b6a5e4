//! Output options, and the program's name in messages.

use clap::ValueEnum;
use regex::Regex;
use std::sync::LazyLock;

/// The program's name. Also the name of the command after a usage error.
pub const PROGRAM_NAME: &str = "bypassctl";

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Text for people
    #[default]
    Text,
    /// One JSON object
    Json,
    /// JUnit XML, for `doctor`, `status`, `tools verify` and `audit verify`
    Junit,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Clone)]
pub struct OutputOptions {
    /// The command that the user runs, for example `kubectl bypass`.
    pub program_name: &'static str,
    pub format: OutputFormat,
    pub color: Color,
    /// Print only errors, warnings and failed checks.
    pub quiet: bool,
    /// Print every command as it runs.
    pub verbose: bool,
    /// Write for a log that somebody reads later.
    pub ci: bool,
    /// Write annotations for GitHub's runner.
    pub github: bool,
    /// The value of `COLUMNS`, for a terminal that does not know its width.
    pub columns: Option<usize>,
    /// The home directory, which is `~` at a terminal.
    pub home: Option<String>,
    /// The terminal cannot move its cursor (`TERM=dumb`).
    pub is_dumb_terminal: bool,
}

impl Default for OutputOptions {
    fn default() -> Self {
        Self {
            program_name: PROGRAM_NAME,
            format: OutputFormat::Text,
            color: Color::Auto,
            quiet: false,
            verbose: false,
            ci: false,
            github: false,
            columns: None,
            home: None,
            is_dumb_terminal: false,
        }
    }
}

/// Replaces the program's name in quoted commands, for example `bypassctl disable`.
pub fn replace_program_name(text: &str, name: &str) -> String {
    static COMMAND: LazyLock<Regex> = LazyLock::new(|| {
        let commands = "enable|disable|revoke|rotate|status|doctor|plan|policy|apply|tools|audit|\
                        completion|version|--help|-h";
        Regex::new(&format!(r"\bbypassctl ({commands})(?:\b|$)"))
            .expect("the pattern is a constant")
    });
    COMMAND.replace_all(text, format!("{name} $1")).into_owned()
}

/// Returns the title of a command, where several programs print theirs: in annotations and test
/// reports.
pub(super) fn format_title(command: &str) -> String {
    if command == PROGRAM_NAME {
        PROGRAM_NAME.to_owned()
    } else {
        format!("{PROGRAM_NAME} {command}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replace_program_name_changes_only_commands() {
        let text = "run `bypassctl disable`, then read bypassctl/audit.jsonl, bypassctl.toml and \
                    bypassctl audit verify";
        let renamed = "run `kubectl x disable`, then read bypassctl/audit.jsonl, bypassctl.toml \
                       and kubectl x audit verify";
        assert_eq!(replace_program_name(text, "kubectl x"), renamed);
    }
}
