//! The audit record: JSON Lines, each chained to the one before, each durable before what it announces happens.
//!
//! The specification is `docs/AUDIT.md`.

mod form;
mod history;
mod in_toto;
mod line;
mod lines;
mod log;
mod record;
mod segments;
mod tail;
mod under_way;
mod verify;

pub use form::check_strict_json;
pub use history::{Record, Run, list_runs, read_records};
pub use in_toto::{Statement, build_statements};
pub use line::RECORD_VERSION;
pub use log::{Head, Log, LogRotation, PriorState, Receipt};
pub use record::{
    Actor, Body, Executable, FileChange, FileOp, Intent, Operation, ResultRecord, RunBegin, Stdin,
    Stream, Target, Text, UnfinishedCommand,
};
pub use segments::{
    Links, LogFile, LogVerification, Segment, check_links, open_segments, sort_by_chain,
};
pub use under_way::PlanProgress;
pub use verify::{Finding, LogReport, verify_log};

/// This machine's name, as the kernel knows it.
#[must_use]
pub fn get_host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// When a process started: the boot's name and clock ticks since. `None` where the system does not tell (not Linux), or
/// when there is no such process, or it has ended.
#[must_use]
pub fn read_process_start(pid: u32) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Fields 3 and 22 (proc(5)); the name in field 2 may hold blanks, and ends with the last parenthesis.
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    // One that has ended, and that its parent has not asked after, is still there by name.
    fields.next().filter(|state| !["Z", "X"].contains(state))?;
    let ticks = fields.nth(18)?;
    Some(format!("{}:{ticks}", boot.trim()))
}
