//! The entries of the log as types, for writing and for reading. `docs/AUDIT.md` specifies each
//! key.
//!
//! Reading accepts unknown keys. It requires every key that the specification requires, also the
//! keys that can be null: `Option` alone would accept a missing key.

mod exit;
mod fields;
mod probe;
mod secrets;
mod target;
mod text;

pub use exit::LoggedExit;
pub use probe::{ProbeSubject, ProbeTls, ProbeVerdict};
pub use secrets::{ObservedSecrets, SecretVersion, VerifiedSecrets};
pub use target::Target;
pub use text::{EntryText, Text};

use crate::profile::TokenFileChange;
use crate::tool::invocation::{Effect, ObjectRef};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An entry without the keys that every entry has, by type. Texts are of type `S`.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Body"))]
#[serde(tag = "type")]
#[serde(bound(deserialize = "S: EntryText<'de>"))]
pub enum Body<S = String> {
    /// The first entry of a log.
    #[serde(rename = "log.open")]
    LogOpen {
        /// Version of the program that created the log.
        bypassctl: String,
        /// True if the filesystem can reserve space for a result.
        preallocates: bool,
        /// The log that this log continues. Null before the first rotation.
        #[serde(deserialize_with = "fields::strict")]
        previous: Option<PreviousLog>,
    },
    /// The start of a run.
    #[serde(rename = "run.begin")]
    RunBegin(Box<RunBegin>),
    /// A tool, before its first use. Only the question for its version comes earlier.
    #[serde(rename = "tool")]
    Tool {
        /// `kubectl` or `influxctl`.
        name: String,
        /// The executable.
        #[serde(flatten)]
        exe: Executable,
        /// Path before symlinks were resolved.
        found_at: String,
    },
    /// An action that is about to start.
    #[serde(rename = "intent")]
    Intent(Box<Intent<S>>),
    /// The result of an action.
    #[serde(rename = "result")]
    Result(Box<ActionResult>),
    /// A job of the run has created these secrets.
    #[serde(rename = "creation")]
    Creation(Box<ObservedSecrets>),
    /// A revocation that is verified for these secrets.
    #[serde(rename = "verification")]
    Verification(Box<VerifiedSecrets>),
    /// The end of a run.
    #[serde(rename = "run.end")]
    RunEnd {
        /// The command: `enable`, `revoke`, ….
        command: String,
        /// True if the run only showed its plan.
        dry_run: bool,
        /// Exit code of the program.
        exit_code: u8,
        /// Name of the exit code.
        outcome: String,
        /// True if the run changed anything.
        changed: bool,
        /// The target, as far as the run knew it at its end.
        #[serde(deserialize_with = "fields::strict")]
        target: Target,
    },
    /// The last entry of a closed log. The next log continues from it.
    #[serde(rename = "log.rotate")]
    LogRotate {
        /// Who closed the log.
        #[serde(deserialize_with = "fields::strict")]
        actor: Actor,
        /// Text of `--reason`.
        #[serde(deserialize_with = "Option::deserialize")]
        reason: Option<String>,
        /// Intents without a result. The next log does not contain them.
        #[serde(deserialize_with = "fields::strict")]
        unfinished: Vec<UnfinishedCommand>,
    },
    /// The recovery of torn bytes behind the last good entry.
    #[serde(rename = "log.recover")]
    LogRecover {
        /// The torn bytes.
        #[serde(deserialize_with = "fields::strict")]
        torn: TornBytes,
    },
}

/// The last entry of a log. Kept outside the host, it is an anchor.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Head {
    /// UUID of the log.
    pub log: String,
    /// Sequence number of the entry.
    pub seq: u64,
    /// SHA-256 of the raw line, LF included.
    pub hash: String,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "audit head {} {}:{}", self.log, self.seq, self.hash)
    }
}

/// The end of the previous log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct PreviousLog {
    /// UUID of the log.
    #[serde(deserialize_with = "fields::uuid")]
    pub log: String,
    /// Its head, `SEQ:HASH`.
    #[serde(deserialize_with = "fields::head")]
    pub head: String,
}

/// The torn bytes between two good entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct TornBytes {
    /// Number of bytes, the last LF included.
    pub bytes: u64,
    /// SHA-256 of the bytes.
    #[serde(deserialize_with = "fields::digest")]
    pub sha256: String,
}

