//! The step that hands the new token to another program.

use super::state::RunState;
use crate::error::{Error, Result};
use crate::plan::format_shell_line;
use crate::session::runner::Runner;
use crate::tool::invocation::Invocation;
use crate::ui::StepOutcome;

/// Delivers the new token, unless the server rejects it: then an older one can still work.
pub(super) fn deliver_token(
    runner: &Runner,
    step: &str,
    command: &Invocation,
    state: &RunState,
) -> Result<()> {
    if state.new_token_rejection.get().is_some() {
        let text = "the new token was rejected, so it is not delivered";
        runner.ui.report_step(step, StepOutcome::Skipped, text);
        return Ok(());
    }
    let argv = command.argv(None);
    let line = format_shell_line(&argv);
    runner.ui.print_command(&argv);
    let limit = runner.executor.time_limit(command);
    let _wait = runner.start_wait(&format!("`{line}`"), Some(limit));
    let output = runner
        .executor
        .run_with_token_on_stdin(step, command, state.token()?)?;
    if output.is_success() {
        let text = format!("`{line}` has received the new token");
        runner.ui.report_step(step, StepOutcome::Done, &text);
        return Ok(());
    }
    Err(Error::failure(format!(
        "cannot deliver the new token: `{line}` failed with {}: {}",
        output.exit,
        output.last_error_line()
    ))
    .hint("the new token is in use, and only its delivery is missing: correct the command"))
}
