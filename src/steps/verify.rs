//! Verifies a revocation: the new token is accepted, and every backend rejects the old one.

use super::state::{OldToken, RejectionOutcome, RunState, StepStatus};
use super::token::probe_token;
use crate::audit::RecordedVerification;
use crate::error::Result;
use crate::plan::{RejectionCheck, TokenProbe, VerificationStep};
use crate::secret::Secret;
use crate::session::runner::Runner;
use crate::tool::influxctl::TokenVerdict;
use crate::ui::{RevocationVerification, StepOutcome};
use std::time::{Duration, Instant};

/// Pause between two probes of the new token.
const NEW_TOKEN_PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// Shortest pause between two probes of the old token.
const MIN_PROBE_PAUSE: Duration = Duration::from_millis(150);

/// The pauses vary, so that they fall into step with no load balancer.
const PROBE_PAUSE_SPREAD_MS: u128 = 300;

/// Shortest time from the first to the last rejection.
const MIN_STREAK_TIME: Duration = Duration::from_secs(2);

/// Consecutive rejections of the old token.
#[derive(Default)]
struct Streak {
    count: usize,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Streak {
    fn add_rejection(&mut self, at: Instant) {
        self.count += 1;
        self.first.get_or_insert(at);
        self.last = Some(at);
    }

    /// A single rejection needs no time, and verifies nothing.
    fn is_complete(&self, min_rejections: usize) -> bool {
        let time = self.first.zip(self.last).map(|(first, last)| last - first);
        let is_long = min_rejections <= 1 || time.is_some_and(|time| time >= MIN_STREAK_TIME);
        self.count >= min_rejections && is_long
    }

    /// Returns whether it began before the deadline and can still become complete.
    fn began_before(&self, deadline: Instant) -> bool {
        self.first.is_some_and(|first| first <= deadline)
    }
}

/// Probes the old token until a streak of rejections is complete or the grace period is over.
///
/// Beside the job that creates the new token, one rejection is enough, because the streak follows
/// in [`verify_revocation`]. The grace period starts when the step at `job` ends.
pub(crate) fn verify_rejection(
    runner: &Runner,
    step: &str,
    check: &RejectionCheck,
    job: Option<usize>,
    state: &RunState,
) -> Result<()> {
    let Some(old) = state.old_token.get() else {
        runner
            .ui
            .report_step(step, StepOutcome::Skipped, "no copy of the old token found");
        return Ok(());
    };
    let outcome = poll_old_token(runner, step, check, old, job, state)?;
    let address = check.token_probe.profile.address();
    if let RejectionOutcome::Rejected { count } = &outcome {
        let text = match count {
            1 => format!("{address} rejects the old token"),
            _ => format!("{address} rejected the old token {count} times in a row"),
        };
        runner.ui.report_step(step, StepOutcome::Verified, &text);
    }
    let _ = state.rejection.set(outcome);
    Ok(())
}

fn poll_old_token(
    runner: &Runner,
    step: &str,
    check: &RejectionCheck,
    old: &OldToken,
    job: Option<usize>,
    state: &RunState,
) -> Result<RejectionOutcome> {
    let TokenProbe { command, profile } = &check.token_probe;
    let mut streak = Streak::default();
    let mut was_accepted = false;
    let mut last_problem = None;
    let mut grace_start = None;
    let wait = runner.start_wait("the old token to be rejected", None);
    loop {
        let probed_at = Instant::now();
        match probe_token(runner, step, command, profile, &old.token)? {
            TokenVerdict::Rejected(_) => streak.add_rejection(probed_at),
            TokenVerdict::Accepted => {
                was_accepted = true;
                streak = Streak::default();
            }
            TokenVerdict::Inconclusive(reason) => {
                last_problem = Some(reason);
                streak = Streak::default();
            }
        }
        if streak.is_complete(check.min_rejections) {
            let count = streak.count;
            if let Some(first) = streak.first {
                let _ = state.first_rejection.set(first);
            }
            return Ok(RejectionOutcome::Rejected { count });
        }
        // A failed job stays in status `Running`, and its error ends the run.
        let is_job_running = job.is_some_and(|job| state.step_status(job) == StepStatus::Running)
            && !state.has_failed();
        if !is_job_running {
            let start = *grace_start.get_or_insert(probed_at);
            let deadline = start + check.grace_period;
            let is_over = probed_at > deadline && !streak.began_before(deadline);
            if is_over || state.has_failed() {
                return Ok(match last_problem.filter(|_| !was_accepted) {
                    Some(reason) => RejectionOutcome::Inconclusive(reason),
                    None => RejectionOutcome::StillAccepted,
                });
            }
        }
        let (count, required) = (streak.count, check.min_rejections);
        wait.set_state(&format!("{count} of {required} in a row"));
        let spread = uuid::Uuid::new_v4().as_u128() % PROBE_PAUSE_SPREAD_MS;
        let pause = MIN_PROBE_PAUSE + Duration::from_millis(spread as u64);
        runner.executor.sleep(pause)?;
    }
}

/// Probes the new token, then the old one again.
///
/// One rejection is not enough: behind a load balancer another backend can still have the old keys.
/// A rejection before the new token is accepted is not enough either: a server that rejects every
/// token shows nothing.
pub(crate) fn verify_revocation(
    runner: &Runner,
    step: &str,
    verification: &VerificationStep,
    state: &RunState,
) -> Result<()> {
    let new_verdict = match &verification.token_probe {
        Some(probe) if verification.creates_new_token => {
            let grace_period = verification.grace_period;
            Some(poll_new_token(
                runner,
                step,
                probe,
                state.token()?,
                grace_period,
            )?)
        }
        _ => None,
    };
    match &new_verdict {
        Some(TokenVerdict::Accepted) => {
            let _ = state.first_acceptance.set(Instant::now());
        }
        Some(TokenVerdict::Rejected(reason)) => {
            let _ = state.new_token_rejection.set(reason.clone());
        }
        _ => {}
    }
    let confirmed = if new_verdict == Some(TokenVerdict::Accepted) {
        confirm_rejection(runner, step, verification, state)?
    } else {
        None
    };
    let rejection = confirmed.as_ref().or(state.rejection.get());
    let secrets = state.secrets();
    // Somebody can replace the keys after the preflight checks.
    let is_current = |entry: &&RecordedVerification| entry.is_current(&secrets);
    let verified_by = state.verified_by.get().filter(is_current);
    let was_verified = verified_by.is_some();
    let outcome = match (&verification.token_probe, state.old_token.get()) {
        (Some(_), None) if was_verified && matches!(new_verdict, Some(TokenVerdict::Accepted)) => {
            RevocationVerification::Verified
        }
        (None, _) => inconclusive("no token probe is available"),
        (_, None) => inconclusive("no copy of the old token found"),
        (Some(_), Some(old)) => combine(was_verified, old.was_accepted, rejection, new_verdict),
    };
    let address = verification
        .token_probe
        .as_ref()
        .map(|probe| probe.profile.address())
        .unwrap_or_default();
    let rejections = match rejection {
        Some(RejectionOutcome::Rejected { count }) => Some(*count),
        _ => None,
    };
    let (outcome, verified_by) = match (outcome, verified_by) {
        // An earlier run verified these secrets, and this run has changed nothing.
        (RevocationVerification::Inconclusive(_), Some(entry))
            if entry.secrets == secrets
                && !runner.executor.has_changed()
                && state.new_token_rejection.get().is_none() =>
        {
            (RevocationVerification::Verified, Some(entry))
        }
        (outcome, verified_by) => {
            if outcome == RevocationVerification::Verified {
                let versions = state.first_secret_versions();
                runner.executor.record_verification(step, versions)?;
            }
            (outcome, verified_by.filter(|_| rejections.is_none()))
        }
    };
    let subject = OutcomeSubject {
        verification,
        address: &address,
        rejections: rejections.unwrap_or(0),
    };
    report_outcome(runner, step, &subject, &outcome, verified_by);
    let _ = state.verification.set(outcome);
    Ok(())
}

/// Requires a streak of rejections from a server that accepts the new token. Returns `None` without
/// a copy of the old token, or if the server still accepts it anyway.
fn confirm_rejection(
    runner: &Runner,
    step: &str,
    verification: &VerificationStep,
    state: &RunState,
) -> Result<Option<RejectionOutcome>> {
    let (Some(probe), Some(old)) = (&verification.token_probe, state.old_token.get()) else {
        return Ok(None);
    };
    if matches!(state.rejection.get(), Some(RejectionOutcome::StillAccepted)) {
        return Ok(None);
    }
    let check = RejectionCheck {
        token_probe: probe.clone(),
        min_rejections: verification.min_rejections,
        grace_period: verification.grace_period,
    };
    poll_old_token(runner, step, &check, old, None, state).map(Some)
}

/// Verifies both tokens at the address of a further profile. A failure is a warning, because the
/// revocation itself is over.
pub(crate) fn verify_profile(
    runner: &Runner,
    step: &str,
    check: &RejectionCheck,
    state: &RunState,
) -> Result<()> {
    let profile = &check.token_probe.profile;
    let name = &profile.name;
    if state.new_token_rejection.get().is_some() {
        return Ok(());
    }
    let Some(reason) = find_profile_problem(runner, step, check, state)? else {
        let text = format!(
            "profile `{name}`: {} rejects the old token and accepts the new one",
            profile.address()
        );
        runner.ui.report_step(step, StepOutcome::Verified, &text);
        return Ok(());
    };
    runner.ui.warn(
        &format!(
            "profile `{name}` is not verified at {}: {reason}",
            profile.address()
        ),
        "check host, port and TLS settings of the profile, and that it is the same InfluxDB",
    );
    state.add_unverified_profile(name, reason);
    Ok(())
}

fn find_profile_problem(
    runner: &Runner,
    step: &str,
    check: &RejectionCheck,
    state: &RunState,
) -> Result<Option<String>> {
    let (probe, grace_period) = (&check.token_probe, check.grace_period);
    match poll_new_token(runner, step, probe, state.token()?, grace_period)? {
        TokenVerdict::Accepted => {}
        TokenVerdict::Rejected(reason) => {
            return Ok(Some(format!("it rejects the new token: {reason}")));
        }
        TokenVerdict::Inconclusive(reason) => {
            return Ok(Some(format!("cannot probe the new token: {reason}")));
        }
    }
    let Some(old) = state.old_token.get() else {
        return Ok(Some("no copy of the old token found".to_owned()));
    };
    Ok(
        match poll_old_token(runner, step, check, old, None, state)? {
            RejectionOutcome::Rejected { .. } if old.was_accepted => None,
            RejectionOutcome::Rejected { .. } => {
                Some("the old token was not accepted before the revocation".to_owned())
            }
            RejectionOutcome::StillAccepted => Some("it still accepts the old token".to_owned()),
            RejectionOutcome::Inconclusive(reason) => {
                Some(format!("cannot probe the old token: {reason}"))
            }
        },
    )
}

/// Probes the new token until the server accepts it or the grace period is over.
fn poll_new_token(
    runner: &Runner,
    step: &str,
    probe: &TokenProbe,
    token: &Secret,
    grace_period: Duration,
) -> Result<TokenVerdict> {
    let start = Instant::now();
    let _wait = runner.start_wait("the new token to be accepted", Some(grace_period));
    loop {
        let verdict = probe_token(runner, step, &probe.command, &probe.profile, token)?;
        if verdict == TokenVerdict::Accepted || start.elapsed() >= grace_period {
            return Ok(verdict);
        }
        runner.executor.sleep(NEW_TOKEN_PROBE_INTERVAL)?;
    }
}

fn inconclusive(reason: impl Into<String>) -> RevocationVerification {
    RevocationVerification::Inconclusive(reason.into())
}

/// Combines the verdicts of both tokens.
fn combine(
    was_verified: bool,
    was_accepted: bool,
    rejection: Option<&RejectionOutcome>,
    new_verdict: Option<TokenVerdict>,
) -> RevocationVerification {
    match (rejection, new_verdict) {
        (Some(RejectionOutcome::StillAccepted), _) => RevocationVerification::StillAccepted,
        (None, _) => inconclusive("the old token was not probed after the restart"),
        (Some(RejectionOutcome::Inconclusive(reason)), _) => {
            inconclusive(format!("cannot probe the old token: {reason}"))
        }
        (_, Some(TokenVerdict::Rejected(reason))) => {
            inconclusive(format!("the server rejects the new token too: {reason}"))
        }
        (_, Some(TokenVerdict::Inconclusive(reason))) => {
            inconclusive(format!("cannot probe the new token: {reason}"))
        }
        (_, Some(TokenVerdict::Accepted)) if was_verified || was_accepted => {
            RevocationVerification::Verified
        }
        (_, None) if was_accepted => RevocationVerification::Verified,
        (_, Some(TokenVerdict::Accepted) | None) => inconclusive(
            "the server rejects the old token, but did not accept it before the revocation",
        ),
    }
}

/// What the report of a verification names.
struct OutcomeSubject<'a> {
    verification: &'a VerificationStep,
    address: &'a str,
    /// Rejections of the old token in a row.
    rejections: usize,
}

