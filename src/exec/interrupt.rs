//! Ctrl-C, SIGTERM and SIGHUP as events.

use super::event::ProcessEvent;
use super::sync::lock_mutex;
use crate::error::{Error, ErrorKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Default)]
struct SignalState {
    signal: AtomicI32,
    subscribers: Mutex<Vec<Sender<ProcessEvent>>>,
}

/// The handlers of the signals that end a run.
#[derive(Clone)]
pub struct Interrupts(Arc<SignalState>);

impl Interrupts {
    /// Installs the handlers for the rest of the program. A write beyond RLIMIT_FSIZE then fails
    /// instead of killing the program.
    pub fn install() -> io::Result<Self> {
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        let state = Arc::new(SignalState::default());
        let mut handled = vec![SIGINT, SIGTERM];
        handled.extend(Some(SIGHUP).filter(|_| !is_hangup_ignored()));
        let mut signals = Signals::new(handled)?;
        let shared = Arc::clone(&state);
        std::thread::Builder::new().spawn(move || {
            for signal in signals.forever() {
                shared.signal.store(signal, Ordering::SeqCst);
                let subscribers = lock_mutex(&shared.subscribers);
                subscribers
                    .iter()
                    .for_each(|subscriber| drop(subscriber.send(ProcessEvent::Signal)));
            }
        })?;
        Ok(Self(state))
    }

    /// Returns the last signal raised.
    #[must_use]
    pub fn raised_signal(&self) -> Option<i32> {
        Some(self.0.signal.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// Sleeps for `time`, or until a signal is raised.
    pub(super) fn wait_for_signal(&self, time: Duration) {
        let (sender, receiver) = channel();
        self.subscribe(sender);
        // Only signals are sent here, so both a message and a timeout end the wait.
        let _ = receiver.recv_timeout(time);
    }

    /// Sends every signal from now on to `subscriber`, and one raised before.
    pub(super) fn subscribe(&self, subscriber: Sender<ProcessEvent>) {
        let mut subscribers = lock_mutex(&self.0.subscribers);
        if self.raised_signal().is_some() {
            drop(subscriber.send(ProcessEvent::Signal));
        }
        subscribers.push(subscriber);
    }
}

/// Returns whether the caller ignores SIGHUP, as `nohup` does. Known on Linux only.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (SIGHUP - 1) & 1 == 1)
}

pub(super) fn interrupted_error(signal: i32, has_changed: bool) -> Error {
    let (kind, cause) = if signal == SIGINT {
        (ErrorKind::Interrupted, "Ctrl-C")
    } else {
        (ErrorKind::Terminated, "a signal")
    };
    if has_changed {
        return Error::from_kind(kind, format!("interrupted by {cause}"))
            .hint("run the same command again to resume");
    }
    Error::from_kind(
        kind,
        format!("interrupted by {cause} before the first change"),
    )
    .hint("this run changed nothing: run the same command again")
}
