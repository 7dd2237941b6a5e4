//! Ctrl-C, SIGTERM and SIGHUP as events that a wait can see.

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

/// The signals that end a run, from the moment they are installed.
#[derive(Clone)]
pub struct Interrupts(Arc<SignalState>);

impl Interrupts {
    /// Takes the signals over for the rest of the program. A file that may not grow (RLIMIT_FSIZE) becomes an error
    /// of the write instead of the end of the program.
    ///
    /// # Errors
    /// Those of the system.
    pub fn install() -> io::Result<Self> {
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        let shared = Arc::new(SignalState::default());
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            for signal in signals.forever() {
                theirs.signal.store(signal, Ordering::SeqCst);
                let waiting = lock_mutex(&theirs.subscribers);
                waiting
                    .iter()
                    .for_each(|waiter| drop(waiter.send(ProcessEvent::Signal)));
            }
        });
        Ok(Self(shared))
    }

    /// The signal that was raised, if any.
    #[must_use]
    pub fn raised_signal(&self) -> Option<i32> {
        Some(self.0.signal.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// Waits that long, or until a signal is raised.
    pub(super) fn wait_for_signal(&self, time: Duration) {
        let (tell, told) = channel();
        self.subscribe(tell);
        // Nothing but a signal is ever told here: it, or the end of the time, is what is waited for.
        let _ = told.recv_timeout(time);
    }

    /// Tells a wait of every signal from now on, and of one raised before.
    pub(super) fn subscribe(&self, waiter: Sender<ProcessEvent>) {
        let mut waiting = lock_mutex(&self.0.subscribers);
        if self.raised_signal().is_some() {
            drop(waiter.send(ProcessEvent::Signal));
        }
        waiting.push(waiter);
    }
}

pub(super) fn interrupted_error(signal: i32) -> Error {
    let kind = if signal == SIGINT {
        ErrorKind::Interrupted
    } else {
        ErrorKind::Terminated
    };
    Error::new(
        kind,
        format!(
            "stopped by {}",
            if kind == ErrorKind::Interrupted {
                "Ctrl-C"
            } else {
                "a signal"
            }
        ),
    )
    .hint("the same command can be run again")
}