fn report_outcome(
    runner: &Runner,
    step: &str,
    subject: &OutcomeSubject,
    outcome: &RevocationVerification,
    verified_by: Option<&RecordedVerification>,
) {
    let OutcomeSubject {
        verification,
        address,
        rejections,
    } = subject;
    match outcome {
        RevocationVerification::Verified => {
            let text = if let Some(RecordedVerification { seq, run, .. }) = verified_by {
                format!(
                    "by entry {seq} of run {}: the server rejected older tokens",
                    run.get(..8).unwrap_or(run)
                )
            } else if verification.creates_new_token {
                format!(
                    "{address} accepts the new token and rejected the old one {rejections} times \
                     in a row"
                )
            } else {
                format!("{address} rejects the old token, which it accepted before")
            };
            runner.ui.report_step(step, StepOutcome::Verified, &text);
        }
        RevocationVerification::StillAccepted => runner.ui.warn(
            &format!(
                "{address} accepted the old token after the restart, and did not reject it \
                 consistently within {} s",
                verification.grace_period.as_secs()
            ),
            still_accepted_hint(verification.creates_new_token),
        ),
        RevocationVerification::Inconclusive(reason) => runner.ui.warn(
            &format!("the verification is inconclusive: {reason}"),
            MANUAL_PROBE_HINT,
        ),
    }
}

