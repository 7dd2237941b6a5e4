//! `enable`

use super::carry_out::{Known, MAX_TOKEN_FILE, carry_out};
use super::config::{self, Config};
use super::plan::{Observed, go_on};
use super::policy::not_production;
use super::session::Session;
use super::{Outcome, probe};
use crate::cli::{DryRun, Enable};
use crate::error::{Error, Kind, Result};
use crate::exec::{read, unfit_directory};
use crate::plan::{Plan, script, shell_line};
use crate::procedure;
use crate::procedure::enable::{Facts, PutToUse};
use crate::profile::{self, ConfigError, Edit, Profile, Tls};
use crate::secret::looks_like_token;
use crate::tool::Tool;
use crate::tool::quirk::{self, Circumstances};
use std::path::{Path, PathBuf};

pub(super) fn run(session: &Session, args: &Enable) -> Outcome {
    let namespace = session.namespace()?;
    warn_of_purpose(session);
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
        .dry_run
        .is_none()
        .then(|| config::lock(session, &named))
        .transpose()?;
    let config = Config::read(&named)?;
    if lock.is_some() && session.mode.is_now() {
        config.clear_leftover(session)?;
    }
    let known = Known::default();
    let mut observed = Observed::default().config(&config.path, config.text());
    if !session.mode.is_now() {
        // Otherwise noted by the plan's own steps, which stop where it is another by then.
        let cluster = probe::cluster(session, &look.kubectl, namespace)?;
        observed = observed.cluster(&cluster);
        known.expect_cluster(cluster);
    }
    let plan = plan(session, args, look, config)?;
    if !go_on(session, &plan, observed, args.dry_run)? {
        return Ok(None);
    }
    carry_out(session, &plan, &known)?;
    drop(lock);
    Ok(done(session, known.inconclusive.get().is_some()))
}

/// What ends it: the same profile and configuration, whoever named them.
fn disable(session: &Session) -> String {
    let profile = Some(session.profile)
        .filter(|profile| *profile != "default")
        .map(|profile| ["--profile", profile]);
    let config = session
        .common
        .config
        .as_ref()
        .map(|config| config.display().to_string());
    let config = config.as_deref().map(|config| ["--config", config]);
    let words = ["bypassctl", "disable"]
        .into_iter()
        .chain(profile.into_iter().chain(config).flatten());
    shell_line(&words.map(str::to_owned).collect::<Vec<_>>())
}

fn done(session: &Session, inconclusive: bool) -> Option<Kind> {
    let to_end = format!("to end it: {}", disable(session));
    if inconclusive {
        session.ui.say(&format!(
            "done, but whether the token is accepted was not shown; {to_end}"
        ));
        return Some(Kind::Inconclusive);
    }
    session.ui.say(&format!(
        "done: influxctl uses the admin token with profile `{}`; {to_end}",
        session.profile
    ));
    None
}

/// A plan as it was asked for.
pub(super) fn show(session: &Session, plan: &Plan, form: DryRun) {
    match form {
        DryRun::Plan => {
            session.ui.plan(plan);
            session.ui.say("this was a dry run: nothing was changed");
        }
        DryRun::Script => {
            let script = script::render(plan);
            session.ui.document(&script);
            session.ui.fields(|fields| fields.script = Some(script));
        }
    }
}

/// What an admin token in use is for.
pub(super) fn warn_of_purpose(session: &Session) {
    let why = "the admin token bypasses the identity provider: it is for development and testing, not for production";
    session
        .ui
        .warn(why, "end it with `bypassctl disable` before that");
}

fn plan(session: &Session, args: &Enable, look: probe::Look, config: Config) -> Result<Plan> {
    let (profile, local) = local(session, args, &look.influxctl, &config)?;
    Ok(procedure::enable::plan(Facts {
        kubectl: look.kubectl,
        influxctl: look.influxctl,
        namespace: session.namespace()?.to_owned(),
        about: probe::about(session),
        profile,
        local,
        verify: args.verify,
    }))
}

/// The profile, and what puts a token to use with it on this machine.
pub(super) fn local(
    session: &Session,
    args: &Enable,
    influxctl: &Tool,
    config: &Config,
) -> Result<(Profile, PutToUse)> {
    let token_file = token_file(session, args, config)?;
    let (profile, edit) = edit(session, args, config, &token_file)?;
    tell_quirks(session, influxctl, &profile);
    if !edit.is_noop() {
        config.must_be_writable()?;
    }
    let token_file = safe_token_file(session, token_file, config)?;
    warn_of_sharing(session, config, &token_file)?;
    let local = PutToUse {
        profile: profile.name.clone(),
        config: config.path.clone(),
        config_text: config.text().map(str::to_owned),
        edit,
        token_file,
    };
    Ok((profile, local))
}

