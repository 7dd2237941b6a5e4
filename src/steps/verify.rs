//! Verifies a revocation: the same call with the old token and with the new one.

use super::state::{OldToken, RunState};
use super::token::probe_token;
use crate::error::Result;
use crate::plan::{TokenProbe, VerificationStep};
use crate::secret::Secret;
use crate::session::runner::{Runner, join_thread};
use crate::tool::influxctl::TokenVerdict;
use crate::ui::{RevocationVerification, StepOutcome};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How long to leave InfluxDB alone between two trials.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// Tries until it is shown, or the grace period is over.
pub(crate) fn verify_revocation(
    runner: &Runner,
    step: &str,
    prove: &VerificationStep,
    known: &RunState,
) -> Result<()> {
    let shown = match (&prove.token_probe, known.old_token.get()) {
        (None, _) => RevocationVerification::Inconclusive("no token can be tried here".to_owned()),
        (_, None) => {
            RevocationVerification::Inconclusive("no copy of the old token is at hand".to_owned())
        }
        (Some(trial), Some(old)) => {
            let new = if prove.new_token {
                Some(known.token()?)
            } else {
                None
            };
            poll_until_conclusive(runner, step, trial, old, new, prove.grace_period, known)?
        }
    };
    let at = prove
        .token_probe
        .as_ref()
        .map(|trial| trial.profile.address())
        .unwrap_or_default();
    match &shown {
        RevocationVerification::Verified if prove.new_token => {
            runner.ui.report_step(
                step,
                StepOutcome::Done,
                &format!("the old token is refused by {at} where the new one is accepted"),
            );
        }
        RevocationVerification::Verified => runner.ui.report_step(
            step,
            StepOutcome::Done,
            &format!("the old token, accepted before, is refused by {at}"),
        ),
        RevocationVerification::StillAccepted => runner.ui.warn(
            &format!(
                "the old token is still accepted by {at}, {} s after the restart",
                prove.grace_period.as_secs()
            ),
            still_accepted_hint(prove.new_token),
        ),
        RevocationVerification::Inconclusive(why) => {
            runner.ui.warn(
                &format!("that the old token is refused was not shown: {why}"),
                MANUAL_PROBE_HINT,
            );
        }
    }
    let _ = known.verification.set(shown);
    Ok(())
}

const MANUAL_PROBE_HINT: &str = "with a copy of it (--old-token-file) and a profile of this cluster (--profile) `influxctl database list` shows it";

fn still_accepted_hint(new_token: bool) -> &'static str {
    if new_token {
        "do other pods load `rsa-keys` (`kubectl get pods --output yaml`)? name them with --restart-selector and run again with --start-over; or does the profile's host belong to another cluster?"
    } else {
        "some releases accept the last token until there is a new one (influxdata/docs-v2 pull 5612): run the same command without --no-new-token"
    }
}

fn poll_until_conclusive(
    runner: &Runner,
    step: &str,
    trial: &TokenProbe,
    old: &OldToken,
    new: Option<&Secret>,
    grace: Duration,
    known: &RunState,
) -> Result<RevocationVerification> {
    let begun = Instant::now();
    let mut accepted_once = false;
    loop {
        let (shown, refused) = probe_both_tokens(runner, step, trial, old, new)?;
        let shown = match shown {
            ControlFlow::Continue(shown) if begun.elapsed() < grace => shown,
            ControlFlow::Continue(shown) | ControlFlow::Break(shown) => {
                runner.ui.clear_progress();
                refused
                    .into_iter()
                    .for_each(|why| drop(known.new_token_rejection.set(why)));
                // A trial at the end that shows nothing does not take back what an earlier one has shown.
                let last_known =
                    accepted_once && matches!(shown, RevocationVerification::Inconclusive(_));
                return Ok(if last_known {
                    RevocationVerification::StillAccepted
                } else {
                    shown
                });
            }
        };
        accepted_once = shown == RevocationVerification::StillAccepted || accepted_once;
        let for_what = match shown {
            RevocationVerification::StillAccepted => "until the old token is refused",
            _ => "until both tokens can be tried",
        };
        runner.ui.show_progress(&format!(
            "{step}: waiting {for_what}, {} s",
            begun.elapsed().as_secs()
        ));
        runner.executor.sleep(PROBE_INTERVAL)?;
    }
}

/// What one trial shows, and whether another could show more; and why the new token was refused, if it was.
fn probe_both_tokens(
    runner: &Runner,
    step: &str,
    trial: &TokenProbe,
    old: &OldToken,
    new: Option<&Secret>,
) -> Result<(
    ControlFlow<RevocationVerification, RevocationVerification>,
    Option<String>,
)> {
    let TokenProbe { command, profile } = trial;
    let (old_verdict, new_verdict) = std::thread::scope(|scope| {
        let new = new.map(|new| {
            scope.spawn(move || probe_token(runner, &format!("{step}-new"), command, profile, new))
        });
        (
            probe_token(runner, &format!("{step}-old"), command, profile, &old.token),
            new.map(join_thread),
        )
    });
    let more = |why: String| ControlFlow::Continue(RevocationVerification::Inconclusive(why));
    let (old_verdict, new_verdict) = (old_verdict?, new_verdict.transpose()?);
    let refused = match &new_verdict {
        Some(TokenVerdict::Rejected(why)) => Some(why.clone()),
        _ => None,
    };
    let shown = match (old_verdict, new_verdict) {
        (TokenVerdict::Accepted, _) => ControlFlow::Continue(RevocationVerification::StillAccepted),
        (TokenVerdict::Inconclusive(why), _) => {
            more(format!("the old token could not be tried: {why}"))
        }
        (TokenVerdict::Rejected(_), Some(TokenVerdict::Rejected(why))) => {
            more(format!("the new token is refused as well: {why}"))
        }
        (TokenVerdict::Rejected(_), Some(TokenVerdict::Inconclusive(why))) => {
            more(format!("the new token could not be tried: {why}"))
        }
        (TokenVerdict::Rejected(_), Some(TokenVerdict::Accepted)) if old.is_conclusive() => {
            ControlFlow::Break(RevocationVerification::Verified)
        }
        (TokenVerdict::Rejected(_), None) if old.accepted => {
            ControlFlow::Break(RevocationVerification::Verified)
        }
        (TokenVerdict::Rejected(_), _) => {
            let why = "it is refused, but it was not accepted before either".to_owned();
            ControlFlow::Break(RevocationVerification::Inconclusive(why))
        }
    };
    Ok((shown, refused))
}
