//! `audit anchor`: the head, as a line to be kept elsewhere.

use super::{CommandResult, log_read_error};
use crate::audit::LogFile;
use crate::error::Error;
use crate::ui::Ui;

/// Of the newest log; whether what stands before it holds is for `verify`.
pub(super) fn run(logs: &[LogFile], ui: &Ui) -> CommandResult {
    let Some(log) = logs.last() else {
        return Ok(None);
    };
    let head = log
        .read_head()
        .map_err(|error| log_read_error(&log.path, &error))?;
    let head = head.ok_or_else(|| {
        Error::failure(format!("there is no record in `{}`", log.path.display()))
            .hint("it has one after the first run of any command but `audit`")
    })?;
    ui.print_result(&head.to_string());
    ui.update_fields(|fields| fields.head = Some(head));
    Ok(None)
}
