//! One command under way: the door to the world, the user, and what was asked for.

use super::plan::Mode;
use super::{Outcome, dry_run};
use crate::audit::Head;
use crate::cli::{Command, Common};
use crate::error::{Error, Kind, Result};
use crate::exec::{Executor, Watched};
use crate::tool::invocation::{Invocation, Output};
use crate::ui::Ui;

#[derive(Clone, Copy)]
pub(super) struct Session<'a> {
    pub(super) exec: &'a Executor,
    pub(super) ui: &'a Ui,
    pub(super) common: &'a Common,
    /// What becomes of its plan.
    pub(super) mode: &'a Mode,
    /// The connection profile that it is about.
    pub(super) profile: &'a str,
}

impl Session<'_> {
    /// Runs a command, shown first where that was asked for.
    pub(super) fn run(&self, step: &str, invocation: &Invocation) -> Result<Output> {
        self.ui.command(&invocation.argv(None));
        self.exec.run(step, invocation)
    }

    /// Runs a command that shows what happens, until that is enough.
    pub(super) fn watch(
        &self,
        step: &str,
        invocation: &Invocation,
        enough: impl FnMut(&[u8]) -> bool,
    ) -> Result<Watched> {
        self.ui.command(&invocation.argv(None));
        self.exec.watch(step, invocation, enough)
    }

    /// Whether a command is to change something: not where it only shows what it would do, or writes it down.
    pub(super) fn may_change(&self, command: &Command) -> bool {
        let changes = matches!(
            command,
            Command::Enable(_) | Command::Disable(_) | Command::Revoke(_) | Command::Rotate(_)
        );
        changes && dry_run(command).is_none() && !matches!(self.mode, Mode::Write { .. })
    }

    /// Where failures are findings: an interruption, or a record that cannot be made, ends the command all the same.
    pub(super) fn heeded<T>(&self, result: Result<T>) -> Result<Result<T>> {
        self.exec.heed()?;
        match result {
            Err(error) if error.kind == Kind::Unrecorded => Err(error),
            other => Ok(other),
        }
    }

    /// The namespace, which is never guessed.
    pub(super) fn namespace(&self) -> Result<&str> {
        self.common.namespace.as_deref().ok_or_else(|| {
            Error::usage("no namespace is named").hint("name the namespace of InfluxDB Clustered: -n NS, or BYPASSCTL_NAMESPACE (the documentation's example is `influxdb`)")
        })
    }

    /// Ends the run in the record. A failure after a change is another kind of failure, and no message holds a secret.
    pub(super) fn close(&self, outcome: Outcome) -> (Outcome, Option<Head>) {
        let outcome = outcome.map_err(|error| {
            if self.exec.changed() {
                error.after_a_change()
            } else {
                error
            }
        });
        let kind = outcome
            .as_ref()
            .map_or_else(|error| Some(error.kind), |kind| *kind);
        let ended = if kind == Some(Kind::Unrecorded) {
            Err(None)
        } else {
            self.exec.finish(kind).map_err(Some)
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
            Kind::Unrecorded if self.exec.changed() => Error {
                message: format!("{}; something was changed before that", error.message),
                ..error
            },
            _ => error,
        });
        let outcome = outcome.map_err(|error| {
            let message = [vec![error.message], self.exec.lost()].concat().join("; ");
            Error {
                message: self.exec.redact(&message),
                ..error
            }
        });
        (outcome, Some(head))
    }
}
