//! The name that the program was called by: its own, or that of a kubectl plugin.

use crate::cli::{self, Cli};
use crate::exec::Environment;
use clap::FromArgMatches as _;
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

/// Parses the command line.
///
/// # Errors
/// A usage error. clap also returns help and version as errors.
pub fn parse_command_line(environment: &Environment) -> Result<Cli, clap::Error> {
    let matches = cli::build_command(ProgramName::from_argv0(environment).display_name())
        .try_get_matches_from(&environment.argv)?;
    Cli::from_arg_matches(&matches)
}
