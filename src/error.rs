//! What went wrong, to what, and what to do about it; and the exit code that says which kind it was.

use std::fmt;

/// The kinds of failure, each with its documented exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A tool, a check or the token failed; nothing was changed.
    Failed,
    /// The command line or the environment does not make sense.
    Usage,
    /// `status` found something that is not as `enable` would set it.
    Drift,
    /// Refused before anything changed: a gate, a permission, production.
    Refused,
    /// The cluster cannot be reached; nothing was changed.
    Unreachable,
    /// A command took longer than it may; nothing was changed.
    TimedOut,
    /// What cannot be undone was not confirmed; nothing was changed.
    Unconfirmed,
    /// Stopped after the first change, whatever the cause: running the same command again carries on.
    Stopped,
    /// The audit record could not be made, so nothing more was run.
    Unrecorded,
    /// Done, but the proof that it works is inconclusive.
    Inconclusive,
    /// Revoked, and yet the old token is still accepted.
    StillAccepted,
    /// Ctrl-C, with nothing changed.
    Interrupted,
    /// SIGTERM or SIGHUP, with nothing changed.
    Terminated,
}

/// Kind, exit code, name in JSON, meaning: the table that `--help` and the README show.
pub const EXIT_CODES: &[(Option<ErrorKind>, u8, &str, &str)] = &[
    (None, 0, "done", "done"),
    (
        Some(ErrorKind::Failed),
        1,
        "failed",
        "failed, nothing changed (a tool, a token refused, a check of `doctor` or `audit verify`)",
    ),
    (
        Some(ErrorKind::Usage),
        2,
        "usage",
        "the command line does not make sense",
    ),
    (
        Some(ErrorKind::Drift),
        3,
        "drift",
        "not as it should be (`status`)",
    ),
    (
        Some(ErrorKind::Refused),
        4,
        "refused",
        "refused before anything changed (gate, permission, production)",
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
        "time-out, nothing changed",
    ),
    (
        Some(ErrorKind::Unconfirmed),
        7,
        "confirmation-needed",
        "confirmation needed, nothing changed (`revoke`, `rotate`)",
    ),
    (
        Some(ErrorKind::Stopped),
        8,
        "stopped",
        "stopped after the first change, whatever the cause: run again",
    ),
    (
        Some(ErrorKind::Unrecorded),
        9,
        "unrecorded",
        "the record could not be made",
    ),
    (
        Some(ErrorKind::Inconclusive),
        10,
        "inconclusive",
        "done, but the proof is inconclusive",
    ),
    (
        Some(ErrorKind::StillAccepted),
        11,
        "still-accepted",
        "revoked, but the old token is still accepted (`revoke`, `rotate`)",
    ),
    (
        Some(ErrorKind::Interrupted),
        130,
        "interrupted",
        "interrupted (Ctrl-C), nothing changed",
    ),
    (
        Some(ErrorKind::Terminated),
        143,
        "terminated",
        "ended by SIGTERM or SIGHUP, nothing changed",
    ),
];

impl ErrorKind {
    fn find_table_row(self) -> (u8, &'static str) {
        EXIT_CODES
            .iter()
            .find(|(kind, ..)| *kind == Some(self))
            .map_or((1, "failed"), |(_, code, name, _)| (*code, *name))
    }

    /// The exit code of the program.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        self.find_table_row().0
    }

    /// The kind's stable name, as in JSON and in the record.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.find_table_row().1
    }
}

/// A failure as it is told: lower case, no full stop, with a remedy.
#[derive(Debug)]
pub struct Error {
    /// Which kind, and so which exit code.
    pub kind: ErrorKind,
    /// What happened, to what.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// The error behind it. The message quotes it, so nothing prints it again.
    pub(crate) source: Option<Cause>,
}

pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, before it is said what to do about it: without that it is no [`Error`], and cannot be returned.
///
/// ```compile_fail,E0308
/// let failed: bypassctl::error::Result<()> = Err(bypassctl::error::Error::failure("it did not work"));
/// ```
#[derive(Debug)]
#[must_use = "it is an error once it has a hint"]
pub struct Unhinted {
    kind: ErrorKind,
    message: String,
    source: Option<Cause>,
}

impl Unhinted {
    /// The failure, with what to do about it.
    pub fn hint(self, hint: impl Into<String>) -> Error {
        Error {
            kind: self.kind,
            message: self.message,
            hint: hint.into(),
            source: self.source,
        }
    }

    /// Records the error behind this one. The message quotes it already.
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The failure, where nothing but a mistake of the program can be behind it.
    pub fn into_internal_bug(self) -> Error {
        self.hint(
            "this is a mistake of bypassctl's own: report it, with `bypassctl doctor -o json`",
        )
    }
}

/// What most functions of this program return.
pub type Result<T> = std::result::Result<T, Error>;

/// The result of a command: an outcome other than plain success, or `None`.
pub(crate) type CommandResult = Result<Option<ErrorKind>>;

impl Error {
    /// A failure of that kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Unhinted {
        Unhinted {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// [`Kind::Failed`].
    pub fn failure(message: impl Into<String>) -> Unhinted {
        Self::new(ErrorKind::Failed, message)
    }

    /// [`Kind::Usage`].
    pub fn usage(message: impl Into<String>) -> Unhinted {
        Self::new(ErrorKind::Usage, message)
    }

    /// [`Kind::Refused`].
    pub fn refusal(message: impl Into<String>) -> Unhinted {
        Self::new(ErrorKind::Refused, message)
    }

    /// The same failure, with more to do about it.
    #[must_use]
    pub fn with_hint(mut self, more: &str) -> Self {
        self.hint = format!("{}; {more}", self.hint);
        self
    }

    /// The same failure, told after something was changed: only the record's own failure keeps its code.
    #[must_use]
    pub fn into_stopped(mut self) -> Self {
        if ![ErrorKind::Unrecorded, ErrorKind::Stopped].contains(&self.kind) {
            self.kind = ErrorKind::Stopped;
            return self.with_hint(
                "something was changed before this: the same command again carries on from there",
            );
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
            .caused_by(cause)
            .hint("free some space");
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("disk full")
        );
        assert!(Error::failure("failed").hint("retry").source().is_none());
    }
}
