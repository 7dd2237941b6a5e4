//! Waits for a condition in the cluster with one kubectl watch, restarted when it ends early.

use crate::error::{Error, ErrorKind, Result};
use crate::exec::WatchResult;
use crate::session::runner::{Runner, join_thread, spawn_task};
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::tool::kubectl::{EventReader, KubectlError, WatchEvent};
use crate::ui::WaitGuard;
use serde::de::DeserializeOwned;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The pause before a watch is restarted, to spare the server.
const WATCH_RETRY_DELAY: Duration = Duration::from_millis(250);

/// The time limit of one watch. The next one begins with a list, so a watch that hangs hides the
/// state of the cluster no longer than this.
const MAX_WATCH_TIME: Duration = Duration::from_secs(15);

/// The time that kubectl needs to print its list, also on a slow host.
const MIN_WATCH_TIME: Duration = Duration::from_secs(1);

/// The watches of a wait at least, so that one that hangs does not use up a short time limit.
const MIN_WATCHES: u32 = 4;

const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// A wait for a condition, with its time limit.
pub(crate) struct ConditionWatch<'a> {
    pub(crate) runner: &'a Runner<'a>,
    pub(crate) step: &'a str,
    /// Completes "waiting for …": "job `key-gen-001` to complete".
    pub(crate) condition: String,
    pub(crate) timeout: Duration,
    pub(crate) start: Instant,
    /// The command that a hint names for more details.
    pub(crate) details_command: String,
}

/// Derives a decision from the events of a watch.
///
/// A restarted watch resets the observer, because it misses the events in between.
pub(crate) trait WatchObserver: Send {
    /// The kind of the watched objects.
    type Object: DeserializeOwned;
    type Decision: Send;
    /// Forgets the events of the previous watch.
    fn reset(&mut self);
    fn observe_event(&mut self, event: WatchEvent<Self::Object>);
    /// Describes the state of the objects, for the progress.
    fn describe_state(&self) -> String;
    /// Returns the decision, if the events so far suffice for one.
    fn decision(&self) -> Option<Self::Decision>;
}

/// The end of one watch.
enum WatchEnd<D> {
    Decided(D),
    /// kubectl exited without a decision.
    Exited(ToolOutput),
    /// kubectl printed something other than an event.
    InvalidOutput,
}

impl ConditionWatch<'_> {
    /// Watches until the observer decides. Meanwhile calls `check` regularly with the elapsed time.
    pub(crate) fn wait_for_decision<O: WatchObserver>(
        &self,
        command: &Invocation,
        observer: &mut O,
        mut check: impl FnMut(Duration, &WaitGuard) -> Result<()>,
    ) -> Result<O::Decision> {
        let wait = &self.runner.start_wait(&self.condition, Some(self.timeout));
        std::thread::scope(|scope| {
            let (sender, receiver) = channel::<()>();
            let watcher = spawn_task(scope, move || {
                // The end of this thread drops the sender, which ends the loop below.
                let _sender = sender;
                self.watch_with_retries(command, observer, wait)
            });
            let mut check_result = Ok(());
            while receiver.recv_timeout(CHECK_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                check_result = check_result.and_then(|()| check(self.start.elapsed(), wait));
            }
            join_thread(watcher).and_then(|decision| check_result.map(|()| decision))
        })
    }

    fn watch_with_retries<O: WatchObserver>(
        &self,
        command: &Invocation,
        observer: &mut O,
        wait: &WaitGuard,
    ) -> Result<O::Decision> {
        let mut last_failure = None;
        loop {
            let remaining = self.timeout.saturating_sub(self.start.elapsed());
            if remaining.is_zero() {
                return Err(self.timeout_error(last_failure.as_deref()));
            }
            let share = (self.timeout / MIN_WATCHES).max(MIN_WATCH_TIME);
            let limit = remaining.min(MAX_WATCH_TIME).min(share);
            match self.watch_once(&command.clone().with_timeout(limit), observer, wait) {
                Ok(WatchEnd::Decided(decision)) => return Ok(decision),
                Ok(WatchEnd::Exited(output)) => {
                    last_failure = self.check_watch_exit(&output)?.or(last_failure);
                }
                Ok(WatchEnd::InvalidOutput) => {}
                Err(error) if error.kind == ErrorKind::TimedOut => continue,
                Err(error) => return Err(error),
            }
            self.runner.executor.sleep(WATCH_RETRY_DELAY)?;
        }
    }

    fn watch_once<O: WatchObserver>(
        &self,
        command: &Invocation,
        observer: &mut O,
        wait: &WaitGuard,
    ) -> Result<WatchEnd<O::Decision>> {
        observer.reset();
        let mut reader = EventReader::default();
        let mut is_invalid = false;
        let result = self.runner.watch(self.step, command, |output| {
            match reader.next_events(output) {
                Some(events) => {
                    events
                        .into_iter()
                        .for_each(|event| observer.observe_event(event));
                    wait.set_state(&observer.describe_state());
                    observer.decision().is_some()
                }
                None => {
                    is_invalid = true;
                    true
                }
            }
        })?;
        if let WatchResult::Exited(output) = &result {
            // The last output arrives together with the exit, so the closure has not read it.
            reader
                .next_events(&output.stdout)
                .into_iter()
                .flatten()
                .for_each(|event| observer.observe_event(event));
        }
        Ok(match (observer.decision(), result) {
            (Some(decision), _) if !is_invalid => WatchEnd::Decided(decision),
            (_, WatchResult::Exited(output)) => WatchEnd::Exited(output),
            (_, WatchResult::ConditionMet) => WatchEnd::InvalidOutput,
        })
    }

    /// Decides whether a watch that exited is worth a retry. Returns the reason of its failure.
    ///
    /// # Errors
    /// A failure that another watch would repeat: permissions, credentials, context.
    fn check_watch_exit(&self, output: &ToolOutput) -> Result<Option<String>> {
        if output.is_success() {
            return Ok(None);
        }
        match KubectlError::from_output(output) {
            failure @ (KubectlError::Forbidden(_)
            | KubectlError::Unauthorized(_)
            | KubectlError::Credentials(_)
            | KubectlError::PluginDenied(_)
            | KubectlError::UnknownContext(_)
            | KubectlError::NoContext) => {
                Err(failure.into_error(&format!("cannot wait for {}", self.condition)))
            }
            failure => Ok(Some(failure.into_error("the last watch failed").message)),
        }
    }

    fn timeout_error(&self, reason: Option<&str>) -> Error {
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        Error::from_kind(
            ErrorKind::TimedOut,
            format!(
                "timed out after {} s waiting for {}{reason}",
                self.timeout.as_secs(),
                self.condition
            ),
        )
        .hint(format!(
            "check it with {}, or pass a longer --wait-timeout",
            self.details_command
        ))
    }
}
