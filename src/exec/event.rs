//! Events for the thread that waits for a process.

use std::io;
use std::process::ExitStatus;

/// The limit of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutputLimit {
    /// For people.
    pub(super) stream: &'static str,
    /// In bytes.
    pub(super) max: usize,
}

/// An event of a process, or a signal to this program.
pub(super) enum ProcessEvent {
    /// Standard output has grown.
    Output,
    /// A stream has ended. `false`: it reached its limit before its end.
    StreamEnd(OutputLimit, bool),
    Exited(io::Result<ExitStatus>),
    Signal,
}
