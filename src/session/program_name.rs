//! The name that the program was called by: its own, or that of a kubectl plugin.

use crate::cli::Cli;
use crate::exec::Environment;
use crate::ui;
use clap::builder::StyledStr;
use clap::{Command, CommandFactory as _, FromArgMatches as _};
use std::path::Path;

/// As kubectl finds a plugin: `kubectl influxdb-bypass`.
const PLUGIN_NAME: &str = "kubectl-influxdb_bypass";

/// As kubectl (1.26 and later) finds what completes a plugin's command line.
const COMPLETION_NAME: &str = "kubectl_complete-influxdb_bypass";

/// What it was called as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramName {
    /// By its own name, or any other.
    Standalone,
    /// By kubectl, as a plugin.
    Plugin,
    /// By kubectl, to complete the plugin's command line.
    Completion,
}

impl ProgramName {
    /// By the name of the command that was started.
    #[must_use]
    pub fn from_argv0(environment: &Environment) -> Self {
        let name = environment
            .argv
            .first()
            .map(Path::new)
            .and_then(Path::file_name)
            .unwrap_or_default();
        match name.to_str() {
            Some(PLUGIN_NAME) => Self::Plugin,
            Some(COMPLETION_NAME) => Self::Completion,
            _ => Self::Standalone,
        }
    }

    /// As people call it then.
    #[must_use]
    pub fn display_name(self) -> &'static str {
        match self {
            Self::Standalone => "bypassctl",
            Self::Plugin | Self::Completion => "kubectl influxdb-bypass",
        }
    }
}

/// The command line as it was given.
///
/// # Errors
/// What does not make sense about it; help and the version are told in this way as well.
pub fn parse_command_line(environment: &Environment) -> Result<Cli, clap::Error> {
    let matches = with_program_name(Cli::command(), ProgramName::from_argv0(environment))
        .try_get_matches_from(&environment.argv)?;
    Cli::from_arg_matches(&matches)
}

/// The command line with that name in all that it says.
pub(crate) fn with_program_name(command: Command, called: ProgramName) -> Command {
    if called == ProgramName::Standalone {
        command
    } else {
        rename_in_help(command.bin_name(called.display_name()), called)
    }
}

fn rename_in_help(mut command: Command, called: ProgramName) -> Command {
    let said = |text: Option<&StyledStr>| {
        text.map(|text| ui::replace_program_name(&text.to_string(), called.display_name()))
    };
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
        command.mut_subcommand(below, |below| rename_in_help(below, called))
    })
}
