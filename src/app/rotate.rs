//! `rotate`: a revocation, and the new token put to use where the old one was.

use super::config::{self, Config};
use super::observe::token_in;
use super::revoke::{self, Ask, Scene};
use super::session::Session;
use super::{Outcome, enable, observe, probe};
use crate::cli::{Enable, Rotate};
use crate::error::{Error, Result};
use crate::plan::Step;
use crate::procedure::enable::{Verify, put_to_use};
use crate::profile::{self, Profile};
use crate::tool::Tool;
use std::path::Path;

pub(super) fn run(session: &Session, args: &Rotate) -> Outcome {
    let namespace = session.namespace()?;
    enable::warn_of_purpose(session);
    enable::not_production(args.allow_production, namespace, session.common.context.as_deref())?;
    let look = probe::look(session)?;
    enable::not_production(args.allow_production, namespace, look.kubectl.pins.context.as_deref())?;
    let named = config::locate(session, look.influxctl.version.as_ref())?;
    let lock = args.how.dry_run.is_none().then(|| config::lock(session, &named)).transpose()?;
    let config = Config::read(&named)?;
    if lock.is_some() {
        config.clear_leftover(session)?;
    }
    let trial = observe::trial(session, Ok(look.influxctl.clone()))?;
    let scene = revoke::look(session, look.kubectl, &args.how, trial)?;
    let profiles = profiles(session, args, &config, &scene)?;
    let local = local(session, &look.influxctl, config, &profiles)?;
    let ask = Ask { command: "rotate", how: &args.how, new_token: true, profiles };
    let outcome = revoke::carry_through(session, scene, &ask, local);
    drop(lock);
    outcome
}

/// The profiles that get the new token.
fn profiles(session: &Session, args: &Rotate, config: &Config, scene: &Scene) -> Result<Vec<String>> {
    if !args.all_profiles {
        return Ok(session.common.profiles.clone());
    }
    let all = profile::profiles(config.required()?).map_err(|error| config.told(&error))?;
    let own = all.iter().find(|profile| profile.name == session.profile).cloned();
    // A run that was cut short may have left no copy of the old token where it is looked for: then those that lead to
    // the same place and hold any token.
    let same_place =
        |profile: &Profile| own.as_ref().is_some_and(|own| (&own.host, &own.port) == (&profile.host, &profile.port));
    let holds_old = |profile: &&Profile| {
        let Some(file) = profile.token_file.as_deref().map(Path::new).filter(|file| file.is_absolute()) else {
            return false;
        };
        // A file that cannot be read holds nothing that could be replaced safely.
        let token = token_in(session, file).unwrap_or_default();
        token.is_some_and(|token| match &scene.old {
            Some(old) => old.token == token,
            None => same_place(profile),
        })
    };
    let names: Vec<String> = all.iter().filter(holds_old).map(|profile| profile.name.clone()).collect();
    if names.is_empty() {
        return Err(Error::refused("no profile's token file holds the old token")
            .hint("name the profiles that are to get the new one: --profile NAME"));
    }
    Ok(names)
}

/// What has to be done on this machine for each profile; each edit is of what the one before leaves.
fn local(session: &Session, influxctl: &Tool, mut config: Config, profiles: &[String]) -> Result<Vec<Step>> {
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
        let one = Session { profile: name, ..*session };
        let (_, put) = enable::local(&one, &how, influxctl, &config)?;
        config = config.edited(&put.edit);
        steps.extend(put_to_use(put));
    }
    Ok(steps)
}
