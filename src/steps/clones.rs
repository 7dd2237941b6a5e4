//! The step that deletes a clone of an earlier revocation.

use super::state::RunState;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::CloneDeletion;
use crate::session::runner::Runner;
use crate::tool::kubectl::{self, Job, KubectlError};
use crate::ui::StepOutcome;

/// Deletes a clone. A failure is a warning, because the revocation is complete: a run that failed
/// would count as unfinished, and the next one would resume it instead of revoking tokens.
pub(super) fn delete_clone(
    runner: &Runner,
    step: &str,
    deletion: &CloneDeletion,
    state: &RunState,
) -> Result<()> {
    if state.has_failed() {
        return Ok(());
    }
    match try_delete_clone(runner, step, deletion, state) {
        Err(error) if error.kind != ErrorKind::Unrecorded => {
            state.set_failed();
            let message = format!("an earlier clone remains: {}", error.message);
            let hint = match error.kind {
                ErrorKind::Interrupted | ErrorKind::Terminated => NEXT_RUN_HINT,
                _ => &error.hint,
            };
            runner.ui.warn(&message, hint);
            Ok(())
        }
        result => result,
    }
}

const NEXT_RUN_HINT: &str = "the next verified revocation with `--prune-clones` deletes it";

/// Deletes a clone if the revocation is verified and the job is still a finished clone, then checks
/// that it is gone.
fn try_delete_clone(
    runner: &Runner,
    step: &str,
    deletion: &CloneDeletion,
    state: &RunState,
) -> Result<()> {
    let name = &deletion.clone.name;
    let report = |outcome, text: &str| runner.ui.report_step(step, outcome, text);
    if !state.is_verified() {
        let text = format!("job `{name}` is kept, because the revocation is not verified");
        report(StepOutcome::Skipped, &text);
        return Ok(());
    }
    let list = || list_jobs(runner, step, deletion);
    // The previous step listed the jobs after its own deletion, so another list is redundant.
    let jobs = state.take_jobs().map_or_else(list, Ok)?;
    let is_same = |job: &&Job| job.metadata.uid == deletion.clone.uid;
    let obstacle = match jobs.iter().find(is_same) {
        None => Some((StepOutcome::Unchanged, "is already deleted")),
        Some(job) if job.clone_source().is_none() || !job.is_finished() => Some((
            StepOutcome::Skipped,
            "is kept, because it is not a finished clone now",
        )),
        Some(_) => None,
    };
    if let Some((outcome, text)) = obstacle {
        report(outcome, &format!("job `{name}` {text}"));
        state.add_settled_clone();
        state.cache_jobs(jobs);
        return Ok(());
    }
    match kubectl::check_success(&runner.run(step, &deletion.command())?) {
        // Another job of this name has another UID. The server keeps it, and so does this run.
        Ok(()) | Err(KubectlError::NotFound(_) | KubectlError::Conflict(_)) => {}
        Err(failure) => {
            return Err(failure.into_error(&format!("cannot delete job `{name}`")));
        }
    }
    let jobs = list()?;
    if jobs.iter().any(|job| is_same(&job)) {
        let namespace = &deletion.target.namespace;
        return Err(
            Error::failure(format!("job `{name}` still exists after its deletion")).hint(format!(
                "check it for a finalizer: \
                 `kubectl get job/{name} --namespace {namespace} --output yaml`"
            )),
        );
    }
    let text = format!("job `{name}` with UID {} is deleted", deletion.clone.uid);
    report(StepOutcome::Done, &text);
    state.add_settled_clone();
    state.cache_jobs(jobs);
    Ok(())
}

fn list_jobs(runner: &Runner, step: &str, deletion: &CloneDeletion) -> Result<Vec<Job>> {
    let output = runner.run(&format!("{step}-list"), &deletion.list_command())?;
    kubectl::parse_list(&output).map_err(|failure| failure.into_error("cannot list the jobs"))
}
