//! `revoke`: look, prove, confirm, act, prove.

use super::carry_out::{RunState, StepStatus, execute_plan, probe_token};
use super::observe::{self, ClusterSnapshot};
use super::plan::{PlanObservation, should_execute};
use super::probe::{self, join_thread};
use super::proof::OldToken;
use super::session::Session;
use super::{CommandResult, confirm};
use crate::cli::{RevocationArgs, RevokeArgs};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Action, JobStrategy, Plan, Step, TokenProbe};
use crate::procedure::revoke::{
    self as procedure, Observation, PreflightCheck, Rerun, RevocationFacts, RevocationOptions,
    SecretState,
};
use crate::secret::Secret;
use crate::tool::influxctl::TokenVerdict;
use crate::tool::invocation::Invocation;
use crate::tool::kubectl::{self, JobManifest, KubectlError};
use crate::ui::{Progress, RevocationVerification};

/// What stops working, and what is not known.
const CONSEQUENCES: &str = "every admin token issued so far stops working, for everyone who uses one; what that does to database tokens is not documented; once the keys are deleted there is no way back";

pub(super) fn run(session: &Session, args: &RevokeArgs) -> CommandResult {
    let (kubectl, influxctl) = resolve_revocation_tools(session)?;
    let trial = observe::prepare_token_probe(session, influxctl)?;
    let scene = gather_context(session, kubectl, &args.revocation, trial)?;
    let ask = RevocationRequest {
        command: "revoke",
        args: &args.revocation,
        new_token: !args.no_new_token,
        profiles: vec![session.profile.to_owned()],
    };
    run_revocation(session, scene, &ask, Vec::new())
}

/// kubectl pinned; influxctl beside it, which a revocation can go without.
fn resolve_revocation_tools(
    session: &Session,
) -> Result<(kubectl::Kubectl, Result<crate::tool::Tool>)> {
    std::thread::scope(|scope| {
        let influxctl = scope.spawn(|| probe::resolve_influxctl(session));
        let kubectl =
            probe::resolve_kubectl(session).and_then(|tool| probe::resolve_context(session, tool));
        let influxctl = join_thread(influxctl);
        Ok((kubectl?, influxctl))
    })
}

/// What was asked for.
pub(super) struct RevocationRequest<'a> {
    pub(super) command: &'static str,
    pub(super) args: &'a RevocationArgs,
    pub(super) new_token: bool,
    /// For people: the profiles that get the new token.
    pub(super) profiles: Vec<String>,
}

/// All that is known before anything is planned.
pub(super) struct RevocationContext {
    snapshot: ClusterSnapshot,
    begun_deletions: Vec<crate::tool::invocation::ObjectRef>,
    /// How a token is tried.
    pub(super) token_probe: Option<TokenProbe>,
    /// A copy of the old token.
    pub(super) old_token: Option<OldToken>,
    /// The files of this machine that matter.
    pub(super) plan_observation: PlanObservation,
    /// The new one, where an unfinished revocation has made it.
    pub(super) new_token: Option<Secret>,
}

/// Looks at the cluster, and for a copy of the old token.
pub(super) fn gather_context(
    session: &Session,
    kubectl: kubectl::Kubectl,
    how: &RevocationArgs,
    trial: Option<TokenProbe>,
) -> Result<RevocationContext> {
    let namespace = session.require_namespace()?;
    trial.as_ref().map_or(Ok(()), |trial| {
        session.mode.check_probe_target(&trial.profile)
    })?;
    let mut observed = observe::observe_cluster(session, kubectl, namespace, how)?;
    let begun = session.exec.find_begun_deletions()?;
    let seen = Observation {
        secrets: &observed.secrets,
        jobs: &observed.jobs,
        pods: &observed.pods,
        begun_deletions: &begun,
    };
    let is_new = seen.determine_stage(how.start_over).token == SecretState::New;
    let (new, cluster) = if is_new {
        (observed.current_token.take(), None)
    } else {
        (None, observed.current_token.take())
    };
    let old = observe::resolve_old_token(session, how, cluster, new.as_ref(), trial.as_ref())?;
    Ok(RevocationContext {
        snapshot: observed,
        begun_deletions: begun,
        token_probe: trial,
        old_token: old,
        plan_observation: PlanObservation::default(),
        new_token: new,
    })
}

