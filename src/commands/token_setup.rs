//! Shared by `enable` and `rotate`: the tools, the token file and the edit of the profile.

use crate::audit::Target;
use crate::cli::EnableArgs;
use crate::error::{Error, Result};
use crate::exec::{TargetLock, check_directory, read_file};
use crate::procedure::enable::TokenSetup;
use crate::profile::{self, ConfigEdit, ConfigError, Profile, Tls};
use crate::secret::is_token_like;
use crate::session::Session;
use crate::session::cluster::{ResolvedTools, resolve_tools};
use crate::session::guard::{refuse_production, refuse_production_cluster};
use crate::session::influxctl_config::{
    InfluxctlConfig, build_quirk_context, is_default_token_file, locate_config, lock_config,
    reserved_reason,
};
use crate::session::ownership;
use crate::session::token_file::MAX_TOKEN_FILE;
use crate::text::sanitize;
use crate::tool::Tool;
use crate::tool::quirk;
use std::path::{Path, PathBuf};

/// The tools and the configuration of `enable` or `rotate`.
pub(crate) struct SetupContext {
    pub(crate) tools: ResolvedTools,
    pub(crate) config: InfluxctlConfig,
    /// Excludes other runs from the configuration. A dry run takes no lock.
    pub(crate) lock: Option<TargetLock>,
}

/// Refuses production, resolves the tools, and opens the configuration.
pub(crate) fn prepare_setup(
    session: &Session,
    allow_production: bool,
    is_dry_run: bool,
) -> Result<SetupContext> {
    session.require_namespace()?;
    let refuse = |context: Option<&str>| refuse_production(session, allow_production, context);
    // A name on the command line needs no tool, so nothing runs before this check.
    refuse(session.common.context.as_deref())?;
    let tools = resolve_tools(session)?;
    refuse(tools.kubectl.global_flags.context.as_deref())?;
    refuse_production_cluster(session, allow_production, &tools.kubectl)?;
    let path = locate_config(session, tools.influxctl.version.as_ref())?;
    let (config, lock) = open_config(session, &path, is_dry_run)?;
    Ok(SetupContext {
        tools,
        config,
        lock,
    })
}

/// Warns where a run turns the bypass on. A later run would only repeat it.
fn warn_about_purpose(session: &Session) {
    session.ui.warn(
        "the admin token bypasses the identity provider: use it for development and testing only",
        "before production, set up the identity provider and run `bypassctl revoke`",
    );
}

/// Locks the configuration unless this is a dry run, and reads it.
pub(crate) fn open_config(
    session: &Session,
    path: &Path,
    is_dry_run: bool,
) -> Result<(InfluxctlConfig, Option<TargetLock>)> {
    let lock = if is_dry_run {
        None
    } else {
        Some(lock_config(session, path)?)
    };
    let config = InfluxctlConfig::read(session, path)?;
    if lock.is_some() && session.mode.is_execute() {
        config.remove_stale_temp(session)?;
    }
    Ok((config, lock))
}

/// Plans the changes of local files that make a profile use a token.
pub(crate) fn plan_local_changes(
    session: &Session,
    args: &EnableArgs,
    influxctl: &Tool,
    config: &InfluxctlConfig,
) -> Result<(Profile, TokenSetup)> {
    let token_file = choose_token_file(session, args, config)?;
    let (profile, edit, creates_profile) = plan_profile_edit(session, args, config, &token_file)?;
    ownership::check_config(session, config)?;
    if !edit.is_noop() || !token_file.exists() {
        warn_about_purpose(session);
    }
    warn_about_quirks(session, influxctl, &profile);
    warn_about_tls(session, &profile);
    config.warn_about_newer_syntax(session);
    if !edit.is_noop() {
        config.ensure_writable()?;
    }
    let token_file = check_token_file(session, token_file, config)?;
    ownership::check_token_file(&token_file, args.token_file.is_some())?;
    warn_about_shared_token_file(session, config, &token_file)?;
    let setup = TokenSetup {
        profile: profile.name.clone(),
        config: config.path.clone(),
        config_text: config.text().map(str::to_owned),
        edit,
        creates_profile,
        token_file,
    };
    Ok((profile, setup))
}

fn choose_token_file(
    session: &Session,
    args: &EnableArgs,
    config: &InfluxctlConfig,
) -> Result<PathBuf> {
    let name = session.profile;
    let default = || {
        config.default_token_file(name).ok_or_else(|| {
            Error::usage(format!("profile `{name}` has no default token file"))
                .hint("pass `--token-file FILE`")
        })
    };
    let current = config
        .text()
        .and_then(|text| profile::find_profile(text, name).ok())
        .and_then(|profile| profile.token_file);
    let current = current.map(PathBuf::from).filter(|path| path.is_absolute());
    let path = match (&args.token_file, &current) {
        (Some(path), _) => session.executor.environment().cwd.join(path),
        (None, Some(path)) => path.clone(),
        (None, None) => default()?,
    };
    if let Some(former) = current.filter(|current| *current != path && current.exists()) {
        session.ui.warn(
            &format!(
                "profile `{name}` no longer uses token file `{}`, which still contains a token",
                former.display()
            ),
            "delete it if nothing else uses it",
        );
    }
    if path.to_str().is_none() || path.file_name().is_none() {
        return Err(
            Error::usage(format!("invalid token file path `{}`", path.display()))
                .hint("pass a UTF-8 path that ends with a file name: `--token-file FILE`"),
        );
    }
    Ok(path)
}

