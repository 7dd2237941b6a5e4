//! Errors: the kind with its exit code, the message and the hint.

use std::fmt;

/// The kind of an error, which determines the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A tool, a check or the token failed before any change.
    Failed,
    /// The command line or the environment is invalid.
    Usage,
    /// `status` found a difference from the state that `enable` sets up.
    Drift,
    /// Refused before any change: a policy, a permission, production.
    Refused,
    /// The cluster is unreachable, and nothing was changed.
    Unreachable,
    /// A command timed out before any change.
    TimedOut,
    /// The user did not confirm an irreversible change.
    Unconfirmed,
    /// Failed after the first change. The same command resumes.
    Stopped,
    /// The audit log cannot be written, so nothing more runs.
    Unrecorded,
    /// Done, but the verification is inconclusive.
    Inconclusive,
    /// Revoked, but the server still accepts the old token.
    StillAccepted,
    /// Ctrl-C before any change.
    Interrupted,
    /// SIGTERM or SIGHUP before any change.
    Terminated,
}

/// Kind, exit code, name in JSON and meaning, as in `--help` and the README.
pub const EXIT_CODES: &[(Option<ErrorKind>, u8, &str, &str)] = &[
    (None, 0, "done", "done"),
    (
        Some(ErrorKind::Failed),
        1,
        "failed",
        "failed, nothing changed: a tool failed, the token was rejected, or a check failed",
    ),
    (Some(ErrorKind::Usage), 2, "usage", "usage error"),
    (
        Some(ErrorKind::Drift),
        3,
        "drift",
        "drift: the state differs from the one that `enable` sets up (`status`)",
    ),
    (
        Some(ErrorKind::Refused),
        4,
        "refused",
        "refused before the first change: a preflight check, a permission, production, the policy",
    ),
    (
        Some(ErrorKind::Unreachable),
        5,
        "unreachable",
        "cluster unreachable, nothing changed",
    ),
    (
        Some(ErrorKind::TimedOut),
        6,
        "timed-out",
        "timed out, nothing changed",
    ),
    (
        Some(ErrorKind::Unconfirmed),
        7,
        "confirmation-needed",
        "confirmation needed, nothing changed",
    ),
    (
        Some(ErrorKind::Stopped),
        8,
        "stopped",
        "stopped after at least one change: run the same command again",
    ),
    (
        Some(ErrorKind::Unrecorded),
        9,
        "unrecorded",
        "the audit log could not be written: the error says whether something changed",
    ),
    (
        Some(ErrorKind::Inconclusive),
        10,
        "inconclusive",
        "done, but verification is inconclusive",
    ),
    (
        Some(ErrorKind::StillAccepted),
        11,
        "still-accepted",
        "revoked, but the old token is still accepted",
    ),
    (
        Some(ErrorKind::Interrupted),
        130,
        "interrupted",
        "interrupted by Ctrl-C, nothing changed",
    ),
    (
        Some(ErrorKind::Terminated),
        143,
        "terminated",
        "stopped by SIGTERM or SIGHUP, nothing changed",
    ),
];

impl ErrorKind {
    fn find_table_row(self) -> (u8, &'static str) {
        EXIT_CODES
            .iter()
            .find(|(kind, ..)| *kind == Some(self))
            .map_or((1, "failed"), |(_, code, name, _)| (*code, *name))
    }

    #[must_use]
    pub fn exit_code(self) -> u8 {
        self.find_table_row().0
    }

    /// Returns the stable name in JSON and in the audit log.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.find_table_row().1
    }
}

/// An error: lower case, without a full stop, with a hint.
#[derive(Debug)]
pub struct Error {
    pub kind: ErrorKind,
    /// Names the object and the failure.
    pub message: String,
    /// The instruction for the user.
    pub hint: String,
    /// The error behind it. The message quotes it, so nothing prints it again.
    pub(crate) source: Option<Cause>,
}

pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An error without its hint. It is no [`Error`], so it cannot be returned.
///
/// ```compile_fail,E0308
/// use bypassctl::error::{Error, Result};
/// let failed: Result<()> = Err(Error::failure("no hint"));
/// ```
#[derive(Debug)]
#[must_use = "add a hint to turn it into an Error"]
pub struct Unhinted {
    kind: ErrorKind,
    message: String,
    source: Option<Cause>,
}

impl Unhinted {
    pub fn hint(self, hint: impl Into<String>) -> Error {
        Error {
            kind: self.kind,
            message: self.message,
            hint: hint.into(),
            source: self.source,
        }
    }

    /// Records the error behind this one. The message quotes it already.
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// Adds the hint for an error that only a bug can cause.
    pub fn into_internal_bug(self) -> Error {
        self.hint(
            "this is a bug in bypassctl: report it with the output of `bypassctl doctor -o json`",
        )
    }
}

/// The instruction of hints that resumes an interrupted command.
const RERUN: &str = "run the same command again";

pub type Result<T> = std::result::Result<T, Error>;

/// The result of a command: an outcome other than plain success, or `None`.
pub(crate) type CommandResult = Result<Option<ErrorKind>>;

impl Error {
    pub fn from_kind(kind: ErrorKind, message: impl Into<String>) -> Unhinted {
        Unhinted {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// Creates an error of kind [`ErrorKind::Failed`].
    pub fn failure(message: impl Into<String>) -> Unhinted {
        Self::from_kind(ErrorKind::Failed, message)
    }

    /// Creates an error of kind [`ErrorKind::Usage`].
    pub fn usage(message: impl Into<String>) -> Unhinted {
        Self::from_kind(ErrorKind::Usage, message)
    }

    /// Creates an error of kind [`ErrorKind::Refused`].
    pub fn refusal(message: impl Into<String>) -> Unhinted {
        Self::from_kind(ErrorKind::Refused, message)
    }

    /// Appends a sentence to the hint, and capitalizes it.
    #[must_use]
    pub fn append_hint(mut self, sentence: &str) -> Self {
        let mut rest = sentence.chars();
        let first: String = rest.by_ref().take(1).flat_map(char::to_uppercase).collect();
        self.hint = format!("{}. {first}{}", self.hint, rest.as_str());
        self
    }

    /// Turns the error into [`ErrorKind::Stopped`] after a change, and puts the change first in the
    /// hint. [`ErrorKind::Unrecorded`] stays.
    #[must_use]
    pub fn into_stopped(mut self) -> Self {
        if ![ErrorKind::Unrecorded, ErrorKind::Stopped].contains(&self.kind) {
            self.kind = ErrorKind::Stopped;
            let resume = if self.hint.to_lowercase().contains(RERUN) {
                ""
            } else {
                ": run the same command again to resume"
            };
            let hint = std::mem::take(&mut self.hint);
            self.hint = format!("a change was made before this error{resume}");
            return self.append_hint(&hint);
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&**self.source.as_ref()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn source_returns_the_cause() {
        let cause = std::io::Error::other("disk full");
        let error = Error::failure("cannot write `x`: disk full")
            .with_source(cause)
            .hint("free some space");
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("disk full")
        );
        assert!(Error::failure("failed").hint("retry").source().is_none());
    }
}
