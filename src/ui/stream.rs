//! Standard output and standard error. Only this module writes to them.

use anstream::{AutoStream, ColorChoice};
use rustix::termios::tcgetwinsize;
use std::io::{self, IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};

pub(super) struct Streams {
    color: ColorChoice,
    first_error: Mutex<Option<io::Error>>,
    /// The last line on standard error shows progress.
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

    /// Returns the sequence that clears the progress line, or nothing without such a line.
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
        // ECMA-48, EL. It is no colour, so it bypasses the stream that strips colours.
        self.keep_first_error(io::stderr().write_all(self.take_clear_sequence().as_bytes()));
        let mut stream = AutoStream::new(io::stderr().lock(), self.color);
        self.keep_first_error(stream.write_all(text.as_bytes()));
    }

    /// Writes a line to standard error that the next output replaces.
    pub(super) fn write_progress(&self, text: &str) {
        self.write_err(text);
        self.in_progress.store(true, Ordering::SeqCst);
    }

    /// Keeps the first error. A closed pipe is no error, but a full disk is.
    pub(super) fn keep_first_error(&self, result: io::Result<()>) {
        if let Err(error) = result
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.first_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        }
    }

    /// Takes the first error.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        self.first_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

/// Standard output or standard error.
#[derive(Clone, Copy)]
pub(super) enum OutputStream {
    Out,
    Err,
}

/// Returns the width of the terminal, 0 if it does not know it. `None` if the stream is no terminal.
pub(super) fn terminal_columns(stream: OutputStream) -> Option<u16> {
    let (is_terminal, size) = match stream {
        OutputStream::Out => (is_stdout_terminal(), tcgetwinsize(io::stdout())),
        OutputStream::Err => (is_stderr_terminal(), tcgetwinsize(io::stderr())),
    };
    is_terminal.then(|| size.map_or(0, |size| size.ws_col))
}

pub(super) fn is_stdout_terminal() -> bool {
    io::stdout().is_terminal()
}

pub(super) fn is_stderr_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Fails with the reason unless a person at a terminal can answer a question.
pub(super) fn require_terminal() -> Result<(), &'static str> {
    if !io::stdin().is_terminal() {
        Err("standard input is no terminal")
    } else if !is_stdout_terminal() {
        Err("standard output is no terminal")
    } else if !is_stderr_terminal() {
        Err("standard error is no terminal")
    } else {
        Ok(())
    }
}

/// Reads the next line of standard input in a thread. At the end of input, the line is empty.
pub(super) fn spawn_line_reader() -> Receiver<String> {
    let (sender, receiver) = channel();
    // A signal does not interrupt a read from the terminal, so the main thread cannot read.
    let thread = std::thread::Builder::new().spawn(move || {
        let mut line = String::new();
        // After an error the channel closes, which the receiver treats as no answer.
        if io::stdin().read_line(&mut line).is_ok() {
            drop(sender.send(line));
        }
    });
    // Without a thread the channel is closed as well.
    drop(thread);
    receiver
}
