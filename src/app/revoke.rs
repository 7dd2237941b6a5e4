//! `revoke`: look, prove, confirm, act, prove.

use super::carry_out::{Known, Stand, carry_out, try_token};
use super::observe::{self, Observed};
use super::plan::{Observed as Files, go_on};
use super::probe::{self, joined};
use super::proof::Old;
use super::session::Session;
use super::{Outcome, confirm};
use crate::cli::{Revocation, Revoke};
use crate::error::{Error, Kind, Result};
use crate::plan::{Action, Plan, Step, Trial, Way};
use crate::procedure::revoke::{
    self as procedure, Facts, Options, Proof, Rerun, Secret as Stands, Seen,
};
use crate::secret::Secret;
use crate::tool::influxctl::Verdict;
use crate::tool::invocation::Invocation;
use crate::tool::kubectl::{self, Failure, JobManifest};
use crate::ui::{Progress, Shown};

/// What stops working, and what is not known.
const CONSEQUENCES: &str = "every admin token issued so far stops working, for everyone who uses one; what that does to database tokens is not documented; once the keys are deleted there is no way back";

pub(super) fn run(session: &Session, args: &Revoke) -> Outcome {
    let (kubectl, influxctl) = tools(session)?;
    let trial = observe::trial(session, influxctl)?;
    let scene = look(session, kubectl, &args.how, trial)?;
    let ask = Ask {
        command: "revoke",
        how: &args.how,
        new_token: !args.no_new_token,
        profiles: vec![session.profile.to_owned()],
    };
    carry_through(session, scene, &ask, Vec::new())
}

/// kubectl pinned; influxctl beside it, which a revocation can go without.
fn tools(session: &Session) -> Result<(kubectl::Kubectl, Result<crate::tool::Tool>)> {
    std::thread::scope(|scope| {
        let influxctl = scope.spawn(|| probe::influxctl_tool(session));
        let kubectl =
            probe::kubectl_tool(session).and_then(|tool| probe::with_context(session, tool));
        let influxctl = joined(influxctl);
        Ok((kubectl?, influxctl))
    })
}

/// What was asked for.
pub(super) struct Ask<'a> {
    pub(super) command: &'static str,
    pub(super) how: &'a Revocation,
    pub(super) new_token: bool,
    /// For people: the profiles that get the new token.
    pub(super) profiles: Vec<String>,
}

/// All that is known before anything is planned.
pub(super) struct Scene {
    observed: Observed,
    begun: Vec<crate::tool::invocation::Object>,
    /// How a token is tried.
    pub(super) trial: Option<Trial>,
    /// A copy of the old token.
    pub(super) old: Option<Old>,
    /// The files of this machine that matter.
    pub(super) files: Files,
    /// The new one, where an unfinished revocation has made it.
    pub(super) new: Option<Secret>,
}

/// Looks at the cluster, and for a copy of the old token.
pub(super) fn look(
    session: &Session,
    kubectl: kubectl::Kubectl,
    how: &Revocation,
    trial: Option<Trial>,
) -> Result<Scene> {
    let namespace = session.namespace()?;
    trial
        .as_ref()
        .map_or(Ok(()), |trial| session.mode.may_try(&trial.profile))?;
    let mut observed = observe::cluster(session, kubectl, namespace, how)?;
    let begun = session.exec.deletions()?;
    let seen = Seen {
        secrets: &observed.secrets,
        jobs: &observed.jobs,
        pods: &observed.pods,
        begun: &begun,
    };
    let is_new = seen.stage(how.again).token == Stands::New;
    let (new, cluster) = if is_new {
        (observed.token.take(), None)
    } else {
        (None, observed.token.take())
    };
    let old = observe::old(session, how, cluster, new.as_ref(), trial.as_ref())?;
    Ok(Scene {
        observed,
        begun,
        trial,
        old,
        files: Files::default(),
        new,
    })
}

/// Plans, proves, confirms and carries out.
pub(super) fn carry_through(
    session: &Session,
    scene: Scene,
    ask: &Ask,
    local: Vec<Step>,
) -> Outcome {
    let Scene {
        observed,
        begun,
        trial,
        old,
        files,
        new: _,
    } = scene;
    let Observed {
        at, allowed, lock, ..
    } = observed;
    let facts = Facts {
        at,
        cluster: observed.cluster,
        about: probe::place(session),
        command: ask.command,
        secrets: observed.secrets,
        jobs: observed.jobs,
        pods: observed.pods,
        pods_matched: observed.pods_matched,
        operator: observed.operator,
        begun,
        options: options(ask),
        trial,
        grace: ask.how.grace,
    };
    let revocation = procedure::plan(&facts, local)?;
    may_do(ask, &revocation.plan, &facts.at.namespace, allowed)?;
    let old = tried(
        session,
        &facts,
        &revocation.plan,
        ask,
        old,
        revocation.half_done.is_some(),
    )?;
    tell(session, &revocation, &facts);
    let observed = files.cluster(&facts.cluster).secrets(&facts.secrets);
    if !go_on(session, &revocation.plan, observed, ask.how.dry_run)? {
        return Ok(None);
    }
    session.ui.plan(&revocation.plan);
    if revocation
        .plan
        .steps
        .iter()
        .any(|step| changes_cluster(&step.action))
    {
        confirm::confirm(session, &facts.at, ask.how.confirm.as_deref(), CONSEQUENCES)?;
    }
    let known = Known::default();
    if let Some(old) = old {
        let _ = known.old.set(old);
    }
    let done = carry_out(session, &revocation.plan, &known);
    drop(lock);
    done.map_err(|error| {
        stopped(
            session,
            error,
            &revocation.plan,
            &known,
            ask,
            revocation.half_done.is_some(),
        )
    })?;
    Ok(report(session, ask, &revocation.plan, &known))
}

