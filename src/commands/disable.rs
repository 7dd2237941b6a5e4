//! `disable`: deletes the token file and restores the profile.

use super::resume::parse_profiles;
use super::token_setup::open_config;
use super::unfinished::UnfinishedNotice;
use crate::audit::{TokenFileOrigin, UnfinishedRevocation};
use crate::cli::DisableArgs;
use crate::error::{CommandResult, Error, Result};
use crate::exec::{find_stale_temp_file, read_file};
use crate::plan::Plan;
use crate::plan_file::document::PlanObservation;
use crate::procedure::disable::{DisableFacts, plan_disable};
use crate::profile::{self, ConfigEdit, ConfigError, Profile};
use crate::secret::is_token_like;
use crate::session::Session;
use crate::session::influxctl_config::{
    InfluxctlConfig, is_default_token_file, list_candidates, reserved_reason,
};
use crate::session::token_file::MAX_TOKEN_FILE;
use crate::session::{ownership, paths};
use crate::steps::execute_plan;
use crate::steps::plan_mode::handle_plan_mode;
use crate::steps::state::RunState;
use std::path::{Path, PathBuf};

pub(crate) fn run(session: &Session, args: &DisableArgs) -> CommandResult {
    let path = select_config(session)?;
    let (config, lock) = open_config(session, &path, args.dry_run.format.is_some())?;
    let observed = PlanObservation::default().with_config(&config.path, config.text());
    let facts = gather_facts(session, config)?;
    let former = facts.former_token_file.clone();
    keep_token_for_revocation(session, &facts.token_files)?;
    let plan = plan_disable(facts);
    if !handle_plan_mode(
        &session.runner(),
        session.mode,
        &plan,
        observed,
        args.dry_run.format,
    )? {
        return Ok(None);
    }
    execute_plan(&session.runner(), &plan, &RunState::default())?;
    drop(lock);
    warn_about_cached_tokens(session);
    session
        .ui
        .print_lines(&format_result(&plan, session.profile, former.as_deref()));
    Ok(None)
}

/// Selects the configuration that has a token file for the profile.
///
/// The version of influxctl decides which configuration it reads, but `disable` does not run it.
fn select_config(session: &Session) -> Result<PathBuf> {
    let mut candidates = list_candidates(session)?;
    let has_token = |path: &PathBuf| {
        let config = InfluxctlConfig::read(session, path).ok();
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
        .hint("run `bypassctl disable --config FILE` for each")),
    }
}

/// Refuses to delete a token file that an unfinished revocation needs.
///
/// The revocation can have deleted the secret. Then the file is the last copy of the old token,
/// which the verification needs.
fn keep_token_for_revocation(session: &Session, token_files: &[PathBuf]) -> Result<()> {
    if token_files.is_empty() {
        return Ok(());
    }
    for revocation in session.executor.list_unfinished_revocations()? {
        if !may_use_profile(&revocation, session.profile) {
            continue;
        }
        for file in token_files {
            let write = session.executor.find_last_write(file)?;
            if write.is_none_or(|write| write.target.is_same_namespace(&revocation.target)) {
                return Err(token_needed_error(file, &revocation));
            }
        }
    }
    Ok(())
}

/// Returns whether a revocation uses a profile, or can use it: the profile can come from a policy
/// or a plan.
fn may_use_profile(revocation: &UnfinishedRevocation, profile: &str) -> bool {
    let Some(profiles) = parse_profiles(&revocation.argv()) else {
        return true;
    };
    let has_policy = revocation
        .begin
        .as_ref()
        .is_none_or(|begin| begin.policy.is_some());
    if profiles.is_empty() {
        has_policy || profile == "default"
    } else {
        profiles.iter().any(|name| name == profile)
    }
}

fn token_needed_error(file: &Path, revocation: &UnfinishedRevocation) -> Error {
    let notice = UnfinishedNotice::from_revocation(revocation);
    let error = Error::refusal(format!(
        "a revocation that has not finished needs the token file `{}`: {}",
        file.display(),
        notice.detail
    ))
    .hint(notice.hint);
    if notice.is_running {
        return error;
    }
    error.append_hint(
        "to disable first, move the file to a safe place, and pass it to that command with \
         `--old-token-file FILE`",
    )
}

