//! `rotate`: a revocation that also writes the new token to the profiles.

use super::revocation::observe::prepare_token_probe;
use super::revocation::request::RevocationRequest;
use super::revocation::{RevocationContext, gather_context, run_revocation};
use super::token_age::{compute_age, format_age, read_creation_time};
use super::token_setup::{
    SetupContext, find_former_target, plan_local_changes, prepare_setup, warn_about_other_token,
};
use super::unfinished::UnfinishedNotice;
use crate::cli::{DryRunArgs, EnableArgs, RotateArgs};
use crate::error::{CommandResult, Error, Result};
use crate::plan::{Action, RejectionCheck, Step, TokenProbe};
use crate::plan_file::document::PlanObservation;
use crate::procedure::enable::{VerifyMode, plan_token_setup};
use crate::procedure::revoke::MIN_REJECTIONS;
use crate::profile::{self, Profile};
use crate::session::Session;
use crate::session::influxctl_config::InfluxctlConfig;
use crate::session::token_file::read_token_file;
use crate::session::tools::resolve_delivery_program;
use crate::tool::Tool;
use crate::tool::delivery;
use crate::tool::kubectl::Kubectl;
use jiff::{SignedDuration, Timestamp};
use std::path::Path;
use std::time::Duration;

pub(crate) fn run(session: &Session, args: &RotateArgs) -> CommandResult {
    let is_dry_run = args.revocation.dry_run.format.is_some();
    let SetupContext {
        tools,
        config,
        lock,
    } = prepare_setup(session, args.allow_production, is_dry_run)?;
    if let Some(limit) = args.if_older_than
        && !is_rotation_due(session, &tools.kubectl, limit)?
    {
        return Ok(None);
    }
    let probe_profile = if args.all_profiles {
        choose_probe_profile(session, &config)?
    } else {
        session.profile.to_owned()
    };
    let token_probe = prepare_token_probe(
        &Session {
            profile: &probe_profile,
            ..*session
        },
        Ok(tools.influxctl.clone()),
    )?;
    let delivery = plan_delivery(session, &args.deliver)?;
    let mut context = gather_context(session, tools.kubectl, &args.revocation, token_probe)?;
    context.plan_observation = PlanObservation::default().with_config(&config.path, config.text());
    let profiles = select_profiles(session, args, &config, &context)?;
    let mut local_steps = plan_profile_changes(
        session,
        &tools.influxctl,
        config,
        &profiles,
        context.token_probe.as_ref(),
        args.revocation.grace_period,
    )?;
    local_steps.extend(delivery);
    let request = RevocationRequest {
        command: "rotate",
        args: &args.revocation,
        creates_new_token: true,
        profiles,
    };
    let outcome = run_revocation(session, context, &request, local_steps);
    drop(lock);
    outcome
}

/// Returns whether the token is older than the limit, or a revocation has to finish.
fn is_rotation_due(session: &Session, kubectl: &Kubectl, limit: SignedDuration) -> Result<bool> {
    if UnfinishedNotice::find(session)?.is_some() {
        return Ok(true);
    }
    let namespace = session.require_namespace()?;
    let created_at = read_creation_time(&session.runner(), kubectl, namespace)?;
    let age = compute_age(created_at, Timestamp::now())?;
    if age <= limit {
        session.ui.print_lines(&format!(
            "nothing to rotate: the token is {} old, and the limit is {}",
            format_age(age),
            format_age(limit)
        ));
    }
    Ok(age > limit)
}

/// Chooses the profile for token probes: the session's profile if it has a token file, or else the
/// first one that has.
fn choose_probe_profile(session: &Session, config: &InfluxctlConfig) -> Result<String> {
    let all =
        profile::list_profiles(config.require_text()?).map_err(|error| config.to_error(&error))?;
    let with_token = |profile: &&Profile| profile.token_file.is_some();
    let preferred = all
        .iter()
        .filter(with_token)
        .find(|profile| profile.name == session.profile);
    let chosen = preferred.or_else(|| all.iter().find(with_token));
    Ok(chosen.map_or_else(
        || session.profile.to_owned(),
        |profile| profile.name.clone(),
    ))
}

