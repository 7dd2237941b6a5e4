//! Where files are by default.

use crate::cli::Common;
use crate::error::{Error, Result};
use crate::exec::Surroundings;
use std::path::{Path, PathBuf};

fn home(surroundings: &Surroundings) -> Result<PathBuf> {
    surroundings.home().map(Path::to_owned).ok_or_else(|| {
        Error::usage("HOME is not set to an absolute path")
            .hint("set HOME, or name the files: --config, --audit-log, and XDG_STATE_HOME")
    })
}

/// A base directory of the XDG specification; a relative one is to be ignored, as it says.
fn base(surroundings: &Surroundings, variable: &str, linux: &str, macos: &str) -> Result<PathBuf> {
    match surroundings
        .var(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
    {
        Some(path) => Ok(path),
        None => Ok(home(surroundings)?.join(if cfg!(target_os = "macos") {
            macos
        } else {
            linux
        })),
    }
}

/// Our own state: the record and the locks.
pub(super) fn state(surroundings: &Surroundings) -> Result<PathBuf> {
    Ok(base(
        surroundings,
        "XDG_STATE_HOME",
        ".local/state",
        "Library/Application Support",
    )?
    .join("bypassctl"))
}

/// The record.
pub(super) fn audit_log(common: &Common, surroundings: &Surroundings) -> Result<PathBuf> {
    match &common.audit_log {
        Some(path) => Ok(surroundings.cwd.join(path)),
        None => default_log(surroundings),
    }
}

/// The record, where nothing names another.
pub(super) fn default_log(surroundings: &Surroundings) -> Result<PathBuf> {
    Ok(state(surroundings)?.join("audit.jsonl"))
}

/// influxctl's own directory: `~/.config/influxctl` on Linux, `~/Library/Application Support/influxctl` on macOS
/// (documentation of influxctl, "configure connection profiles").
pub(super) fn influxctl_config(surroundings: &Surroundings) -> Result<PathBuf> {
    Ok(base(
        surroundings,
        "XDG_CONFIG_HOME",
        ".config",
        "Library/Application Support",
    )?
    .join("influxctl/config.toml"))
}

/// Where influxctl before 2.3.1 kept copies of tokens: `~/.cache/influxctl` on Linux (documentation of influxctl).
pub(super) fn influxctl_cache(surroundings: &Surroundings) -> Result<PathBuf> {
    Ok(base(surroundings, "XDG_CACHE_HOME", ".cache", "Library/Caches")?.join("influxctl"))
}
