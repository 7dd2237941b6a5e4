//! A command line that does not make sense, told in the form that it asks for.

use super::called::Called;
use crate::error::{Error, Kind};
use crate::exec::Surroundings;
use crate::tool::invocation::printable;
use crate::ui::{Ending, Format, Manner, PROGRAM, Ui};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// What somebody who has just come wants to know.
const FIRST: &str =
    "InfluxDB Clustered's admin token in use and out of use, for development and testing:

  bypassctl doctor -n NS     what is missing, and what mends it; changes nothing
  bypassctl enable -n NS     fetch the token, try it, put it to use in an influxctl profile
  bypassctl disable          take it out of use again, before production

All commands: bypassctl -h
";

/// Tells what clap found, help and version among it, and returns the exit code.
#[must_use]
pub fn usage(error: &clap::Error, surroundings: &Surroundings) -> u8 {
    let (json, github) = (asks_for_json(&surroundings.argv), surroundings.is_github());
    let called = Called::of(surroundings).name();
    if surroundings.argv.len() <= 1 {
        Ui::new(Manner {
            called,
            ..Manner::default()
        })
        .greet(FIRST);
        return Kind::Usage.exit_code();
    }
    let shows_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !error.use_stderr() || (shows_help && !json && !github) {
        // Who does not read it to its end has seen enough.
        drop(error.print());
        return u8::try_from(error.exit_code()).unwrap_or(2);
    }
    let format = if json { Format::Json } else { Format::Text };
    let ui = Ui::new(Manner {
        format,
        github,
        called,
        ..Manner::default()
    });
    let outcome = Err(told(error));
    let target = Default::default();
    ui.end(&Ending {
        command: PROGRAM,
        outcome: &outcome,
        dry_run: false,
        changed: false,
        run: None,
        target,
        head: None,
    })
}

/// Whether JSON is asked for, as far as that can be told from a command line that does not make sense.
fn asks_for_json(argv: &[OsString]) -> bool {
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
fn told(error: &clap::Error) -> Error {
    let help = format!("`{} --help` shows what there is", command_of(error));
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Error::usage("no command is named").hint(help);
    }
    let text = error.render().to_string();
    let line = |part: &str| {
        printable(
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
fn command_of(error: &clap::Error) -> String {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let usage = usage.trim_start_matches("Usage: ").split_whitespace();
    let words: Vec<&str> = usage
        .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect();
    if words.is_empty() {
        PROGRAM.to_owned()
    } else {
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_asked_for_in_several_ways() {
        let asks =
            |line: &str| asks_for_json(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
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
