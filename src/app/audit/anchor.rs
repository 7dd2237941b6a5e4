//! `audit anchor`: the head, as a line to be kept elsewhere.

use super::{Outcome, opened, unreadable};
use crate::audit::last;
use crate::error::Error;
use crate::ui::Ui;
use std::path::{Path, PathBuf};

/// Of the newest log.
pub(super) fn run(logs: &[PathBuf], ui: &Ui) -> Outcome {
    let path = logs.last().map_or(Path::new(""), PathBuf::as_path);
    let head = last(&opened(path)?).map_err(|error| unreadable(path, &error))?;
    let head = head.ok_or_else(|| {
        Error::failed(format!("there is no record in `{}`", path.display()))
            .hint("it has one after the first run of any command but `audit`")
    })?;
    ui.say(&head.to_string());
    ui.field("head", serde_json::json!({ "log": head.log, "seq": head.seq, "hash": head.hash }));
    Ok(None)
}
