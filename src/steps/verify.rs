//! Verifies a revocation: the same call with the old token and with the new one.

use super::state::{OldToken, RunState};
use super::token::probe_token;
use crate::error::Result;
use crate::plan::{TokenProbe, VerificationStep};
use crate::secret::Secret;
use crate::session::runner::{Runner, join_thread};
use crate::tool::influxctl::TokenVerdict;
use crate::ui::{RevocationVerification, StepOutcome};
use std::time::{Duration, Instant};

/// The pause between two probes, to spare InfluxDB.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

const MANUAL_PROBE_HINT: &str = "run `influxctl database list` with a copy of the old token: \
    the server must reject it. Next time, pass the copy with --old-token-file and a profile of \
    this cluster with --profile";

/// Probes the tokens until the result is conclusive or the grace period is over.
pub(crate) fn verify_revocation(
    runner: &Runner,
    step: &str,
    verification: &VerificationStep,
    state: &RunState,
) -> Result<()> {
    let outcome = match (&verification.token_probe, state.old_token.get()) {
        (None, _) => RevocationVerification::Inconclusive("no token probe is available".to_owned()),
        (_, None) => {
            RevocationVerification::Inconclusive("no copy of the old token found".to_owned())
        }
        (Some(probe), Some(old_token)) => {
            let prober = TokenProber {
                runner,
                step,
                probe,
                old_token,
                new_token: verification.new_token.then(|| state.token()).transpose()?,
            };
            prober.poll_until_conclusive(verification.grace_period, state)?
        }
    };
    report_outcome(runner, step, verification, &outcome);
    let _ = state.verification.set(outcome);
    Ok(())
}

fn report_outcome(
    runner: &Runner,
    step: &str,
    verification: &VerificationStep,
    outcome: &RevocationVerification,
) {
    let address = verification
        .token_probe
        .as_ref()
        .map(|probe| probe.profile.address())
        .unwrap_or_default();
    match outcome {
        RevocationVerification::Verified if verification.new_token => runner.ui.report_step(
            step,
            StepOutcome::Done,
            &format!("{address} rejects the old token and accepts the new one"),
        ),
        RevocationVerification::Verified => runner.ui.report_step(
            step,
            StepOutcome::Done,
            &format!("{address} rejects the old token, which it accepted before"),
        ),
        RevocationVerification::StillAccepted => runner.ui.warn(
            &format!(
                "{address} still accepts the old token {} s after the restart",
                verification.grace_period.as_secs()
            ),
            still_accepted_hint(verification.new_token),
        ),
        RevocationVerification::Inconclusive(reason) => runner.ui.warn(
            &format!("the verification is inconclusive: {reason}"),
            MANUAL_PROBE_HINT,
        ),
    }
}

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

struct TokenProber<'a> {
    runner: &'a Runner<'a>,
    step: &'a str,
    probe: &'a TokenProbe,
    old_token: &'a OldToken,
    /// `None` if the revocation creates no token.
    new_token: Option<&'a Secret>,
}

/// The result of probing both tokens once.
struct ProbeRound {
    outcome: RevocationVerification,
    /// Another round cannot change the outcome.
    is_final: bool,
    /// The reason why the server rejected the new token, if it did.
    new_token_rejection: Option<String>,
}

impl TokenProber<'_> {
    fn poll_until_conclusive(
        &self,
        grace_period: Duration,
        state: &RunState,
    ) -> Result<RevocationVerification> {
        let start = Instant::now();
        let mut was_accepted = false;
        loop {
            let round = self.probe_both_tokens()?;
            let outcome = round.outcome;
            if round.is_final || start.elapsed() >= grace_period {
                self.runner.ui.clear_progress();
                if let Some(reason) = round.new_token_rejection {
                    let _ = state.new_token_rejection.set(reason);
                }
                // An inconclusive last round does not refute an earlier acceptance.
                let is_inconclusive = matches!(outcome, RevocationVerification::Inconclusive(_));
                return Ok(if was_accepted && is_inconclusive {
                    RevocationVerification::StillAccepted
                } else {
                    outcome
                });
            }
            let is_accepted = outcome == RevocationVerification::StillAccepted;
            was_accepted |= is_accepted;
            let condition = if is_accepted {
                "the server to reject the old token"
            } else {
                "the server to answer for both tokens"
            };
            self.runner.ui.show_progress(&format!(
                "{}: waiting for {condition}, {} s",
                self.step,
                start.elapsed().as_secs()
            ));
            self.runner.executor.sleep(PROBE_INTERVAL)?;
        }
    }

    fn probe_both_tokens(&self) -> Result<ProbeRound> {
        let Self { runner, step, .. } = *self;
        let TokenProbe { command, profile } = self.probe;
        let (old_verdict, new_verdict) = std::thread::scope(|scope| {
            let new_probe = self.new_token.map(|token| {
                scope.spawn(move || {
                    probe_token(runner, &format!("{step}-new"), command, profile, token)
                })
            });
            let old_token = &self.old_token.token;
            (
                probe_token(runner, &format!("{step}-old"), command, profile, old_token),
                new_probe.map(join_thread),
            )
        });
        let (old_verdict, new_verdict) = (old_verdict?, new_verdict.transpose()?);
        let new_token_rejection = match &new_verdict {
            Some(TokenVerdict::Rejected(reason)) => Some(reason.clone()),
            _ => None,
        };
        let (outcome, is_final) = self.evaluate_verdicts(old_verdict, new_verdict);
        Ok(ProbeRound {
            outcome,
            is_final,
            new_token_rejection,
        })
    }

    /// Returns the outcome, and whether it is final.
    fn evaluate_verdicts(
        &self,
        old_verdict: TokenVerdict,
        new_verdict: Option<TokenVerdict>,
    ) -> (RevocationVerification, bool) {
        let inconclusive = |reason: String| RevocationVerification::Inconclusive(reason);
        match (old_verdict, new_verdict) {
            (TokenVerdict::Accepted, _) => (RevocationVerification::StillAccepted, false),
            (TokenVerdict::Inconclusive(reason), _) => {
                let reason = format!("cannot probe the old token: {reason}");
                (inconclusive(reason), false)
            }
            (TokenVerdict::Rejected(_), Some(TokenVerdict::Rejected(reason))) => {
                let reason = format!("the server rejects the new token too: {reason}");
                (inconclusive(reason), false)
            }
            (TokenVerdict::Rejected(_), Some(TokenVerdict::Inconclusive(reason))) => {
                let reason = format!("cannot probe the new token: {reason}");
                (inconclusive(reason), false)
            }
            (TokenVerdict::Rejected(_), Some(TokenVerdict::Accepted))
                if self.old_token.is_conclusive() =>
            {
                (RevocationVerification::Verified, true)
            }
            (TokenVerdict::Rejected(_), None) if self.old_token.accepted => {
                (RevocationVerification::Verified, true)
            }
            (TokenVerdict::Rejected(_), _) => {
                let reason =
                    "the server rejects the old token, but did not accept it before the revocation";
                (inconclusive(reason.to_owned()), true)
            }
        }
    }
}
