//! What the thread that waits for a process receives from the others.

use std::io;
use std::process::ExitStatus;

/// An event of a process, or a signal to this program.
pub(super) enum ProcessEvent {
    /// Standard output has brought more.
    Output,
    /// One of the streams has ended; `false` where it was cut off at its limit.
    StreamEnd(&'static str, bool),
    Exited(io::Result<ExitStatus>),
    Signal,
}
