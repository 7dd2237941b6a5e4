//! Shell completion, with values from this host. It never contacts a cluster.

mod kubeconfig;

use super::audit::format_time;
use crate::audit::{self, Run};
use crate::cli::{Shell, build_command};
use crate::error::{CommandResult, Error};
use crate::exec::{Environment, read_file};
use crate::profile;
use crate::session::paths;
use crate::session::program_name::ProgramName;
use crate::text::{escape_controls, sanitize};
use crate::ui::{OutputOptions, Ui};
use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate, complete};
use clap_complete::env::Shells;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// Completion ignores larger files, because the user waits for it.
const MAX_FILE: u64 = 1 << 20;

/// The number of runs in the completion, newest first.
const MAX_RUNS: usize = 50;

/// The environment variable that a shell sets to request completion.
pub const COMPLETION_ENV: &str = "_BYPASSCTL_COMPLETE";

/// Prints the script that registers completion in a shell. It asks this program for candidates.
pub(crate) fn print_completion_script(shell: Shell, ui: &Ui) -> CommandResult {
    let shells = Shells::builtins();
    let unknown = || {
        Error::failure(format!("no completion for {}", shell.as_str()))
            .hint("use bash, zsh or fish")
    };
    let completer = shells.completer(shell.as_str()).ok_or_else(unknown)?;
    let mut script = Vec::new();
    completer
        .write_registration(
            COMPLETION_ENV,
            "bypassctl",
            "bypassctl",
            "bypassctl",
            &mut script,
        )
        .map_err(|error| {
            Error::failure(format!("cannot generate the completion: {error}")).into_internal_bug()
        })?;
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash {
        script.push_str(include_str!("completion/joined.bash"));
    }
    ui.print_document(&script);
    ui.update_fields(|fields| fields.script = Some(script));
    Ok(None)
}

/// Returns the command line with candidates for its values.
#[must_use]
pub fn build_completion_command(environment: &Environment) -> Command {
    let candidates = |complete: fn(&Environment) -> Vec<CompletionCandidate>| {
        let environment = environment.clone();
        ArgValueCandidates::new(move || {
            let mut candidates = complete(&environment);
            candidates.retain(is_quotable);
            candidates
        })
    };
    let add = |arg: Arg, complete| arg.add(candidates(complete));
    build_command(ProgramName::from_argv0(environment).display_name())
        .mut_arg("context", |arg| add(arg, complete_contexts))
        .mut_arg("profiles", |arg| add(arg, complete_profiles))
        .mut_subcommand("audit", |audit| {
            audit
                // `mut_arg` moves an argument to the end, so both need their index again.
                .mut_subcommand("show", |show| {
                    show.mut_arg("run", |arg| add(arg, complete_runs).index(1))
                        .mut_arg("files", |arg| arg.index(2))
                })
                .mut_subcommand("export", |export| {
                    export.mut_arg("run", |arg| add(arg, complete_runs))
                })
        })
}

/// Returns whether every shell can quote a candidate. A control character can end a line of the
/// protocol with the shell, and fish leaves a `~` at the start unquoted.
fn is_quotable(candidate: &CompletionCandidate) -> bool {
    let value = candidate.get_value().to_str();
    value.is_some_and(|value| {
        !value.is_empty() && !value.starts_with('~') && escape_controls(value) == value
    })
}

/// Returns whether a shell takes a candidate as it is.
fn is_plain(value: &str) -> bool {
    value
        .chars()
        .all(|c| c.is_alphanumeric() || "_./:@%+=,-".contains(c))
}

