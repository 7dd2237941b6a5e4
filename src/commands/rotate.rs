//! `rotate`: a revocation that also writes the new token to the profiles.

use super::revocation::observe::prepare_token_probe;
use super::revocation::request::RevocationRequest;
use super::revocation::{RevocationContext, gather_context, run_revocation};
use super::token_setup::{plan_local_changes, warn_about_purpose};
use crate::cli::{EnableArgs, RotateArgs};
use crate::error::{CommandResult, Error, Result};
use crate::plan::{Step, TokenProbe};
use crate::plan_file::document::PlanObservation;
use crate::procedure::enable::{VerifyMode, plan_token_setup};
use crate::profile::{self, Profile};
use crate::session::Session;
use crate::session::cluster::resolve_tools;
use crate::session::guard::refuse_production;
use crate::session::influxctl_config::{InfluxctlConfig, locate_config, lock_config};
use crate::session::token_file::read_token_file;
use crate::tool::Tool;
use std::path::Path;

pub(crate) fn run(session: &Session, args: &RotateArgs) -> CommandResult {
    session.require_namespace()?;
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
        .revocation
        .dry_run
        .is_none()
        .then(|| lock_config(session, &named))
        .transpose()?;
    let config = InfluxctlConfig::read(&named)?;
    if lock.is_some() && session.mode.is_execute() {
        config.remove_stale_temp(session)?;
    }
    let tried = if args.all_profiles {
        choose_probe_profile(session, &config)?
    } else {
        session.profile.to_owned()
    };
    let trial = prepare_token_probe(
        &Session {
            profile: &tried,
            ..*session
        },
        Ok(look.influxctl.clone()),
    )?;
    let mut scene = gather_context(session, look.kubectl, &args.revocation, trial)?;
    scene.plan_observation = PlanObservation::default().with_config(&config.path, config.text());
    let profiles = select_profiles(session, args, &config, &scene)?;
    let local = plan_profile_changes(
        session,
        &look.influxctl,
        config,
        &profiles,
        scene.token_probe.as_ref(),
    )?;
    let ask = RevocationRequest {
        command: "rotate",
        args: &args.revocation,
        new_token: true,
        profiles,
    };
    let outcome = run_revocation(session, scene, &ask, local);
    drop(lock);
    outcome
}

/// The profile that tokens are tried with where none is named: the usual one, else the first that names a token file.
fn choose_probe_profile(session: &Session, config: &InfluxctlConfig) -> Result<String> {
    let all =
        profile::list_profiles(config.require_text()?).map_err(|error| config.to_error(&error))?;
    let with_token = |profile: &&Profile| profile.token_file.is_some();
    let usual = all
        .iter()
        .filter(with_token)
        .find(|profile| profile.name == session.profile);
    let found = usual.or_else(|| all.iter().find(with_token));
    Ok(found.map_or_else(
        || session.profile.to_owned(),
        |profile| profile.name.clone(),
    ))
}

/// The profiles that get the new token.
fn select_profiles(
    session: &Session,
    args: &RotateArgs,
    config: &InfluxctlConfig,
    scene: &RevocationContext,
) -> Result<Vec<String>> {
    if !args.all_profiles {
        return Ok(session.common.profiles.clone());
    }
    let all =
        profile::list_profiles(config.require_text()?).map_err(|error| config.to_error(&error))?;
    let own = scene.token_probe.as_ref().map(|trial| &trial.profile);
    // A run that was cut short may have left no copy of the old token where it is looked for: then those that lead to
    // the same place and hold any token.
    let same_place = |profile: &Profile| {
        own.is_some_and(|own| (&own.host, &own.port) == (&profile.host, &profile.port))
    };
    let holds_old = |profile: &&Profile| {
        let Some(file) = profile
            .token_file
            .as_deref()
            .map(Path::new)
            .filter(|file| file.is_absolute())
        else {
            return false;
        };
        // A file that cannot be read holds nothing that could be replaced safely.
        let token = read_token_file(session, file).unwrap_or_default();
        token.is_some_and(|token| match &scene.old_token {
            // Those that a run which was cut short has come to hold the new one already.
            Some(old) => old.token == token || scene.new_token.as_ref() == Some(&token),
            None => same_place(profile),
        })
    };
    let names: Vec<String> = all
        .iter()
        .filter(holds_old)
        .map(|profile| profile.name.clone())
        .collect();
    if names.is_empty() {
        return Err(
            Error::refusal("no profile's token file holds the old token")
                .hint("name the profiles that are to get the new one: --profile NAME"),
        );
    }
    Ok(names)
}

/// What has to be done on this machine for each profile; each edit is of what the one before leaves.
fn plan_profile_changes(
    session: &Session,
    influxctl: &Tool,
    mut config: InfluxctlConfig,
    profiles: &[String],
    trial: Option<&TokenProbe>,
) -> Result<Vec<Step>> {
    let how = EnableArgs {
        token_file: None,
        create_profile: false,
        host: None,
        port: None,
        verify: VerifyMode::Try,
        dry_run: None,
        allow_production: false,
    };
    let mut steps = Vec::new();
    for name in profiles {
        let one = Session {
            profile: name,
            ..*session
        };
        let (profile, put) = plan_local_changes(&one, &how, influxctl, &config)?;
        let same_place =
            |tried: &Profile| (&tried.host, &tried.port) == (&profile.host, &profile.port);
        if trial.is_some_and(|trial| !same_place(&trial.profile)) {
            let text = format!(
                "profile `{name}` leads to {}: whether that takes the new token is not tried",
                profile.address()
            );
            session.ui.warn(
                &text,
                "is it the same InfluxDB? `bypassctl status --profile NAME` tries it",
            );
        }
        config = config.with_edit(&put.edit);
        steps.extend(plan_token_setup(put));
    }
    Ok(steps)
}
