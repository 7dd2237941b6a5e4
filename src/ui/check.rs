//! What was looked at, and what was found.

use crate::error::Error;
use serde::Serialize;

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// As it should not stay, or not to be found out.
    Warning,
    /// Not as it should be.
    Failed,
}

/// One line of `doctor`, `status`, `tools verify` or `audit verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// What was found, in one word.
    pub state: CheckState,
    /// What was found.
    pub detail: String,
    /// What to do about it; null where there is nothing to do.
    pub hint: Option<String>,
    /// When it was told, in milliseconds since the run began.
    pub elapsed_ms: u64,
    /// Whether only a revocation needs it.
    #[serde(skip)]
    pub is_revocation_only: bool,
}

impl Check {
    /// As it should be.
    pub fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            state: CheckState::Ok,
            detail: detail.into(),
            hint: None,
            elapsed_ms: 0,
            is_revocation_only: false,
        }
    }

    /// As it should not stay, or not to be found out.
    pub fn warning(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            state: CheckState::Warning,
            hint: Some(hint.into()),
            ..Self::ok(name, detail)
        }
    }

    /// Not as it should be.
    pub fn failure(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            state: CheckState::Failed,
            ..Self::warning(name, detail, hint)
        }
    }

    /// The same of what only a revocation needs.
    pub fn mark_revocation_only(self) -> Self {
        Self {
            is_revocation_only: true,
            ..self
        }
    }

    /// A failure of a command, as a check.
    #[must_use]
    pub fn from_error(name: &str, error: &Error) -> Self {
        Self::failure(name, &error.message, &error.hint)
    }
}