fn options(ask: &Ask) -> Options {
    let how = ask.how;
    Options {
        rerun: how.way(),
        selector: how.selector().to_owned(),
        key_gen_job: how.key_gen_job.clone(),
        create_admin_token_job: how.create_admin_token_job.clone(),
        again: how.again,
        new_token: ask.new_token,
        waived: how.waive,
        wait: how.wait_timeout,
    }
}

fn changes_cluster(action: &Action) -> bool {
    match action {
        Action::DeleteSecret(_) => true,
        Action::RunJob(run) => run.command().is_some(),
        Action::Restart(restart) => restart.command().is_some(),
        _ => false,
    }
}

/// Fails where the account may not do what the plan needs.
fn may_do(
    ask: &Ask,
    plan: &Plan,
    namespace: &str,
    allowed: std::result::Result<Vec<bool>, Failure>,
) -> Result<()> {
    if ask.how.waive == Some(Proof::Permissions) {
        return Ok(());
    }
    let waive = "--waive permissions goes on without this proof";
    let allowed = allowed.map_err(|failure| {
        let error = failure.into_error("what this account may do cannot be found out");
        Error {
            kind: refused_if_failed(error.kind),
            ..error.and(waive)
        }
    })?;
    let missing: Vec<String> = procedure::missing(plan, namespace, &allowed)
        .iter()
        .map(ToString::to_string)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::refused(format!("this account may not: {}", missing.join(", ")))
        .hint(format!("nothing was changed; ask for these rights in namespace `{namespace}`, or use another account (--context, --as): `bypassctl doctor` shows each with its remedy")))
}

fn refused_if_failed(kind: Kind) -> Kind {
    if kind == Kind::Failed {
        Kind::Refused
    } else {
        kind
    }
}

/// What is left to show: that the jobs could be made, and that the old token is accepted now.
fn tried(
    session: &Session,
    facts: &Facts,
    plan: &Plan,
    ask: &Ask,
    old: Option<Old>,
    half_done: bool,
) -> Result<Option<Old>> {
    let (jobs, old) = std::thread::scope(|scope| {
        let jobs = scope.spawn(|| try_jobs(session, facts, plan, ask));
        let old = old
            .map(|old| try_old(session, facts.trial.as_ref(), old, half_done))
            .transpose();
        (joined(jobs), old)
    });
    jobs?;
    let old = old?;
    if old.is_none() {
        session.ui.warn(
            "no copy of the old token is at hand, so the proof will be inconclusive",
            "name one: --old-token-file FILE",
        );
    }
    Ok(old)
}

fn try_jobs(session: &Session, facts: &Facts, plan: &Plan, ask: &Ask) -> Result<()> {
    let runs = plan.steps.iter().filter_map(|step| match &step.action {
        Action::RunJob(run) => Some(run),
        _ => None,
    });
    let (mut clones, mut documented) = (Vec::<JobManifest>::new(), Vec::<Invocation>::new());
    for run in runs {
        match &run.way {
            Way::Clone { manifest, .. } => clones.push(manifest.clone()),
            Way::FromJob { from, name } => {
                let from = from.name.trim_start_matches("job/");
                documented.push(
                    facts
                        .at
                        .kubectl
                        .try_job_from_job(&facts.at.namespace, from, name),
                );
            }
            Way::Operator { .. } | Way::Awaited { .. } | Way::Running { .. } => {}
        }
    }
    if !clones.is_empty() && ask.how.waive != Some(Proof::DryRun) {
        let output = session.run(
            "try-jobs",
            &facts.at.kubectl.try_jobs(&facts.at.namespace, &clones),
        )?;
        kubectl::parse_tried(&clones, &output).map_err(|failure| {
            not_made(
                failure,
                "the server would not make the clones of the jobs",
                "--waive dry-run goes on without this proof: a webhook that knows no dry run refuses it for that alone",
            )
        })?;
    }
    for command in documented {
        let output = session.run("try-job-from-job", &command)?;
        kubectl::parse_done(&output).map_err(|failure| {
            not_made(
                failure,
                "this kubectl does not accept the documented command",
                crate::tool::quirk::JOB_FROM_JOB,
            )
        })?;
    }
    Ok(())
}

fn not_made(failure: Failure, what: &str, hint: &str) -> Error {
    let error = failure.into_error(what);
    Error {
        kind: refused_if_failed(error.kind),
        hint: hint.to_owned(),
        ..error
    }
}

