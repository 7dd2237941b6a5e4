//! The last of every command: the page of the job where there is one, and the last lines.

use crate::exec::append_summary;
use crate::ui::{RunSummary, Ui};
use std::path::Path;

/// Returns the exit code. A page that cannot be written to makes no failure of what was done.
pub(crate) fn finish_command(ui: &Ui, summary: Option<&Path>, ending: &RunSummary) -> u8 {
    if let Some(file) = summary
        && let Some(text) = ui.render_summary(ending)
        && let Err(error) = append_summary(file, &text)
    {
        let what = format!(
            "the summary of this run cannot be added to `{}`: {error}",
            file.display()
        );
        ui.warn(&what, "it is GITHUB_STEP_SUMMARY that names the file");
    }
    ui.finish(ending)
}
