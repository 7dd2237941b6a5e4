//! `audit rotate-log`: the log closed, and another that goes on from it.

use crate::audit::Log;
use crate::cli::CommonArgs;
use crate::error::{Error, Result};
use crate::exec::Environment;
use crate::ui::{LogHead, Ui};
use std::path::Path;

/// Whether there was anything to close. Both heads are told: the closed log's, and the one that it is chained to.
pub(super) fn run(
    log: &Path,
    common: &CommonArgs,
    environment: &Environment,
    ui: &Ui,
) -> Result<bool> {
    if !log.exists() {
        return Err(
            Error::failure(format!("there is no record in `{}`", log.display()))
                .hint("it has one after the first run of any command but `audit`"),
        );
    }
    let Some(rotated) = Log::rotate(log, environment.detect_actor(), common.reason.clone())? else {
        ui.print_lines(&format!(
            "nothing is on record in {} since it was opened: there is nothing to close",
            log.display()
        ));
        return Ok(false);
    };
    for cut in &rotated.unfinished {
        let what = format!(
            "a run ({}) was cut off in step `{}`: how that ended is not on record, and the new log will not say so",
            cut.run, cut.step
        );
        ui.warn(&what, "bypassctl status shows what is there now");
    }
    ui.print_lines(&format!("closed    {}", rotated.archived_path.display()));
    ui.print_lines(&format!("opened    {}", log.display()));
    ui.print_anchor(&rotated.closed_head);
    ui.print_anchor(&rotated.new_head);
    ui.update_fields(|fields| {
        fields.closed_log = Some(LogHead {
            file: rotated.archived_path.display().to_string(),
            head: rotated.closed_head,
        });
        fields.new_log = Some(LogHead {
            file: log.display().to_string(),
            head: rotated.new_head,
        });
    });
    Ok(true)
}