/// The start of a run.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct RunBegin {
    /// Command line of the program.
    pub argv: Vec<Text>,
    /// The executable of the program.
    pub exe: Executable,
    /// Working directory.
    pub cwd: Text,
    /// Who started the run.
    pub actor: Actor,
    /// Process ID. It distinguishes an active run from a killed one.
    pub pid: u32,
    /// Boot ID and clock ticks at the start of the process (Linux). They distinguish processes that
    /// reuse a process ID.
    #[serde(deserialize_with = "Option::deserialize")]
    pub process_start: Option<String>,
    /// Text of `--reason`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub reason: Option<String>,
    /// The command: `enable`, `revoke`, ….
    pub command: String,
    /// True if the run only shows its plan.
    pub dry_run: bool,
    /// SHA-256 of the active policy file.
    #[serde(deserialize_with = "fields::nullable_digest")]
    pub policy: Option<String>,
    /// Path of the active policy file.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "fields::present"
    )]
    pub policy_file: Option<Text>,
    /// Keys of the policy that select a program, a file, a profile or an object, with their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_redirects: Vec<String>,
    /// Intents of earlier runs without a result.
    pub unfinished: Vec<UnfinishedCommand>,
}

/// An intent without a result. Its effect is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct UnfinishedCommand {
    /// UUID of the run.
    #[serde(deserialize_with = "fields::uuid")]
    pub run: String,
    /// Sequence number of the intent.
    pub intent: u64,
    /// ID of the step.
    pub step: String,
}

/// An executable file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Executable"))]
#[serde(expecting = "an object")]
#[serde(bound(deserialize = "S: EntryText<'de>"))]
pub struct Executable<S = String> {
    /// Absolute path, symlinks resolved.
    pub path: Text<S>,
    /// SHA-256 of the file. `None` while the program only asks for the version.
    #[serde(deserialize_with = "fields::nullable_digest")]
    pub sha256: Option<S>,
    /// `None` while the program asks for the version, or if the tool reports none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub version: Option<S>,
}

/// The user who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Actor"))]
#[serde(expecting = "an object")]
#[serde(bound(deserialize = "S: EntryText<'de>"))]
pub struct Actor<S = String> {
    /// Effective user ID.
    pub uid: u32,
    /// Name of that user, if the system knows one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub user: Option<S>,
    /// User ID of the login (Linux, `/proc/self/loginuid`).
    #[serde(deserialize_with = "Option::deserialize")]
    pub login_uid: Option<u32>,
    /// User who ran sudo.
    #[serde(deserialize_with = "Option::deserialize")]
    pub sudo_user: Option<S>,
    /// Host name.
    pub host: S,
    /// Terminal on standard input.
    #[serde(deserialize_with = "Option::deserialize")]
    pub tty: Option<S>,
    /// CI system.
    #[serde(deserialize_with = "Option::deserialize")]
    pub ci: Option<S>,
}

impl Actor {
    /// Returns the name of the user, or the user ID without a name.
    #[must_use]
    pub fn user_name(&self) -> String {
        self.user.clone().unwrap_or_else(|| self.uid.to_string())
    }
}

/// An action that is about to start.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Intent"))]
pub struct Intent<S = String> {
    /// ID of the step.
    pub step: S,
    /// `reads` or `changes`.
    pub effect: Effect,
    /// The process or the file.
    #[serde(flatten)]
    pub operation: Operation<S>,
    /// Who acts.
    pub actor: Actor<S>,
    /// The target.
    pub target: Target<S>,
    /// SHA-256 of the applied plan.
    pub plan: Option<S>,
    /// Text of `--reason`.
    pub reason: Option<S>,
}

