//! Default paths of files.

use crate::cli::CommonArgs;
use crate::error::{Error, Result};
use crate::exec::Environment;
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
    match environment
        .var(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
    {
        Some(path) => Ok(path),
        None => Ok(
            require_home(environment)?.join(if cfg!(target_os = "macos") {
                macos
            } else {
                linux
            }),
        ),
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
