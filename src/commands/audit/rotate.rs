//! `audit rotate-log`: closes the audit log and opens a new segment that links to it.

use super::source::NO_RUN_HINT;
use crate::audit::Log;
use crate::cli::CommonArgs;
use crate::error::{Error, Result};
use crate::exec::Environment;
use crate::ui::{LogHead, Ui};
use std::path::Path;

/// Returns whether the log had entries to close. Prints the heads of both segments.
pub(super) fn run(
    log: &Path,
    common: &CommonArgs,
    environment: &Environment,
    ui: &Ui,
) -> Result<bool> {
    if !log.exists() {
        return Err(
            Error::failure(format!("audit log `{}` not found", log.display())).hint(NO_RUN_HINT),
        );
    }
    let Some(rotated) = Log::rotate(log, environment.detect_actor(), common.reason.clone())? else {
        ui.print_lines(&format!(
            "nothing to rotate: {} has no entries since it was opened",
            log.display()
        ));
        return Ok(false);
    };
    for command in &rotated.unfinished {
        ui.warn(
            &format!(
                "run {} was killed in step `{}`: its result is unknown, and later runs will not \
                 report it",
                command.run, command.step
            ),
            "run `bypassctl status` to see the current state",
        );
    }
    ui.print_lines(&format!("closed    {}", rotated.archived_path.display()));
    ui.print_lines(&format!("opened    {}", log.display()));
    ui.print_head(&rotated.closed_head);
    ui.print_head(&rotated.new_head);
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
