//! The audit log: JSON Lines in a hash chain. An intent is durable before its action.
//!
//! The specification is `docs/AUDIT.md`.

mod body;
mod entry;
mod file;
mod history;
mod in_toto;
mod line;
mod lines;
mod lock_file;
mod log;
mod process;
mod recent;
mod segments;
mod strict;
mod tail;
mod token_file;
mod unfinished;
mod verify;
mod written_target;

pub use body::{
    ActionResult, Actor, Body, Executable, FileChange, FileOp, Head, Intent, ObservedSecrets,
    Operation, ProbeSubject, ProbeTls, ProbeVerdict, RunBegin, SecretVersion, Stdin, Stream,
    Target, Text, UnfinishedCommand, VerifiedSecrets,
};
pub use history::{Run, RunEntry, list_runs, read_entries};
pub use in_toto::{Statement, build_statements};
pub use line::{LOG_FORMAT_VERSION, UnsupportedFormat};
pub use lock_file::{InterruptCheck, LockFile};
pub use log::{Log, LogRotation, PriorState, Receipt};
pub use segments::{
    Links, LogFile, LogVerification, Segment, check_links, open_segments, sort_by_chain,
};
pub use strict::check_strict_json;
pub use token_file::TokenFileOrigin;
pub use unfinished::{
    PlanProgress, RecordedVerification, RevocationState, StartedChanges, UnfinishedRevocation,
};
pub use verify::{Finding, FindingKind, LogReport, verify_log};
pub use written_target::LastWrite;