/// Prints the candidates for the last word in kubectl's format.
///
/// The last line excludes file names (kubectl's `ShellCompDirectiveNoFileComp`). The scripts of
/// kubectl expand the candidates (`compgen -W`), so that a quoted one would not do.
#[must_use]
pub fn complete_for_kubectl(environment: &Environment) -> u8 {
    let ui = Ui::new(OutputOptions::default());
    let words = environment.argv.clone();
    let last = words.len() - 1;
    let candidates = complete(
        &mut build_completion_command(environment),
        words,
        last,
        Some(&environment.cwd),
    )
    .unwrap_or_default();
    for candidate in candidates
        .iter()
        .filter(|candidate| !candidate.is_hide_set())
    {
        let value = candidate.get_value().to_string_lossy();
        if !is_plain(&value) {
            continue;
        }
        let help = candidate
            .get_help()
            .map(|help| format!("\t{}", escape_controls(&help.to_string())))
            .unwrap_or_default();
        ui.print_document(&format!("{value}{help}\n"));
    }
    ui.print_document(":4\n");
    0
}

/// Returns the contexts of the kubeconfig that kubectl would use.
fn complete_contexts(environment: &Environment) -> Vec<CompletionCandidate> {
    let files = match environment.var("KUBECONFIG") {
        Some(files) => std::env::split_paths(files).collect(),
        None => environment
            .home()
            .map(|home| home.join(".kube/config"))
            .into_iter()
            .collect::<Vec<PathBuf>>(),
    };
    let texts = files
        .iter()
        .filter_map(|file| read_utf8(&environment.cwd.join(file)));
    texts
        .flat_map(|text| kubeconfig::parse_contexts(&text))
        .map(CompletionCandidate::new)
        .collect()
}

/// Returns the profiles of influxctl's configuration.
fn complete_profiles(environment: &Environment) -> Vec<CompletionCandidate> {
    let config = environment
        .var("INFLUXCTL_PROFILE")
        .map(|path| environment.cwd.join(path))
        .or_else(|| paths::influxctl_config_path(environment).ok());
    let text = config
        .and_then(|config| read_utf8(&config))
        .unwrap_or_default();
    let profiles = profile::list_profiles(&text).unwrap_or_default();
    profiles
        .into_iter()
        .map(|profile| {
            let host = profile.host.map(|host| escape_controls(&host).into());
            CompletionCandidate::new(profile.name).help(host)
        })
        .collect()
}

/// Returns the newest runs in the last [`MAX_FILE`] bytes of the audit log.
fn complete_runs(environment: &Environment) -> Vec<CompletionCandidate> {
    let log = environment
        .var("BYPASSCTL_AUDIT_LOG")
        .map(|path| environment.cwd.join(path))
        .or_else(|| paths::default_audit_log_path(environment).ok());
    let runs = log
        .and_then(|log| read_last_runs(&log).ok())
        .unwrap_or_default();
    let candidate = |(order, run): (usize, Run)| {
        let help = format!(
            "{} {}, {}",
            format_time(&run.started_at),
            sanitize(&run.command),
            sanitize(&run.outcome)
        );
        CompletionCandidate::new(sanitize(&run.run))
            .help(Some(help.into()))
            .display_order(Some(order))
    };
    runs.into_iter()
        .rev()
        .take(MAX_RUNS)
        .enumerate()
        .map(candidate)
        .collect()
}

fn read_last_runs(log: &Path) -> io::Result<Vec<Run>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MAX_FILE)))?;
    audit::list_runs(&mut BufReader::new(file.take(MAX_FILE)))
}

fn read_utf8(path: &Path) -> Option<String> {
    let file = read_file(path, MAX_FILE).ok().flatten()?;
    std::str::from_utf8(&file.bytes).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_candidates_reach_the_script_of_kubectl() {
        for text in [
            "sim-dev",
            "arn:aws:eks:eu-1:1:cluster/x",
            "user@host",
            "größe",
            "a=b,c%d+e",
        ] {
            assert!(is_plain(text), "{text}");
        }
        for text in [
            "$(x)", "`x`", "a b", "a;b", "a'b", "a\"b", "a\\b", "a*", "~x", "a>b", "a\u{a0}b",
        ] {
            assert!(!is_plain(text), "{text}");
        }
    }
}
