//! Events for the thread that waits for a process.

use std::io;
use std::process::ExitStatus;

/// An event of a process, or a signal to this program.
pub(super) enum ProcessEvent {
    /// Standard output has grown.
    Output,
    /// A stream has ended. `false`: it reached its limit before its end.
    StreamEnd(&'static str, bool),
    Exited(io::Result<ExitStatus>),
    Signal,
}
