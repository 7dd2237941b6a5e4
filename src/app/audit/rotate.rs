//! `audit rotate`: the log closed, and another that goes on from it.

use crate::audit::Log;
use crate::cli::Common;
use crate::error::{Error, Result};
use crate::exec::Surroundings;
use crate::ui::{LogEnd, Ui};
use std::path::Path;

/// Whether there was anything to close. Both heads are told: the closed log's, and the one that it is chained to.
pub(super) fn run(
    log: &Path,
    common: &Common,
    surroundings: &Surroundings,
    ui: &Ui,
) -> Result<bool> {
    if !log.exists() {
        return Err(
            Error::failed(format!("there is no record in `{}`", log.display()))
                .hint("it has one after the first run of any command but `audit`"),
        );
    }
    let Some(rotated) = Log::rotate(log, surroundings.who(), common.reason.clone())? else {
        ui.say(&format!(
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
    ui.say(&format!("closed    {}", rotated.kept.display()));
    ui.say(&format!("opened    {}", log.display()));
    ui.anchor(&rotated.closed);
    ui.anchor(&rotated.opened);
    ui.fields(|fields| {
        fields.closed = Some(LogEnd {
            file: rotated.kept.display().to_string(),
            head: rotated.closed,
        });
        fields.opened = Some(LogEnd {
            file: log.display().to_string(),
            head: rotated.opened,
        });
    });
    Ok(true)
}