fn token_file(session: &Session, args: &Enable, config: &Config) -> Result<PathBuf> {
    let name = session.profile;
    let own = || {
        config.token_file(name).ok_or_else(|| {
            Error::usage(format!(
                "a profile of the name `{name}` has no default token file"
            ))
            .hint("name one: --token-file FILE")
        })
    };
    let before = config
        .text()
        .and_then(|text| profile::find(text, name).ok())
        .and_then(|profile| profile.token_file);
    let before = before.map(PathBuf::from).filter(|path| path.is_absolute());
    let path = match (&args.token_file, &before) {
        (Some(path), _) => session.exec.surroundings().cwd.join(path),
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
fn edit(
    session: &Session,
    args: &Enable,
    config: &Config,
    token_file: &Path,
) -> Result<(Profile, Edit)> {
    let name = session.profile;
    let path = token_file.to_str().unwrap_or_default();
    let told = |error| config.told(&error);
    let text = config.text();
    let found = text.map_or(
        Err(ConfigError::NoProfiles {
            name: name.to_owned(),
        }),
        |text| profile::find(text, name),
    );
    let missing = matches!(
        found,
        Err(ConfigError::NoProfiles { .. } | ConfigError::NoSuchProfile { .. })
    );
    if let (true, true, Some(host), Some(port)) =
        (missing, args.create_profile, &args.host, args.port)
    {
        let port = port.to_string();
        let edit =
            profile::create(text.unwrap_or_default(), name, host, &port, path).map_err(told)?;
        return Ok((new_profile(name, host, port, path), edit));
    }
    let text = config.required()?;
    let profile = found.map_err(told)?;
    if args.create_profile
        && (profile.host != args.host || profile.port != args.port.map(|port| port.to_string()))
    {
        return Err(Error::refused(format!(
            "profile `{name}` is there already, with another host or port"
        ))
        .hint(
            "leave --create-profile out to use it as it is, or choose another name: --profile NAME",
        ));
    }
    let edit = profile::enable(text, name, path).map_err(told)?;
    Ok((profile, edit))
}

fn new_profile(name: &str, host: &str, port: String, token_file: &str) -> Profile {
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

/// What bears on the job, as `quirk` sees it.
pub(super) fn circumstances(influxctl: &Tool, profile: &Profile) -> Circumstances {
    Circumstances {
        version: influxctl.version.clone(),
        has_oauth2: profile.has_oauth2,
        has_client_secret: profile.has_client_secret,
        has_mgmt_token: profile.has_mgmt_token,
    }
}

fn tell_quirks(session: &Session, influxctl: &Tool, profile: &Profile) {
    for quirk in quirk::bearing(&circumstances(influxctl, profile)) {
        session.ui.warn(quirk.what, quirk.remedy);
    }
}

/// Nothing secret goes where others can put something else in its place.
fn safe_token_file(session: &Session, path: PathBuf, config: &Config) -> Result<PathBuf> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let other = "name another place: --token-file FILE";
    if let Some(what) = config::is_taken(session, config, &path) {
        return Err(Error::refused(format!(
            "`{}` cannot be the token file: {what}",
            path.display()
        ))
        .hint(other));
    }
    // The configuration's own directory is made with it, mode 0700.
    let will_be_made = config.snapshot.is_none()
        && !directory.exists()
        && Some(directory) == config.named.parent();
    if !will_be_made && let Some(unfit) = unfit_directory(directory) {
        return Err(
            Error::refused(format!("the token file cannot go there: {}", unfit.what))
                .hint(format!("{}, or {other}", unfit.remedy)),
        );
    }
    let meta = std::fs::symlink_metadata(&path);
    if meta.is_ok_and(|meta| !meta.is_file()) {
        return Err(
            Error::refused(format!("`{}` is not a regular file", path.display()))
                .hint(format!("move it away, or {other}")),
        );
    }
    match read(&path, MAX_TOKEN_FILE) {
        Ok(Some(old))
            if !is_ours(&path, config, session)
                && !looks_like_token(&old.bytes)
                && !old.bytes.is_empty() =>
        {
            Err(Error::refused(format!(
                "`{}` is there already, and does not look like a token",
                path.display()
            ))
            .hint(format!("move it away, or {other}")))
        }
        Ok(_) => Ok(path),
        Err(error) => Err(Error::refused(format!(
            "`{}` cannot be replaced: {error}",
            path.display()
        ))
        .hint(format!("move it away, or {other}"))),
    }
}

/// Whether a file has the name that only `enable` gives.
pub(super) fn is_ours(path: &Path, config: &Config, session: &Session) -> bool {
    config
        .token_file(session.profile)
        .is_some_and(|own| own == path)
}

fn warn_of_sharing(session: &Session, config: &Config, token_file: &Path) -> Result<()> {
    let profiles = config
        .text()
        .map_or(Ok(Vec::new()), profile::profiles)
        .map_err(|error| config.told(&error))?;
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
