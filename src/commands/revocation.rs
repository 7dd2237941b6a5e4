//! Shared by `revoke` and `rotate`: observe, plan, check, confirm, execute, verify.

pub(crate) mod confirm;
pub(crate) mod observe;
pub(crate) mod preflight;
pub(crate) mod report;
pub(crate) mod request;

use crate::audit::{RecordedVerification, SecretVersion, StartedChanges};
use crate::cli::RevocationArgs;
use crate::error::{CommandResult, Error, ErrorKind, Result};
use crate::plan::{Action, Plan, Step, TokenProbe};
use crate::plan_file::document::PlanObservation;
use crate::procedure::revoke::{self as procedure, Observation, RevocationFacts, SecretState};
use crate::secret::Secret;
use crate::session::Session;
use crate::session::cluster::describe_target;
use crate::steps::execute_plan;
use crate::steps::plan_mode::handle_plan_mode;
use crate::steps::state::{OldToken, RunState};
use crate::tool::invocation::ObjectRef;
use crate::tool::kubectl::{Kubectl, SecretUid};
use crate::ui::RevocationVerification;
use confirm::require_confirmation;
use observe::{ClusterSnapshot, old_token_file_name};
use preflight::{PriorProgress, check_permissions, run_preflight};
use report::{add_progress, report_outcome, report_preflight};
use request::RevocationRequest;

/// The facts that a revocation is planned from.
pub(crate) struct RevocationContext {
    snapshot: ClusterSnapshot,
    has_unfinished_changes: bool,
    started_deletions: Vec<ObjectRef>,
    created_secrets: Vec<ObjectRef>,
    /// The entry of an earlier run that verified the current keys.
    verified_by: Option<RecordedVerification>,
    /// `None` without a way to probe a token.
    pub(crate) token_probe: Option<TokenProbe>,
    /// A copy of the old token.
    pub(crate) old_token: Option<OldToken>,
    /// The state directory has the copy of the interrupted run that this one resumes.
    has_kept_token: bool,
    /// The local files that a saved plan describes.
    pub(crate) plan_observation: PlanObservation,
    /// The new token, if an unfinished revocation has created it.
    pub(crate) new_token: Option<Secret>,
}

/// Reads the state of the cluster, and a copy of the old token.
pub(crate) fn gather_context(
    session: &Session,
    kubectl: Kubectl,
    args: &RevocationArgs,
    token_probe: Option<TokenProbe>,
) -> Result<RevocationContext> {
    let namespace = session.require_namespace()?;
    if let Some(probe) = &token_probe {
        session.mode.check_probe_target(&probe.profile)?;
        let may_create = !session.mode.is_read_only(args.dry_run.format);
        session.executor.load_hmac_key(may_create)?;
    }
    let mut snapshot = observe::observe_cluster(session, kubectl, namespace, args)?;
    let StartedChanges {
        has_changes: has_unfinished_changes,
        deletions: started_deletions,
    } = session.executor.find_started_changes()?;
    let created_secrets = session.executor.find_created_secrets()?;
    let observation = Observation {
        secrets: &snapshot.secrets,
        jobs: &snapshot.jobs,
        pods: &snapshot.pods,
        has_unfinished_changes,
        started_deletions: &started_deletions,
        created_secrets: &created_secrets,
    };
    let stage = observation.determine_stage(args.start_over);
    let is_new = stage.token == SecretState::New;
    let verified_by = if stage.keys == SecretState::New {
        let secrets: Vec<_> = snapshot.secrets.iter().map(SecretVersion::from).collect();
        session.executor.find_verification(&secrets)?
    } else {
        None
    };
    // With `--start-over` the copy can be the only one, too.
    let is_unfinished = observation.determine_stage(false).resuming.is_some();
    let kept_token = if is_unfinished {
        let name = old_token_file_name(&snapshot.cluster_id, &snapshot.target.namespace);
        session.executor.read_state_token(&name)?
    } else {
        None
    };
    let has_kept_token = kept_token.is_some() && !args.start_over;
    let (new_token, current_token) = if is_new {
        (snapshot.current_token.take(), None)
    } else {
        (None, snapshot.current_token.take())
    };
    let old_token = observe::resolve_old_token(
        session,
        args,
        current_token,
        kept_token,
        new_token.as_ref(),
        token_probe.as_ref(),
    )?;
    Ok(RevocationContext {
        snapshot,
        has_unfinished_changes,
        started_deletions,
        created_secrets,
        verified_by,
        token_probe,
        old_token,
        has_kept_token,
        plan_observation: PlanObservation::default(),
        new_token,
    })
}