fn try_old(session: &Session, trial: Option<&Trial>, old: Old, half_done: bool) -> Result<Old> {
    let Some(Trial { command, profile }) = trial else {
        return Ok(old);
    };
    let at = profile.address();
    let inconclusive = |why: &str, hint: &str| {
        session
            .ui
            .warn(&format!("{why}, so the proof will be inconclusive"), hint);
    };
    match try_token(session, "try-old-token", command, profile, &old.token)? {
        Verdict::Accepted => {
            session.ui.step(
                "try-old-token",
                "proven",
                &format!("the old token is accepted by {at} now"),
            );
            Ok(Old {
                accepted: true,
                ..old
            })
        }
        Verdict::Refused(_) if half_done && old.from_cluster => {
            session.ui.step(
                "try-old-token",
                "proven",
                &format!("the old token is refused by {at} already"),
            );
            Ok(old)
        }
        Verdict::Refused(_) => {
            let hint = if half_done {
                "the revocation that had begun may have made it so: the record of that run shows whether it was accepted then (step `try-old-token`)"
            } else {
                "does the profile's host belong to this namespace? name another: --profile NAME"
            };
            inconclusive(&format!("the old token is refused by {at} already"), hint);
            // Refused before, refused after: that would show nothing.
            Ok(Old {
                from_cluster: false,
                ..old
            })
        }
        Verdict::Inconclusive(why) => {
            inconclusive(
                &format!("the old token could not be tried with {at}: {why}"),
                "look at host, port and TLS settings of the profile",
            );
            Ok(old)
        }
    }
}

fn tell(session: &Session, revocation: &procedure::Revocation, facts: &Facts) {
    if let Some(why) = &revocation.half_done {
        session.ui.warn(
            &format!("a revocation has begun here and did not come to its end, or another is in it right now: {why}"),
            "this run carries on with it; --again starts over, and deletes what it has made",
        );
    }
    for (step, held) in &revocation.held {
        session.ui.step(step, "held", held);
    }
    for (what, hint) in &revocation.warnings {
        session.ui.warn(what, hint);
    }
    if facts.options.rerun == Rerun::Auto {
        session.ui.step("operator", "seen", &facts.operator.told());
    }
    session
        .ui
        .fields(|fields| fields.half_done = Some(revocation.half_done.clone()));
}

/// What has been done, what has not, and that the same command carries on.
fn stopped(
    session: &Session,
    error: Error,
    plan: &Plan,
    known: &Known,
    ask: &Ask,
    half_done: bool,
) -> Error {
    if !session.exec.changed() && !half_done {
        return error;
    }
    let of = |stand: Stand| -> Vec<&str> {
        let steps = plan
            .steps
            .iter()
            .enumerate()
            .filter(|(index, _)| known.stand(*index) == stand);
        steps.map(|(_, step)| step.id).collect()
    };
    let list = |stand: Stand| {
        if of(stand).is_empty() {
            "nothing".to_owned()
        } else {
            of(stand).join(", ")
        }
    };
    let names = |stand: Stand| of(stand).into_iter().map(str::to_owned).collect();
    let progress = Progress {
        done: names(Stand::Done),
        begun: names(Stand::Begun),
        left: names(Stand::Left),
    };
    session.ui.fields(|fields| fields.progress = Some(progress));
    let again = if ask.how.again {
        "; without --again it carries on, with it it starts over"
    } else {
        ""
    };
    let told = format!(
        "done so far: {}; begun: {}; not done: {}{again}",
        list(Stand::Done),
        list(Stand::Begun),
        list(Stand::Left)
    );
    error.and(&told).after_a_change()
}

const TAKEN_FOR_NEW: &str =
    "those that are there were taken for the new ones of the revocation that had begun";

fn report(session: &Session, ask: &Ask, plan: &Plan, known: &Known) -> Option<Kind> {
    let shown = known
        .shown
        .get()
        .cloned()
        .unwrap_or(Shown::Inconclusive("it was not tried".to_owned()));
    session.ui.fields(|fields| {
        fields.proof = Some(shown.clone());
        fields.new_token_refused = Some(known.new_refused.get().cloned());
    });
    let use_of_new = match (ask.command, ask.new_token) {
        ("rotate", _) if known.new_refused.get().is_some() => {
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
        .any(|step| matches!(&step.action, Action::DeleteSecret(gone) if gone.name == "rsa-keys"));
    if !deleted && shown != Shown::Proven {
        session.ui.warn(
            &format!("no keys were deleted by this run: {TAKEN_FOR_NEW}"),
            "a token that these keys have signed is still valid; to revoke it: the same command with --again",
        );
    }
    match shown {
        Shown::Proven => {
            session.ui.say(&format!("revoked, proven{use_of_new}"));
            None
        }
        Shown::StillAccepted => {
            session.ui.say(&format!(
                "revoked, but the old token is still accepted{use_of_new}"
            ));
            Some(Kind::StillAccepted)
        }
        Shown::Inconclusive(_) => {
            session
                .ui
                .say(&format!("revoked, proof inconclusive{use_of_new}"));
            Some(Kind::Inconclusive)
        }
    }
}