/// Plans, proves, confirms and carries out.
pub(super) fn run_revocation(
    session: &Session,
    scene: RevocationContext,
    ask: &RevocationRequest,
    local: Vec<Step>,
) -> CommandResult {
    let RevocationContext {
        snapshot: observed,
        begun_deletions: begun,
        token_probe: trial,
        old_token: old,
        plan_observation: files,
        new_token: _,
    } = scene;
    let ClusterSnapshot {
        target: at,
        permissions: allowed,
        namespace_lock: lock,
        ..
    } = observed;
    let facts = RevocationFacts {
        target: at,
        cluster: observed.cluster_id,
        about: probe::describe_target(session),
        command: ask.command,
        secrets: observed.secrets,
        jobs: observed.jobs,
        pods: observed.pods,
        pods_matched: observed.pods_match_selector,
        operator: observed.operator,
        begun_deletions: begun,
        options: build_options(ask),
        token_probe: trial,
        grace_period: ask.args.grace_period,
    };
    let revocation = procedure::plan_revocation(&facts, local)?;
    check_permissions(ask, &revocation.plan, &facts.target.namespace, allowed)?;
    let old = run_preflight(
        session,
        &facts,
        &revocation.plan,
        ask,
        old,
        revocation.resuming.is_some(),
    )?;
    report_preflight(session, &revocation, &facts);
    let observed = files
        .with_cluster(&facts.cluster)
        .with_secrets(&facts.secrets);
    if !should_execute(session, &revocation.plan, observed, ask.args.dry_run)? {
        return Ok(None);
    }
    session.ui.report_plan(&revocation.plan);
    if revocation
        .plan
        .steps
        .iter()
        .any(|step| is_cluster_change(&step.action))
    {
        confirm::require_confirmation(
            session,
            &facts.target,
            ask.args.confirm.as_deref(),
            CONSEQUENCES,
        )?;
    }
    let known = RunState::default();
    if let Some(old) = old {
        let _ = known.old_token.set(old);
    }
    let done = execute_plan(session, &revocation.plan, &known);
    drop(lock);
    done.map_err(|error| {
        add_progress(
            session,
            error,
            &revocation.plan,
            &known,
            ask,
            revocation.resuming.is_some(),
        )
    })?;
    Ok(report_outcome(session, ask, &revocation.plan, &known))
}

fn build_options(ask: &RevocationRequest) -> RevocationOptions {
    let how = ask.args;
    RevocationOptions {
        rerun: how.rerun(),
        selector: how.selector().to_owned(),
        key_gen_job: how.key_gen_job.clone(),
        create_admin_token_job: how.create_admin_token_job.clone(),
        start_over: how.start_over,
        new_token: ask.new_token,
        skip_check: how.skip_check,
        timeout: how.wait_timeout,
    }
}

fn is_cluster_change(action: &Action) -> bool {
    match action {
        Action::DeleteSecret(_) => true,
        Action::RunJob(run) => run.command().is_some(),
        Action::RestartPods(restart) => restart.command().is_some(),
        _ => false,
    }
}

/// Fails where the account may not do what the plan needs.
fn check_permissions(
    ask: &RevocationRequest,
    plan: &Plan,
    namespace: &str,
    allowed: std::result::Result<Vec<bool>, KubectlError>,
) -> Result<()> {
    if ask.args.skip_check == Some(PreflightCheck::Permissions) {
        return Ok(());
    }
    let waive = "--waive permissions goes on without this proof";
    let allowed = allowed.map_err(|failure| {
        let error = failure.into_error("what this account may do cannot be found out");
        Error {
            kind: to_refused_kind(error.kind),
            ..error.with_hint(waive)
        }
    })?;
    let missing: Vec<String> = procedure::find_missing_permissions(plan, namespace, &allowed)
        .iter()
        .map(ToString::to_string)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::refusal(format!("this account may not: {}", missing.join(", ")))
        .hint(format!("nothing was changed; ask for these rights in namespace `{namespace}`, or use another account (--context, --as): `bypassctl doctor` shows each with its remedy")))
}

fn to_refused_kind(kind: ErrorKind) -> ErrorKind {
    if kind == ErrorKind::Failed {
        ErrorKind::Refused
    } else {
        kind
    }
}

