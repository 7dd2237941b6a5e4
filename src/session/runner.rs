//! Runs tools and shows their commands to the user.

use crate::error::{ErrorKind, Result};
use crate::exec::{Executor, WatchResult};
use crate::tool::invocation::{Effect, Invocation, ToolOutput};
use crate::tool::kubectl::is_transient_failure;
use crate::ui::{Ui, WaitGuard};
use std::sync::mpsc::{SendError, channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// The pauses before a read is repeated.
const RETRY_DELAYS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// The executor and the user interface of one command.
#[derive(Clone, Copy)]
pub(crate) struct Runner<'a> {
    pub(crate) executor: &'a Executor,
    pub(crate) ui: &'a Ui,
    /// Number of the current step and number of all steps.
    pub(crate) position: Option<(usize, usize)>,
}

impl Runner<'_> {
    /// Runs a command, and prints it first with `--verbose`. Repeats a read that failed for a
    /// moment, within its time limit. Never repeats a change.
    pub(crate) fn run(&self, step: &str, invocation: &Invocation) -> Result<ToolOutput> {
        self.ui.print_command(&invocation.argv(None));
        let limit = self.executor.time_limit(invocation);
        let deadline = Instant::now() + limit;
        let _wait = self.start_wait(&format!("`{}`", invocation.short_command()), Some(limit));
        let mut output = self.executor.run(step, invocation)?;
        for delay in RETRY_DELAYS {
            let remaining = deadline.saturating_duration_since(Instant::now() + delay);
            if invocation.effect() == Effect::Changes
                || remaining.is_zero()
                || !is_transient_failure(&output)
            {
                break;
            }
            self.executor.sleep(delay)?;
            let retry = invocation.clone().with_timeout(remaining);
            output = self.executor.run(step, &retry)?;
        }
        Ok(output)
    }

    /// Shows a wait until the guard is dropped. `subject` completes "waiting for …".
    pub(crate) fn start_wait(&self, subject: &str, limit: Option<Duration>) -> WaitGuard {
        let position = self.position.map_or_else(String::new, |(number, count)| {
            format!("step {number} of {count}: ")
        });
        self.ui.start_wait(position, subject, limit)
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

/// A task that runs beside others, or has run already.
pub(crate) enum ParallelTask<'scope, T> {
    Running(ScopedJoinHandle<'scope, Option<T>>),
    Done(T),
}

/// Runs a task in a thread. Where the system allows no further thread, runs it at once: a panic
/// between two steps would abort a revocation.
pub(crate) fn spawn_task<'scope, 'env, T, F>(
    scope: &'scope Scope<'scope, 'env>,
    task: F,
) -> ParallelTask<'scope, T>
where
    T: Send + 'scope,
    F: FnOnce() -> T + Send + 'scope,
{
    // A thread that does not start would drop a task of its own.
    let (sender, receiver) = channel::<F>();
    let thread = std::thread::Builder::new()
        .spawn_scoped(scope, move || receiver.recv().ok().map(|task| task()));
    match thread {
        Ok(thread) => match sender.send(task) {
            Ok(()) => ParallelTask::Running(thread),
            Err(SendError(task)) => ParallelTask::Done(task()),
        },
        Err(_) => ParallelTask::Done(task()),
    }
}

/// Returns the result of a task, and continues its panic.
pub(crate) fn join_thread<T>(task: ParallelTask<'_, T>) -> T {
    match task {
        ParallelTask::Done(result) => result,
        ParallelTask::Running(thread) => thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .expect("the thread has received its task"),
    }
}
