//! The names that this program can be called by: its own, and that of a plugin of kubectl.

use crate::cli::Cli;
use crate::exec::Surroundings;
use crate::tool::invocation::visible;
use crate::ui::{self, Manner, Ui};
use clap::builder::StyledStr;
use clap::{Command, CommandFactory as _, FromArgMatches as _};
use clap_complete::engine::complete;
use std::path::Path;

/// As kubectl finds a plugin: `kubectl influxdb-bypass`.
const PLUGIN: &str = "kubectl-influxdb_bypass";

/// As kubectl (1.26 and later) finds what completes a plugin's command line.
const COMPLETION: &str = "kubectl_complete-influxdb_bypass";

/// What it was called as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// By its own name, or any other.
    Itself,
    /// By kubectl, as a plugin.
    Plugin,
    /// By kubectl, to complete the plugin's command line.
    Completion,
}

impl Called {
    /// By the name of the command that was started.
    #[must_use]
    pub fn of(surroundings: &Surroundings) -> Self {
        let name = surroundings
            .argv
            .first()
            .map(Path::new)
            .and_then(Path::file_name)
            .unwrap_or_default();
        match name.to_str() {
            Some(PLUGIN) => Self::Plugin,
            Some(COMPLETION) => Self::Completion,
            _ => Self::Itself,
        }
    }

    /// As people call it then.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Itself => "bypassctl",
            Self::Plugin | Self::Completion => "kubectl influxdb-bypass",
        }
    }
}

/// The command line as it was given.
///
/// # Errors
/// What does not make sense about it; help and the version are told in this way as well.
pub fn parse(surroundings: &Surroundings) -> Result<Cli, clap::Error> {
    let matches =
        named(Cli::command(), Called::of(surroundings)).try_get_matches_from(&surroundings.argv)?;
    Cli::from_arg_matches(&matches)
}

/// The command line with that name in all that it says.
pub(super) fn named(command: Command, called: Called) -> Command {
    if called == Called::Itself {
        command
    } else {
        in_all(command.bin_name(called.name()), called)
    }
}

fn in_all(mut command: Command, called: Called) -> Command {
    let said =
        |text: Option<&StyledStr>| text.map(|text| ui::called(&text.to_string(), called.name()));
    let (short, long) = (
        said(command.get_after_help()),
        said(command.get_after_long_help()),
    );
    if let Some(short) = short {
        command = command.after_help(short);
    }
    if let Some(long) = long {
        command = command.after_long_help(long);
    }
    let below: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    below.into_iter().fold(command, |command, below| {
        command.mut_subcommand(below, |below| in_all(below, called))
    })
}

/// Answers kubectl: what the last of these words can be, one a line with what it means, and that no file names are
/// wanted besides (kubectl's `ShellCompDirectiveNoFileComp`).
#[must_use]
pub fn complete_for_kubectl(surroundings: &Surroundings) -> u8 {
    let ui = Ui::new(Manner::default());
    let words = surroundings.argv.clone();
    let last = words.len() - 1;
    let offered = complete(
        &mut super::command(surroundings),
        words,
        last,
        Some(&surroundings.cwd),
    )
    .unwrap_or_default();
    for candidate in offered.iter().filter(|candidate| !candidate.is_hide_set()) {
        let value = candidate.get_value().to_string_lossy();
        let help = candidate
            .get_help()
            .map(|help| format!("\t{}", visible(&help.to_string())))
            .unwrap_or_default();
        ui.document(&format!("{}{help}\n", visible(&value)));
    }
    ui.document(":4\n");
    0
}
