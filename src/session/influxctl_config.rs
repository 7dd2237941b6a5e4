//! influxctl's configuration file on disk.

use super::{Session, paths};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::exec::{Snapshot, TargetLock, find_stale_temp_file, read_file};
use crate::profile::{ConfigEdit, ConfigError, Profile};
use crate::tool::Tool;
use crate::tool::quirk::{self, QuirkContext};
use semver::Version;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The largest configuration that is believed, in bytes.
pub(crate) const MAX_CONFIG: u64 = 1 << 20;

/// The file, read once.
pub(crate) struct InfluxctlConfig {
    /// As it was named.
    pub(crate) requested_path: PathBuf,
    /// Symlinks resolved, where it is there.
    pub(crate) path: PathBuf,
    /// What it holds; `None` when it is not there.
    pub(crate) snapshot: Option<Snapshot>,
}

impl InfluxctlConfig {
    /// Reads the file that [`locate`] found.
    pub(crate) fn read(named: &Path) -> Result<Self> {
        let path = resolve_symlinks(named);
        let snapshot =
            read_file(&path, MAX_CONFIG).map_err(|error| config_read_error(named, &error))?;
        if let Some(snapshot) = &snapshot {
            ensure_utf8(named, snapshot)?;
        }
        Ok(Self {
            requested_path: named.to_owned(),
            path,
            snapshot,
        })
    }

    /// Its text.
    pub(crate) fn text(&self) -> Option<&str> {
        self.snapshot
            .as_ref()
            .and_then(|snapshot| std::str::from_utf8(&snapshot.bytes).ok())
    }

    /// Its text, or what to do about its absence.
    pub(crate) fn require_text(&self) -> Result<&str> {
        self.text().ok_or_else(|| {
            let hint = "name it with --config FILE, or have it made: enable --create-profile --host HOST --port PORT";
            Error::failure(format!("there is no influxctl configuration at `{}`", self.requested_path.display())).hint(hint)
        })
    }

    /// Where the admin token of a profile is kept unless another place is named: beside the configuration as it was
    /// named, for a symlink may lead into a directory that is shared or versioned.
    pub(crate) fn default_token_file(&self, profile: &str) -> Option<PathBuf> {
        let plain = !profile.is_empty()
            && profile
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        plain.then(|| {
            self.requested_path
                .with_file_name(format!("admin-token-{profile}.json"))
        })
    }

    /// The file as it will be after an edit.
    pub(crate) fn with_edit(mut self, edit: &ConfigEdit) -> Self {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.bytes = edit.text.clone().into_bytes().into();
        }
        self
    }

    /// Fails for a file that its owner made read-only, whatever the rights of who runs this.
    pub(crate) fn ensure_writable(&self) -> Result<()> {
        let Some(snapshot) = &self.snapshot else {
            return Ok(());
        };
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let access = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK);
        if snapshot.meta.mode() & 0o222 != 0 && access(&self.path).is_ok() {
            // It is replaced as a whole, which its directory has to allow.
            return access(directory).map_err(|error| {
                Error::refusal(format!(
                    "the directory `{}` cannot be written to: {error}",
                    directory.display()
                ))
                .hint("look at its mode (`ls -ld`) and at how its filesystem is mounted")
            });
        }
        Err(
            Error::refusal(format!("`{}` is read-only", self.path.display()))
                .hint(format!("chmod u+w '{}'", self.path.display())),
        )
    }

    /// Takes away the copy that a killed run may have left beside the file.
    pub(crate) fn remove_stale_temp(&self, session: &Session) -> Result<()> {
        match find_stale_temp_file(&self.path) {
            Some(left) => session.executor.delete_file("clear-leftover", &left),
            None => Ok(()),
        }
    }

    /// As a failure of the profile's edit is told: line and column, never what stands there.
    pub(crate) fn to_error(&self, error: &ConfigError) -> Error {
        let told = Error::failure(format!("`{}`: {error}", self.requested_path.display()));
        match error.hint() {
            Some(hint) => told.hint(hint),
            None => told.hint("name the profile with --profile NAME, or have it made: enable --create-profile --host HOST --port PORT"),
        }
    }
}

