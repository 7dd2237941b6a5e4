//! Reports the preflight checks, the progress and the outcome of a revocation.

use super::observe::old_token_file_name;
use super::request::RevocationRequest;
use crate::audit::RecordedVerification;
use crate::commands::unfinished::UnfinishedNotice;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::Plan;
use crate::procedure::revoke::{self as procedure, Rerun, RevocationFacts, SigningKey};
use crate::session::Session;
use crate::steps::state::{RunState, StepStatus};
use crate::ui::{Nullable, Progress, RevocationVerification, StepOutcome};

pub(super) fn report_preflight(
    session: &Session,
    revocation: &procedure::RevocationPlan,
    facts: &RevocationFacts,
    verified_by: Option<&RecordedVerification>,
) -> Result<()> {
    if let Some(RecordedVerification { seq, run, .. }) = verified_by {
        let text = format!(
            "entry {seq} of run {} verified these keys: this run keeps them",
            run.get(..8).unwrap_or(run)
        );
        session.ui.report_step("keys", StepOutcome::Verified, &text);
    } else if let Some(reason) = &revocation.resuming {
        warn_about_resumption(session, facts.command, reason)?;
    }
    for (step, reason) in &revocation.satisfied {
        session.ui.report_step(step, StepOutcome::Satisfied, reason);
    }
    for (warning, hint) in &revocation.warnings {
        session.ui.warn(warning, hint);
    }
    if let SigningKey::Unknown(reason) = facts.app_instances.signing_key() {
        session.ui.report_step(
            "signing-key",
            StepOutcome::Skipped,
            &format!("whether the site sets its own signing key was not checked: {reason}"),
        );
    }
    if facts.options.rerun == Rerun::Auto {
        session.ui.report_step(
            "operator",
            StepOutcome::Verified,
            &facts.operator.describe_effect(),
        );
    }
    session
        .ui
        .update_fields(|fields| fields.resuming = Nullable::Present(revocation.resuming.clone()));
    Ok(())
}

fn warn_about_resumption(session: &Session, command: &str, reason: &str) -> Result<()> {
    let notice = UnfinishedNotice::find(session)?;
    let reason = notice.as_ref().map_or(reason, |notice| &notice.detail);
    let text = format!("an earlier revocation is unfinished or still running: {reason}");
    let hint = match &notice {
        // A revocation updates no profile.
        Some(notice) if notice.command == "rotate" && command == "revoke" => format!(
            "this run resumes it without its profiles. To update them, too, {}",
            notice.hint
        ),
        _ => {
            "this run resumes it. `--start-over` would delete its secrets and start over".to_owned()
        }
    };
    session.ui.warn(&text, &hint);
    Ok(())
}

/// Adds to an error which steps are done, and that the same command resumes.
pub(super) fn add_progress(
    session: &Session,
    error: Error,
    plan: &Plan,
    state: &RunState,
    request: &RevocationRequest,
    is_resuming: bool,
) -> Error {
    if !session.executor.has_changed() && !is_resuming {
        return error;
    }
    let steps = |status: StepStatus| -> Vec<String> {
        let steps = plan.steps.iter().enumerate();
        steps
            .filter(|(index, _)| state.step_status(*index) == status)
            .map(|(_, step)| step.id.to_owned())
            .collect()
    };
    let progress = Progress {
        done: steps(StepStatus::Done),
        running: steps(StepStatus::Running),
        pending: steps(StepStatus::Pending),
    };
    let list = |ids: &[String]| {
        if ids.is_empty() {
            "nothing".to_owned()
        } else {
            ids.join(", ")
        }
    };
    let hint = format!(
        "steps done: {}; started: {}; pending: {}",
        list(&progress.done),
        list(&progress.running),
        list(&progress.pending)
    );
    session
        .ui
        .update_fields(|fields| fields.progress = Some(progress));
    let is_interrupt = [ErrorKind::Interrupted, ErrorKind::Terminated].contains(&error.kind);
    let error = match session.executor.resumed_interrupt_error() {
        Some(error) if is_interrupt => error,
        _ => error,
    };
    let mut error = error.append_hint(&hint).into_stopped();
    if request.args.start_over {
        // With the option, the command would not resume.
        error.hint = error.hint.replace(
            "the same command again",
            "the same command without `--start-over`",
        );
    }
    error
}

