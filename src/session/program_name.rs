//! The name of the program in its output: its own, or the name of a kubectl plugin.

use crate::cli::{self, Cli};
use crate::exec::Environment;
use clap::FromArgMatches as _;
use std::path::Path;

/// The file name of the plugin `kubectl influxdb-bypass`.
const PLUGIN_NAME: &str = "kubectl-influxdb_bypass";

/// The file name of the plugin's completion, for kubectl 1.26 and later.
const COMPLETION_NAME: &str = "kubectl_complete-influxdb_bypass";

/// The caller of the program, by the file name of `argv[0]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramName {
    /// A user or a script, by any other name.
    Standalone,
    /// kubectl, to run the plugin.
    Plugin,
    /// kubectl, to complete the plugin's command line.
    Completion,
}

impl ProgramName {
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

    /// Returns the command that the user types.
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
