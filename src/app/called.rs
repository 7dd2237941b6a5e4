//! The names that this program can be called by: its own, and that of a plugin of kubectl.

use crate::cli::Cli;
use crate::exec::Environment;
use crate::tool::invocation::escape_controls;
use crate::ui::{self, OutputOptions, Ui};
use clap::builder::StyledStr;
use clap::{Command, CommandFactory as _, FromArgMatches as _};
use clap_complete::engine::complete;
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
pub(super) fn with_program_name(command: Command, called: ProgramName) -> Command {
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

/// Answers kubectl: what the last of these words can be, one a line with what it means, and that no file names are
/// wanted besides (kubectl's `ShellCompDirectiveNoFileComp`).
#[must_use]
pub fn complete_for_kubectl(environment: &Environment) -> u8 {
    let ui = Ui::new(OutputOptions::default());
    let words = environment.argv.clone();
    let last = words.len() - 1;
    let offered = complete(
        &mut super::build_completion_command(environment),
        words,
        last,
        Some(&environment.cwd),
    )
    .unwrap_or_default();
    for candidate in offered.iter().filter(|candidate| !candidate.is_hide_set()) {
        let value = candidate.get_value().to_string_lossy();
        let help = candidate
            .get_help()
            .map(|help| format!("\t{}", escape_controls(&help.to_string())))
            .unwrap_or_default();
        ui.print_document(&format!("{}{help}\n", escape_controls(&value)));
    }
    ui.print_document(":4\n");
    0
}
