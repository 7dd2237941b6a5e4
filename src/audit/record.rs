//! The record's lines as types. Every field is described in the specification of the record (`docs/AUDIT.md`).

mod fields;
mod text;

pub use text::{EntryText, Text};

use crate::tool::invocation::{Effect, ObjectRef, ProcessExit};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a record says, by type.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Body"))]
#[serde(tag = "type")]
#[serde(bound(deserialize = "S: EntryText<'de>"))]
pub enum Body<S = String> {
    /// The first record of a log.
    #[serde(rename = "log.open")]
    LogOpen {
        /// Version of the program that made the log.
        bypassctl: String,
        /// Whether the filesystem can reserve room for a result before the act.
        preallocates: bool,
        /// The log that this one goes on from; none before the first rotation.
        #[serde(deserialize_with = "fields::strict")]
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
    Intent(Box<Intent<S>>),
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
        #[serde(deserialize_with = "fields::strict")]
        target: Target,
    },
    /// The last record of a log: another goes on from here.
    #[serde(rename = "log.rotate")]
    LogRotate {
        /// Who closed it.
        #[serde(deserialize_with = "fields::strict")]
        actor: Actor,
        /// Why, in the user's words.
        #[serde(deserialize_with = "Option::deserialize")]
        reason: Option<String>,
        /// Commands whose result is not on record, which the next log cannot know of.
        #[serde(deserialize_with = "fields::strict")]
        unfinished: Vec<UnfinishedCommand>,
    },
    /// Bytes that are no record were found behind the last good one.
    #[serde(rename = "log.recover")]
    LogRecover {
        /// How many bytes, the last LF among them, and their SHA-256.
        #[serde(deserialize_with = "fields::strict")]
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
#[serde(expecting = "an object")]
pub struct PreviousLog {
    /// Its name.
    #[serde(deserialize_with = "fields::uuid")]
    pub log: String,
    /// Its last record, `SEQ:HASH`.
    #[serde(deserialize_with = "fields::head")]
    pub head: String,
}

/// What stands between two good records and is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct TornBytes {
    /// How many bytes, the last LF among them.
    pub bytes: u64,
    /// Their SHA-256.
    #[serde(deserialize_with = "fields::digest")]
    pub sha256: String,
}

/// How a run began.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
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
    #[serde(deserialize_with = "Option::deserialize")]
    pub process_start: Option<String>,
    /// Why, in the user's words.
    #[serde(deserialize_with = "Option::deserialize")]
    pub reason: Option<String>,
    /// Which command: `enable`, `revoke`, ….
    pub command: String,
    /// Whether it only shows what would be done.
    pub dry_run: bool,
    /// SHA-256 of the policy file in force.
    #[serde(deserialize_with = "fields::nullable_digest")]
    pub policy: Option<String>,
    /// Commands of earlier runs whose result is not on record.
    pub unfinished: Vec<UnfinishedCommand>,
}

/// A command of which only the intent is on record: whether it happened is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct UnfinishedCommand {
    /// The run.
    #[serde(deserialize_with = "fields::uuid")]
    pub run: String,
    /// The intent's sequence number.
    pub intent: u64,
    /// The step.
    pub step: String,
}

/// An executable file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Executable"))]
#[serde(expecting = "an object")]
#[serde(bound(deserialize = "S: EntryText<'de>"))]
pub struct Executable<S = String> {
    /// Absolute, symlinks resolved.
    pub path: Text<S>,
    /// `None` while it is only asked for its version.
    #[serde(deserialize_with = "fields::nullable_digest")]
    pub sha256: Option<S>,
    /// `None` while it is only asked for its version, or when it cannot tell.
    #[serde(deserialize_with = "Option::deserialize")]
    pub version: Option<S>,
}

