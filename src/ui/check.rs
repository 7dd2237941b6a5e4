//! The results of checks.

use crate::error::Error;
use serde::Serialize;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// Success.
    Ok,
    /// Something to correct, or that the check cannot find out.
    Warning,
    /// Failure.
    Failed,
}

impl CheckState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One line of `doctor`, `status`, `tools verify` or `audit verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Check {
    /// The subject of the check.
    pub name: String,
    /// The result in one word.
    pub state: CheckState,
    /// The result in a sentence.
    pub detail: String,
    /// The instruction for the user, or null if none is necessary.
    pub hint: Option<String>,
    /// Milliseconds from the start of the run to the report of the check.
    pub elapsed_ms: u64,
    /// Only a revocation needs this check to succeed.
    #[serde(skip)]
    pub is_revocation_only: bool,
    /// The detail at a terminal, with short IDs and relative times.
    #[serde(skip)]
    pub short_detail: Option<String>,
}

impl Check {
    pub fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            state: CheckState::Ok,
            detail: detail.into(),
            hint: None,
            elapsed_ms: 0,
            is_revocation_only: false,
            short_detail: None,
        }
    }

    pub fn warning(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            state: CheckState::Warning,
            hint: Some(hint.into()),
            ..Self::ok(name, detail)
        }
    }

    pub fn failure(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            state: CheckState::Failed,
            ..Self::warning(name, detail, hint)
        }
    }

    /// Marks a check that only a revocation needs to succeed.
    pub fn mark_revocation_only(self) -> Self {
        Self {
            is_revocation_only: true,
            ..self
        }
    }

    /// Adds the detail for a terminal.
    #[must_use]
    pub fn with_short_detail(self, detail: String) -> Self {
        Self {
            short_detail: Some(detail),
            ..self
        }
    }

    /// Creates a failed check from the error of a command.
    #[must_use]
    pub fn from_error(name: &str, error: &Error) -> Self {
        Self::failure(name, &error.message, &error.hint)
    }
}