const MANUAL_PROBE_HINT: &str = "run `influxctl database list` with a copy of the old token: \
    the server must reject it. Next time, pass the copy with --old-token-file and a profile of \
    this cluster with --profile";

fn still_accepted_hint(has_new_token: bool) -> &'static str {
    if has_new_token {
        "find other pods that load `rsa-keys` (`kubectl get pods --output yaml`), select them \
         with --restart-selector, and run again with --start-over. Also check that the profile's \
         host belongs to this cluster"
    } else {
        "run the same command without --no-new-token: some releases accept the last token until a \
         new one exists (influxdata/docs-v2 pull 5612)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streak_needs_count_and_time() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut streak = Streak::default();
        (0..8).for_each(|number| streak.add_rejection(at(number)));
        assert!(!streak.is_complete(8), "8 rejections within 7 ms");
        streak.add_rejection(at(2000));
        assert!(streak.is_complete(9));
        assert!(!streak.is_complete(10), "9 of 10 rejections");
    }

    #[test]
    fn streak_counts_from_its_first_rejection() {
        let start = Instant::now();
        let mut streak = Streak::default();
        assert!(!streak.began_before(start));
        streak.add_rejection(start + Duration::from_secs(1));
        streak.add_rejection(start + Duration::from_secs(9));
        assert!(streak.began_before(start + Duration::from_secs(1)));
        assert!(!streak.began_before(start));
    }
}