/// Returns the profiles that get the new token.
fn select_profiles(
    session: &Session,
    args: &RotateArgs,
    config: &InfluxctlConfig,
    context: &RevocationContext,
) -> Result<Vec<String>> {
    if !args.all_profiles {
        return Ok(session.common.profiles.clone());
    }
    let all =
        profile::list_profiles(config.require_text()?).map_err(|error| config.to_error(&error))?;
    let probed = context.token_probe.as_ref().map(|probe| &probe.profile);
    // An interrupted run can have deleted the last copy of the old token. Then every profile with a
    // token for the same address counts.
    let has_old_token = |profile: &&Profile| {
        let Some(file) = profile
            .token_file
            .as_deref()
            .map(Path::new)
            .filter(|file| file.is_absolute())
        else {
            return false;
        };
        // An unreadable file cannot be replaced safely, so it does not count.
        let token = read_token_file(session, file).unwrap_or_default();
        token.is_some_and(|token| match &context.old_token {
            // An interrupted run can have written the new token to some profiles already.
            Some(old) => old.token == token || context.new_token.as_ref() == Some(&token),
            None => probed.is_some_and(|probed| has_same_address(probed, profile)),
        })
    };
    let names: Vec<String> = all
        .iter()
        .filter(has_old_token)
        .map(|profile| profile.name.clone())
        .collect();
    if names.is_empty() {
        return Err(
            Error::refusal("no token file of a profile contains the old token")
                .hint("pass the profiles that get the new token: `--profile NAME`"),
        );
    }
    Ok(names)
}

/// Plans the local changes for each profile. Each edit applies to the result of the previous one.
fn plan_profile_changes(
    session: &Session,
    influxctl: &Tool,
    mut config: InfluxctlConfig,
    profiles: &[String],
    token_probe: Option<&TokenProbe>,
    grace_period: Duration,
) -> Result<Vec<Step>> {
    let args = EnableArgs {
        token_file: None,
        create_profile: false,
        host: None,
        port: None,
        verify: VerifyMode::Try,
        dry_run: DryRunArgs::default(),
        allow_production: false,
        replace: false,
    };
    let (mut steps, mut checks) = (Vec::new(), Vec::new());
    let mut verified: Vec<Profile> = token_probe
        .iter()
        .map(|probe| probe.profile.clone())
        .collect();
    for name in profiles {
        let session = Session {
            profile: name,
            ..*session
        };
        let (profile, setup) = plan_local_changes(&session, &args, influxctl, &config)?;
        // A rotation can be urgent, and it asks for a confirmation anyway.
        if let Some(former) = find_former_target(&session, &setup.token_file)?
            && !former.is_same_namespace(&session.executor.target())
        {
            warn_about_other_token(&session, &setup.token_file, &former);
        }
        config = config.with_edit(&setup.edit);
        steps.extend(plan_token_setup(setup));
        if let Some(probe) = token_probe
            && !verified
                .iter()
                .any(|other| has_same_address(other, &profile))
        {
            verified.push(profile.clone());
            checks.push(plan_profile_check(probe, profile, grace_period));
        }
    }
    steps.extend(checks);
    Ok(steps)
}

/// Plans to verify both tokens at the address of a further profile.
fn plan_profile_check(probe: &TokenProbe, profile: Profile, grace_period: Duration) -> Step {
    let name = profile.name.clone();
    Step {
        id: "verify-profile",
        reason: format!("profile `{name}` connects to {}", profile.address()),
        action: Action::VerifyProfile(RejectionCheck {
            token_probe: TokenProbe {
                command: probe.command.clone(),
                profile,
            },
            min_rejections: MIN_REJECTIONS,
            grace_period,
        }),
        postcondition: "its address rejects the old token and accepts the new one".to_owned(),
        parallel: false,
    }
}

/// Plans to hand the new token to another program, if the user asks for it.
fn plan_delivery(session: &Session, command: &[String]) -> Result<Option<Step>> {
    let [program, args @ ..] = command else {
        return Ok(None);
    };
    let tool = resolve_delivery_program(session, program)?;
    Ok(Some(Step {
        id: "deliver-token",
        reason: "another holder of the old token needs the new one".to_owned(),
        action: Action::DeliverToken(delivery::deliver_token(&tool, args)),
        postcondition: "the program exits with 0".to_owned(),
        parallel: false,
    }))
}

fn has_same_address(a: &Profile, b: &Profile) -> bool {
    (&a.host, &a.port, &a.tls) == (&b.host, &b.port, &b.tls)
}