/// Where influxctl of that version looks, unless the user names another.
pub(crate) fn locate_config(session: &Session, influxctl: Option<&Version>) -> Result<PathBuf> {
    let environment = session.executor.environment();
    if let Some(path) = &session.common.config {
        return Ok(environment.cwd.join(path));
    }
    match environment.var("INFLUXCTL_PROFILE") {
        Some(path) if influxctl.is_none() || quirk::has_profile_variable(influxctl) => {
            Ok(environment.cwd.join(path))
        }
        Some(_) => {
            session.ui.warn(
                "INFLUXCTL_PROFILE is set, but influxctl before 2.10.2 does not look at it",
                "name the configuration with --config FILE",
            );
            paths::influxctl_config_path(environment)
        }
        None => paths::influxctl_config_path(environment),
    }
}

/// Where `disable` looks, which does not ask influxctl for its version: also where a version before 2.10.2 looks.
pub(crate) fn list_candidates(session: &Session) -> Result<Vec<PathBuf>> {
    let environment = session.executor.environment();
    let default = paths::influxctl_config_path(environment);
    match (&session.common.config, environment.var("INFLUXCTL_PROFILE")) {
        (Some(path), _) => Ok(vec![environment.cwd.join(path)]),
        (None, Some(path)) => Ok(std::iter::once(environment.cwd.join(path))
            .chain(default.ok())
            .collect()),
        (None, None) => Ok(vec![default?]),
    }
}

/// Whoever changes the configuration holds this lock from before it is read.
pub(crate) fn lock_config(session: &Session, named: &Path) -> Result<TargetLock> {
    let path = resolve_symlinks(named);
    let name = format!(
        "config-{}",
        &Digest::compute(path.as_os_str().as_encoded_bytes()).to_string()[..16]
    );
    session
        .executor
        .lock_target(&name, &format!("`{}`", path.display()))
}

/// Symlinks are followed, and kept: what is replaced is the file that they lead to.
fn resolve_symlinks(named: &Path) -> PathBuf {
    named.canonicalize().unwrap_or_else(|_| named.to_owned())
}

fn config_read_error(path: &Path, error: &std::io::Error) -> Error {
    Error::failure(format!("`{}` cannot be read: {error}", path.display()))
        .hint("look at its owner and mode, or name another with --config FILE")
}

fn ensure_utf8(path: &Path, snapshot: &Snapshot) -> Result<()> {
    std::str::from_utf8(&snapshot.bytes)
        .map(drop)
        .map_err(|error| {
            let line = snapshot.bytes[..error.valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count()
                + 1;
            Error::failure(format!("`{}` is not UTF-8 in line {line}", path.display()))
                .hint("influxctl cannot read it either: mend that line")
        })
}

/// Why this file must never hold a token or be deleted: it is the configuration, or the record.
pub(crate) fn reserved_reason(
    session: &Session,
    config: &InfluxctlConfig,
    file: &Path,
) -> Option<&'static str> {
    let same = |other: &Path| match (file.metadata(), other.metadata()) {
        (Ok(file), Ok(other)) => (file.dev(), file.ino()) == (other.dev(), other.ino()),
        _ => file == other,
    };
    let log = paths::audit_log_path(session.common, session.executor.environment());
    if same(&config.path) || same(&config.requested_path) {
        Some("it is influxctl's configuration")
    } else if log.is_ok_and(|log| same(&log)) {
        Some("it is the audit log")
    } else {
        None
    }
}

/// Whether a file has the name that only `enable` gives.
pub(crate) fn is_default_token_file(
    path: &Path,
    config: &InfluxctlConfig,
    session: &Session,
) -> bool {
    config
        .default_token_file(session.profile)
        .is_some_and(|own| own == path)
}

/// What bears on the job, as `quirk` sees it.
pub(crate) fn build_quirk_context(influxctl: &Tool, profile: &Profile) -> QuirkContext {
    QuirkContext {
        version: influxctl.version.clone(),
        has_oauth2: profile.has_oauth2,
        has_client_secret: profile.has_client_secret,
        has_mgmt_token: profile.has_mgmt_token,
    }
}
