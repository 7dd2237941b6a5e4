//! Reads the command line of an unfinished revocation, and builds the one that resumes it.

use crate::cli::Cli;
use clap::parser::ValueSource;
use clap::{CommandFactory as _, Parser as _};

/// The options that a resumed run does not repeat. The audit log knows the namespace better: it can
/// come from the environment.
const OMITTED_OPTIONS: [&str; 8] = [
    "namespace",
    "confirm",
    "start_over",
    "dry_run",
    "output",
    "color",
    "quiet",
    "verbose",
];

/// Builds the command line that resumes a run, from the command line of that run.
pub(crate) fn build_resume_command(argv: &[String], command: &str, namespace: &str) -> Vec<String> {
    repeat_command_line(argv, namespace).unwrap_or_else(|| {
        let words = ["bypassctl", command, "-n", namespace];
        words.map(str::to_owned).to_vec()
    })
}

/// Returns the profiles on a command line. `None` if the plan of `apply` contains them, or for a
/// command line of another version of this program.
pub(crate) fn parse_profiles(argv: &[String]) -> Option<Vec<String>> {
    let cli = Cli::try_parse_from(argv).ok()?;
    (cli.command.name() != "apply").then_some(cli.common.profiles)
}

/// Returns `None` for a command line of another version of this program.
fn repeat_command_line(argv: &[String], namespace: &str) -> Option<Vec<String>> {
    let root = Cli::command();
    let matches = root.clone().try_get_matches_from(argv).ok()?;
    let (name, matches) = matches.subcommand()?;
    let command = root.find_subcommand(name)?;
    let mut words = vec!["bypassctl".to_owned(), name.to_owned()];
    // The plan of `apply` names the namespace, and so does a target.
    let has_target = matches.value_source("target") == Some(ValueSource::CommandLine);
    if name != "apply" && !has_target {
        words.extend(["-n".to_owned(), namespace.to_owned()]);
    }
    let mut delivery = Vec::new();
    for arg in command.get_arguments().chain(root.get_arguments()) {
        let id = arg.get_id().as_str();
        if OMITTED_OPTIONS.contains(&id)
            || matches.value_source(id) != Some(ValueSource::CommandLine)
        {
            continue;
        }
        let option = arg.get_long().map(|long| format!("--{long}"));
        if !arg.get_action().takes_values() {
            words.extend(option);
            continue;
        }
        if id == "deliver" {
            // Everything after the option belongs to its value.
            delivery.extend(option);
            let words = matches.get_raw(id)?;
            delivery.extend(words.map(|word| word.to_string_lossy().into_owned()));
            continue;
        }
        for value in matches.get_raw(id)? {
            words.extend(option.clone());
            words.push(value.to_string_lossy().into_owned());
        }
    }
    words.extend(delivery);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(line: &str) -> String {
        let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
        build_resume_command(&argv, "rotate", "influxdb").join(" ")
    }

    #[test]
    fn resume_command_repeats_relevant_options() {
        for (line, expected) in [
            (
                "bypassctl rotate --confirm a/b",
                "bypassctl rotate -n influxdb",
            ),
            (
                "bypassctl -qn other --context=a revoke --no-new-token --start-over -o json",
                "bypassctl revoke -n influxdb --no-new-token --context a",
            ),
            (
                "x rotate --profile a --wait-timeout 9m --profile b",
                "bypassctl rotate -n influxdb --wait-timeout 9m --profile a --profile b",
            ),
            (
                "bypassctl apply --max-age 1h plan.json --confirm a/b",
                "bypassctl apply plan.json --max-age 1h",
            ),
            (
                "bypassctl rotate --profile a --deliver vault kv put -mount=x y token=-",
                "bypassctl rotate -n influxdb --profile a --deliver vault kv put -mount=x y token=-",
            ),
            (
                "bypassctl --target a rotate --confirm a/b",
                "bypassctl rotate --target a",
            ),
            ("bypassctl rotate --unknown", "bypassctl rotate -n influxdb"),
        ] {
            assert_eq!(build(line), expected);
        }
    }
}
