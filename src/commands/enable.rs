//! `enable`: writes the admin token to a file and points a profile at it.

use super::token_setup::{
    SetupContext, describe_former_target, find_former_target, plan_local_changes, prepare_setup,
    warn_about_other_token,
};
use super::unfinished::UnfinishedNotice;
use crate::cli::EnableArgs;
use crate::error::{CommandResult, Error, ErrorKind, Result};
use crate::plan::{Plan, format_shell_line};
use crate::plan_file::document::PlanObservation;
use crate::procedure;
use crate::procedure::enable::EnableFacts;
use crate::session::Session;
use crate::session::cluster::{ResolvedTools, describe_profile_and_target, identify_cluster};
use crate::session::influxctl_config::InfluxctlConfig;
use crate::session::token_file::is_exposed;
use crate::steps::execute_plan;
use crate::steps::plan_mode::handle_plan_mode;
use crate::steps::state::RunState;
use crate::tool::kubectl::Kubectl;
use std::path::Path;

pub(crate) fn run(session: &Session, args: &EnableArgs) -> CommandResult {
    let SetupContext {
        tools,
        config,
        lock,
    } = prepare_setup(
        session,
        args.allow_production,
        args.dry_run.format.is_some(),
    )?;
    let unfinished = UnfinishedNotice::find(session)?;
    if let Some(notice) = &unfinished {
        session.ui.warn(
            &format!("a revocation has not finished: {}", notice.detail),
            &notice.hint,
        );
    }
    let state = RunState::default();
    let mut observed = PlanObservation::default().with_config(&config.path, config.text());
    if !session.mode.is_execute() {
        // A saved plan names its cluster. Otherwise the steps of the plan identify it.
        let namespace = session.require_namespace()?;
        let cluster = identify_cluster(&session.runner(), &tools.kubectl, namespace)?;
        observed = observed.with_cluster(&cluster);
        state.expect_cluster(cluster);
    }
    let plan = build_plan(session, args, tools, config, &state)?;
    if !handle_plan_mode(
        &session.runner(),
        session.mode,
        &plan,
        observed,
        args.dry_run.format,
    )? {
        return Ok(None);
    }
    execute_plan(&session.runner(), &plan, &state).map_err(|error| match &unfinished {
        Some(notice) if state.token().is_err() => notice.replace_hint(error),
        _ => error,
    })?;
    drop(lock);
    Ok(report_outcome(
        session,
        state.inconclusive_reason.get().is_some(),
    ))
}

/// Returns the `disable` command for the same profile and configuration.
fn build_undo_command(session: &Session) -> String {
    let profile = Some(session.profile)
        .filter(|profile| *profile != "default")
        .map(|profile| ["--profile", profile]);
    let config = session
        .common
        .config
        .as_ref()
        .map(|config| config.display().to_string());
    let config = config.as_deref().map(|config| ["--config", config]);
    let words = ["bypassctl", "disable"]
        .into_iter()
        .chain(profile.into_iter().chain(config).flatten());
    format_shell_line(&words.map(str::to_owned).collect::<Vec<_>>())
}

fn report_outcome(session: &Session, inconclusive: bool) -> Option<ErrorKind> {
    let undo = format!("to undo this, run `{}`", build_undo_command(session));
    if inconclusive {
        session.ui.print_lines(&format!(
            "done, but the token probe was inconclusive\n{undo}"
        ));
        return Some(ErrorKind::Inconclusive);
    }
    session.ui.print_lines(&format!(
        "done: influxctl uses the admin token with profile `{}`\n{undo}",
        session.profile
    ));
    None
}

/// Warns about a token file that others have access to, because the run repairs only its mode.
fn warn_about_exposed_token(session: &Session, file: &Path) {
    let Ok(meta) = file.metadata() else { return };
    if is_exposed(&meta) && meta.len() > 0 {
        session.ui.warn(
            &format!("other users had access to token file `{}`", file.display()),
            "others could read its token: run `bypassctl rotate`, unless nobody did",
        );
    }
}

/// Refuses to replace the token of another namespace without `--replace`.
///
/// The target of the file is the one that the audit log has. A file that the log does not know can
/// have an older token of this namespace.
fn protect_other_token(
    session: &Session,
    args: &EnableArgs,
    kubectl: &Kubectl,
    token_file: &Path,
    state: &RunState,
) -> Result<()> {
    let Some(former) = find_former_target(session, token_file)? else {
        return Ok(());
    };
    let namespace = session.require_namespace()?;
    let target = session.executor.target();
    // The same cluster can have another address by now, which its UID shows.
    if former.namespace.as_deref() == Some(namespace)
        && former.server != target.server
        && former.cluster_uid.is_some()
        && target.cluster_uid.is_none()
    {
        state.expect_cluster(identify_cluster(&session.runner(), kubectl, namespace)?);
    }
    if former.is_same_namespace(&session.executor.target()) {
        return Ok(());
    }
    if args.replace {
        warn_about_other_token(session, token_file, &former);
        return Ok(());
    }
    Err(Error::refusal(format!(
        "token file `{}` has the token of {}",
        token_file.display(),
        describe_former_target(&former)
    ))
    .hint(format!(
        "pass --replace to replace it with the token of namespace `{namespace}`, \
             or pass another profile or file: --profile NAME, --token-file FILE"
    )))
}

fn build_plan(
    session: &Session,
    args: &EnableArgs,
    tools: ResolvedTools,
    config: InfluxctlConfig,
    state: &RunState,
) -> Result<Plan> {
    let (profile, token_setup) = plan_local_changes(session, args, &tools.influxctl, &config)?;
    protect_other_token(
        session,
        args,
        &tools.kubectl,
        &token_setup.token_file,
        state,
    )?;
    warn_about_exposed_token(session, &token_setup.token_file);
    Ok(procedure::enable::plan_enable(EnableFacts {
        kubectl: tools.kubectl,
        influxctl: tools.influxctl,
        namespace: session.require_namespace()?.to_owned(),
        description: describe_profile_and_target(session),
        profile,
        token_setup,
        verify: args.verify,
    }))
}
