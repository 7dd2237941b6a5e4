//! The audit record: JSON Lines, each chained to the one before, each durable before what it announces happens.
//!
//! The specification is `docs/AUDIT.md`.

mod log;
mod record;
mod tail;
mod verify;

pub use log::{Begun, Head, Log};
pub use record::{Act, Body, Exe, FileChange, Intent, Outcome, RunBegin, Stream, Target, Text, Unfinished, Who};
pub use verify::{Finding, Report, verify};

/// This machine's name, as the kernel knows it.
#[must_use]
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
