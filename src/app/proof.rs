//! The proof of a revocation: the same call with the old token and with the new one.

use super::carry_out::{Known, try_token};
use super::probe::joined;
use super::session::Session;
use crate::error::Result;
use crate::plan::{Prove, Trial};
use crate::secret::Secret;
use crate::tool::influxctl::Verdict;
use crate::ui::Shown;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How long to leave InfluxDB alone between two trials.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// A copy of the old token.
pub(super) struct Old {
    /// The token.
    pub(super) token: Secret,
    /// Whether it was accepted before anything was deleted.
    pub(super) accepted: bool,
    /// Whether it is the one that the cluster's secret held, and so an admin token of this cluster for certain.
    pub(super) from_cluster: bool,
}

impl Old {
    /// Whether its refusal says anything: a token that never was one is refused as well.
    fn counts(&self) -> bool {
        self.accepted || self.from_cluster
    }
}

/// Tries until it is shown, or the grace period is over.
pub(super) fn prove(session: &Session, step: &str, prove: &Prove, known: &Known) -> Result<()> {
    let shown = match (&prove.trial, known.old.get()) {
        (None, _) => Shown::Inconclusive("no token can be tried here".to_owned()),
        (_, None) => Shown::Inconclusive("no copy of the old token is at hand".to_owned()),
        (Some(trial), Some(old)) => {
            let new = if prove.new_token {
                Some(known.token()?)
            } else {
                None
            };
            until_shown(session, step, trial, old, new, prove.grace, known)?
        }
    };
    let at = prove
        .trial
        .as_ref()
        .map(|trial| trial.profile.address())
        .unwrap_or_default();
    match &shown {
        Shown::Proven if prove.new_token => {
            session.ui.step(
                step,
                "done",
                &format!("the old token is refused by {at} where the new one is accepted"),
            );
        }
        Shown::Proven => session.ui.step(
            step,
            "done",
            &format!("the old token, accepted before, is refused by {at}"),
        ),
        Shown::StillAccepted => session.ui.warn(
            &format!(
                "the old token is still accepted by {at}, {} s after the restart",
                prove.grace.as_secs()
            ),
            still_accepted_hint(prove.new_token),
        ),
        Shown::Inconclusive(why) => {
            session.ui.warn(
                &format!("that the old token is refused was not shown: {why}"),
                TRY_BY_HAND,
            );
        }
    }
    let _ = known.shown.set(shown);
    Ok(())
}

const TRY_BY_HAND: &str = "with a copy of it (--old-token-file) and a profile of this cluster (--profile) `influxctl database list` shows it";

fn still_accepted_hint(new_token: bool) -> &'static str {
    if new_token {
        "do other pods load `rsa-keys` (`kubectl get pods --output yaml`)? name them with --restart-selector and run again with --again; or does the profile's host belong to another cluster?"
    } else {
        "some releases accept the last token until there is a new one (influxdata/docs-v2 pull 5612): run the same command without --no-new-token"
    }
}

fn until_shown(
    session: &Session,
    step: &str,
    trial: &Trial,
    old: &Old,
    new: Option<&Secret>,
    grace: Duration,
    known: &Known,
) -> Result<Shown> {
    let begun = Instant::now();
    let mut accepted_once = false;
    loop {
        let (shown, refused) = once(session, step, trial, old, new)?;
        let shown = match shown {
            ControlFlow::Continue(shown) if begun.elapsed() < grace => shown,
            ControlFlow::Continue(shown) | ControlFlow::Break(shown) => {
                session.ui.no_progress();
                refused
                    .into_iter()
                    .for_each(|why| drop(known.new_refused.set(why)));
                // A trial at the end that shows nothing does not take back what an earlier one has shown.
                let last_known = accepted_once && matches!(shown, Shown::Inconclusive(_));
                return Ok(if last_known {
                    Shown::StillAccepted
                } else {
                    shown
                });
            }
        };
        accepted_once = shown == Shown::StillAccepted || accepted_once;
        let for_what = match shown {
            Shown::StillAccepted => "until the old token is refused",
            _ => "until both tokens can be tried",
        };
        session.ui.progress(&format!(
            "{step}: waiting {for_what}, {} s",
            begun.elapsed().as_secs()
        ));
        session.exec.pause(AGAIN_AFTER)?;
    }
}

/// What one trial shows, and whether another could show more; and why the new token was refused, if it was.
fn once(
    session: &Session,
    step: &str,
    trial: &Trial,
    old: &Old,
    new: Option<&Secret>,
) -> Result<(ControlFlow<Shown, Shown>, Option<String>)> {
    let Trial { command, profile } = trial;
    let (old_verdict, new_verdict) = std::thread::scope(|scope| {
        let new = new.map(|new| {
            scope.spawn(move || try_token(session, &format!("{step}-new"), command, profile, new))
        });
        (
            try_token(
                session,
                &format!("{step}-old"),
                command,
                profile,
                &old.token,
            ),
            new.map(joined),
        )
    });
    let more = |why: String| ControlFlow::Continue(Shown::Inconclusive(why));
    let (old_verdict, new_verdict) = (old_verdict?, new_verdict.transpose()?);
    let refused = match &new_verdict {
        Some(Verdict::Refused(why)) => Some(why.clone()),
        _ => None,
    };
    let shown = match (old_verdict, new_verdict) {
        (Verdict::Accepted, _) => ControlFlow::Continue(Shown::StillAccepted),
        (Verdict::Inconclusive(why), _) => more(format!("the old token could not be tried: {why}")),
        (Verdict::Refused(_), Some(Verdict::Refused(why))) => {
            more(format!("the new token is refused as well: {why}"))
        }
        (Verdict::Refused(_), Some(Verdict::Inconclusive(why))) => {
            more(format!("the new token could not be tried: {why}"))
        }
        (Verdict::Refused(_), Some(Verdict::Accepted)) if old.counts() => {
            ControlFlow::Break(Shown::Proven)
        }
        (Verdict::Refused(_), None) if old.accepted => ControlFlow::Break(Shown::Proven),
        (Verdict::Refused(_), _) => {
            let why = "it is refused, but it was not accepted before either".to_owned();
            ControlFlow::Break(Shown::Inconclusive(why))
        }
    };
    Ok((shown, refused))
}
