//! `audit anchor`: prints the head, to be kept elsewhere.

use super::source::{NO_RUN_HINT, log_read_error};
use crate::audit::LogFile;
use crate::error::{CommandResult, Error};
use crate::ui::Ui;

/// Prints the head of the newest segment. Does not verify the segments before it.
pub(super) fn run(logs: &[LogFile], ui: &Ui) -> CommandResult {
    let Some(log) = logs.last() else {
        return Ok(None);
    };
    let head = log
        .read_head()
        .map_err(|error| log_read_error(&log.path, &error))?;
    let head = head.ok_or_else(|| {
        Error::failure(format!(
            "the audit log `{}` has no entries",
            log.path.display()
        ))
        .hint(NO_RUN_HINT)
    })?;
    ui.print_result(&head.to_string());
    ui.update_fields(|fields| fields.head = Some(head));
    Ok(None)
}
