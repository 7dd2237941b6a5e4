//! Renders the commands of runs as a POSIX shell script, for reading or to repeat single lines.

use crate::audit::{Body, Intent, Operation, Text};
use crate::commands::audit::describe::{
    Results, describe_stdin, format_text, format_time, format_words,
};
use crate::commands::audit::source::RunEntries;
use crate::plan::shell_quote;
use crate::text::sanitize;

const NOT_INTACT_NOTE: &str =
    "# The audit log is not intact. These are the commands that its files contain now.\n";

/// The guard keeps anybody from running the script as a whole.
const SCRIPT_HEADER: &str = r#"#!/bin/sh
# The commands that bypassctl ran. Read them, or repeat single lines by hand.
#
# This is not a procedure. `--dry-run=script` prints one. These lines check nothing before they
# delete, and they print secrets that bypassctl kept in memory. A command that read from standard
# input is a comment, because the audit log does not contain the input.
set -eu
if [ "${1-}" != --run-again ]; then
    echo "nothing was run: this script is for reading. It deletes objects and prints secrets" >&2
    exit 1
fi
"#;

pub(super) fn render_audit_script(runs: &[RunEntries], intact: bool) -> String {
    let note = if intact { "" } else { NOT_INTACT_NOTE };
    let runs: String = runs.iter().map(render_run).collect();
    format!("{SCRIPT_HEADER}{note}{runs}")
}

fn render_run((id, entries): &RunEntries) -> String {
    let results = Results::from_entries(entries);
    let commands = entries.iter().filter_map(|entry| {
        let Body::Intent(intent) = &entry.body else {
            return None;
        };
        Some(format!(
            "# {} {}: {}\n{}",
            format_time(&entry.ts),
            sanitize(&intent.step),
            sanitize(&results.describe(entry.seq)),
            render_intent(intent)
        ))
    });
    format!("\n# run {}\n{}", sanitize(id), commands.collect::<String>())
}

fn render_intent(intent: &Intent) -> String {
    match &intent.operation {
        Operation::Process {
            argv, stdin: None, ..
        } => match format_exact_command(argv) {
            Some(line) => format!("{line}\n"),
            None => format!(
                "# {} (contains bytes that are not plain text)\n",
                format_words(argv).join(" ")
            ),
        },
        Operation::Process {
            argv,
            stdin: Some(stdin),
            ..
        } => {
            let words = format_words(argv);
            let line: Vec<String> = words.iter().map(|word| shell_quote(word)).collect();
            let input = describe_stdin(stdin);
            sanitize(&format!("# {} <({input})", line.join(" "))) + "\n"
        }
        Operation::File { file } => {
            format!("# file: {} {}\n", file.op.as_str(), format_text(&file.path))
        }
    }
}

/// Quotes a command for a shell, or returns `None` for arguments with control characters.
fn format_exact_command(argv: &[Text]) -> Option<String> {
    let word = |text: &Text| match text {
        Text::Utf8(text) if !text.chars().any(char::is_control) => Some(shell_quote(text)),
        _ => None,
    };
    Some(argv.iter().map(word).collect::<Option<Vec<_>>>()?.join(" "))
}
