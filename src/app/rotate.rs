//! `rotate`: a revocation, and the new token put to use where the old one was.

use super::config::{self, Config};
use super::observe::token_in;
use super::plan::Observed;
use super::policy::not_production;
use super::revoke::{self, Ask, Scene};
use super::session::Session;
use super::{Outcome, enable, observe, probe};
use crate::cli::{Enable, Rotate};
use crate::error::{Error, Result};
use crate::plan::{Step, Trial};
use crate::procedure::enable::{Verify, put_to_use};
use crate::profile::{self, Profile};
use crate::tool::Tool;
use std::path::Path;

pub(super) fn run(session: &Session, args: &Rotate) -> Outcome {
    session.namespace()?;
    enable::warn_of_purpose(session);
    not_production(
        session,
        args.allow_production,
        session.common.context.as_deref(),
    )?;
    let look = probe::look(session)?;
    not_production(
        session,
        args.allow_production,
        look.kubectl.pins.context.as_deref(),
    )?;
    let named = config::locate(session, look.influxctl.version.as_ref())?;
    let lock = args
        .how
        .dry_run
        .is_none()
        .then(|| config::lock(session, &named))
        .transpose()?;
    let config = Config::read(&named)?;
    if lock.is_some() && session.mode.is_now() {
        config.clear_leftover(session)?;
    }
    let tried = if args.all_profiles {
        first_with_token(session, &config)?
    } else {
        session.profile.to_owned()
    };
    let trial = observe::trial(
        &Session {
            profile: &tried,
            ..*session
        },
        Ok(look.influxctl.clone()),
    )?;
    let mut scene = revoke::look(session, look.kubectl, &args.how, trial)?;
    scene.files = Observed::default().config(&config.path, config.text());
    let profiles = profiles(session, args, &config, &scene)?;
    let local = local(
        session,
        &look.influxctl,
        config,
        &profiles,
        scene.trial.as_ref(),
    )?;
    let ask = Ask {
        command: "rotate",
        how: &args.how,
        new_token: true,
        profiles,
    };
    let outcome = revoke::carry_through(session, scene, &ask, local);
    drop(lock);
    outcome
}

/// The profile that tokens are tried with where none is named: the usual one, else the first that names a token file.
fn first_with_token(session: &Session, config: &Config) -> Result<String> {
    let all = profile::profiles(config.required()?).map_err(|error| config.told(&error))?;
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
fn profiles(
    session: &Session,
    args: &Rotate,
    config: &Config,
    scene: &Scene,
) -> Result<Vec<String>> {
    if !args.all_profiles {
        return Ok(session.common.profiles.clone());
    }
    let all = profile::profiles(config.required()?).map_err(|error| config.told(&error))?;
    let own = scene.trial.as_ref().map(|trial| &trial.profile);
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
        let token = token_in(session, file).unwrap_or_default();
        token.is_some_and(|token| match &scene.old {
            // Those that a run which was cut short has come to hold the new one already.
            Some(old) => old.token == token || scene.new.as_ref() == Some(&token),
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
            Error::refused("no profile's token file holds the old token")
                .hint("name the profiles that are to get the new one: --profile NAME"),
        );
    }
    Ok(names)
}

/// What has to be done on this machine for each profile; each edit is of what the one before leaves.
fn local(
    session: &Session,
    influxctl: &Tool,
    mut config: Config,
    profiles: &[String],
    trial: Option<&Trial>,
) -> Result<Vec<Step>> {
    let how = Enable {
        token_file: None,
        create_profile: false,
        host: None,
        port: None,
        verify: Verify::Try,
        dry_run: None,
        allow_production: false,
    };
    let mut steps = Vec::new();
    for name in profiles {
        let one = Session {
            profile: name,
            ..*session
        };
        let (profile, put) = enable::local(&one, &how, influxctl, &config)?;
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
        config = config.edited(&put.edit);
        steps.extend(put_to_use(put));
    }
    Ok(steps)
}
