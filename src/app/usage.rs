//! Reports usage errors in the requested format.

use crate::error::{Error, ErrorKind};
use crate::exec::Environment;
use crate::session::program_name::ProgramName;
use crate::text::sanitize_truncated;
use crate::ui::{OutputFormat, OutputOptions, PROGRAM_NAME, RunSummary, Ui};
use clap::error::{ContextKind, ContextValue, ErrorKind as ClapErrorKind};
use std::ffi::OsString;

const QUICK_START: &str = "\
The admin token of InfluxDB Clustered in influxctl profiles, for development and testing:

  bypassctl doctor -n NS     check the prerequisites, changes nothing
  bypassctl enable -n NS     store the token and point an influxctl profile at it
  bypassctl disable          delete the token file and restore the profile

All commands: bypassctl -h
";

/// Prints an error of clap, which can be help or version, and returns the exit code.
#[must_use]
pub fn report_usage_error(error: &clap::Error, environment: &Environment) -> u8 {
    let (json, github) = (
        is_json_requested(&environment.argv),
        environment.is_github_actions(),
    );
    let program_name = ProgramName::from_argv0(environment).display_name();
    if environment.argv.len() <= 1 {
        Ui::new(OutputOptions {
            program_name,
            ..OutputOptions::default()
        })
        .print_quick_start(QUICK_START);
        return ErrorKind::Usage.exit_code();
    }
    let shows_help = error.kind() == ClapErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !error.use_stderr() || (shows_help && !json && !github) {
        // A reader such as `head` may close the pipe early.
        drop(error.print());
        return u8::try_from(error.exit_code()).unwrap_or(2);
    }
    let format = if json {
        OutputFormat::Json
    } else {
        OutputFormat::Text
    };
    let ui = Ui::new(OutputOptions {
        format,
        github,
        program_name,
        ..OutputOptions::default()
    });
    let outcome = Err(convert_clap_error(error));
    let target = Default::default();
    ui.finish(&RunSummary {
        command: PROGRAM_NAME,
        outcome: &outcome,
        dry_run: false,
        changed: false,
        run: None,
        target,
        head: None,
    })
}

/// Returns whether the command line requests JSON, as far as an invalid one shows it.
fn is_json_requested(argv: &[OsString]) -> bool {
    let words: Vec<&str> = argv
        .iter()
        .skip(1)
        .filter_map(|word| word.to_str())
        .take_while(|word| *word != "--")
        .collect();
    // The flags -q and -v can precede -o in the same word.
    let short = |word: &str| {
        word.strip_prefix('-')
            .map(|word| word.trim_start_matches(['q', 'v']).to_owned())
    };
    let is_output = |word: &str| word == "--output" || short(word).as_deref() == Some("o");
    let is_json_pair = |pair: &[&str]| is_output(pair[0]) && pair[1] == "json";
    let is_json_word = |word: &&str| {
        *word == "--output=json"
            || short(word).is_some_and(|word| word == "ojson" || word == "o=json")
    };
    words.iter().any(is_json_word) || words.windows(2).any(is_json_pair)
}

/// Converts the message without its usage line, and the tips into the hint.
fn convert_clap_error(error: &clap::Error) -> Error {
    let help = format!("run `{} --help`", find_command_name(error));
    if error.kind() == ClapErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Error::usage("no command given").hint(help);
    }
    let text = error.render().to_string();
    let line = |part: &str| {
        sanitize_truncated(
            &part.split_whitespace().collect::<Vec<_>>().join(" "),
            usize::MAX,
        )
    };
    let mut parts = text.split("\n\n").map(line);
    let message = parts.next().unwrap_or_default();
    let tips: Vec<String> = parts
        .filter_map(|part| part.strip_prefix("tip: ").map(str::to_owned))
        .collect();
    let hint = if tips.is_empty() {
        help
    } else {
        tips.join(", or ")
    };
    Error::usage(message.trim_start_matches("error: ")).hint(hint)
}

/// Finds the command in the usage line, before its options.
fn find_command_name(error: &clap::Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let usage = usage.trim_start_matches("Usage: ").split_whitespace();
    let words: Vec<&str> = usage
        .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    if words.is_empty() {
        PROGRAM_NAME.to_owned()
    } else {
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_json_requested_recognizes_every_flag_form() {
        let is_requested = |line: &str| {
            is_json_requested(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
        };
        for line in [
            "b -o json x",
            "b x --output json",
            "b -ojson",
            "b -o=json",
            "b --output=json",
            "b -qojson",
            "b -vo json",
        ] {
            assert!(is_requested(line), "{line}");
        }
        for line in [
            "b",
            "json -o",
            "b -o text json",
            "b -- -o json",
            "b --output-json",
            "-ojson",
        ] {
            assert!(!is_requested(line), "{line}");
        }
    }
}
