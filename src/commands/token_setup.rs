//! What `enable` and `rotate` share: the token file and the edit of the profile.

use crate::cli::EnableArgs;
use crate::error::{Error, Result};
use crate::exec::{check_directory, read_file};
use crate::procedure::enable::TokenSetup;
use crate::profile::{self, ConfigEdit, ConfigError, Profile, Tls};
use crate::secret::is_token_like;
use crate::session::Session;
use crate::session::influxctl_config::{
    InfluxctlConfig, build_quirk_context, is_default_token_file, reserved_reason,
};
use crate::session::token_file::MAX_TOKEN_FILE;
use crate::tool::Tool;
use crate::tool::quirk;
use std::path::{Path, PathBuf};

/// What an admin token in use is for.
pub(crate) fn warn_about_purpose(session: &Session) {
    let why = "the admin token bypasses the identity provider: it is for development and testing, not for production";
    session
        .ui
        .warn(why, "end it with `bypassctl disable` before that");
}

/// The profile, and what puts a token to use with it on this machine.
pub(crate) fn plan_local_changes(
    session: &Session,
    args: &EnableArgs,
    influxctl: &Tool,
    config: &InfluxctlConfig,
) -> Result<(Profile, TokenSetup)> {
    let token_file = choose_token_file(session, args, config)?;
    let (profile, edit) = plan_profile_edit(session, args, config, &token_file)?;
    warn_about_quirks(session, influxctl, &profile);
    if !edit.is_noop() {
        config.ensure_writable()?;
    }
    let token_file = check_token_file(session, token_file, config)?;
    warn_about_shared_token_file(session, config, &token_file)?;
    let local = TokenSetup {
        profile: profile.name.clone(),
        config: config.path.clone(),
        config_text: config.text().map(str::to_owned),
        edit,
        token_file,
    };
    Ok((profile, local))
}

fn choose_token_file(
    session: &Session,
    args: &EnableArgs,
    config: &InfluxctlConfig,
) -> Result<PathBuf> {
    let name = session.profile;
    let own = || {
        config.default_token_file(name).ok_or_else(|| {
            Error::usage(format!(
                "a profile of the name `{name}` has no default token file"
            ))
            .hint("name one: --token-file FILE")
        })
    };
    let before = config
        .text()
        .and_then(|text| profile::find_profile(text, name).ok())
        .and_then(|profile| profile.token_file);
    let before = before.map(PathBuf::from).filter(|path| path.is_absolute());
    let path = match (&args.token_file, &before) {
        (Some(path), _) => session.executor.environment().cwd.join(path),
        // What is already right stays as it is.
        (None, Some(path)) => path.clone(),
        (None, None) => own()?,
    };
    if let Some(left) = before.filter(|before| *before != path && before.exists()) {
        let text = format!(
            "profile `{name}` used the token file `{}` so far: it stays, with its token",
            left.display()
        );
        session.ui.warn(&text, "delete it, if nothing else uses it");
    }
    if path.to_str().is_none() || path.file_name().is_none() {
        return Err(Error::usage(format!(
            "`{}` cannot be named in a configuration",
            path.display()
        ))
        .hint("a path in UTF-8 that ends with a file's name: --token-file FILE"));
    }
    Ok(path)
}