/// What is left to show: that the jobs could be made, and that the old token is accepted now.
fn run_preflight(
    session: &Session,
    facts: &RevocationFacts,
    plan: &Plan,
    ask: &RevocationRequest,
    old: Option<OldToken>,
    half_done: bool,
) -> Result<Option<OldToken>> {
    let (jobs, old) = std::thread::scope(|scope| {
        let jobs = scope.spawn(|| dry_run_jobs(session, facts, plan, ask));
        let old = old
            .map(|old| probe_old_token(session, facts.token_probe.as_ref(), old, half_done))
            .transpose();
        (join_thread(jobs), old)
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

fn dry_run_jobs(
    session: &Session,
    facts: &RevocationFacts,
    plan: &Plan,
    ask: &RevocationRequest,
) -> Result<()> {
    let runs = plan.steps.iter().filter_map(|step| match &step.action {
        Action::RunJob(run) => Some(run),
        _ => None,
    });
    let (mut clones, mut documented) = (Vec::<JobManifest>::new(), Vec::<Invocation>::new());
    for run in runs {
        match &run.strategy {
            JobStrategy::Clone { manifest, .. } => clones.push(manifest.clone()),
            JobStrategy::FromJob { source: from, name } => {
                let from = from.name.trim_start_matches("job/");
                documented.push(facts.target.kubectl.dry_run_job_from_job(
                    &facts.target.namespace,
                    from,
                    name,
                ));
            }
            JobStrategy::Operator { .. }
            | JobStrategy::AwaitExisting { .. }
            | JobStrategy::Running { .. } => {}
        }
    }
    if !clones.is_empty() && ask.args.skip_check != Some(PreflightCheck::DryRun) {
        let output = session.run(
            "dry-run-jobs",
            &facts
                .target
                .kubectl
                .dry_run_jobs(&facts.target.namespace, &clones),
        )?;
        kubectl::check_jobs_dry_run(&clones, &output).map_err(|failure| {
            dry_run_error(
                failure,
                "the server would not make the clones of the jobs",
                "--waive dry-run goes on without this proof: a webhook that knows no dry run refuses it for that alone",
            )
        })?;
    }
    for command in documented {
        let output = session.run("dry-run-from-job", &command)?;
        kubectl::check_success(&output).map_err(|failure| {
            dry_run_error(
                failure,
                "this kubectl does not accept the documented command",
                crate::tool::quirk::JOB_FROM_JOB_UNSUPPORTED,
            )
        })?;
    }
    Ok(())
}

fn dry_run_error(failure: KubectlError, what: &str, hint: &str) -> Error {
    let error = failure.into_error(what);
    Error {
        kind: to_refused_kind(error.kind),
        hint: hint.to_owned(),
        ..error
    }
}

fn probe_old_token(
    session: &Session,
    trial: Option<&TokenProbe>,
    old: OldToken,
    half_done: bool,
) -> Result<OldToken> {
    let Some(TokenProbe { command, profile }) = trial else {
        return Ok(old);
    };
    let at = profile.address();
    let inconclusive = |why: &str, hint: &str| {
        session
            .ui
            .warn(&format!("{why}, so the proof will be inconclusive"), hint);
    };
    match probe_token(session, "probe-old-token", command, profile, &old.token)? {
        TokenVerdict::Accepted => {
            session.ui.report_step(
                "probe-old-token",
                "proven",
                &format!("the old token is accepted by {at} now"),
            );
            Ok(OldToken {
                accepted: true,
                ..old
            })
        }
        TokenVerdict::Rejected(_) if half_done && old.is_from_cluster => {
            session.ui.report_step(
                "probe-old-token",
                "proven",
                &format!("the old token is refused by {at} already"),
            );
            Ok(old)
        }
        TokenVerdict::Rejected(_) => {
            let hint = if half_done {
                "the revocation that had begun may have made it so: the record of that run shows whether it was accepted then (step `probe-old-token`)"
            } else {
                "does the profile's host belong to this namespace? name another: --profile NAME"
            };
            inconclusive(&format!("the old token is refused by {at} already"), hint);
            // Refused before, refused after: that would show nothing.
            Ok(OldToken {
                is_from_cluster: false,
                ..old
            })
        }
        TokenVerdict::Inconclusive(why) => {
            inconclusive(
                &format!("the old token could not be tried with {at}: {why}"),
                "look at host, port and TLS settings of the profile",
            );
            Ok(old)
        }
    }
}

fn report_preflight(
    session: &Session,
    revocation: &procedure::RevocationPlan,
    facts: &RevocationFacts,
) {
    if let Some(why) = &revocation.resuming {
        session.ui.warn(
            &format!("a revocation has begun here and did not come to its end, or another is in it right now: {why}"),
            "this run carries on with it; --again starts over, and deletes what it has made",
        );
    }
    for (step, held) in &revocation.satisfied {
        session.ui.report_step(step, "held", held);
    }
    for (what, hint) in &revocation.warnings {
        session.ui.warn(what, hint);
    }
    if facts.options.rerun == Rerun::Auto {
        session
            .ui
            .report_step("operator", "seen", &facts.operator.describe_effect());
    }
    session
        .ui
        .update_fields(|fields| fields.resuming = Some(revocation.resuming.clone()));
}

/// What has been done, what has not, and that the same command carries on.
fn add_progress(
    session: &Session,
    error: Error,
    plan: &Plan,
    known: &RunState,
    ask: &RevocationRequest,
    half_done: bool,
) -> Error {
    if !session.exec.has_changed() && !half_done {
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
        "; without --again it carries on, with it it starts over"
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

fn report_outcome(
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
        .any(|step| matches!(&step.action, Action::DeleteSecret(gone) if gone.name == "rsa-keys"));
    if !deleted && shown != RevocationVerification::Verified {
        session.ui.warn(
            &format!("no keys were deleted by this run: {REUSED_SECRETS_NOTE}"),
            "a token that these keys have signed is still valid; to revoke it: the same command with --again",
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
