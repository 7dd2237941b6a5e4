//! `audit`: reads and verifies the audit log, and rotates it. Starts no process.

mod anchor;
mod describe;
mod export;
mod list;
mod missing;
mod rotate;
mod show;
mod source;
mod verify;

pub(crate) use describe::format_time;

use crate::audit::LogFile;
use crate::cli::{AuditCommand, CommonArgs};
use crate::error::{CommandResult, ErrorKind};
use crate::exec::Environment;
use crate::session::paths;
use crate::ui::Ui;

/// Runs the command and returns its outcome, and whether it changed anything.
pub(crate) fn run(
    command: &AuditCommand,
    common: &CommonArgs,
    environment: &Environment,
    ui: &Ui,
) -> (CommandResult, bool) {
    let read = |act: &dyn Fn(&[LogFile]) -> CommandResult| {
        let logs = source::open_logs(command.files(), common, environment);
        (logs.and_then(|logs| act(&logs)), false)
    };
    match command {
        AuditCommand::Verify { expect, .. } => read(&|logs| verify::run(logs, expect.as_ref(), ui)),
        AuditCommand::List(args) => {
            read(&|logs| list::run(logs, args, common.namespace.as_deref(), ui))
        }
        AuditCommand::Show { run, .. } => read(&|logs| show::run(logs, run.as_deref(), ui)),
        AuditCommand::Export(args) => read(&|logs| export::run(logs, args, environment, ui)),
        AuditCommand::Anchor { .. } => read(&|logs| anchor::run(logs, ui)),
        AuditCommand::RotateLog => {
            let log = paths::audit_log_path(common, environment);
            let rotated = log.and_then(|log| rotate::run(&log, common, environment, ui));
            let changed = rotated
                .as_ref()
                .map_or_else(|error| error.kind == ErrorKind::Stopped, |rotated| *rotated);
            (rotated.map(|_| None), changed)
        }
    }
}