/// The profile, there already or to be made, and what has to change in the file.
fn plan_profile_edit(
    session: &Session,
    args: &EnableArgs,
    config: &InfluxctlConfig,
    token_file: &Path,
) -> Result<(Profile, ConfigEdit)> {
    let name = session.profile;
    let path = token_file.to_str().unwrap_or_default();
    let told = |error| config.to_error(&error);
    let text = config.text();
    let found = text.map_or(
        Err(ConfigError::NoProfiles {
            name: name.to_owned(),
        }),
        |text| profile::find_profile(text, name),
    );
    let missing = matches!(
        found,
        Err(ConfigError::NoProfiles { .. } | ConfigError::NoSuchProfile { .. })
    );
    if let (true, true, Some(host), Some(port)) =
        (missing, args.create_profile, &args.host, args.port)
    {
        let port = port.to_string();
        let edit = profile::create_profile(text.unwrap_or_default(), name, host, &port, path)
            .map_err(told)?;
        return Ok((build_profile(name, host, port, path), edit));
    }
    let text = config.require_text()?;
    let profile = found.map_err(told)?;
    if args.create_profile
        && (profile.host != args.host || profile.port != args.port.map(|port| port.to_string()))
    {
        return Err(Error::refusal(format!(
            "profile `{name}` is there already, with another host or port"
        ))
        .hint(
            "leave --create-profile out to use it as it is, or choose another name: --profile NAME",
        ));
    }
    let edit = profile::enable_token_file(text, name, path).map_err(told)?;
    Ok((profile, edit))
}

fn build_profile(name: &str, host: &str, port: String, token_file: &str) -> Profile {
    Profile {
        name: name.to_owned(),
        product: Some("clustered".to_owned()),
        host: Some(host.to_owned()),
        port: Some(port),
        tls: Tls::default(),
        token_file: Some(token_file.to_owned()),
        has_oauth2: false,
        has_client_secret: false,
        has_mgmt_token: false,
    }
}

fn warn_about_quirks(session: &Session, influxctl: &Tool, profile: &Profile) {
    for quirk in quirk::find_applicable_quirks(&build_quirk_context(influxctl, profile)) {
        session.ui.warn(quirk.message, quirk.remedy);
    }
}

/// Nothing secret goes where others can put something else in its place.
fn check_token_file(session: &Session, path: PathBuf, config: &InfluxctlConfig) -> Result<PathBuf> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let other = "name another place: --token-file FILE";
    if let Some(what) = reserved_reason(session, config, &path) {
        return Err(Error::refusal(format!(
            "`{}` cannot be the token file: {what}",
            path.display()
        ))
        .hint(other));
    }
    // The configuration's own directory is made with it, mode 0700.
    let will_be_made = config.snapshot.is_none()
        && !directory.exists()
        && Some(directory) == config.requested_path.parent();
    if !will_be_made && let Some(unfit) = check_directory(directory) {
        return Err(
            Error::refusal(format!("the token file cannot go there: {}", unfit.problem))
                .hint(format!("{}, or {other}", unfit.remedy)),
        );
    }
    let meta = std::fs::symlink_metadata(&path);
    if meta.is_ok_and(|meta| !meta.is_file()) {
        return Err(
            Error::refusal(format!("`{}` is not a regular file", path.display()))
                .hint(format!("move it away, or {other}")),
        );
    }
    match read_file(&path, MAX_TOKEN_FILE) {
        Ok(Some(old))
            if !is_default_token_file(&path, config, session)
                && !is_token_like(&old.bytes)
                && !old.bytes.is_empty() =>
        {
            Err(Error::refusal(format!(
                "`{}` is there already, and does not look like a token",
                path.display()
            ))
            .hint(format!("move it away, or {other}")))
        }
        Ok(_) => Ok(path),
        Err(error) => Err(Error::refusal(format!(
            "`{}` cannot be replaced: {error}",
            path.display()
        ))
        .hint(format!("move it away, or {other}"))),
    }
}

fn warn_about_shared_token_file(
    session: &Session,
    config: &InfluxctlConfig,
    token_file: &Path,
) -> Result<()> {
    let profiles = config
        .text()
        .map_or(Ok(Vec::new()), profile::list_profiles)
        .map_err(|error| config.to_error(&error))?;
    let others = profiles.iter().filter(|other| {
        other.name != session.profile
            && other.token_file.as_deref().map(Path::new) == Some(token_file)
    });
    for other in others {
        let text = format!(
            "profile `{}` uses this token file as well: it gets the same token",
            other.name
        );
        session.ui.warn(
            &text,
            "a token file of its own for each profile: leave --token-file out",
        );
    }
    Ok(())
}
