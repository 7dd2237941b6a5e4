//! Default paths of files.

use crate::cli::CommonArgs;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{Environment, Writer, find_writers};
use rustix::process::geteuid;
use std::path::{Path, PathBuf};

fn require_home(environment: &Environment) -> Result<PathBuf> {
    environment.home().map(Path::to_owned).ok_or_else(|| {
        Error::usage("HOME is not set to an absolute path")
            .hint("set HOME, or pass --config and --audit-log and set XDG_STATE_HOME")
    })
}

/// Resolves a base directory of the XDG specification, which requires to ignore a relative one.
fn resolve_base_dir(
    environment: &Environment,
    variable: &str,
    linux: &str,
    macos: &str,
) -> Result<PathBuf> {
    let path = match environment
        .var(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
    {
        Some(path) => path,
        None => require_home(environment)?.join(if cfg!(target_os = "macos") {
            macos
        } else {
            linux
        }),
    };
    match find_foreign_owner(&path) {
        None => Ok(path),
        Some(owner) => Err(foreign_directory_error(&path, owner)),
    }
}

/// Returns another user who owns a base directory or a directory above it, if root runs this
/// program. HOME can be another user's after `sudo`, and in a container of a CI system. That user
/// could replace each file of root in it.
fn find_foreign_owner(path: &Path) -> Option<Writer> {
    let is_foreign = |writer: &Writer| matches!(writer, Writer::User(_)) && writer.is_untrusted();
    find_writers(path)
        .into_iter()
        .find(|writer| geteuid().is_root() && is_foreign(writer))
}

fn foreign_directory_error(path: &Path, owner: Writer) -> Error {
    Error::refusal(format!(
        "root cannot use the default directory `{}`: it belongs to {owner}",
        path.display()
    ))
    .hint(FOREIGN_HOME_HINT)
}

const FOREIGN_HOME_HINT: &str = "pass the missing options or set them in a policy, and set \
    XDG_STATE_HOME to a directory of root. Or set HOME to root's own directory and unset the XDG \
    variables";

/// The files that a command needs, and that the user has named.
pub(crate) struct NamedFiles {
    /// The command uses the configuration, and neither an option nor the environment names it.
    pub(crate) lacks_config: bool,
    /// The command creates a token file, and no option names it.
    pub(crate) lacks_token_file: bool,
    pub(crate) lacks_audit_log: bool,
}

/// Refuses default files in a directory of another user, if root runs this program. The error lists
/// every file that must be named.
pub(crate) fn refuse_foreign_defaults(environment: &Environment, named: &NamedFiles) -> Result<()> {
    let owner = |path: Result<PathBuf>| path.err().filter(|error| error.kind == ErrorKind::Refused);
    let config = owner(influxctl_config_path(environment));
    let state = owner(state_dir(environment));
    let missing: Vec<&str> = [
        (config.is_some() && named.lacks_config, "--config"),
        (config.is_some() && named.lacks_token_file, "--token-file"),
        (state.is_some() && named.lacks_audit_log, "--audit-log"),
        (state.is_some(), "XDG_STATE_HOME"),
    ]
    .into_iter()
    .filter_map(|(is_missing, name)| is_missing.then_some(name))
    .collect();
    match config.or(state) {
        Some(error) if !missing.is_empty() => Err(Error {
            message: format!("{}, missing: {}", error.message, missing.join(", ")),
            ..error
        }),
        _ => Ok(()),
    }
}

/// Returns this program's directory for the audit log and the locks.
pub(crate) fn state_dir(environment: &Environment) -> Result<PathBuf> {
    Ok(resolve_base_dir(
        environment,
        "XDG_STATE_HOME",
        ".local/state",
        "Library/Application Support",
    )?
    .join("bypassctl"))
}

pub(crate) fn audit_log_path(common: &CommonArgs, environment: &Environment) -> Result<PathBuf> {
    match &common.audit_log {
        Some(path) => Ok(environment.cwd.join(path)),
        None => default_audit_log_path(environment),
    }
}

pub(crate) fn default_audit_log_path(environment: &Environment) -> Result<PathBuf> {
    Ok(state_dir(environment)?.join("audit.jsonl"))
}

/// Returns influxctl's default configuration: in `~/.config/influxctl` on Linux, in
/// `~/Library/Application Support/influxctl` on macOS (documentation of influxctl, "configure
/// connection profiles").
pub(crate) fn influxctl_config_path(environment: &Environment) -> Result<PathBuf> {
    Ok(resolve_base_dir(
        environment,
        "XDG_CONFIG_HOME",
        ".config",
        "Library/Application Support",
    )?
    .join("influxctl/config.toml"))
}

/// Returns the directory in which influxctl before 2.3.1 keeps copies of tokens: on Linux
/// `~/.cache/influxctl` (documentation of influxctl).
pub(crate) fn influxctl_cache_dir(environment: &Environment) -> Result<PathBuf> {
    Ok(
        resolve_base_dir(environment, "XDG_CACHE_HOME", ".cache", "Library/Caches")?
            .join("influxctl"),
    )
}
