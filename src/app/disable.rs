//! `disable`

use super::carry_out::carry_out;
use super::config::{self, Config};
use super::enable::show;
use super::session::Session;
use super::{Outcome, places};
use crate::cli::Disable;
use crate::error::Result;
use crate::exec::left_beside;
use crate::plan::Plan;
use crate::procedure::disable::{Facts, plan};
use crate::profile::{self, Profile};
use std::path::{Path, PathBuf};

pub(super) fn run(session: &Session, args: &Disable) -> Outcome {
    let named = config::locate(session, None)?;
    let lock = args.dry_run.is_none().then(|| config::lock(session, &named)).transpose()?;
    let config = Config::read(&named)?;
    let plan = facts(session, config).map(plan)?;
    if let Some(form) = args.dry_run {
        show(session, &plan, form);
        return Ok(None);
    }
    carry_out(session, &plan)?;
    drop(lock);
    name_cached_copies(session)?;
    session.ui.say(done(&plan, &session.common.profile).as_str());
    Ok(None)
}

fn done(plan: &Plan, profile: &str) -> String {
    if plan.steps.is_empty() {
        return format!("nothing to do: profile `{profile}` has no admin token");
    }
    format!("done: profile `{profile}` has no admin token any more; the token itself stays valid until it is revoked")
}

fn facts(session: &Session, config: Config) -> Result<Facts> {
    let name = &session.common.profile;
    let text = config.required()?.to_owned();
    let profiles = profile::profiles(&text).map_err(|error| config.told(&error))?;
    let profile = profile::find(&text, name).map_err(|error| config.told(&error))?;
    let edit = profile::disable(&text, name).map_err(|error| config.told(&error))?;
    if !edit.is_noop() {
        config.must_be_writable()?;
    }
    Ok(Facts {
        about: format!("profile `{name}` in {}", config.path.display()),
        profile: name.clone(),
        token_files: token_files(session, &config, &profile, &profiles),
        config: config.path,
        config_text: text,
        edit,
    })
}

/// The file that the profile names, and the one that `enable` writes by default: a run that was cut short may have
/// left it. What another profile uses, and what is no file, stays.
fn token_files(session: &Session, config: &Config, profile: &Profile, profiles: &[Profile]) -> Vec<PathBuf> {
    let named = profile.token_file.as_ref().map(PathBuf::from);
    let own = config.token_file(&profile.name).filter(|own| Some(own) != named.as_ref());
    let files =
        named.into_iter().chain(own).filter(|file| file.symlink_metadata().is_ok() || left_beside(file).is_some());
    files.filter(|file| may_go(session, file, profile, profiles)).collect()
}

fn may_go(session: &Session, file: &Path, profile: &Profile, profiles: &[Profile]) -> bool {
    let stays = |why: String| {
        session.ui.warn(
            &format!("`{}` stays: {why}", file.display()),
            Some("it may hold an admin token: look at it, and delete it yourself"),
        );
        false
    };
    let user = profiles
        .iter()
        .find(|other| other.name != profile.name && other.token_file.as_deref().map(Path::new) == Some(file));
    if let Some(user) = user {
        return stays(format!("profile `{}` uses it", user.name));
    }
    if !file.is_absolute() {
        return stays("its path is relative, so which file it is depends on where influxctl runs".to_owned());
    }
    match file.symlink_metadata() {
        Ok(meta) if !meta.is_file() => stays("it is not a regular file".to_owned()),
        _ => true,
    }
}

/// influxctl before 2.3.1 kept copies of the admin token; which files those are, only their content would tell.
fn name_cached_copies(session: &Session) -> Result<()> {
    let cache = places::influxctl_cache(session.exec.surroundings())?;
    let is_json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let entries = std::fs::read_dir(&cache).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut copies: Vec<PathBuf> = entries.filter(is_json).collect();
    copies.sort();
    for copy in copies {
        let text = format!(
            "influxctl's cache holds `{}`: influxctl before 2.3.1 keeps a copy of the admin token there",
            copy.display()
        );
        session.ui.warn(
            &text,
            Some("if you ever used such an influxctl with the admin token, delete it; influxctl makes its cache anew"),
        );
    }
    Ok(())
}
