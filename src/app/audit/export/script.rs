//! The commands as a POSIX shell script, to be read, or run where each is wanted again.

use super::Runs;
use crate::app::audit::{Ends, input, moment, plain, words};
use crate::audit::{Act, Body, Intent, Record, Text};
use crate::plan::script::quoted;
use std::fmt::Write as _;

/// What a script of a record that does not hold begins with.
const BROKEN: &str = "# The record does not hold: these are the commands that the files say now.\n";

/// What it begins with. Deletions look at nothing first here, and a secret that was read into memory would be printed.
const HEAD: &str = r#"#!/bin/sh
# Commands as bypassctl ran them: for reading, and to run a line again by hand. They are no procedure (that is
# `--dry-run=script`): what is deleted is not looked at first, what was read into memory is printed. What they read is not
# on record where it may hold a secret: such a command is a comment.
set -eu
[ "${1-}" = --run-again ] || { echo "this is what was run, for reading; as a whole it would delete, and print secrets: nothing was run" >&2; exit 1; }
"#;

pub(super) fn of(runs: &Runs, holds: bool) -> String {
    let mut script = HEAD.to_owned();
    script.push_str(if holds { "" } else { BROKEN });
    runs.iter()
        .for_each(|(id, records)| script.push_str(&of_run(id, records)));
    script
}

fn of_run(id: &str, records: &[Record]) -> String {
    let ends = Ends::of(records);
    let mut script = format!("\n# run {}\n", plain(id));
    for record in records {
        let Body::Intent(intent) = &record.body else {
            continue;
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            script,
            "# {} {}: {}",
            moment(&record.ts),
            plain(&intent.step),
            plain(&ends.told(record.seq))
        );
        script.push_str(&of_intent(intent));
    }
    script
}

fn of_intent(intent: &Intent) -> String {
    match &intent.act {
        Act::Process {
            argv, stdin: None, ..
        } => match exact(argv) {
            Some(line) => format!("{line}\n"),
            None => format!(
                "# {} (it has bytes that are no text)\n",
                words(argv).join(" ")
            ),
        },
        Act::Process {
            argv,
            stdin: Some(stdin),
            ..
        } => {
            let line = words(argv)
                .iter()
                .map(|word| quoted(word))
                .collect::<Vec<_>>()
                .join(" ");
            plain(&format!("# {line} <({})", input(stdin))) + "\n"
        }
        Act::File { file } => {
            format!(
                "# file: {} {}\n",
                file.op.as_str(),
                words(std::slice::from_ref(&file.path)).concat()
            )
        }
    }
}

/// A command as a shell takes it, where it is text without anything that would steer a terminal.
fn exact(argv: &[Text]) -> Option<String> {
    let word = |text: &Text| match text {
        Text::Utf8(text) if !text.chars().any(char::is_control) => Some(quoted(text)),
        _ => None,
    };
    Some(argv.iter().map(word).collect::<Option<Vec<_>>>()?.join(" "))
}
