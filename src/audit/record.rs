//! The record's lines as types. Every field is described in the specification of the record (`docs/AUDIT.md`).

mod text;

pub use text::Text;

use crate::tool::invocation::{Effect, ObjectRef, ProcessExit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a record says, by type.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type")]
pub enum Body {
    /// The first record of a log.
    #[serde(rename = "log.open")]
    LogOpen {
        /// Version of the program that made the log.
        bypassctl: String,
        /// Whether the filesystem can reserve room for a result before the act.
        preallocates: bool,
        /// The log that this one goes on from; none before the first rotation.
        previous: Option<PreviousLog>,
    },
    /// A run begins.
    #[serde(rename = "run.begin")]
    RunBegin(Box<RunBegin>),
    /// A tool, before its first use other than asking its version.
    #[serde(rename = "tool")]
    Tool {
        /// `kubectl` or `influxctl`.
        name: String,
        /// Which file.
        #[serde(flatten)]
        exe: Executable,
        /// Where it was found, before symlinks were resolved.
        found_at: String,
    },
    /// Something is about to happen.
    #[serde(rename = "intent")]
    Intent(Box<Intent>),
    /// It has happened, or not: how it ended.
    #[serde(rename = "result")]
    Result(Box<ResultRecord>),
    /// A run ends.
    #[serde(rename = "run.end")]
    RunEnd {
        /// Which command: `enable`, `revoke`, ….
        command: String,
        /// Whether it only showed what would be done.
        dry_run: bool,
        /// The exit code of the program.
        exit_code: u8,
        /// Its name.
        outcome: String,
        /// Whether anything was changed.
        changed: bool,
        /// What it was done to, as known at the end.
        target: Target,
    },
    /// The last record of a log: another goes on from here.
    #[serde(rename = "log.rotate")]
    LogRotate {
        /// Who closed it.
        actor: Actor,
        /// Why, in the user's words.
        reason: Option<String>,
        /// Commands whose result is not on record, which the next log cannot know of.
        unfinished: Vec<UnfinishedCommand>,
    },
    /// Bytes that are no record were found behind the last good one.
    #[serde(rename = "log.recover")]
    LogRecover {
        /// How many bytes, the last LF among them, and their SHA-256.
        torn: TornBytes,
    },
}

/// The last record: what anchors a log from outside.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Head {
    /// The log.
    pub log: String,
    /// The record's sequence number.
    pub seq: u64,
    /// SHA-256 of its raw line, LF included.
    pub hash: String,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "audit head {} {}:{}", self.log, self.seq, self.hash)
    }
}

/// The end of the log before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PreviousLog {
    /// Its name.
    pub log: String,
    /// Its last record, `SEQ:HASH`.
    pub head: String,
}

/// What stands between two good records and is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TornBytes {
    /// How many bytes, the last LF among them.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: String,
}

/// How a run began.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RunBegin {
    /// The program's own command line.
    pub argv: Vec<Text>,
    /// The program itself.
    pub exe: Executable,
    /// The working directory.
    pub cwd: Text,
    /// Who ran it.
    pub actor: Actor,
    /// The process, to tell a run that is still going from one that was killed.
    pub pid: u32,
    /// When it started: the boot's name and clock ticks since (Linux); a process number alone comes round again.
    pub process_start: Option<String>,
    /// Why, in the user's words.
    pub reason: Option<String>,
    /// Which command: `enable`, `revoke`, ….
    pub command: String,
    /// Whether it only shows what would be done.
    pub dry_run: bool,
    /// SHA-256 of the policy file in force.
    pub policy: Option<String>,
    /// Commands of earlier runs whose result is not on record.
    pub unfinished: Vec<UnfinishedCommand>,
}

/// A command of which only the intent is on record: whether it happened is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnfinishedCommand {
    /// The run.
    pub run: String,
    /// The intent's sequence number.
    pub intent: u64,
    /// The step.
    pub step: String,
}

/// An executable file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Executable {
    /// Absolute, symlinks resolved.
    pub path: Text,
    /// `None` while it is only asked for its version.
    pub sha256: Option<String>,
    /// `None` while it is only asked for its version, or when it cannot tell.
    pub version: Option<String>,
}

/// Who ran it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Actor {
    /// The effective user.
    pub uid: u32,
    /// The user's name, where the system knows one.
    pub user: Option<String>,
    /// The user who logged in, where the system keeps that (Linux, `/proc/self/loginuid`).
    pub login_uid: Option<u32>,
    /// The user who ran sudo.
    pub sudo_user: Option<String>,
    /// The machine.
    pub host: String,
    /// The terminal on standard input.
    pub tty: Option<String>,
    /// Which CI system, where it says so.
    pub ci: Option<String>,
}

