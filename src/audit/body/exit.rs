//! The exit of a process.

use crate::tool::invocation::ProcessExit;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

/// Exit code or signal. The other one is null.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct LoggedExit {
    /// Exit code.
    #[serde(deserialize_with = "Option::deserialize")]
    pub code: Option<i32>,
    /// Signal that killed the process.
    #[serde(deserialize_with = "Option::deserialize")]
    pub signal: Option<i32>,
}

pub(super) fn read_exit<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<LoggedExit>, D::Error> {
    match Option::<LoggedExit>::deserialize(input)? {
        Some(exit) if exit.code.is_some() == exit.signal.is_some() => Err(D::Error::custom(
            "expected `code` or `signal`, and null for the other",
        )),
        exit => Ok(exit),
    }
}

impl From<ProcessExit> for LoggedExit {
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
