//! The commands, their names, and whether they change anything.

use super::audit::AuditCommand;
use super::enable::{DisableArgs, EnableArgs};
use super::plan::{ApplyArgs, PlanArgs, PlanSubcommand};
use super::revoke::{RevocationArgs, RevokeArgs, RotateArgs};
use super::status::{DoctorArgs, StatusArgs};
use super::values::{DryRunFormat, Shell};
use clap::Subcommand;
use std::path::PathBuf;

#[derive(Subcommand)]
pub enum Command {
    /// Store the admin token and point an influxctl profile at it
    Enable(EnableArgs),
    /// Delete the token file and restore the profile
    Disable(DisableArgs),
    /// Revoke all admin tokens, issue a new one, and verify both
    Revoke(RevokeArgs),
    /// Revoke all admin tokens and enable the new one in profiles
    Rotate(RotateArgs),
    /// Show whether a profile uses the token, and whether it works
    Status(StatusArgs),
    /// Check tools, cluster, permissions and files
    Doctor(DoctorArgs),
    /// Save the plan of a command for approval
    Plan(PlanArgs),
    /// Execute a saved plan
    Apply(ApplyArgs),
    /// List, pin and verify kubectl and influxctl
    #[command(subcommand)]
    Tools(ToolsCommand),
    /// Trust a policy in the working directory
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// List the targets of the policy
    #[command(subcommand)]
    Targets(TargetsCommand),
    /// Read, verify, export and rotate the audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Print the versions of the program and of its file formats
    Version,
    /// Print a completion script for a shell
    Completion {
        /// Name of the shell
        shell: Shell,
    },
}

#[derive(Clone, Copy, Subcommand)]
pub enum ToolsCommand {
    /// List the tools with version, digest, pin and writers
    List,
    /// Print the policy section that pins the installed tools
    Pin {
        /// Update of the active policy, or a new bypassctl.toml
        #[arg(long)]
        write: bool,
    },
    /// Verify the installed tools against the policy
    Verify,
}

#[derive(Clone, Copy, Subcommand)]
pub enum TargetsCommand {
    /// List the targets with context, namespace and profile
    List,
}

#[derive(Subcommand)]
pub enum PolicyCommand {
    /// Trust the current content of a policy, until it changes
    Trust {
        /// Policy file [default: nearest bypassctl.toml]
        file: Option<PathBuf>,
    },
}

impl Command {
    /// Returns the name under which the audit log records the command.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Enable(_) => "enable",
            Self::Disable(_) => "disable",
            Self::Revoke(_) => "revoke",
            Self::Rotate(_) => "rotate",
            Self::Status(_) => "status",
            Self::Doctor(_) => "doctor",
            Self::Tools(ToolsCommand::List) => "tools list",
            Self::Tools(ToolsCommand::Pin { .. }) => "tools pin",
            Self::Tools(ToolsCommand::Verify) => "tools verify",
            Self::Policy(PolicyCommand::Trust { .. }) => "policy trust",
            Self::Targets(TargetsCommand::List) => "targets list",
            Self::Version => "version",
            Self::Completion { .. } => "completion",
            Self::Audit(_) => "audit",
            Self::Plan(_) => "plan",
            Self::Apply(_) => "apply",
        }
    }

    /// Returns the name with the subcommand, as reports print it.
    #[must_use]
    pub fn full_name(&self) -> &'static str {
        match self {
            Self::Audit(command) => command.name(),
            Self::Plan(PlanArgs {
                subcommand: PlanSubcommand::Show(_),
                ..
            }) => "plan show",
            command => command.name(),
        }
    }

    /// Returns whether the command asks for confirmation at a terminal.
    #[must_use]
    pub fn asks_for_confirmation(&self) -> bool {
        let revocation = match self {
            Self::Revoke(args) => &args.revocation,
            Self::Rotate(args) => &args.revocation,
            _ => return false,
        };
        revocation.confirm.is_none() && revocation.dry_run.format.is_none()
    }

    /// Returns the value of `--dry-run`.
    #[must_use]
    pub fn dry_run(&self) -> Option<DryRunFormat> {
        match self {
            Self::Enable(args) => args.dry_run.format,
            Self::Disable(args) => args.dry_run.format,
            Self::Revoke(args) => args.revocation.dry_run.format,
            Self::Rotate(args) => args.revocation.dry_run.format,
            Self::Status(_)
            | Self::Doctor(_)
            | Self::Tools(_)
            | Self::Policy(_)
            | Self::Targets(_)
            | Self::Audit(_)
            | Self::Version
            | Self::Completion { .. }
            | Self::Plan(_)
            | Self::Apply(_) => None,
        }
    }

    /// Returns the options of a revocation, if the command is one.
    #[must_use]
    pub fn revocation(&self) -> Option<&RevocationArgs> {
        match self {
            Self::Revoke(args) => Some(&args.revocation),
            Self::Rotate(args) => Some(&args.revocation),
            _ => None,
        }
    }

    /// Returns whether the command works on a namespace that its command line names.
    #[must_use]
    pub fn has_target(&self) -> bool {
        match self {
            Self::Enable(_)
            | Self::Disable(_)
            | Self::Revoke(_)
            | Self::Rotate(_)
            | Self::Status(_)
            | Self::Doctor(_) => true,
            Self::Plan(args) => !matches!(args.subcommand, PlanSubcommand::Show(_)),
            Self::Apply(_)
            | Self::Tools(_)
            | Self::Policy(_)
            | Self::Targets(_)
            | Self::Audit(_)
            | Self::Version
            | Self::Completion { .. } => false,
        }
    }

    /// Whether the command changes a cluster, a profile or a token file, unless it is a dry run.
    #[must_use]
    pub fn changes_state(&self) -> bool {
        matches!(
            self,
            Self::Enable(_) | Self::Disable(_) | Self::Revoke(_) | Self::Rotate(_)
        )
    }
}