/// Returns the existing or new profile, the edit of the configuration, and whether it creates the
/// profile.
fn plan_profile_edit(
    session: &Session,
    args: &EnableArgs,
    config: &InfluxctlConfig,
    token_file: &Path,
) -> Result<(Profile, ConfigEdit, bool)> {
    let name = session.profile;
    let path = token_file.to_str().unwrap_or_default();
    let config_error = |error| config.to_error(&error);
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
            .map_err(config_error)?;
        return Ok((build_profile(name, host, port, path), edit, true));
    }
    let text = config.require_text()?;
    let profile = found.map_err(config_error)?;
    if args.create_profile
        && (profile.host != args.host || profile.port != args.port.map(|port| port.to_string()))
    {
        return Err(
            Error::refusal(format!("profile `{name}` exists with another host or port"))
                .hint("omit `--create-profile` to use it, or pass another name: `--profile NAME`"),
        );
    }
    let edit = profile::enable_token_file(text, name, path).map_err(config_error)?;
    Ok((profile, edit, false))
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
        client_secret_line: None,
        has_mgmt_token: false,
    }
}

/// Warns about a connection that exposes the token.
pub(crate) fn warn_about_tls(session: &Session, profile: &Profile) {
    if let Some(risk) = profile.find_tls_risk() {
        session.ui.warn(&risk.message, risk.remedy);
    }
}

fn warn_about_quirks(session: &Session, influxctl: &Tool, profile: &Profile) {
    let at = build_quirk_context(influxctl, profile);
    for quirk in quirk::find_applicable_quirks(&at) {
        session.ui.warn(quirk.message, &quirk.format_remedy(&at));
    }
}

/// Fails if the token file would overwrite something else, or if others could replace it.
fn check_token_file(session: &Session, path: PathBuf, config: &InfluxctlConfig) -> Result<PathBuf> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let other_path_hint = "pass another path: `--token-file FILE`";
    if let Some(reason) = reserved_reason(session, config, &path) {
        return Err(Error::refusal(format!(
            "cannot use `{}` as the token file: {reason}",
            path.display()
        ))
        .hint(other_path_hint));
    }
    // The step that creates the configuration also creates its directory, with mode 0700.
    let will_be_created = config.snapshot.is_none()
        && !directory.exists()
        && Some(directory) == config.requested_path.parent();
    if !will_be_created && let Some(unsafe_directory) = check_directory(directory) {
        return Err(Error::refusal(format!(
            "the directory of the token file is unsafe: {}",
            unsafe_directory.problem
        ))
        .hint(format!("{}, or {other_path_hint}", unsafe_directory.remedy)));
    }
    let meta = std::fs::symlink_metadata(&path);
    if meta.is_ok_and(|meta| !meta.is_file()) {
        return Err(
            Error::refusal(format!("`{}` is not a regular file", path.display()))
                .hint(format!("move it away, or {other_path_hint}")),
        );
    }
    match read_file(&path, MAX_TOKEN_FILE) {
        Ok(Some(old))
            if !is_default_token_file(&path, config, session)
                && !is_token_like(&old.bytes)
                && !old.bytes.is_empty() =>
        {
            Err(Error::refusal(format!(
                "`{}` exists and does not contain a token",
                path.display()
            ))
            .hint(format!("move it away, or {other_path_hint}")))
        }
        Ok(_) => Ok(path),
        Err(error) => Err(
            Error::refusal(format!("cannot replace `{}`: {error}", path.display()))
                .hint(format!("move it away, or {other_path_hint}")),
        ),
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
        session.ui.warn(
            &format!(
                "profile `{}` uses the same token file and gets the same token",
                other.name
            ),
            "omit `--token-file` to give each profile its own token file",
        );
    }
    Ok(())
}

/// Returns the target of the run that wrote a token file, according to the audit log.
///
/// Tokens do not name their namespace. Returns `None` if the file has no token.
pub(crate) fn find_former_target(session: &Session, token_file: &Path) -> Result<Option<Target>> {
    let has_token = token_file.metadata().is_ok_and(|meta| meta.len() > 0);
    let former = session.executor.find_last_write(token_file)?;
    // A namespace that was recreated under the same name is no other namespace.
    Ok(former.filter(|_| has_token).map(|former| Target {
        namespace_uid: None,
        ..former.target
    }))
}

pub(crate) fn describe_former_target(target: &Target) -> String {
    let context = target.context.as_deref().map_or_else(
        || "in-cluster".to_owned(),
        |context| format!("context `{context}`"),
    );
    let (namespace, server) = (&target.namespace, &target.server);
    sanitize(&format!(
        "namespace `{}`, {context} ({})",
        namespace.as_deref().unwrap_or_default(),
        server.as_deref().unwrap_or_default()
    ))
}

pub(crate) fn warn_about_other_token(session: &Session, token_file: &Path, former: &Target) {
    session.ui.warn(
        &format!(
            "token file `{}` loses the token of {}",
            token_file.display(),
            describe_former_target(former)
        ),
        "to get it back, run `bypassctl enable` for that namespace",
    );
}
