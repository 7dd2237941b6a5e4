//! Reads what kubectl printed.

use super::failure::KubectlError;
use crate::tool::invocation::ToolOutput;
use serde::de::DeserializeOwned;

/// Checks only the exit code, because the output of commands that change something differs between
/// versions of kubectl.
///
/// # Errors
/// kubectl's failure.
pub fn check_success(output: &ToolOutput) -> Result<(), KubectlError> {
    if output.is_success() {
        Ok(())
    } else {
        Err(KubectlError::from_output(output))
    }
}

/// Returns standard output as text without control characters other than newlines.
pub(super) fn read_text(output: &ToolOutput) -> Result<&str, KubectlError> {
    check_success(output)?;
    let text =
        std::str::from_utf8(&output.stdout).map_err(|_| KubectlError::from_unrecognised(output))?;
    if text.trim().chars().any(|c| c.is_control() && c != '\n') {
        Err(KubectlError::from_unrecognised(output))
    } else {
        Ok(text)
    }
}

/// Parses standard output as JSON. Checks the exit code first: a forbidden `get` prints an empty
/// list.
pub(super) fn parse_json<T: DeserializeOwned>(output: &ToolOutput) -> Result<T, KubectlError> {
    check_success(output)?;
    serde_json::from_slice(&output.stdout).map_err(|_| KubectlError::from_unrecognised(output))
}
