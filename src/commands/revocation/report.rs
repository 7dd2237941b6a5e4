//! Reports the preflight checks, the progress and the outcome of a revocation.

use super::request::RevocationRequest;
use crate::error::{Error, ErrorKind};
use crate::plan::{Action, Plan, SecretName};
use crate::procedure::revoke::{self as procedure, Rerun, RevocationFacts};
use crate::session::Session;
use crate::steps::state::{RunState, StepStatus};
use crate::ui::{Progress, RevocationVerification, StepOutcome};

pub(super) fn report_preflight(
    session: &Session,
    revocation: &procedure::RevocationPlan,
    facts: &RevocationFacts,
) {
    if let Some(why) = &revocation.resuming {
        session.ui.warn(
            &format!("a revocation has begun here and did not come to its end, or another is in it right now: {why}"),
            "this run carries on with it; --start-over starts over, and deletes what it has made",
        );
    }
    for (step, held) in &revocation.satisfied {
        session.ui.report_step(step, StepOutcome::Satisfied, held);
    }
    for (what, hint) in &revocation.warnings {
        session.ui.warn(what, hint);
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
        .update_fields(|fields| fields.resuming = Some(revocation.resuming.clone()));
}

/// What has been done, what has not, and that the same command carries on.
pub(super) fn add_progress(
    session: &Session,
    error: Error,
    plan: &Plan,
    known: &RunState,
    ask: &RevocationRequest,
    half_done: bool,
) -> Error {
    if !session.executor.has_changed() && !half_done {
        return error;
    }
    let of = |stand: StepStatus| -> Vec<&str> {
        let steps = plan
            .steps
            .iter()
            .enumerate()
            .filter(|(index, _)| known.step_status(*index) == stand);
        steps.map(|(_, step)| step.id).collect()
    };
    let list = |stand: StepStatus| {
        if of(stand).is_empty() {
            "nothing".to_owned()
        } else {
            of(stand).join(", ")
        }
    };
    let names = |stand: StepStatus| of(stand).into_iter().map(str::to_owned).collect();
    let progress = Progress {
        done: names(StepStatus::Done),
        running: names(StepStatus::Running),
        pending: names(StepStatus::Pending),
    };
    session
        .ui
        .update_fields(|fields| fields.progress = Some(progress));
    let again = if ask.args.start_over {
        "; without --start-over it carries on, with it it starts over"
    } else {
        ""
    };
    let told = format!(
        "done so far: {}; begun: {}; not done: {}{again}",
        list(StepStatus::Done),
        list(StepStatus::Running),
        list(StepStatus::Pending)
    );
    error.with_hint(&told).into_stopped()
}

const REUSED_SECRETS_NOTE: &str =
    "those that are there were taken for the new ones of the revocation that had begun";

pub(super) fn report_outcome(
    session: &Session,
    ask: &RevocationRequest,
    plan: &Plan,
    known: &RunState,
) -> Option<ErrorKind> {
    let shown = known
        .verification
        .get()
        .cloned()
        .unwrap_or(RevocationVerification::Inconclusive(
            "it was not tried".to_owned(),
        ));
    session.ui.update_fields(|fields| {
        fields.verification = Some(shown.clone());
        fields.new_token_rejection = Some(known.new_token_rejection.get().cloned());
    });
    let use_of_new = match (ask.command, ask.new_token) {
        ("rotate", _) if known.new_token_rejection.get().is_some() => {
            format!(
                "; the new token is refused, and profile `{}` was left as it was",
                ask.profiles.join("`, `")
            )
        }
        ("rotate", _) => format!(
            "; the new token is in use with profile `{}`",
            ask.profiles.join("`, `")
        ),
        (_, true) => {
            "; a new token is in secret `admin-token`: `bypassctl enable` puts it to use".to_owned()
        }
        (_, false) => "; secret `admin-token` is gone, and no new one was made".to_owned(),
    };
    // Keys that were taken for new ones were not deleted: that is not yet what was asked for.
    let deleted = plan
        .steps
        .iter()
        .any(|step| matches!(&step.action, Action::DeleteSecret(gone) if gone.name == SecretName::RsaKeys));
    if !deleted && shown != RevocationVerification::Verified {
        session.ui.warn(
            &format!("no keys were deleted by this run: {REUSED_SECRETS_NOTE}"),
            "a token that these keys have signed is still valid; to revoke it: the same command with --start-over",
        );
    }
    match shown {
        RevocationVerification::Verified => {
            session
                .ui
                .print_lines(&format!("revoked, proven{use_of_new}"));
            None
        }
        RevocationVerification::StillAccepted => {
            session.ui.print_lines(&format!(
                "revoked, but the old token is still accepted{use_of_new}"
            ));
            Some(ErrorKind::StillAccepted)
        }
        RevocationVerification::Inconclusive(_) => {
            session
                .ui
                .print_lines(&format!("revoked, proof inconclusive{use_of_new}"));
            Some(ErrorKind::Inconclusive)
        }
    }
}
