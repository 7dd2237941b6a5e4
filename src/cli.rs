//! The command line.

mod audit;
mod command;
mod common;
mod enable;
pub mod examples;
mod plan;
mod revoke;
mod status;
mod values;

pub use audit::{AuditCommand, AuditExportArgs, AuditListArgs, ExportFormat};
pub use command::{Command, PolicyCommand, TargetsCommand, ToolsCommand};
pub use common::{CommonArgs, DryRunArgs};
pub use enable::{DisableArgs, EnableArgs};
pub use plan::{ApplyArgs, PlanArgs, PlanFormat, PlanRequest, PlanShowArgs, PlanSubcommand};
pub use revoke::{RevocationArgs, RevokeArgs, RotateArgs};
pub use status::{DoctorArgs, RequiredState, StatusArgs};
pub use values::{DryRunFormat, Shell};

use clap::{CommandFactory as _, Parser};

/// Enable, disable and revoke the admin token of InfluxDB Clustered
///
/// Runs the real kubectl and influxctl and records every command in an audit log. For development
/// and testing when the identity provider must be bypassed, not for production.
#[derive(Parser)]
#[command(
    name = "bypassctl",
    version,
    arg_required_else_help = true,
    infer_subcommands = false
)]
pub struct Cli {
    #[command(flatten)]
    pub common: CommonArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// Builds the command line with this program name in its usage lines and examples.
#[must_use]
pub fn build_command(program_name: &'static str) -> clap::Command {
    examples::add_examples(Cli::command(), program_name).bin_name(program_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::kubectl::name;

    #[test]
    fn cli_definition_passes_clap_assertions() {
        Cli::command().debug_assert();
    }

    /// Asserts that `-h` of this command and of its subcommands fits 24 lines of 80 columns.
    ///
    /// The list of all commands takes 33 lines.
    fn assert_short_help_fits(command: &clap::Command) {
        let help = command.clone().term_width(80).render_help().to_string();
        let limit = if command.get_name() == "bypassctl" {
            33
        } else {
            24
        };
        assert!(help.lines().count() <= limit, "{help}");
        assert!(help.lines().all(|line| line.len() <= 80), "{help}");
        command.get_subcommands().for_each(assert_short_help_fits);
    }

    #[test]
    fn short_help_fits_small_terminal() {
        let mut command = build_command("bypassctl");
        command.build();
        assert_short_help_fits(&command);
    }

    #[test]
    fn value_parsers_reject_invalid_values() {
        assert!(name::parse_namespace("influxdb").is_ok());
        for bad in ["", "-n", "a/b", "A", "a-", &"a".repeat(64)] {
            assert!(name::parse_namespace(bad).is_err(), "{bad}");
        }
    }
}
