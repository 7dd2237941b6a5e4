//! The context of one command: the executor, the user interface and the options.

pub(crate) mod cluster;
pub(crate) mod guard;
pub(crate) mod influxctl_config;
pub(crate) mod paths;
pub(crate) mod program_name;
pub(crate) mod runner;
pub(crate) mod token_file;
pub(crate) mod tools;

use crate::audit::Head;
use crate::cli::{Command, CommonArgs};
use crate::error::{CommandResult, Error, ErrorKind, Result};
use crate::exec::Executor;
use crate::plan_file::PlanMode;
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::ui::Ui;
use runner::Runner;

#[derive(Clone, Copy)]
pub(crate) struct Session<'a> {
    pub(crate) executor: &'a Executor,
    pub(crate) ui: &'a Ui,
    pub(crate) common: &'a CommonArgs,
    /// What becomes of its plan.
    pub(crate) mode: &'a PlanMode,
    /// The connection profile that it is about.
    pub(crate) profile: &'a str,
}

impl Session<'_> {
    /// The part of the session that runs tools and reports to the user.
    pub(crate) fn runner(&self) -> Runner<'_> {
        Runner {
            executor: self.executor,
            ui: self.ui,
        }
    }

    /// See [`Runner::run`].
    pub(crate) fn run(&self, step: &str, invocation: &Invocation) -> Result<ToolOutput> {
        self.runner().run(step, invocation)
    }

    /// See [`Runner::propagate_fatal`].
    pub(crate) fn propagate_fatal<T>(&self, result: Result<T>) -> Result<Result<T>> {
        self.runner().propagate_fatal(result)
    }

    /// Whether this run of a command can change anything.
    pub(crate) fn can_change(&self, command: &Command) -> bool {
        command.changes_state()
            && command.dry_run().is_none()
            && !matches!(self.mode, PlanMode::Save { .. })
    }

    /// The namespace, which is never guessed.
    pub(crate) fn require_namespace(&self) -> Result<&str> {
        self.common.namespace.as_deref().ok_or_else(|| {
            Error::usage("no namespace is named").hint("name the namespace of InfluxDB Clustered: -n NS, or BYPASSCTL_NAMESPACE (the documentation's example is `influxdb`)")
        })
    }

    /// Ends the run in the record. A failure after a change is another kind of failure, and no message holds a secret.
    pub(crate) fn finish(&self, outcome: CommandResult) -> (CommandResult, Option<Head>) {
        let outcome = outcome.map_err(|error| {
            if self.executor.has_changed() {
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
            self.executor.finish_run(kind).map_err(Some)
        };
        let (outcome, head) = match (ended, outcome) {
            (Ok(head), outcome) => (outcome, head),
            (Err(None), outcome) => (outcome, self.executor.head()),
            (Err(Some(unrecorded)), Ok(_)) => (Err(unrecorded), self.executor.head()),
            (Err(Some(unrecorded)), Err(first)) => {
                let message = format!("{}; and then: {}", first.message, unrecorded.message);
                (
                    Err(Error {
                        message,
                        ..unrecorded
                    }),
                    self.executor.head(),
                )
            }
        };
        let outcome = outcome.map_err(|error| match error.kind {
            ErrorKind::Unrecorded if self.executor.has_changed() => Error {
                message: format!("{}; something was changed before that", error.message),
                ..error
            },
            _ => error,
        });
        let outcome = outcome.map_err(|error| {
            let message = [vec![error.message], self.executor.unwritten_results()]
                .concat()
                .join("; ");
            Error {
                message: self.executor.redact(&message),
                ..error
            }
        });
        (outcome, Some(head))
    }
}
