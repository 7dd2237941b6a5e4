//! Standard output and standard error. Only this module writes to them.

use super::layout::{display_width, truncate_line};
use super::style::DIM_STYLE;
use anstream::{AutoStream, ColorChoice};
use rustix::termios::tcgetwinsize;
use std::io::{self, IsTerminal as _, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) struct Streams {
    color: ColorChoice,
    first_error: Mutex<Option<io::Error>>,
    /// The widths of the live lines at the end of standard error. Locked during each write.
    live_lines: Mutex<Vec<usize>>,
}

impl Streams {
    pub(super) fn new(color: ColorChoice) -> Self {
        Self {
            color,
            first_error: Mutex::default(),
            live_lines: Mutex::default(),
        }
    }

    pub(super) fn write_out(&self, text: &str) {
        let mut live_lines = self.lock_live_lines();
        self.clear_live_lines(&mut live_lines);
        let mut stream = AutoStream::new(io::stdout().lock(), self.color);
        self.keep_first_error(
            stream
                .write_all(text.as_bytes())
                .and_then(|()| stream.flush()),
        );
    }

    pub(super) fn write_err(&self, text: &str) {
        let mut live_lines = self.lock_live_lines();
        self.clear_live_lines(&mut live_lines);
        let mut stream = AutoStream::new(io::stderr().lock(), self.color);
        self.keep_first_error(stream.write_all(text.as_bytes()));
    }

    /// Draws lines on standard error in place of the previous ones. The next output replaces them.
    ///
    /// Each line fits the terminal, and all of them: the sequences that clear them count rows.
    pub(super) fn draw_live_lines(&self, lines: &[String]) {
        let mut live_lines = self.lock_live_lines();
        self.clear_live_lines(&mut live_lines);
        if lines.is_empty() {
            return;
        }
        let (columns, rows) = stderr_size();
        let lines: Vec<String> = lines
            .iter()
            .take(rows.saturating_sub(1).max(1))
            .map(|line| truncate_line(line, columns.saturating_sub(1)))
            .collect();
        let text = lines.join("\n");
        *live_lines = lines.iter().map(|line| display_width(line)).collect();
        let mut stream = AutoStream::new(io::stderr().lock(), self.color);
        self.keep_first_error(write!(stream, "{DIM_STYLE}{text}{DIM_STYLE:#}"));
    }

    fn lock_live_lines(&self) -> MutexGuard<'_, Vec<usize>> {
        self.live_lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn clear_live_lines(&self, widths: &mut Vec<usize>) {
        if widths.is_empty() {
            return;
        }
        // A terminal that has become narrower shows a line in several rows.
        let (columns, _) = stderr_size();
        let count_rows = |width: usize| width.div_ceil(columns).max(1);
        let rows: usize = widths.drain(..).map(count_rows).sum();
        // ECMA-48, CUU and ED. They are no colours, so they bypass the stream that strips colours.
        let text = format!("\r{}\x1b[J", "\x1b[A".repeat(rows - 1));
        self.keep_first_error(io::stderr().write_all(text.as_bytes()));
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

/// Returns the columns and rows of the terminal at standard error.
fn stderr_size() -> (usize, usize) {
    let size = tcgetwinsize(io::stderr()).ok();
    let (columns, rows) = size.map_or((0, 0), |size| (size.ws_col, size.ws_row));
    let or = |count: u16, default| match count {
        0 => default,
        count => usize::from(count),
    };
    (or(columns, 80), or(rows, 24))
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