/// Who ran it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Actor"))]
#[serde(expecting = "an object")]
#[serde(bound(deserialize = "S: EntryText<'de>"))]
pub struct Actor<S = String> {
    /// The effective user.
    pub uid: u32,
    /// The user's name, where the system knows one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub user: Option<S>,
    /// The user who logged in, where the system keeps that (Linux, `/proc/self/loginuid`).
    #[serde(deserialize_with = "Option::deserialize")]
    pub login_uid: Option<u32>,
    /// The user who ran sudo.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sudo_user: Option<S>,
    /// The machine.
    pub host: S,
    /// The terminal on standard input.
    #[serde(deserialize_with = "Option::deserialize")]
    pub tty: Option<S>,
    /// Which CI system, where it says so.
    #[serde(deserialize_with = "Option::deserialize")]
    pub ci: Option<S>,
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
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Target"))]
#[serde(expecting = "an object")]
#[serde(bound(deserialize = "S: EntryText<'de>"))]
pub struct Target<S = String> {
    /// The context; none in a cluster.
    #[serde(deserialize_with = "Option::deserialize")]
    pub context: Option<S>,
    /// The server's address.
    #[serde(deserialize_with = "Option::deserialize")]
    pub server: Option<S>,
    /// The UID of namespace `kube-system`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub cluster_uid: Option<S>,
    /// The namespace.
    #[serde(deserialize_with = "Option::deserialize")]
    pub namespace: Option<S>,
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
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Intent"))]
pub struct Intent<S = String> {
    /// The step that this belongs to.
    pub step: S,
    /// `reads` or `changes`.
    pub effect: Effect,
    /// The process.
    #[serde(flatten)]
    pub operation: Operation<S>,
    /// Who ran it.
    pub actor: Actor<S>,
    /// What it is done to.
    pub target: Target<S>,
    /// SHA-256 of the plan that this belongs to.
    pub plan: Option<S>,
    /// Why, in the user's words.
    pub reason: Option<S>,
}

/// What is about to happen.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Operation"))]
#[serde(untagged)]
pub enum Operation<S = String> {
    /// A process.
    Process {
        /// Exactly what is executed, each argument apart.
        argv: Vec<Text<S>>,
        /// The file that is executed.
        exe: Executable<S>,
        /// The working directory.
        cwd: Text<S>,
        /// The environment variables that steer the tools, credentials in URLs cut out.
        env: BTreeMap<S, Text<S>>,
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

/// The keys of an intent, of which some depend on the operation.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
#[serde(bound(deserialize = "S: EntryText<'de>"))]
struct IntentFields<S> {
    step: S,
    effect: Effect,
    actor: Actor<S>,
    target: Target<S>,
    #[serde(deserialize_with = "fields::nullable_digest")]
    plan: Option<S>,
    #[serde(deserialize_with = "Option::deserialize")]
    reason: Option<S>,
    #[serde(default, deserialize_with = "fields::present")]
    argv: Option<Vec<Text<S>>>,
    #[serde(default, deserialize_with = "fields::present")]
    exe: Option<Executable<S>>,
    #[serde(default, deserialize_with = "fields::present")]
    cwd: Option<Text<S>>,
    #[serde(default, deserialize_with = "fields::present")]
    env: Option<BTreeMap<S, Text<S>>>,
    #[serde(default, deserialize_with = "fields::present")]
    stdin: Option<Option<Stdin>>,
    object: Option<ObjectRef>,
    #[serde(default, deserialize_with = "fields::present")]
    file: Option<FileChange>,
}

impl<'de, S: EntryText<'de>> Deserialize<'de> for Intent<S> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let fields = IntentFields::deserialize(input)?;
        let missing = D::Error::missing_field;
        let process_keys = [
            ("argv", fields.argv.is_some()),
            ("exe", fields.exe.is_some()),
            ("cwd", fields.cwd.is_some()),
            ("env", fields.env.is_some()),
            ("stdin", fields.stdin.is_some()),
        ];
        let process_key = process_keys.iter().find(|(_, exists)| *exists);
        let operation = match (fields.file, process_key) {
            (Some(file), None) => Operation::File { file },
            (Some(_), Some((key, _))) => {
                return Err(D::Error::custom(format_args!(
                    "keys `file` and `{key}` exclude each other"
                )));
            }
            (None, _) => Operation::Process {
                argv: fields.argv.ok_or_else(|| missing("argv"))?,
                exe: fields.exe.ok_or_else(|| missing("exe"))?,
                cwd: fields.cwd.ok_or_else(|| missing("cwd"))?,
                env: fields.env.ok_or_else(|| missing("env"))?,
                stdin: fields.stdin.ok_or_else(|| missing("stdin"))?,
                object: fields.object,
            },
        };
        Ok(Self {
            step: fields.step,
            effect: fields.effect,
            operation,
            actor: fields.actor,
            target: fields.target,
            plan: fields.plan,
            reason: fields.reason,
        })
    }
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
#[serde(expecting = "an object")]
pub struct FileChange {
    /// How.
    pub op: FileOp,
    /// Absolute, symlinks resolved.
    pub path: Text,
    /// What is there before; `None` when nothing is.
    #[serde(deserialize_with = "Option::deserialize")]
    pub before: Option<Stream>,
    /// What is there after; `None` when nothing is.
    #[serde(deserialize_with = "Option::deserialize")]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stdin {
    /// How much, and its SHA-256.
    #[serde(flatten)]
    pub stream: Stream,
    /// The jobs of the cluster that it was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<ObjectRef>,
}

/// The keys of a stream.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct StreamFields {
    bytes: Option<u64>,
    #[serde(default, deserialize_with = "fields::nullable_digest")]
    sha256: Option<String>,
    withheld: Option<WithheldReason>,
    #[serde(default)]
    derived_from: Vec<ObjectRef>,
}

impl<'de> Deserialize<'de> for Stdin {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let fields = StreamFields::deserialize(input)?;
        let stream = match (fields.bytes, fields.sha256, fields.withheld) {
            (Some(bytes), Some(sha256), None) => Stream::Digest { bytes, sha256 },
            (None, None, Some(withheld)) => Stream::Withheld { withheld },
            _ => {
                return Err(D::Error::custom(
                    "expected `bytes` and `sha256`, or `withheld`",
                ));
            }
        };
        Ok(Self {
            stream,
            derived_from: fields.derived_from,
        })
    }
}

impl<'de> Deserialize<'de> for Stream {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Stdin::deserialize(input).map(|stdin| stdin.stream)
    }
}

/// How it ended.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct ResultRecord {
    /// The intent's sequence number.
    pub intent: u64,
    /// How the process ended; none for a file, and for a process that never started.
    #[serde(deserialize_with = "read_exit")]
    pub exit: Option<ExitRecord>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Standard output.
    #[serde(deserialize_with = "Option::deserialize")]
    pub stdout: Option<Stream>,
    /// Standard error.
    #[serde(deserialize_with = "Option::deserialize")]
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
#[serde(expecting = "an object")]
pub struct ExitRecord {
    /// The exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

fn read_exit<'de, D: Deserializer<'de>>(input: D) -> Result<Option<ExitRecord>, D::Error> {
    match Option::<ExitRecord>::deserialize(input)? {
        Some(exit) if exit.code.is_some() == exit.signal.is_some() => Err(D::Error::custom(
            "expected `code` or `signal`, and null for the other",
        )),
        exit => Ok(exit),
    }
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
