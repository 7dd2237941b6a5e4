//! The commands as a POSIX shell script, to be read, or run where each is wanted again.

use super::Runs;
use crate::audit::{Body, Intent, Operation, Record, Text};
use crate::commands::audit::{CommandOutcomes, describe_input, format_time, format_words};
use crate::plan::script::shell_quote;
use crate::text::sanitize;
use std::fmt::Write as _;

/// What a script of a record that does not hold begins with.
const BROKEN_LOG_NOTE: &str =
    "# The record does not hold: these are the commands that the files say now.\n";

/// What it begins with. Deletions look at nothing first here, and a secret that was read into memory would be printed.
const SCRIPT_HEADER: &str = r#"#!/bin/sh
# Commands as bypassctl ran them: for reading, and to run a line again by hand. They are no procedure (that is
# `--dry-run=script`): what is deleted is not looked at first, what was read into memory is printed. What they read is not
# on record where it may hold a secret: such a command is a comment.
set -eu
[ "${1-}" = --run-again ] || { echo "this is what was run, for reading; as a whole it would delete, and print secrets: nothing was run" >&2; exit 1; }
"#;

pub(super) fn render_audit_script(runs: &Runs, holds: bool) -> String {
    let mut script = SCRIPT_HEADER.to_owned();
    script.push_str(if holds { "" } else { BROKEN_LOG_NOTE });
    runs.iter()
        .for_each(|(id, records)| script.push_str(&render_run(id, records)));
    script
}

fn render_run(id: &str, records: &[Record]) -> String {
    let ends = CommandOutcomes::from_records(records);
    let mut script = format!("\n# run {}\n", sanitize(id));
    for record in records {
        let Body::Intent(intent) = &record.body else {
            continue;
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            script,
            "# {} {}: {}",
            format_time(&record.ts),
            sanitize(&intent.step),
            sanitize(&ends.describe_outcome(record.seq))
        );
        script.push_str(&render_intent(intent));
    }
    script
}

fn render_intent(intent: &Intent) -> String {
    match &intent.operation {
        Operation::Process {
            argv, stdin: None, ..
        } => match format_exact_command(argv) {
            Some(line) => format!("{line}\n"),
            None => format!(
                "# {} (it has bytes that are no text)\n",
                format_words(argv).join(" ")
            ),
        },
        Operation::Process {
            argv,
            stdin: Some(stdin),
            ..
        } => {
            let line = format_words(argv)
                .iter()
                .map(|word| shell_quote(word))
                .collect::<Vec<_>>()
                .join(" ");
            sanitize(&format!("# {line} <({})", describe_input(stdin))) + "\n"
        }
        Operation::File { file } => {
            format!(
                "# file: {} {}\n",
                file.op.as_str(),
                format_words(std::slice::from_ref(&file.path)).concat()
            )
        }
    }
}

/// A command as a shell takes it, where it is text without anything that would steer a terminal.
fn format_exact_command(argv: &[Text]) -> Option<String> {
    let word = |text: &Text| match text {
        Text::Utf8(text) if !text.chars().any(char::is_control) => Some(shell_quote(text)),
        _ => None,
    };
    Some(argv.iter().map(word).collect::<Option<Vec<_>>>()?.join(" "))
}
