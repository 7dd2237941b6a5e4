//! One command under way: the door to the world, the user, and what was asked for.

use super::plan::PlanMode;
use super::{CommandResult, dry_run_format};
use crate::audit::Head;
use crate::cli::{Command, CommonArgs};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{Executor, WatchResult};
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::ui::Ui;

#[derive(Clone, Copy)]
pub(super) struct Session<'a> {
    pub(super) exec: &'a Executor,
    pub(super) ui: &'a Ui,
    pub(super) common: &'a CommonArgs,
    /// What becomes of its plan.
    pub(super) mode: &'a PlanMode,
    /// The connection profile that it is about.
    pub(super) profile: &'a str,
}

impl Session<'_> {
    /// Runs a command, shown first where that was asked for.
    pub(super) fn run(&self, step: &str, invocation: &Invocation) -> Result<ToolOutput> {
        self.ui.print_command(&invocation.argv(None));
        self.exec.run(step, invocation)
    }

    /// Runs a command that shows what happens, until that is enough.
    pub(super) fn watch(
        &self,
        step: &str,
        invocation: &Invocation,
        enough: impl FnMut(&[u8]) -> bool,
    ) -> Result<WatchResult> {
        self.ui.print_command(&invocation.argv(None));
        self.exec.watch(step, invocation, enough)
    }

    /// Whether a command is to change something: not where it only shows what it would do, or writes it down.
    pub(super) fn can_change(&self, command: &Command) -> bool {
        let changes = matches!(
            command,
            Command::Enable(_) | Command::Disable(_) | Command::Revoke(_) | Command::Rotate(_)
        );
        changes && dry_run_format(command).is_none() && !matches!(self.mode, PlanMode::Save { .. })
    }

    /// Where failures are findings: an interruption, or a record that cannot be made, ends the command all the same.
    pub(super) fn propagate_fatal<T>(&self, result: Result<T>) -> Result<Result<T>> {
        self.exec.check_interrupted()?;
        match result {
            Err(error) if error.kind == ErrorKind::Unrecorded => Err(error),
            other => Ok(other),
        }
    }

    /// The namespace, which is never guessed.
    pub(super) fn require_namespace(&self) -> Result<&str> {
        self.common.namespace.as_deref().ok_or_else(|| {
            Error::usage("no namespace is named").hint("name the namespace of InfluxDB Clustered: -n NS, or BYPASSCTL_NAMESPACE (the documentation's example is `influxdb`)")
        })
    }

    /// Ends the run in the record. A failure after a change is another kind of failure, and no message holds a secret.
    pub(super) fn finish(&self, outcome: CommandResult) -> (CommandResult, Option<Head>) {
        let outcome = outcome.map_err(|error| {
            if self.exec.has_changed() {
                error.into_stopped()
            } else {
                error
            }
        });
        let kind = outcome
            .as_ref()
            .map_or_else(|error| Some(error.kind), |kind| *kind);
        let ended = if kind == Some(ErrorKind::Unrecorded) {
            Err(None)
        } else {
            self.exec.finish_run(kind).map_err(Some)
        };
        let (outcome, head) = match (ended, outcome) {
            (Ok(head), outcome) => (outcome, head),
            (Err(None), outcome) => (outcome, self.exec.head()),
            (Err(Some(unrecorded)), Ok(_)) => (Err(unrecorded), self.exec.head()),
            (Err(Some(unrecorded)), Err(first)) => {
                let message = format!("{}; and then: {}", first.message, unrecorded.message);
                (
                    Err(Error {
                        message,
                        ..unrecorded
                    }),
                    self.exec.head(),
                )
            }
        };
        let outcome = outcome.map_err(|error| match error.kind {
            ErrorKind::Unrecorded if self.exec.has_changed() => Error {
                message: format!("{}; something was changed before that", error.message),
                ..error
            },
            _ => error,
        });
        let outcome = outcome.map_err(|error| {
            let message = [vec![error.message], self.exec.unwritten_results()]
                .concat()
                .join("; ");
            Error {
                message: self.exec.redact(&message),
                ..error
            }
        });
        (outcome, Some(head))
    }
}