/// Plans, checks, confirms and executes.
///
/// `local_steps` write the new token on this host.
pub(crate) fn run_revocation(
    session: &Session,
    context: RevocationContext,
    request: &RevocationRequest,
    local_steps: Vec<Step>,
) -> CommandResult {
    let runner = session.runner();
    let RevocationContext {
        snapshot,
        has_unfinished_changes,
        started_deletions,
        created_secrets,
        verified_by,
        token_probe,
        old_token,
        has_kept_token,
        plan_observation,
        new_token: _,
    } = context;
    let ClusterSnapshot {
        target,
        permissions,
        namespace_lock,
        ..
    } = snapshot;
    let facts = RevocationFacts {
        target,
        cluster: snapshot.cluster_id,
        description: describe_target(session),
        command: request.command,
        secrets: snapshot.secrets,
        jobs: snapshot.jobs,
        pods: snapshot.pods,
        pods_match_selector: snapshot.pods_match_selector,
        other_key_users: snapshot.other_key_users,
        operator: snapshot.operator,
        app_instances: snapshot.app_instances,
        has_unfinished_changes,
        started_deletions,
        created_secrets,
        are_secrets_verified: verified_by.is_some(),
        options: request.options(),
        token_probe,
        grace_period: request.args.grace_period,
    };
    let revocation = procedure::plan_revocation(&facts, local_steps)?;
    let is_resuming = revocation.resuming.is_some();
    check_permissions(
        request.args,
        &revocation.plan,
        &facts.target.namespace,
        permissions,
    )?;
    let old_token = run_preflight(
        session,
        &facts,
        &revocation.plan,
        request.args,
        old_token,
        PriorProgress::new(verified_by.is_some(), is_resuming),
    )?;
    report_preflight(session, &revocation, &facts, verified_by.as_ref())?;
    let observed = plan_observation
        .with_cluster(&facts.cluster)
        .with_secrets(&facts.secrets);
    if !handle_plan_mode(
        &runner,
        session.mode,
        &revocation.plan,
        observed,
        request.args.dry_run.format,
    )? {
        return Ok(None);
    }
    session.ui.report_plan(&revocation.plan);
    if changes_cluster(&revocation.plan) {
        if revokes_tokens(&revocation.plan) {
            print_consequences(session, request, &revocation.plan);
        }
        session.ui.print_held_warnings();
        require_confirmation(session, &facts.target, request.args.confirm.as_deref())?;
        session.ui.set_wait_note(interrupt_note(request.args));
    }
    let state = build_run_state(&facts.secrets, verified_by, old_token);
    let result = execute_with_kept_token(session, &facts, &revocation.plan, has_kept_token, &state);
    drop(namespace_lock);
    result.map_err(|error| {
        add_progress(
            session,
            error,
            &revocation.plan,
            &state,
            request,
            is_resuming,
        )
    })?;
    Ok(report_outcome(
        session,
        request,
        &facts,
        &revocation,
        &state,
    ))
}

/// Returns the note below a wait.
fn interrupt_note(args: &RevocationArgs) -> &'static str {
    if args.start_over {
        "Ctrl-C is safe: the same command without --start-over resumes"
    } else {
        "Ctrl-C is safe: the same command resumes"
    }
}

/// Prints what a plan means, before the question.
fn print_consequences(session: &Session, request: &RevocationRequest, plan: &Plan) {
    let effect = if plan.deletes_keys() {
        "All admin tokens issued so far stop working, for all users. This cannot be undone."
    } else {
        "The old keys are already gone. This run completes the revocation."
    };
    let gap = if request.creates_new_token {
        "Expect an outage until the new token exists."
    } else {
        "No admin token is left afterwards, until another run creates one."
    };
    let limit = request.args.wait_timeout.as_secs();
    let details = if session.mode.is_execute() {
        "--dry-run"
    } else {
        "`plan show`"
    };
    for line in [
        effect,
        &format!("{gap} Each wait ends after {limit} s."),
        &format!("The effect on database tokens is not documented. Commands and hints: {details}"),
    ] {
        session.ui.print_wrapped("", line, 0);
    }
}

fn build_run_state(
    secrets: &[SecretUid],
    verified_by: Option<RecordedVerification>,
    old_token: Option<OldToken>,
) -> RunState {
    let state = RunState::default();
    state.set_secrets(secrets);
    if let Some(verified_by) = verified_by {
        let _ = state.verified_by.set(verified_by);
    }
    if let Some(old_token) = old_token {
        let _ = state.old_token.set(old_token);
    }
    state
}

/// Executes the plan. Keeps a copy of the old token until its rejection is verified: the copy in
/// the cluster goes first, and a rerun needs one.
fn execute_with_kept_token(
    session: &Session,
    facts: &RevocationFacts,
    plan: &Plan,
    has_kept_token: bool,
    state: &RunState,
) -> Result<()> {
    let executor = session.executor;
    let file = old_token_file_name(&facts.cluster, &facts.target.namespace);
    if revokes_tokens(plan) && !has_kept_token {
        match state.old_token.get() {
            Some(old) => executor.write_state_token("keep-old-token", &file, &old.token)?,
            None => executor.delete_state_file("delete-stale-old-token", &file)?,
        }
    }
    let result = execute_plan(&session.runner(), plan, state);
    let is_obsolete = match &result {
        Ok(()) => state.verification.get() == Some(&RevocationVerification::Verified),
        // The old token is still in the cluster: the server refused its deletion, for example.
        Err(_) => !has_kept_token && !executor.has_changed(),
    };
    let deletion = if is_obsolete {
        executor
            .delete_state_file("delete-old-token", &file)
            .map_err(token_remains_error)
    } else {
        Ok(())
    };
    result.and(deletion)
}

/// Says that only the copy of the old token is left to delete.
fn token_remains_error(error: Error) -> Error {
    if error.kind != ErrorKind::Refused {
        return error;
    }
    Error {
        message: format!(
            "the revocation is verified, but the copy of the old token remains: {}",
            error.message
        ),
        hint: "delete the file. The server rejects this token".to_owned(),
        ..error
    }
}

fn changes_cluster(plan: &Plan) -> bool {
    let mut steps = plan.steps.iter();
    revokes_tokens(plan) || steps.any(|step| matches!(step.action, Action::DeleteClone(_)))
}

/// Returns whether the plan changes the keys, the token or the pods that use them.
fn revokes_tokens(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| match &step.action {
        Action::DeleteSecret(_) => true,
        Action::RunJob(run) => run.command().is_some(),
        Action::RestartPods(restart) => restart.command().is_some(),
        _ => false,
    })
}
