//! What `revoke` and `rotate` share: observe, plan, check, confirm, execute, verify.

pub(crate) mod confirm;
pub(crate) mod observe;
pub(crate) mod preflight;
pub(crate) mod report;
pub(crate) mod request;

use crate::cli::RevocationArgs;
use crate::error::{CommandResult, Result};
use crate::plan::{Action, Step, TokenProbe};
use crate::plan_file::document::PlanObservation;
use crate::procedure::revoke::{self as procedure, Observation, RevocationFacts, SecretState};
use crate::secret::Secret;
use crate::session::Session;
use crate::session::cluster::describe_target;
use crate::steps::execute_plan;
use crate::steps::gate::should_execute;
use crate::steps::state::{OldToken, RunState};
use crate::tool::invocation::ObjectRef;
use crate::tool::kubectl::Kubectl;
use confirm::require_confirmation;
use observe::ClusterSnapshot;
use preflight::{check_permissions, run_preflight};
use report::{add_progress, report_outcome, report_preflight};
use request::RevocationRequest;

/// What stops working, and what is not known.
const CONSEQUENCES: &str = "every admin token issued so far stops working, for everyone who uses one; what that does to database tokens is not documented; once the keys are deleted there is no way back";

/// All that is known before anything is planned.
pub(crate) struct RevocationContext {
    snapshot: ClusterSnapshot,
    begun_deletions: Vec<ObjectRef>,
    /// How a token is tried.
    pub(crate) token_probe: Option<TokenProbe>,
    /// A copy of the old token.
    pub(crate) old_token: Option<OldToken>,
    /// The files of this machine that matter.
    pub(crate) plan_observation: PlanObservation,
    /// The new one, where an unfinished revocation has made it.
    pub(crate) new_token: Option<Secret>,
}

/// Looks at the cluster, and for a copy of the old token.
pub(crate) fn gather_context(
    session: &Session,
    kubectl: Kubectl,
    how: &RevocationArgs,
    trial: Option<TokenProbe>,
) -> Result<RevocationContext> {
    let namespace = session.require_namespace()?;
    trial.as_ref().map_or(Ok(()), |trial| {
        session.mode.check_probe_target(&trial.profile)
    })?;
    let mut observed = observe::observe_cluster(session, kubectl, namespace, how)?;
    let begun = session.executor.find_begun_deletions()?;
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
pub(crate) fn run_revocation(
    session: &Session,
    scene: RevocationContext,
    ask: &RevocationRequest,
    local: Vec<Step>,
) -> CommandResult {
    let runner = session.runner();
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
        about: describe_target(session),
        command: ask.command,
        secrets: observed.secrets,
        jobs: observed.jobs,
        pods: observed.pods,
        pods_matched: observed.pods_match_selector,
        operator: observed.operator,
        begun_deletions: begun,
        options: ask.options(),
        token_probe: trial,
        grace_period: ask.args.grace_period,
    };
    let revocation = procedure::plan_revocation(&facts, local)?;
    check_permissions(ask.args, &revocation.plan, &facts.target.namespace, allowed)?;
    let old = run_preflight(
        session,
        &facts,
        &revocation.plan,
        ask.args,
        old,
        revocation.resuming.is_some(),
    )?;
    report_preflight(session, &revocation, &facts);
    let observed = files
        .with_cluster(&facts.cluster)
        .with_secrets(&facts.secrets);
    if !should_execute(
        &runner,
        session.mode,
        &revocation.plan,
        observed,
        ask.args.dry_run,
    )? {
        return Ok(None);
    }
    session.ui.report_plan(&revocation.plan);
    if revocation
        .plan
        .steps
        .iter()
        .any(|step| is_cluster_change(&step.action))
    {
        require_confirmation(
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
    let done = execute_plan(&runner, &revocation.plan, &known);
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

fn is_cluster_change(action: &Action) -> bool {
    match action {
        Action::DeleteSecret(_) => true,
        Action::RunJob(run) => run.command().is_some(),
        Action::RestartPods(restart) => restart.command().is_some(),
        _ => false,
    }
}
