//! `disable`

use super::carry_out::{Known, MAX_TOKEN_FILE, carry_out};
use super::config::{self, Config};
use super::enable::is_ours;
use super::plan::{Observed, go_on};
use super::session::Session;
use super::{Outcome, places};
use crate::cli::Disable;
use crate::error::{Error, Result};
use crate::exec::{left_beside, read};
use crate::plan::Plan;
use crate::procedure::disable::{Facts, plan};
use crate::profile::{self, ConfigError, Profile};
use crate::secret::looks_like_token;
use std::path::{Path, PathBuf};

pub(super) fn run(session: &Session, args: &Disable) -> Outcome {
    let named = which_config(session)?;
    let lock = args
        .dry_run
        .is_none()
        .then(|| config::lock(session, &named))
        .transpose()?;
    let config = Config::read(&named)?;
    if lock.is_some() && session.mode.is_now() {
        config.clear_leftover(session)?;
    }
    let observed = Observed::default().config(&config.path, config.text());
    let plan = facts(session, config).map(plan)?;
    if !go_on(session, &plan, observed, args.dry_run)? {
        return Ok(None);
    }
    carry_out(session, &plan, &Known::default())?;
    drop(lock);
    name_cached_copies(session);
    session.ui.say(done(&plan, session.profile).as_str());
    Ok(None)
}

/// The configuration that has the token. Which of two influxctl reads depends on its version, which is not asked for.
fn which_config(session: &Session) -> Result<PathBuf> {
    let mut candidates = config::candidates(session)?;
    let has_token = |path: &PathBuf| {
        let config = Config::read(path).ok();
        let profile = config.and_then(|config| profile::find(config.text()?, session.profile).ok());
        profile.is_some_and(|profile| profile.token_file.is_some())
    };
    let with_token: Vec<PathBuf> = candidates
        .iter()
        .filter(|path| has_token(path))
        .cloned()
        .collect();
    match with_token.len() {
        0 => Ok(candidates.swap_remove(0)),
        1 => Ok(with_token[0].clone()),
        _ => Err(Error::refused(format!(
            "both `{}` and `{}` have a token file for profile `{}`",
            with_token[0].display(),
            with_token[1].display(),
            session.profile
        ))
        .hint("say which: --config FILE, once for each")),
    }
}

fn done(plan: &Plan, profile: &str) -> String {
    if plan.steps.is_empty() {
        return format!("nothing to do: profile `{profile}` has no admin token");
    }
    format!(
        "done: profile `{profile}` has no admin token any more; the token itself stays valid until it is revoked"
    )
}

fn facts(session: &Session, config: Config) -> Result<Facts> {
    let name = session.profile;
    let found = match config.text() {
        Some(text) => profile::find(text, name),
        None => Err(ConfigError::NoProfiles {
            name: name.to_owned(),
        }),
    };
    let (profile, edit, gone) = match found {
        Ok(profile) => {
            let edit =
                profile::disable(config.required()?, name).map_err(|error| config.told(&error))?;
            (
                Some(profile),
                Some(edit).filter(|edit| !edit.is_noop()),
                None,
            )
        }
        // Where the profile is gone, the token file that was made for it may still be there.
        Err(error @ (ConfigError::NoProfiles { .. } | ConfigError::NoSuchProfile { .. })) => {
            (None, None, Some(error))
        }
        Err(error) => return Err(config.told(&error)),
    };
    if edit.is_some() {
        config.must_be_writable()?;
    }
    let token_files = token_files(session, &config, profile.as_ref())?;
    if let Some(error) = gone.filter(|_| token_files.is_empty()) {
        config.required()?;
        return Err(config.told(&error));
    }
    Ok(Facts {
        about: format!("profile `{name}` in {}", config.path.display()),
        profile: name.to_owned(),
        token_files,
        config_text: config.text().unwrap_or_default().to_owned(),
        config: config.path,
        edit,
    })
}

/// The file that the profile names, and the one that `enable` writes by default: a run that was cut short may have
/// left it. What another profile uses, and what is no file, stays.
fn token_files(
    session: &Session,
    config: &Config,
    profile: Option<&Profile>,
) -> Result<Vec<PathBuf>> {
    let profiles = config
        .text()
        .map_or(Ok(Vec::new()), profile::profiles)
        .map_err(|error| config.told(&error))?;
    let others: Vec<Profile> = profiles
        .into_iter()
        .filter(|other| other.name != session.profile)
        .collect();
    let named = profile
        .and_then(|profile| profile.token_file.as_ref())
        .map(PathBuf::from);
    let own = config
        .token_file(session.profile)
        .filter(|own| Some(own) != named.as_ref());
    let files = named
        .into_iter()
        .chain(own)
        .filter(|file| file.symlink_metadata().is_ok() || left_beside(file).is_some());
    Ok(files
        .filter(|file| may_go(session, config, file, &others))
        .collect())
}

fn may_go(session: &Session, config: &Config, file: &Path, others: &[Profile]) -> bool {
    let stays = |why: String| {
        session.ui.warn(
            &format!("`{}` stays: {why}", file.display()),
            "it may hold an admin token: look at it, and delete it yourself",
        );
        false
    };
    if let Some(what) = config::is_taken(session, config, file) {
        return stays(what.to_owned());
    }
    if let Some(user) = others
        .iter()
        .find(|other| other.token_file.as_deref().map(Path::new) == Some(file))
    {
        return stays(format!("profile `{}` uses it", user.name));
    }
    if !file.is_absolute() {
        return stays(
            "its path is relative, so which file it is depends on where influxctl runs".to_owned(),
        );
    }
    let ours = is_ours(file, config, session);
    if !ours
        && read(file, MAX_TOKEN_FILE)
            .is_ok_and(|old| old.is_some_and(|old| !looks_like_token(&old.bytes)))
    {
        return stays("it does not look like a token".to_owned());
    }
    match file.symlink_metadata() {
        Ok(meta) if !meta.is_file() => stays("it is not a regular file".to_owned()),
        _ => true,
    }
}

/// influxctl before 2.3.1 kept copies of the admin token; which files those are, only their content would tell.
fn name_cached_copies(session: &Session) {
    // Without a home there is no cache.
    let Ok(cache) = places::influxctl_cache(session.exec.surroundings()) else {
        return;
    };
    let is_json = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    };
    let entries = std::fs::read_dir(&cache)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut copies: Vec<PathBuf> = entries.filter(is_json).collect();
    copies.sort();
    for copy in copies {
        let text = format!(
            "influxctl's cache holds `{}`: influxctl before 2.3.1 keeps a copy of the admin token there",
            copy.display()
        );
        session.ui.warn(
            &text,
            "if you ever used such an influxctl with the admin token, delete it; influxctl makes its cache anew",
        );
    }
}
