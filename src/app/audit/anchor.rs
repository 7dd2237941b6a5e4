//! `audit anchor`: the head, as a line to be kept elsewhere.

use super::{Outcome, unreadable};
use crate::audit::Source;
use crate::error::Error;
use crate::ui::Ui;

/// Of the newest log; whether what stands before it holds is for `verify`.
pub(super) fn run(logs: &[Source], ui: &Ui) -> Outcome {
    let Some(log) = logs.last() else {
        return Ok(None);
    };
    let head = log.last().map_err(|error| unreadable(&log.path, &error))?;
    let head = head.ok_or_else(|| {
        Error::failed(format!("there is no record in `{}`", log.path.display()))
            .hint("it has one after the first run of any command but `audit`")
    })?;
    ui.result(&head.to_string());
    ui.fields(|fields| fields.head = Some(head));
    Ok(None)
}
