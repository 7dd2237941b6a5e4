//! The name of a command, and whether it changes anything.

use super::{AuditCommand, Command, DryRunFormat, PlanArgs, PlanSubcommand, ToolsCommand};

impl Command {
    /// Returns the name under which the audit log records the command.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Enable(_) => "enable",
            Self::Disable(_) => "disable",
            Self::Revoke(_) => "revoke",
            Self::Rotate(_) => "rotate",
            Self::Status => "status",
            Self::Doctor => "doctor",
            Self::Tools(ToolsCommand::List) => "tools list",
            Self::Tools(ToolsCommand::Pin { .. }) => "tools pin",
            Self::Tools(ToolsCommand::Verify) => "tools verify",
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

    /// Returns the value of `--dry-run`.
    #[must_use]
    pub fn dry_run(&self) -> Option<DryRunFormat> {
        match self {
            Self::Enable(args) => args.dry_run,
            Self::Disable(args) => args.dry_run,
            Self::Revoke(args) => args.revocation.dry_run,
            Self::Rotate(args) => args.revocation.dry_run,
            Self::Status
            | Self::Doctor
            | Self::Tools(_)
            | Self::Audit(_)
            | Self::Version
            | Self::Completion { .. }
            | Self::Plan(_)
            | Self::Apply(_) => None,
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

impl AuditCommand {
    /// Returns the name as reports print it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Verify { .. } => "audit verify",
            Self::List(_) => "audit list",
            Self::Show { .. } => "audit show",
            Self::Export(_) => "audit export",
            Self::Anchor { .. } => "audit anchor",
            Self::RotateLog => "audit rotate-log",
        }
    }
}
