//! How everything is told, and what this program is called there.

use clap::ValueEnum;
use regex::Regex;
use std::sync::LazyLock;

/// The program's name; that of the command as well where the command line does not make sense.
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

/// How everything is told.
#[derive(Clone, Copy)]
pub struct OutputOptions {
    /// What people call this program by.
    pub program_name: &'static str,
    /// In which form.
    pub format: OutputFormat,
    /// In colour.
    pub color: Color,
    /// Only what is wrong.
    pub quiet: bool,
    /// Also every command as it runs.
    pub verbose: bool,
    /// For a log that is read later: nobody watches.
    pub ci: bool,
    /// For GitHub's runner.
    pub github: bool,
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
        }
    }
}

/// A text in which this program's commands are called by another name.
pub fn replace_program_name(text: &str, name: &str) -> String {
    static COMMAND: LazyLock<Regex> = LazyLock::new(|| {
        let commands = "enable|disable|revoke|rotate|status|doctor|plan|apply|tools|audit|completion|version|--help|-h";
        Regex::new(&format!(r"\bbypassctl ({commands})(?:\b|$)"))
            .expect("the pattern is a constant")
    });
    COMMAND.replace_all(text, format!("{name} $1")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replace_program_name_changes_only_commands() {
        let said = "`bypassctl disable` ends it; see bypassctl/audit.jsonl, bypassctl.toml and bypassctl audit verify";
        let told = "`kubectl x disable` ends it; see bypassctl/audit.jsonl, bypassctl.toml and kubectl x audit verify";
        assert_eq!(replace_program_name(said, "kubectl x"), told);
    }
}
