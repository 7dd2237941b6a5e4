//! The end of every command: the summary of a CI job, and the last lines.

use crate::exec::append_summary;
use crate::ui::{RunSummary, Ui};
use std::path::Path;

/// Prints the outcome and returns the exit code. An unwritable summary only causes a warning.
pub(crate) fn finish_command(ui: &Ui, summary: Option<&Path>, outcome: &RunSummary) -> u8 {
    if let Some(file) = summary
        && let Some(text) = ui.render_summary(outcome)
        && let Err(error) = append_summary(file, &text)
    {
        let message = format!(
            "cannot write the summary of this run to `{}`: {error}",
            file.display()
        );
        ui.warn(&message, "check the file that GITHUB_STEP_SUMMARY names");
    }
    ui.finish(outcome)
}
