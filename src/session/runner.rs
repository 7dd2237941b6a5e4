//! Runs tools and shows their commands to the user.

use crate::error::{ErrorKind, Result};
use crate::exec::{Executor, WatchResult};
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::ui::Ui;

/// The executor and the user interface of one command.
#[derive(Clone, Copy)]
pub(crate) struct Runner<'a> {
    pub(crate) executor: &'a Executor,
    pub(crate) ui: &'a Ui,
}

impl Runner<'_> {
    /// Runs a command, and prints it first with `--verbose`.
    pub(crate) fn run(&self, step: &str, invocation: &Invocation) -> Result<ToolOutput> {
        self.ui.print_command(&invocation.argv(None));
        self.executor.run(step, invocation)
    }

    /// Runs a watch command until `is_condition_met` accepts its output.
    pub(crate) fn watch(
        &self,
        step: &str,
        invocation: &Invocation,
        is_condition_met: impl FnMut(&[u8]) -> bool,
    ) -> Result<WatchResult> {
        self.ui.print_command(&invocation.argv(None));
        self.executor.watch(step, invocation, is_condition_met)
    }

    /// Returns an error that ends every command: an interruption or an unwritable audit log. Any
    /// other error is a finding, which the caller reports.
    pub(crate) fn propagate_fatal<T>(&self, result: Result<T>) -> Result<Result<T>> {
        self.executor.check_interrupted()?;
        match result {
            Err(error) if error.kind == ErrorKind::Unrecorded => Err(error),
            other => Ok(other),
        }
    }
}

/// Returns the result of a thread, and continues its panic.
pub(crate) fn join_thread<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
