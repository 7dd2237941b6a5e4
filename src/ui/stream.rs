//! Standard output and standard error: nothing else writes to them.

use anstream::{AutoStream, ColorChoice};
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};

/// Both streams, and what went wrong with them.
pub(super) struct Streams {
    color: ColorChoice,
    first_error: Mutex<Option<io::Error>>,
    /// Whether the last line on standard error is one that shows progress.
    in_progress: AtomicBool,
}

impl Streams {
    pub(super) fn new(color: ColorChoice) -> Self {
        Self {
            color,
            first_error: Mutex::default(),
            in_progress: AtomicBool::new(false),
        }
    }

    /// What clears the line that shows progress, where there is one.
    fn take_clear_sequence(&self) -> &'static str {
        if self.in_progress.swap(false, Ordering::SeqCst) {
            "\r\x1b[K"
        } else {
            ""
        }
    }

    pub(super) fn write_out(&self, text: &str) {
        if self.in_progress.load(Ordering::SeqCst) {
            self.write_err("");
        }
        let mut stream = AutoStream::new(io::stdout().lock(), self.color);
        self.keep_first_error(
            stream
                .write_all(text.as_bytes())
                .and_then(|()| stream.flush()),
        );
    }

    pub(super) fn write_err(&self, text: &str) {
        // ECMA-48, EL: not a matter of colour, so it goes past what strips colours.
        self.keep_first_error(io::stderr().write_all(self.take_clear_sequence().as_bytes()));
        let mut stream = AutoStream::new(io::stderr().lock(), self.color);
        self.keep_first_error(stream.write_all(text.as_bytes()));
    }

    /// A line on standard error that the next one replaces.
    pub(super) fn write_progress(&self, text: &str) {
        self.write_err(text);
        self.in_progress.store(true, Ordering::SeqCst);
    }

    /// A reader that has seen enough is no failure; a full disk behind a redirection is.
    pub(super) fn keep_first_error(&self, written: io::Result<()>) {
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.first_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        }
    }

    /// The first failure so far, once.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.first_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Whether what goes to standard output is seen as it comes.
pub(super) fn is_stdout_terminal() -> bool {
    io::stdout().is_terminal()
}

pub(super) fn is_stderr_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether somebody can be asked.
pub(super) fn can_prompt() -> bool {
    io::stdin().is_terminal() && is_stdout_terminal() && is_stderr_terminal()
}

/// The next line of standard input, or the end where there is none.
pub(super) fn spawn_line_reader() -> Receiver<String> {
    let (tell, answer) = channel();
    // A thread of its own: a read of the terminal does not end with a signal.
    std::thread::spawn(move || {
        let mut line = String::new();
        // An error is an answer that never comes: the same as none.
        if io::stdin().read_line(&mut line).is_ok() {
            drop(tell.send(line));
        }
    });
    answer
}