/// The process or the file of an intent.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Operation"))]
#[serde(untagged)]
pub enum Operation<S = String> {
    /// A process that is about to start.
    Process {
        /// Arguments, exactly as executed.
        argv: Vec<Text<S>>,
        /// The executable.
        exe: Executable<S>,
        /// Working directory.
        cwd: Text<S>,
        /// Environment variables that control the tools, without credentials in URLs.
        env: BTreeMap<S, Text<S>>,
        /// Standard input, if the process reads it.
        stdin: Option<Stdin>,
        /// The object of the cluster that the process changes, as seen right before.
        #[serde(skip_serializing_if = "Option::is_none")]
        object: Option<ObjectRef>,
        /// The subject of a token probe.
        #[serde(skip_serializing_if = "Option::is_none")]
        probe: Option<ProbeSubject>,
    },
    /// A file that is about to change.
    File {
        /// The change.
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
    #[serde(default, deserialize_with = "fields::present")]
    object: Option<ObjectRef>,
    #[serde(default, deserialize_with = "fields::present")]
    probe: Option<ProbeSubject>,
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
                argv: fields
                    .argv
                    .filter(|argv| !argv.is_empty())
                    .ok_or_else(|| missing("argv"))?,
                exe: fields.exe.ok_or_else(|| missing("exe"))?,
                cwd: fields.cwd.ok_or_else(|| missing("cwd"))?,
                env: fields.env.ok_or_else(|| missing("env"))?,
                stdin: fields.stdin.ok_or_else(|| missing("stdin"))?,
                object: fields.object,
                probe: fields.probe,
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

/// The kind of a file change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum FileOp {
    /// The file is written.
    Write,
    /// The file is deleted.
    Delete,
    /// A directory that exists only until the result.
    TempDir,
}

impl FileOp {
    /// Returns the words for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Delete => "delete",
            Self::TempDir => "temporary directory",
        }
    }
}

/// A change to a file.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct FileChange {
    /// The kind.
    pub op: FileOp,
    /// Absolute path, symlinks resolved.
    pub path: Text,
    /// The content before. `None` without a file.
    #[serde(deserialize_with = "Option::deserialize")]
    pub before: Option<Stream>,
    /// The content after. `None` without a file.
    #[serde(deserialize_with = "Option::deserialize")]
    pub after: Option<Stream>,
    /// The change of a profile's token file, if the file is influxctl's configuration.
    #[serde(
        default,
        deserialize_with = "fields::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub token_file: Option<TokenFileChange>,
}

/// The reason to withhold a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WithheldReason {
    /// The stream can contain a token or a key.
    Secret,
}

/// Bytes of a stream or a file, by length and digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Stream {
    /// Length and SHA-256.
    Digest {
        /// Number of bytes.
        bytes: u64,
        /// SHA-256 of the bytes.
        sha256: String,
    },
    /// Neither length nor digest.
    Withheld {
        /// The reason.
        withheld: WithheldReason,
    },
}

impl Stream {
    /// Computes length and SHA-256.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self::Digest {
            bytes: bytes.len() as u64,
            sha256: crate::digest::Digest::compute(bytes).to_string(),
        }
    }

    /// Creates a stream that can contain a secret.
    #[must_use]
    pub fn new_withheld() -> Self {
        Self::Withheld {
            withheld: WithheldReason::Secret,
        }
    }
}

/// Standard input of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stdin {
    /// Length and SHA-256.
    #[serde(flatten)]
    pub stream: Stream,
    /// The jobs that a manifest was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived_from: Vec<ObjectRef>,
}

/// The keys of a stream.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct StreamFields {
    #[serde(default, deserialize_with = "fields::present")]
    bytes: Option<u64>,
    #[serde(default, deserialize_with = "fields::present_digest")]
    sha256: Option<String>,
    #[serde(default, deserialize_with = "fields::present")]
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

/// The result of an action.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct ActionResult {
    /// Sequence number of the intent.
    pub intent: u64,
    /// Exit of the process. Null for a file and for a process that never started.
    #[serde(deserialize_with = "exit::read_exit")]
    pub exit: Option<LoggedExit>,
    /// Milliseconds since the intent was durable.
    pub duration_ms: u64,
    /// Standard output.
    #[serde(deserialize_with = "Option::deserialize")]
    pub stdout: Option<Stream>,
    /// Standard error.
    #[serde(deserialize_with = "Option::deserialize")]
    pub stderr: Option<Stream>,
    /// The changes of files.
    pub files: Vec<FileChange>,
    /// The server's answer to a token probe.
    #[serde(default, deserialize_with = "fields::present")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<ProbeVerdict>,
    /// Missing if the action ended by itself. Otherwise a message of the system, or
    /// `not-started: …`, `executable-changed`, `timed-out`, `too-much-output`, `interrupted`,
    /// `streams-held-open` or `condition-met` (a watch that showed the awaited state).
    #[serde(default, deserialize_with = "fields::present")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
