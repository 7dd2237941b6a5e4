//! `disable`

use crate::cli::DisableArgs;
use crate::error::{CommandResult, Error, Result};
use crate::exec::{find_stale_temp_file, read_file};
use crate::plan::Plan;
use crate::plan_file::document::PlanObservation;
use crate::procedure::disable::{DisableFacts, plan_disable};
use crate::profile::{self, ConfigError, Profile};
use crate::secret::is_token_like;
use crate::session::Session;
use crate::session::influxctl_config::{
    InfluxctlConfig, is_default_token_file, list_candidates, lock_config, reserved_reason,
};
use crate::session::paths;
use crate::session::token_file::MAX_TOKEN_FILE;
use crate::steps::execute_plan;
use crate::steps::gate::should_execute;
use crate::steps::state::RunState;
use std::path::{Path, PathBuf};

pub(crate) fn run(session: &Session, args: &DisableArgs) -> CommandResult {
    let named = select_config(session)?;
    let lock = args
        .dry_run
        .is_none()
        .then(|| lock_config(session, &named))
        .transpose()?;
    let config = InfluxctlConfig::read(&named)?;
    if lock.is_some() && session.mode.is_execute() {
        config.remove_stale_temp(session)?;
    }
    let observed = PlanObservation::default().with_config(&config.path, config.text());
    let plan = gather_facts(session, config).map(plan_disable)?;
    if !should_execute(
        &session.runner(),
        session.mode,
        &plan,
        observed,
        args.dry_run,
    )? {
        return Ok(None);
    }
    execute_plan(&session.runner(), &plan, &RunState::default())?;
    drop(lock);
    warn_about_cached_tokens(session);
    session
        .ui
        .print_lines(format_result(&plan, session.profile).as_str());
    Ok(None)
}

/// The configuration that has the token. Which of two influxctl reads depends on its version, which is not asked for.
fn select_config(session: &Session) -> Result<PathBuf> {
    let mut candidates = list_candidates(session)?;
    let has_token = |path: &PathBuf| {
        let config = InfluxctlConfig::read(path).ok();
        let profile =
            config.and_then(|config| profile::find_profile(config.text()?, session.profile).ok());
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
        _ => Err(Error::refusal(format!(
            "both `{}` and `{}` have a token file for profile `{}`",
            with_token[0].display(),
            with_token[1].display(),
            session.profile
        ))
        .hint("say which: --config FILE, once for each")),
    }
}

fn format_result(plan: &Plan, profile: &str) -> String {
    if plan.steps.is_empty() {
        return format!("nothing to do: profile `{profile}` has no admin token");
    }
    format!(
        "done: profile `{profile}` has no admin token any more; the token itself stays valid until it is revoked"
    )
}

fn gather_facts(session: &Session, config: InfluxctlConfig) -> Result<DisableFacts> {
    let name = session.profile;
    let found = match config.text() {
        Some(text) => profile::find_profile(text, name),
        None => Err(ConfigError::NoProfiles {
            name: name.to_owned(),
        }),
    };
    let (profile, edit, gone) = match found {
        Ok(profile) => {
            let edit = profile::disable_token_file(config.require_text()?, name)
                .map_err(|error| config.to_error(&error))?;
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
        Err(error) => return Err(config.to_error(&error)),
    };
    if edit.is_some() {
        config.ensure_writable()?;
    }
    let token_files = find_token_files(session, &config, profile.as_ref())?;
    if let Some(error) = gone.filter(|_| token_files.is_empty()) {
        config.require_text()?;
        return Err(config.to_error(&error));
    }
    Ok(DisableFacts {
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
fn find_token_files(
    session: &Session,
    config: &InfluxctlConfig,
    profile: Option<&Profile>,
) -> Result<Vec<PathBuf>> {
    let profiles = config
        .text()
        .map_or(Ok(Vec::new()), profile::list_profiles)
        .map_err(|error| config.to_error(&error))?;
    let others: Vec<Profile> = profiles
        .into_iter()
        .filter(|other| other.name != session.profile)
        .collect();
    let named = profile
        .and_then(|profile| profile.token_file.as_ref())
        .map(PathBuf::from);
    let own = config
        .default_token_file(session.profile)
        .filter(|own| Some(own) != named.as_ref());
    let files = named
        .into_iter()
        .chain(own)
        .filter(|file| file.symlink_metadata().is_ok() || find_stale_temp_file(file).is_some());
    Ok(files
        .filter(|file| is_safe_to_delete(session, config, file, &others))
        .collect())
}

fn is_safe_to_delete(
    session: &Session,
    config: &InfluxctlConfig,
    file: &Path,
    others: &[Profile],
) -> bool {
    let stays = |why: String| {
        session.ui.warn(
            &format!("`{}` stays: {why}", file.display()),
            "it may hold an admin token: look at it, and delete it yourself",
        );
        false
    };
    if let Some(what) = reserved_reason(session, config, file) {
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
    let ours = is_default_token_file(file, config, session);
    if !ours
        && read_file(file, MAX_TOKEN_FILE)
            .is_ok_and(|old| old.is_some_and(|old| !is_token_like(&old.bytes)))
    {
        return stays("it does not look like a token".to_owned());
    }
    match file.symlink_metadata() {
        Ok(meta) if !meta.is_file() => stays("it is not a regular file".to_owned()),
        _ => true,
    }
}

/// influxctl before 2.3.1 kept copies of the admin token; which files those are, only their content would tell.
fn warn_about_cached_tokens(session: &Session) {
    // Without a home there is no cache.
    let Ok(cache) = paths::influxctl_cache_dir(session.executor.environment()) else {
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
