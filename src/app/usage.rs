//! A command line that does not make sense, told in the form that it asks for.

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

/// Tells what clap found, help and version among it, and returns the exit code.
#[must_use]
pub fn report_usage_error(error: &clap::Error, environment: &Environment) -> u8 {
    let (json, github) = (
        is_json_requested(&environment.argv),
        environment.is_github_actions(),
    );
    let called = ProgramName::from_argv0(environment).display_name();
    if environment.argv.len() <= 1 {
        Ui::new(OutputOptions {
            program_name: called,
            ..OutputOptions::default()
        })
        .print_quick_start(QUICK_START);
        return ErrorKind::Usage.exit_code();
    }
    let shows_help = error.kind() == ClapErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !error.use_stderr() || (shows_help && !json && !github) {
        // Who does not read it to its end has seen enough.
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
        program_name: called,
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

/// Whether JSON is asked for, as far as that can be told from a command line that does not make sense.
fn is_json_requested(argv: &[OsString]) -> bool {
    let words: Vec<&str> = argv
        .iter()
        .skip(1)
        .filter_map(|word| word.to_str())
        .take_while(|word| *word != "--")
        .collect();
    // Behind -q and -v, which take nothing, as well.
    let short = |word: &str| {
        word.strip_prefix('-')
            .map(|word| word.trim_start_matches(['q', 'v']).to_owned())
    };
    let is_output = |word: &str| word == "--output" || short(word).as_deref() == Some("o");
    let two = |pair: &[&str]| is_output(pair[0]) && pair[1] == "json";
    let one = |word: &&str| {
        *word == "--output=json"
            || short(word).is_some_and(|word| word == "ojson" || word == "o=json")
    };
    words.iter().any(one) || words.windows(2).any(two)
}

/// The message without its usage line, and what clap suggests.
fn convert_clap_error(error: &clap::Error) -> Error {
    let help = format!("`{} --help` shows what there is", find_command_name(error));
    if error.kind() == ClapErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Error::usage("no command is named").hint(help);
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
        tips.join("; ")
    };
    Error::usage(message.trim_start_matches("error: ")).hint(hint)
}

/// The command that was being read, up to where its options begin in the usage line.
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
        let asks = |line: &str| {
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
            assert!(asks(line), "{line}");
        }
        for line in [
            "b",
            "json -o",
            "b -o text json",
            "b -- -o json",
            "b --output-json",
            "-ojson",
        ] {
            assert!(!asks(line), "{line}");
        }
    }
}
