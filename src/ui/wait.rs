//! Shows what the program waits for: live lines at a terminal, a line every 30 s in a log.

use super::stream::Streams;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time before a wait is shown. Most commands answer earlier.
const SHOW_DELAY: Duration = Duration::from_secs(2);

/// The interval of the live lines.
const REDRAW_INTERVAL: Duration = Duration::from_millis(250);

/// The interval of the lines in a log.
const LOG_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitMode {
    Hidden,
    /// Lines that the next output replaces.
    Live,
    Log,
}

/// The current waits of all threads.
pub(super) struct WaitDisplay {
    mode: WaitMode,
    streams: Arc<Streams>,
    waits: Mutex<WaitList>,
    changed: Condvar,
}

#[derive(Default)]
struct WaitList {
    waits: Vec<Wait>,
    next_id: u64,
    has_thread: bool,
    /// A line below the waits.
    note: &'static str,
}

struct Wait {
    id: u64,
    /// The step, as in "step 3 of 10: ". Empty outside of the steps.
    position: String,
    /// Completes "waiting for …".
    subject: String,
    /// The state of the subject, as last seen.
    state: String,
    start: Instant,
    limit: Option<Duration>,
    next_log: Duration,
}

/// A wait that is shown until it is dropped.
pub struct WaitGuard {
    display: Arc<WaitDisplay>,
    id: Option<u64>,
}

impl WaitGuard {
    /// Sets the state of the subject: "1 of 2 pods ready".
    pub fn set_state(&self, state: &str) {
        let mut list = self.display.lock();
        if let Some(wait) = list.waits.iter_mut().find(|wait| Some(wait.id) == self.id) {
            state.clone_into(&mut wait.state);
        }
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        if self.id.is_none() {
            return;
        }
        let mut list = self.display.lock();
        list.waits.retain(|wait| Some(wait.id) != self.id);
        if self.display.mode == WaitMode::Live {
            let lines = list.format_lines(Instant::now());
            self.display.streams.draw_live_lines(&lines);
        }
    }
}

impl WaitDisplay {
    pub(super) fn new(mode: WaitMode, streams: Arc<Streams>) -> Self {
        Self {
            mode,
            streams,
            waits: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, WaitList> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the line below the waits.
    pub(super) fn set_note(&self, note: &'static str) {
        self.lock().note = note;
    }

    /// Shows a wait after two seconds.
    pub(super) fn start_wait(
        self: &Arc<Self>,
        position: String,
        subject: String,
        limit: Option<Duration>,
    ) -> WaitGuard {
        let id = (self.mode != WaitMode::Hidden).then(|| {
            let mut list = self.lock();
            list.next_id += 1;
            let id = list.next_id;
            list.waits.push(Wait {
                id,
                position,
                subject,
                state: String::new(),
                start: Instant::now(),
                limit,
                next_log: LOG_INTERVAL,
            });
            if !list.has_thread {
                let display = Arc::clone(self);
                // Where the system allows no further thread, no progress is shown.
                let thread = std::thread::Builder::new().spawn(move || display.show_waits());
                list.has_thread = thread.is_ok();
            }
            self.changed.notify_one();
            id
        });
        WaitGuard {
            display: Arc::clone(self),
            id,
        }
    }

    /// Shows the waits for as long as the program runs.
    fn show_waits(&self) {
        let mut list = self.lock();
        loop {
            list = if list.waits.is_empty() {
                self.changed.wait(list)
            } else {
                self.changed
                    .wait_timeout(list, REDRAW_INTERVAL)
                    .map(|(list, _)| list)
                    .map_err(|error| PoisonError::new(error.into_inner().0))
            }
            .unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if self.mode == WaitMode::Live {
                self.streams.draw_live_lines(&list.format_lines(now));
            } else {
                for line in list.take_log_lines(now) {
                    self.streams.write_err(&format!("{line}\n"));
                }
            }
        }
    }
}

impl WaitList {
    /// Formats the live lines.
    fn format_lines(&self, now: Instant) -> Vec<String> {
        let visible = |wait: &&Wait| now.duration_since(wait.start) >= SHOW_DELAY;
        let mut lines: Vec<String> = self
            .waits
            .iter()
            .filter(visible)
            .flat_map(|wait| wait.format_live_lines(now))
            .collect();
        if !lines.is_empty() && !self.note.is_empty() {
            lines.push(self.note.to_owned());
        }
        lines
    }

    /// Formats the lines for a log that are due.
    fn take_log_lines(&mut self, now: Instant) -> Vec<String> {
        let waits = self.waits.iter_mut();
        waits
            .filter_map(|wait| {
                let elapsed = now.duration_since(wait.start);
                (elapsed >= wait.next_log).then(|| {
                    wait.next_log = elapsed + LOG_INTERVAL;
                    wait.format_log_line(now)
                })
            })
            .collect()
    }
}

impl Wait {
    /// Formats the wait for a terminal. The state has a line of its own, which stays visible on a
    /// narrow one.
    fn format_live_lines(&self, now: Instant) -> Vec<String> {
        let state = Some(format!("  {}", self.state)).filter(|_| !self.state.is_empty());
        std::iter::once(self.format_head(now))
            .chain(state)
            .collect()
    }

    /// Formats the wait for a log.
    fn format_log_line(&self, now: Instant) -> String {
        let head = self.format_head(now);
        match self.state.as_str() {
            "" => head,
            state => format!("{head}: {state}"),
        }
    }

    fn format_head(&self, now: Instant) -> String {
        let elapsed = now.duration_since(self.start).as_secs();
        let limit = self
            .limit
            .map_or_else(String::new, |limit| format!(" of {} s", limit.as_secs()));
        let unit = if self.limit.is_none() { " s" } else { "" };
        format!(
            "{}waiting {elapsed}{unit}{limit} for {}",
            self.position, self.subject
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list_with(subject: &str, limit: Option<Duration>, start: Instant) -> WaitList {
        let wait = Wait {
            id: 1,
            position: "step 3 of 10: ".to_owned(),
            subject: subject.to_owned(),
            state: "1 of 2 pods ready".to_owned(),
            start,
            limit,
            next_log: LOG_INTERVAL,
        };
        WaitList {
            waits: vec![wait],
            note: "note",
            ..WaitList::default()
        }
    }

    #[test]
    fn live_lines_appear_after_two_seconds() {
        let start = Instant::now();
        let limit = Some(Duration::from_secs(300));
        let list = list_with("the pods", limit, start);
        let at = |seconds| list.format_lines(start + Duration::from_secs(seconds));
        assert_eq!(at(1), Vec::<String>::new());
        assert_eq!(
            at(12),
            [
                "step 3 of 10: waiting 12 of 300 s for the pods",
                "  1 of 2 pods ready",
                "note"
            ]
        );
    }

    #[test]
    fn log_line_is_due_every_thirty_seconds() {
        let start = Instant::now();
        let mut list = list_with("a lock", None, start);
        let mut count_lines = |seconds| {
            list.take_log_lines(start + Duration::from_secs(seconds))
                .len()
        };
        let counts = [29, 30, 31, 59, 61, 89, 91].map(&mut count_lines);
        assert_eq!(counts, [0, 1, 0, 0, 1, 0, 1]);
    }
}