impl Actor {
    /// The user's name, or the number where the system knows none.
    #[must_use]
    pub fn user_name(&self) -> String {
        self.user.clone().unwrap_or_else(|| self.uid.to_string())
    }
}

/// What a run is about, as far as known at that moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Target {
    /// The context; none in a cluster.
    pub context: Option<String>,
    /// The server's address.
    pub server: Option<String>,
    /// The UID of namespace `kube-system`.
    pub cluster_uid: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
}

impl Target {
    /// Whether both are the same namespace of the same cluster, as far as is known of it.
    #[must_use]
    pub fn is_same_namespace(&self, other: &Self) -> bool {
        let same_cluster = match (&self.cluster_uid, &other.cluster_uid) {
            (Some(ours), Some(theirs)) => ours == theirs,
            _ => self.server == other.server,
        };
        self.namespace == other.namespace && same_cluster
    }
}

/// A process that is about to start, or a file that is about to change.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Intent {
    /// The step that this belongs to.
    pub step: String,
    /// `reads` or `changes`.
    pub effect: Effect,
    /// The process.
    #[serde(flatten)]
    pub operation: Operation,
    /// Who ran it.
    pub actor: Actor,
    /// What it is done to.
    pub target: Target,
    /// SHA-256 of the plan that this belongs to.
    pub plan: Option<String>,
    /// Why, in the user's words.
    pub reason: Option<String>,
}

/// What is about to happen.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Operation {
    /// A process.
    Process {
        /// Exactly what is executed, each argument apart.
        argv: Vec<Text>,
        /// The file that is executed.
        exe: Executable,
        /// The working directory.
        cwd: Text,
        /// The environment variables that steer the tools, credentials in URLs cut out.
        env: BTreeMap<String, Text>,
        /// What it reads.
        stdin: Option<Stdin>,
        /// The object of the cluster that it changes, as it was seen before.
        #[serde(skip_serializing_if = "Option::is_none")]
        object: Option<ObjectRef>,
    },
    /// A file.
    File {
        /// What changes.
        file: FileChange,
    },
}

/// How a file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FileOp {
    /// It is written.
    Write,
    /// It is deleted.
    Delete,
    /// It is a directory that is gone again when the result is recorded.
    TempDir,
}

impl FileOp {
    /// As it is told.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Delete => "delete",
            Self::TempDir => "for the time of a trial, directory",
        }
    }
}

/// A change to a file.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FileChange {
    /// How.
    pub op: FileOp,
    /// Absolute, symlinks resolved.
    pub path: Text,
    /// What is there before; `None` when nothing is.
    pub before: Option<Stream>,
    /// What is there after; `None` when nothing is.
    pub after: Option<Stream>,
}

/// Why nothing is said of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WithheldReason {
    /// It may carry a token or key.
    Secret,
}

/// Bytes, by what may be said of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Stream {
    /// How many, and their SHA-256.
    Digest {
        /// How many.
        bytes: u64,
        /// Their SHA-256.
        sha256: String,
    },
    /// Nothing may be said of them.
    Withheld {
        /// Why.
        withheld: WithheldReason,
    },
}

impl Stream {
    /// How many bytes, and their SHA-256.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::Digest {
            bytes: bytes.len() as u64,
            sha256: crate::digest::Digest::compute(bytes).to_string(),
        }
    }

    /// May carry a secret.
    #[must_use]
    pub fn new_withheld() -> Self {
        Self::Withheld {
            withheld: WithheldReason::Secret,
        }
    }
}

/// What a process reads: by its digest, and what it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stdin {
    /// How much, and its SHA-256.
    #[serde(flatten)]
    pub stream: Stream,
    /// The jobs of the cluster that it was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<ObjectRef>,
}

/// How it ended.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ResultRecord {
    /// The intent's sequence number.
    pub intent: u64,
    /// How the process ended; none for a file, and for a process that never started.
    pub exit: Option<ExitRecord>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Standard output.
    pub stdout: Option<Stream>,
    /// Standard error.
    pub stderr: Option<Stream>,
    /// The files as they are now.
    pub files: Vec<FileChange>,
    /// Why it did not come to its end: `not-started`, `executable-changed`, `timed-out`, `too-much-output`, `interrupted`, `condition-met` (a watch
    /// that had shown what was waited for), or an error of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Exit code or signal, the other null.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExitRecord {
    /// The exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl From<ProcessExit> for ExitRecord {
    fn from(exit: ProcessExit) -> Self {
        match exit {
            ProcessExit::Code(code) => Self {
                code: Some(code),
                signal: None,
            },
            ProcessExit::Signal(signal) => Self {
                code: None,
                signal: Some(signal),
            },
        }
    }
}