fn format_result(plan: &Plan, profile: &str, former: Option<&str>) -> String {
    if let Some(former) = former {
        let verb = if plan.steps.is_empty() {
            "nothing to do"
        } else {
            "done"
        };
        return format!(
            "{verb}: profile `{profile}` has its former token file again: `{former}`\n\
             the admin token stays valid until you revoke it"
        );
    }
    if plan.steps.is_empty() {
        return format!("nothing to do: profile `{profile}` has no admin token");
    }
    format!(
        "done: profile `{profile}` no longer has an admin token\n\
         the token stays valid until you revoke it"
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
    let (profile, restoration, missing) = match found {
        Ok(profile) => {
            let edit = plan_edit(session, &config)?;
            (Some(profile), edit, None)
        }
        // The token file can outlive its profile.
        Err(error @ (ConfigError::NoProfiles { .. } | ConfigError::NoSuchProfile { .. })) => {
            (None, Restoration::default(), Some(error))
        }
        Err(error) => return Err(config.to_error(&error)),
    };
    let Restoration {
        edit,
        former_token_file,
    } = restoration;
    if edit.is_some() {
        ownership::check_config(session, &config)?;
        config.ensure_writable()?;
    }
    let former = former_token_file.as_deref().map(Path::new);
    let token_files = find_token_files(session, &config, profile.as_ref(), former)?;
    if let Some(error) = missing.filter(|_| token_files.is_empty()) {
        config.require_text()?;
        return Err(config.to_error(&error));
    }
    Ok(DisableFacts {
        description: format!("profile `{name}` in {}", config.path.display()),
        profile: name.to_owned(),
        token_files,
        config_text: config.text().unwrap_or_default().to_owned(),
        config: config.path,
        edit,
        former_token_file,
    })
}

/// The configuration after `disable`.
#[derive(Default)]
struct Restoration {
    /// The edit of the configuration, if it needs one.
    edit: Option<ConfigEdit>,
    /// The token file of the profile afterwards, which it had before `enable`.
    former_token_file: Option<String>,
}

/// Plans to restore the profile from before `enable`, as far as the audit log shows it.
fn plan_edit(session: &Session, config: &InfluxctlConfig) -> Result<Restoration> {
    let (text, name) = (config.require_text()?, session.profile);
    let plan = |former: Option<&str>| {
        profile::disable_token_file(text, name, former).map_err(|error| config.to_error(&error))
    };
    let read_token_file = |text: &str| {
        let profile = profile::find_profile(text, name);
        profile
            .map_err(|error| config.to_error(&error))
            .map(|profile| profile.token_file)
    };
    let edit = plan(None)?;
    let Some(change) = &edit.token_file else {
        return Ok(Restoration::default());
    };
    match session
        .executor
        .find_token_file_origin(&config.path, change)?
    {
        TokenFileOrigin::Set {
            former: Some(former),
        } => {
            let edit = plan(Some(&former))?;
            Ok(Restoration {
                former_token_file: read_token_file(&edit.text)?,
                edit: Some(edit),
            })
        }
        TokenFileOrigin::Restored => Ok(Restoration {
            edit: None,
            former_token_file: read_token_file(text)?,
        }),
        TokenFileOrigin::Set { former: None } | TokenFileOrigin::Unknown => Ok(Restoration {
            edit: Some(edit),
            former_token_file: None,
        }),
    }
}

/// Returns the token file that the profile names, and the default one, which an interrupted
/// `enable` can have written. Omits a file that another profile uses, and the `former` one.
fn find_token_files(
    session: &Session,
    config: &InfluxctlConfig,
    profile: Option<&Profile>,
    former: Option<&Path>,
) -> Result<Vec<PathBuf>> {
    let profiles = config
        .text()
        .map_or(Ok(Vec::new()), profile::list_profiles)
        .map_err(|error| config.to_error(&error))?;
    let others: Vec<Profile> = profiles
        .into_iter()
        .filter(|other| other.name != session.profile)
        .collect();
    let configured = profile
        .and_then(|profile| profile.token_file.as_ref())
        .map(PathBuf::from);
    let default = config
        .default_token_file(session.profile)
        .filter(|default| Some(default) != configured.as_ref());
    let files = configured
        .into_iter()
        .chain(default)
        .filter(|file| Some(file.as_path()) != former)
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
    let keep_with_hint = |reason: &str, hint: &str| {
        session
            .ui
            .warn(&format!("`{}` is kept: {reason}", file.display()), hint);
        false
    };
    let keep = |reason: String| {
        let hint = "check whether it contains an admin token, and delete it";
        keep_with_hint(&reason, hint)
    };
    if let Some(reason) = reserved_reason(session, config, file) {
        return keep(reason.to_owned());
    }
    if let Some(user) = others
        .iter()
        .find(|other| other.token_file.as_deref().map(Path::new) == Some(file))
    {
        return keep(format!("profile `{}` uses it", user.name));
    }
    if !file.is_absolute() {
        return keep(
            "its path is relative, so it depends on the working directory of influxctl".to_owned(),
        );
    }
    let is_default = is_default_token_file(file, config, session);
    if !is_default
        && read_file(file, MAX_TOKEN_FILE)
            .is_ok_and(|old| old.is_some_and(|old| !is_token_like(&old.bytes)))
    {
        return keep_with_hint(
            "it does not contain a token",
            "delete it by hand if nothing else uses it",
        );
    }
    match file.symlink_metadata() {
        Ok(meta) if !meta.is_file() => keep("it is not a regular file".to_owned()),
        _ => true,
    }
}

/// Warns about each file in influxctl's cache.
///
/// influxctl before 2.3.1 copied admin tokens there. Only the contents show which files are copies.
fn warn_about_cached_tokens(session: &Session) {
    // influxctl has no cache without a home directory.
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
    let mut cached: Vec<PathBuf> = entries.filter(is_json).collect();
    cached.sort();
    for file in cached {
        session.ui.warn(
            &format!(
                "influxctl's cache contains `{}`: influxctl before 2.3.1 copies the admin token \
                 there",
                file.display()
            ),
            "delete it if such an influxctl used the admin token: influxctl recreates its cache",
        );
    }
}
