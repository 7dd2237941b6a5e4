//! Waits for a condition in the cluster with one kubectl watch, restarted when it ends early.

use crate::error::{Error, ErrorKind, Result};
use crate::exec::WatchResult;
use crate::session::runner::{Runner, join_thread};
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::tool::kubectl::{EventReader, KubectlError, WatchEvent};
use serde::de::DeserializeOwned;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long to leave a server alone whose watch has ended.
const WATCH_RETRY_DELAY: Duration = Duration::from_millis(250);

/// How often the progress is shown.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// What is waited for.
pub(crate) struct ConditionWatch<'a> {
    pub(crate) runner: &'a Runner<'a>,
    pub(crate) step: &'a str,
    /// For people: "job `key-gen-001` is complete".
    pub(crate) condition: String,
    pub(crate) timeout: Duration,
    pub(crate) start: Instant,
    /// What shows more, where it takes too long.
    pub(crate) details_command: String,
}

/// What an event changes: judged anew when a watch begins anew, for what happened in between was not seen.
pub(crate) trait WatchObserver: Send {
    /// The kind of object that is watched.
    type Object: DeserializeOwned;
    /// What has been seen once it is decided.
    type Decision: Send;
    /// Forgets what an earlier watch has shown.
    fn reset(&mut self);
    /// Takes one event in.
    fn observe_event(&mut self, event: WatchEvent<Self::Object>);
    /// What has been decided by what was seen so far.
    fn decision(&self) -> Option<Self::Decision>;
}

impl ConditionWatch<'_> {
    /// Watches until the judge has decided; `look` is called now and then meanwhile, with the time waited so far.
    pub(crate) fn wait_for_decision<J: WatchObserver>(
        &self,
        watch: &Invocation,
        judge: &mut J,
        mut look: impl FnMut(Duration) -> Result<()>,
    ) -> Result<J::Decision> {
        std::thread::scope(|scope| {
            let (alive, ended) = channel::<()>();
            let watching = scope.spawn(move || {
                let _alive = alive;
                self.watch_with_retries(watch, judge)
            });
            let mut looked = Ok(());
            while ended.recv_timeout(PROGRESS_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                let waited = self.start.elapsed();
                self.runner.ui.show_progress(&format!(
                    "{}: waiting until {}, {} s",
                    self.step,
                    self.condition,
                    waited.as_secs()
                ));
                looked = looked.and_then(|()| look(waited));
            }
            self.runner.ui.clear_progress();
            join_thread(watching).and_then(|verdict| looked.map(|()| verdict))
        })
    }

    fn watch_with_retries<J: WatchObserver>(
        &self,
        watch: &Invocation,
        judge: &mut J,
    ) -> Result<J::Decision> {
        let mut last = "the limit is over".to_owned();
        loop {
            let left = self.timeout.saturating_sub(self.start.elapsed());
            if left.is_zero() {
                return Err(self.timeout_error(&last));
            }
            match self.watch_once(&watch.clone().with_timeout(left), judge) {
                Ok(Ok(verdict)) => return Ok(verdict),
                Ok(Err(output)) => last = self.check_watch_end(&output)?.unwrap_or(last),
                Err(error) if error.kind == ErrorKind::TimedOut => {
                    return Err(self.timeout_error(&error.message));
                }
                Err(error) => return Err(error),
            }
            self.runner.executor.sleep(WATCH_RETRY_DELAY)?;
        }
    }

    /// One watch, until it is decided or has ended; `Err(None)` within where it printed what is no event.
    fn watch_once<J: WatchObserver>(
        &self,
        watch: &Invocation,
        judge: &mut J,
    ) -> Result<std::result::Result<J::Decision, Option<ToolOutput>>> {
        judge.reset();
        let mut events = EventReader::default();
        let mut garbled = false;
        let watched = self.runner.watch(self.step, watch, |printed| {
            match events.next_events(printed) {
                Some(news) => {
                    news.into_iter()
                        .for_each(|event| judge.observe_event(event));
                    judge.decision().is_some()
                }
                None => {
                    garbled = true;
                    true
                }
            }
        })?;
        let output = match watched {
            WatchResult::ConditionMet => None,
            WatchResult::Exited(output) => {
                // What came with its end has not been looked at.
                events
                    .next_events(&output.stdout)
                    .into_iter()
                    .flatten()
                    .for_each(|event| judge.observe_event(event));
                Some(output)
            }
        };
        Ok(judge.decision().filter(|_| !garbled).ok_or(output))
    }

    /// A watch that ends is begun again, unless it may not be watched at all. Says why it ended, where it failed.
    fn check_watch_end(&self, output: &Option<ToolOutput>) -> Result<Option<String>> {
        match output
            .as_ref()
            .filter(|output| !output.is_success())
            .map(KubectlError::from_output)
        {
            Some(
                failure @ (KubectlError::Forbidden(_)
                | KubectlError::Unauthorized(_)
                | KubectlError::Credentials(_)
                | KubectlError::UnknownContext(_)
                | KubectlError::NoContext),
            ) => Err(failure.into_error(&format!("whether {} cannot be watched", self.condition))),
            failure => {
                Ok(failure.map(|failure| failure.into_error("the last watch failed").message))
            }
        }
    }

    fn timeout_error(&self, why: &str) -> Error {
        let seconds = self.timeout.as_secs();
        Error::from_kind(
            ErrorKind::TimedOut,
            format!(
                "waited {seconds} s until {}, in vain ({why})",
                self.condition
            ),
        )
        .hint(format!(
            "{} shows more; a longer limit: --wait-timeout",
            self.details_command
        ))
    }
}
