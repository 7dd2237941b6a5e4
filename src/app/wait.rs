//! Waiting for something in the cluster: one kubectl that watches, begun again where it ends before that.

use super::probe::joined;
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::exec::Watched;
use crate::tool::invocation::{Invocation, Output};
use crate::tool::kubectl::{Event, Events, Failure};
use serde::de::DeserializeOwned;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long to leave a server alone whose watch has ended.
const PAUSE: Duration = Duration::from_millis(250);

/// How often the progress is shown.
const TICK: Duration = Duration::from_millis(500);

/// What is waited for.
pub(super) struct Wait<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) step: &'a str,
    /// For people: "job `key-gen-001` is complete".
    pub(super) what: String,
    pub(super) limit: Duration,
    pub(super) begun: Instant,
    /// What shows more, where it takes too long.
    pub(super) more: String,
}

/// What an event changes: judged anew when a watch begins anew, for what happened in between was not seen.
pub(super) trait Judge: Send {
    /// The kind of object that is watched.
    type Object: DeserializeOwned;
    /// What has been seen once it is decided.
    type Verdict: Send;
    /// Forgets what an earlier watch has shown.
    fn begin(&mut self);
    /// Takes one event in.
    fn see(&mut self, event: Event<Self::Object>);
    /// What has been decided by what was seen so far.
    fn verdict(&self) -> Option<Self::Verdict>;
}

impl Wait<'_> {
    /// Watches until the judge has decided; `look` is called now and then meanwhile, with the time waited so far.
    pub(super) fn until<J: Judge>(
        &self,
        watch: &Invocation,
        judge: &mut J,
        mut look: impl FnMut(Duration) -> Result<()>,
    ) -> Result<J::Verdict> {
        std::thread::scope(|scope| {
            let (alive, ended) = channel::<()>();
            let watching = scope.spawn(move || {
                let _alive = alive;
                self.follow(watch, judge)
            });
            let mut looked = Ok(());
            while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                let waited = self.begun.elapsed();
                self.session.ui.progress(&format!(
                    "{}: waiting until {}, {} s",
                    self.step,
                    self.what,
                    waited.as_secs()
                ));
                looked = looked.and_then(|()| look(waited));
            }
            self.session.ui.no_progress();
            joined(watching).and_then(|verdict| looked.map(|()| verdict))
        })
    }

    fn follow<J: Judge>(&self, watch: &Invocation, judge: &mut J) -> Result<J::Verdict> {
        let mut last = "the limit is over".to_owned();
        loop {
            let left = self.limit.saturating_sub(self.begun.elapsed());
            if left.is_zero() {
                return Err(self.too_long(&last));
            }
            match self.watch_once(&watch.clone().within(left), judge) {
                Ok(Ok(verdict)) => return Ok(verdict),
                Ok(Err(output)) => last = self.still_there(&output)?.unwrap_or(last),
                Err(error) if error.kind == Kind::TimedOut => {
                    return Err(self.too_long(&error.message));
                }
                Err(error) => return Err(error),
            }
            self.session.exec.pause(PAUSE)?;
        }
    }

    /// One watch, until it is decided or has ended; `Err(None)` within where it printed what is no event.
    fn watch_once<J: Judge>(
        &self,
        watch: &Invocation,
        judge: &mut J,
    ) -> Result<std::result::Result<J::Verdict, Option<Output>>> {
        judge.begin();
        let mut events = Events::default();
        let mut garbled = false;
        let watched =
            self.session
                .watch(self.step, watch, |printed| match events.news(printed) {
                    Some(news) => {
                        news.into_iter().for_each(|event| judge.see(event));
                        judge.verdict().is_some()
                    }
                    None => {
                        garbled = true;
                        true
                    }
                })?;
        let output = match watched {
            Watched::Enough => None,
            Watched::Ended(output) => {
                // What came with its end has not been looked at.
                events
                    .news(&output.stdout)
                    .into_iter()
                    .flatten()
                    .for_each(|event| judge.see(event));
                Some(output)
            }
        };
        Ok(judge.verdict().filter(|_| !garbled).ok_or(output))
    }

    /// A watch that ends is begun again, unless it may not be watched at all. Says why it ended, where it failed.
    fn still_there(&self, output: &Option<Output>) -> Result<Option<String>> {
        match output
            .as_ref()
            .filter(|output| !output.ok())
            .map(Failure::of)
        {
            Some(
                failure @ (Failure::Forbidden(_)
                | Failure::Unauthorized(_)
                | Failure::Credentials(_)
                | Failure::UnknownContext(_)
                | Failure::NoContext),
            ) => Err(failure.into_error(&format!("whether {} cannot be watched", self.what))),
            failure => {
                Ok(failure.map(|failure| failure.into_error("the last watch failed").message))
            }
        }
    }

    fn too_long(&self, why: &str) -> Error {
        let seconds = self.limit.as_secs();
        Error::of(
            Kind::TimedOut,
            format!("waited {seconds} s until {}, in vain ({why})", self.what),
        )
        .hint(format!(
            "{} shows more; a longer limit: --wait-timeout",
            self.more
        ))
    }
}