pub(super) fn report_outcome(
    session: &Session,
    request: &RevocationRequest,
    facts: &RevocationFacts,
    revocation: &procedure::RevocationPlan,
    state: &RunState,
) -> Option<ErrorKind> {
    let verification =
        state
            .verification
            .get()
            .cloned()
            .unwrap_or(RevocationVerification::Inconclusive(
                "no token was probed".to_owned(),
            ));
    let rejection = state.new_token_rejection.get().cloned();
    let is_new_token_rejected = rejection.is_some();
    session.ui.update_fields(|fields| {
        fields.verification = Some(verification.clone());
        fields.new_token_rejection = Nullable::Present(rejection);
    });
    // Keys that counted as new were not deleted, so the request may be unfulfilled.
    let has_deleted_keys = revocation.plan.deletes_keys();
    if !has_deleted_keys && verification != RevocationVerification::Verified {
        session.ui.warn(
            "this run deleted no keys: the existing ones count as the new ones of the unfinished \
             revocation",
            "if they are older than the revocation, their tokens are still valid: rerun with \
             `--start-over`",
        );
    }
    let (result, kind) = match verification {
        RevocationVerification::Verified => ("revoked and verified", None),
        RevocationVerification::StillAccepted => (
            "revoked, but the old token is still accepted",
            Some(ErrorKind::StillAccepted),
        ),
        RevocationVerification::Inconclusive(_) => (
            "revoked, but the verification is inconclusive",
            Some(ErrorKind::Inconclusive),
        ),
    };
    session.ui.print_lines(result);
    // Of keys that an earlier run deleted, this run did not see the first rejection.
    if let Some(gap) = state.token_gap().filter(|_| has_deleted_keys) {
        let (seconds, tenths) = (gap.as_secs(), gap.subsec_millis() / 100);
        let text = format!(
            "{seconds}.{tenths} s from the first rejection of the old token to the first \
             acceptance of the new one"
        );
        session.ui.print_wrapped("", &text, 2);
        let token_gap_ms = u64::try_from(gap.as_millis()).ok();
        session
            .ui
            .update_fields(|fields| fields.token_gap_ms = token_gap_ms);
    }
    let new_token = session.insert_target(describe_new_token(request, is_new_token_rejected));
    session.ui.print_wrapped("", &new_token, 2);
    report_token_counts(session, state);
    let kept_file = old_token_file_name(&facts.cluster, &facts.target.namespace);
    if session.executor.has_state_file(&kept_file) {
        let text = "the state directory keeps a copy of the old token until the next revocation, \
                    mode 0600";
        session.ui.print_wrapped("", text, 2);
    }
    let unverified = state.unverified_profiles();
    for (profile, reason) in &unverified {
        let text = format!("profile `{profile}` is not verified: {reason}");
        session.ui.print_wrapped("", &text, 2);
    }
    let has_unverified = !unverified.is_empty();
    session
        .ui
        .update_fields(|fields| fields.set_unverified_profiles(unverified));
    report_earlier_clones(session, revocation, state);
    kind.or(has_unverified.then_some(ErrorKind::Inconclusive))
}

/// Reports how many other tokens the server lists as valid. Nobody has tried them.
fn report_token_counts(session: &Session, state: &RunState) {
    let counts = state.token_counts.get();
    let database = counts.and_then(|counts| counts.database);
    let management = counts.and_then(|counts| counts.management);
    session.ui.update_fields(|fields| {
        fields.database_tokens = Nullable::Present(database);
        fields.management_tokens = Nullable::Present(management);
    });
    let describe = |count: Option<u64>, kind: &str| {
        let plural = if count == Some(1) { "" } else { "s" };
        count.map(|count| format!("{count} {kind} token{plural}"))
    };
    let known: Vec<String> = [
        describe(management, "management"),
        describe(database, "database"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !known.is_empty() {
        let text = format!("other tokens, not revoked: {}", known.join(" and "));
        session.ui.print_wrapped("", &text, 2);
    }
    if let Some(reason) = counts.and_then(|counts| counts.problem.as_ref()) {
        let text = format!("the other tokens could not be counted: {reason}");
        session.ui.print_dimmed(&text);
    }
}

/// Names the option that deletes the clones of earlier revocations that are left.
fn report_earlier_clones(
    session: &Session,
    revocation: &procedure::RevocationPlan,
    state: &RunState,
) {
    let count = revocation.earlier_clones.len() - state.settled_clones();
    let (clones, pronoun) = match count {
        0 => return,
        1 => ("1 earlier clone remains".to_owned(), "it"),
        _ => (format!("{count} earlier clones remain"), "them"),
    };
    let text =
        format!("{clones}: `--prune-clones` deletes {pronoun} after the next verified revocation");
    session.ui.print_wrapped("", &text, 2);
}

fn describe_new_token(request: &RevocationRequest, is_rejected: bool) -> String {
    if request.profiles.is_empty() {
        return if request.creates_new_token {
            "secret `admin-token` contains a new token: run `bypassctl enable` to use it"
        } else {
            "secret `admin-token` is deleted, and no new token was created"
        }
        .to_owned();
    }
    let profiles = request.profiles.join("`, `");
    match (request.profiles.len(), is_rejected) {
        (1, false) => format!("profile `{profiles}` uses the new token"),
        (1, true) => format!("the new token is rejected, so profile `{profiles}` is unchanged"),
        (_, false) => format!("profiles `{profiles}` use the new token"),
        (_, true) => format!("the new token is rejected, so profiles `{profiles}` are unchanged"),
    }
}
