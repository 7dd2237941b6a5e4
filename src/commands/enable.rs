//! `enable`

use super::token_setup::{plan_local_changes, warn_about_purpose};
use crate::cli::EnableArgs;
use crate::error::{CommandResult, ErrorKind, Result};
use crate::plan::{Plan, format_shell_line};
use crate::plan_file::document::PlanObservation;
use crate::procedure;
use crate::procedure::enable::EnableFacts;
use crate::session::Session;
use crate::session::cluster::{
    ResolvedTools, describe_profile_and_target, identify_cluster, resolve_tools,
};
use crate::session::guard::refuse_production;
use crate::session::influxctl_config::{InfluxctlConfig, locate_config, lock_config};
use crate::steps::execute_plan;
use crate::steps::gate::should_execute;
use crate::steps::state::RunState;

pub(crate) fn run(session: &Session, args: &EnableArgs) -> CommandResult {
    let namespace = session.require_namespace()?;
    warn_about_purpose(session);
    refuse_production(
        session,
        args.allow_production,
        session.common.context.as_deref(),
    )?;
    let look = resolve_tools(session)?;
    refuse_production(
        session,
        args.allow_production,
        look.kubectl.global_flags.context.as_deref(),
    )?;
    let named = locate_config(session, look.influxctl.version.as_ref())?;
    let lock = args
        .dry_run
        .is_none()
        .then(|| lock_config(session, &named))
        .transpose()?;
    let config = InfluxctlConfig::read(&named)?;
    if lock.is_some() && session.mode.is_execute() {
        config.remove_stale_temp(session)?;
    }
    let known = RunState::default();
    let mut observed = PlanObservation::default().with_config(&config.path, config.text());
    if !session.mode.is_execute() {
        // Otherwise noted by the plan's own steps, which stop where it is another by then.
        let cluster = identify_cluster(&session.runner(), &look.kubectl, namespace)?;
        observed = observed.with_cluster(&cluster);
        known.expect_cluster(cluster);
    }
    let plan = build_plan(session, args, look, config)?;
    if !should_execute(
        &session.runner(),
        session.mode,
        &plan,
        observed,
        args.dry_run,
    )? {
        return Ok(None);
    }
    execute_plan(&session.runner(), &plan, &known)?;
    drop(lock);
    Ok(report_outcome(
        session,
        known.inconclusive_reason.get().is_some(),
    ))
}

/// What ends it: the same profile and configuration, whoever named them.
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
    let to_end = format!("to end it: {}", build_undo_command(session));
    if inconclusive {
        session.ui.print_lines(&format!(
            "done, but whether the token is accepted was not shown; {to_end}"
        ));
        return Some(ErrorKind::Inconclusive);
    }
    session.ui.print_lines(&format!(
        "done: influxctl uses the admin token with profile `{}`; {to_end}",
        session.profile
    ));
    None
}

fn build_plan(
    session: &Session,
    args: &EnableArgs,
    look: ResolvedTools,
    config: InfluxctlConfig,
) -> Result<Plan> {
    let (profile, local) = plan_local_changes(session, args, &look.influxctl, &config)?;
    Ok(procedure::enable::plan_enable(EnableFacts {
        kubectl: look.kubectl,
        influxctl: look.influxctl,
        namespace: session.require_namespace()?.to_owned(),
        about: describe_profile_and_target(session),
        profile,
        token_setup: local,
        verify: args.verify,
    }))
}
