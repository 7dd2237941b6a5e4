//! Reports usage errors in the requested format.

use crate::cli::Cli;
use crate::error::{Error, ErrorKind};
use crate::exec::Environment;
use crate::session::program_name::ProgramName;
use crate::text::sanitize_truncated;
use crate::ui::{OutputFormat, OutputOptions, PROGRAM_NAME, RunSummary, Ui};
use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind as ClapErrorKind};
use std::ffi::OsString;

const QUICK_START: &str = "\
Enable, disable and revoke the admin token of InfluxDB Clustered

  bypassctl doctor -n NS     check tools, cluster and files, without a change
  bypassctl enable -n NS     store the token and use it in an influxctl profile
  bypassctl status -n NS     show whether a profile uses the token
  bypassctl disable          delete the token file and restore the profile
  bypassctl rotate -n NS     revoke all admin tokens and use a new one

For development and testing. All commands: bypassctl -h
";

/// Prints an error of clap, which can be help or version, and returns the exit code.
#[must_use]
pub fn report_usage_error(error: &clap::Error, environment: &Environment) -> u8 {
    let (format, github) = (
        find_requested_format(&environment.argv),
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
    if !error.use_stderr() || (shows_help && format == OutputFormat::Text && !github) {
        // A reader such as `head` may close the pipe early.
        drop(error.print());
        return u8::try_from(error.exit_code()).unwrap_or(2);
    }
    let ui = Ui::new(OutputOptions {
        format,
        github,
        program_name,
        columns: environment.columns(),
        ..OutputOptions::default()
    });
    let outcome = Err(convert_clap_error(error, &environment.argv));
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

/// Returns the output format that the command line requests, as far as an invalid one shows it.
fn find_requested_format(argv: &[OsString]) -> OutputFormat {
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
    let is_requested = |name: &str| {
        let is_pair = |pair: &[&str]| is_output(pair[0]) && pair[1] == name;
        let is_word = |word: &&str| {
            word.strip_prefix("--output=") == Some(name)
                || short(word)
                    .as_deref()
                    .and_then(|word| word.strip_prefix('o'))
                    .is_some_and(|value| value.strip_prefix('=').unwrap_or(value) == name)
        };
        words.iter().any(is_word) || words.windows(2).any(is_pair)
    };
    [("json", OutputFormat::Json), ("junit", OutputFormat::Junit)]
        .into_iter()
        .find(|(name, _)| is_requested(name))
        .map_or(OutputFormat::Text, |(_, format)| format)
}

/// Converts the message without its usage line, and the tips into the hint.
fn convert_clap_error(error: &clap::Error, argv: &[OsString]) -> Error {
    let help = format!("run `{} --help`", find_command_name(argv));
    let has_no_command = [
        ClapErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ClapErrorKind::MissingSubcommand,
    ];
    if has_no_command.contains(&error.kind()) {
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
    let hint = if is_confirmation_of_other_programs(error) && accepts_confirmation(argv) {
        "to confirm without a terminal, pass `--confirm CONTEXT/NAMESPACE`".to_owned()
    } else if tips.is_empty() {
        help
    } else {
        tips.join(", or ")
    };
    Error::usage(message.trim_start_matches("error: ")).hint(hint)
}

/// Returns whether the unknown argument confirms a change in terraform, apt or kubectl.
fn is_confirmation_of_other_programs(error: &clap::Error) -> bool {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.as_str(),
        _ => return false,
    };
    error.kind() == ClapErrorKind::UnknownArgument
        && ["--yes", "-y", "--force", "--auto-approve"].contains(&argument)
}

/// Returns whether the command on an invalid command line has the option `--confirm`.
fn accepts_confirmation(argv: &[OsString]) -> bool {
    let name = find_command_name(argv);
    ["revoke", "rotate", "apply"]
        .iter()
        .any(|command| name == format!("{PROGRAM_NAME} {command}"))
}

/// Finds the command on an invalid command line, with its subcommand.
fn find_command_name(argv: &[OsString]) -> String {
    let mut command = &Cli::command();
    let mut name = PROGRAM_NAME.to_owned();
    let is_global = |arg: &&clap::Arg| arg.is_global_set();
    let mut options: Vec<clap::Arg> = command.get_arguments().filter(is_global).cloned().collect();
    let mut words = argv.iter().skip(1).map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        if let Some(subcommand) = command.find_subcommand(&*word) {
            command = subcommand;
            name = format!("{name} {}", command.get_name());
            options.extend(command.get_arguments().cloned());
        } else if options.iter().any(|option| takes_next_word(option, &word)) {
            words.next();
        }
    }
    name
}

/// Returns whether the word after this one is the value of the option.
fn takes_next_word(option: &clap::Arg, word: &str) -> bool {
    let is_this = match word.strip_prefix("--") {
        Some(long) => option.get_long() == Some(long),
        None => word.strip_prefix('-').is_some_and(|short| {
            short.chars().count() == 1 && option.get_short() == short.chars().next()
        }),
    };
    is_this && option.get_action().takes_values() && !option.is_require_equals_set()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_command_name_skips_option_values() {
        let find = |line: &str| {
            find_command_name(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
        };
        for (line, name) in [
            ("b", "bypassctl"),
            ("b --timeout 5 enable", "bypassctl enable"),
            ("b -n revoke enable --verify foo", "bypassctl enable"),
            ("b plan -n x rotate --rerun foo", "bypassctl plan rotate"),
            ("b audit list --since yesterday", "bypassctl audit list"),
            ("b enable --dry-run disable", "bypassctl enable"),
            ("b nope", "bypassctl"),
        ] {
            assert_eq!(find(line), name, "{line}");
        }
    }

    #[test]
    fn find_requested_format_recognizes_every_flag_form() {
        let find = |line: String| {
            find_requested_format(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
        };
        for (name, format) in [("json", OutputFormat::Json), ("junit", OutputFormat::Junit)] {
            for line in [
                "b -o NAME x",
                "b x --output NAME",
                "b -oNAME",
                "b -o=NAME",
                "b --output=NAME",
                "b -qoNAME",
                "b -vo NAME",
            ] {
                assert!(find(line.replace("NAME", name)) == format, "{line} {name}");
            }
            for line in [
                "b",
                "NAME -o",
                "b -o text NAME",
                "b -- -o NAME",
                "b --output-NAME",
                "-oNAME",
            ] {
                let found = find(line.replace("NAME", name));
                assert!(found == OutputFormat::Text, "{line} {name}");
            }
        }
    }
}
