//! influxctl's configuration as it is on disk.

use super::places;
use super::session::Session;
use crate::error::{Error, Result};
use crate::exec::{Snapshot, TargetLock, left_beside, read};
use crate::profile::{ConfigError, Edit};
use crate::secret::sha256_hex;
use crate::tool::quirk;
use semver::Version;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The largest configuration that is believed, in bytes.
pub(super) const MAX_CONFIG: u64 = 1 << 20;

/// The file, read once.
pub(super) struct Config {
    /// As it was named.
    pub(super) named: PathBuf,
    /// Symlinks resolved, where it is there.
    pub(super) path: PathBuf,
    /// What it holds; `None` when it is not there.
    pub(super) snapshot: Option<Snapshot>,
}

impl Config {
    /// Reads the file that [`locate`] found.
    pub(super) fn read(named: &Path) -> Result<Self> {
        let path = resolved(named);
        let snapshot = read(&path, MAX_CONFIG).map_err(|error| unreadable(named, &error))?;
        if let Some(snapshot) = &snapshot {
            must_be_text(named, snapshot)?;
        }
        Ok(Self {
            named: named.to_owned(),
            path,
            snapshot,
        })
    }

    /// Its text.
    pub(super) fn text(&self) -> Option<&str> {
        self.snapshot
            .as_ref()
            .and_then(|snapshot| std::str::from_utf8(&snapshot.bytes).ok())
    }

    /// Its text, or what to do about its absence.
    pub(super) fn required(&self) -> Result<&str> {
        self.text().ok_or_else(|| {
            let hint = "name it with --config FILE, or have it made: enable --create-profile --host HOST --port PORT";
            Error::failed(format!("there is no influxctl configuration at `{}`", self.named.display())).hint(hint)
        })
    }

    /// Where the admin token of a profile is kept unless another place is named: beside the configuration as it was
    /// named, for a symlink may lead into a directory that is shared or versioned.
    pub(super) fn token_file(&self, profile: &str) -> Option<PathBuf> {
        let plain = !profile.is_empty()
            && profile
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        plain.then(|| {
            self.named
                .with_file_name(format!("admin-token-{profile}.json"))
        })
    }

    /// The file as it will be after an edit.
    pub(super) fn edited(mut self, edit: &Edit) -> Self {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.bytes = edit.text.clone().into_bytes().into();
        }
        self
    }

    /// Fails for a file that its owner made read-only, whatever the rights of who runs this.
    pub(super) fn must_be_writable(&self) -> Result<()> {
        let Some(snapshot) = &self.snapshot else {
            return Ok(());
        };
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let access = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK);
        if snapshot.meta.mode() & 0o222 != 0 && access(&self.path).is_ok() {
            // It is replaced as a whole, which its directory has to allow.
            return access(directory).map_err(|error| {
                Error::refused(format!(
                    "the directory `{}` cannot be written to: {error}",
                    directory.display()
                ))
                .hint("look at its mode (`ls -ld`) and at how its filesystem is mounted")
            });
        }
        Err(
            Error::refused(format!("`{}` is read-only", self.path.display()))
                .hint(format!("chmod u+w '{}'", self.path.display())),
        )
    }

    /// Takes away the copy that a killed run may have left beside the file.
    pub(super) fn clear_leftover(&self, session: &Session) -> Result<()> {
        match left_beside(&self.path) {
            Some(left) => session.exec.delete_file("clear-leftover", &left),
            None => Ok(()),
        }
    }

    /// As a failure of the profile's edit is told: line and column, never what stands there.
    pub(super) fn told(&self, error: &ConfigError) -> Error {
        let told = Error::failed(format!("`{}`: {error}", self.named.display()));
        match error.hint() {
            Some(hint) => told.hint(hint),
            None => told.hint("name the profile with --profile NAME, or have it made: enable --create-profile --host HOST --port PORT"),
        }
    }
}

/// Where influxctl of that version looks, unless the user names another.
pub(super) fn locate(session: &Session, influxctl: Option<&Version>) -> Result<PathBuf> {
    let surroundings = session.exec.surroundings();
    if let Some(path) = &session.common.config {
        return Ok(surroundings.cwd.join(path));
    }
    match surroundings.var("INFLUXCTL_PROFILE") {
        Some(path) if influxctl.is_none() || quirk::honours_profile_variable(influxctl) => {
            Ok(surroundings.cwd.join(path))
        }
        Some(_) => {
            session.ui.warn(
                "INFLUXCTL_PROFILE is set, but influxctl before 2.10.2 does not look at it",
                "name the configuration with --config FILE",
            );
            places::influxctl_config(surroundings)
        }
        None => places::influxctl_config(surroundings),
    }
}

/// Where `disable` looks, which does not ask influxctl for its version: also where a version before 2.10.2 looks.
pub(super) fn candidates(session: &Session) -> Result<Vec<PathBuf>> {
    let surroundings = session.exec.surroundings();
    let default = places::influxctl_config(surroundings);
    match (
        &session.common.config,
        surroundings.var("INFLUXCTL_PROFILE"),
    ) {
        (Some(path), _) => Ok(vec![surroundings.cwd.join(path)]),
        (None, Some(path)) => Ok(std::iter::once(surroundings.cwd.join(path))
            .chain(default.ok())
            .collect()),
        (None, None) => Ok(vec![default?]),
    }
}

/// Whoever changes the configuration holds this lock from before it is read.
pub(super) fn lock(session: &Session, named: &Path) -> Result<TargetLock> {
    let path = resolved(named);
    let name = format!(
        "config-{}",
        &sha256_hex(path.as_os_str().as_encoded_bytes())[..16]
    );
    session.exec.lock(&name, &format!("`{}`", path.display()))
}

/// Symlinks are followed, and kept: what is replaced is the file that they lead to.
fn resolved(named: &Path) -> PathBuf {
    named.canonicalize().unwrap_or_else(|_| named.to_owned())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("`{}` cannot be read: {error}", path.display()))
        .hint("look at its owner and mode, or name another with --config FILE")
}

fn must_be_text(path: &Path, snapshot: &Snapshot) -> Result<()> {
    std::str::from_utf8(&snapshot.bytes)
        .map(drop)
        .map_err(|error| {
            let line = snapshot.bytes[..error.valid_up_to()]
                .iter()
                .filter(|byte| **byte == b'\n')
                .count()
                + 1;
            Error::failed(format!("`{}` is not UTF-8 in line {line}", path.display()))
                .hint("influxctl cannot read it either: mend that line")
        })
}

/// Why this file must never hold a token or be deleted: it is the configuration, or the record.
pub(super) fn is_taken(session: &Session, config: &Config, file: &Path) -> Option<&'static str> {
    let same = |other: &Path| match (file.metadata(), other.metadata()) {
        (Ok(file), Ok(other)) => (file.dev(), file.ino()) == (other.dev(), other.ino()),
        _ => file == other,
    };
    let log = places::audit_log(session.common, session.exec.surroundings());
    if same(&config.path) || same(&config.named) {
        Some("it is influxctl's configuration")
    } else if log.is_ok_and(|log| same(&log)) {
        Some("it is the audit log")
    } else {
        None
    }
}
