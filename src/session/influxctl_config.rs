//! influxctl's configuration file on disk.

use super::{Session, paths};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::exec::{Snapshot, TargetLock, find_stale_temp_file, read_file};
use crate::plan::{format_shell_line, shell_quote};
use crate::profile::{ConfigEdit, ConfigError, Profile, find_newer_syntax};
use crate::tool::Tool;
use crate::tool::quirk::{self, QuirkContext};
use semver::Version;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The size limit of a configuration, in bytes.
pub(crate) const MAX_CONFIG: u64 = 1 << 20;

/// The hint for syntax of TOML 1.1.
pub(crate) const NEWER_SYNTAX_HINT: &str =
    "rewrite the line in TOML 1.0: the TOML library of influxctl rejects newer syntax";

/// The configuration file, read once.
pub(crate) struct InfluxctlConfig {
    /// The path from the command line or the environment.
    pub(crate) requested_path: PathBuf,
    /// The path with symlinks resolved, if the file exists.
    pub(crate) path: PathBuf,
    /// The content, `None` if the file is missing.
    pub(crate) snapshot: Option<Snapshot>,
    /// The command that creates the profile of the session. `None` for `disable`.
    create_profile_command: Option<String>,
}

impl InfluxctlConfig {
    /// Reads the file that [`locate_config`] found.
    pub(crate) fn read(session: &Session, requested_path: &Path) -> Result<Self> {
        let path = resolve_symlinks(requested_path);
        let snapshot = read_file(&path, MAX_CONFIG)
            .map_err(|error| config_read_error(requested_path, &error))?;
        if let Some(snapshot) = &snapshot {
            ensure_utf8(requested_path, snapshot)?;
        }
        Ok(Self {
            requested_path: requested_path.to_owned(),
            path,
            snapshot,
            create_profile_command: build_create_command(session),
        })
    }

    pub(crate) fn text(&self) -> Option<&str> {
        self.snapshot
            .as_ref()
            .and_then(|snapshot| std::str::from_utf8(&snapshot.bytes).ok())
    }

    /// Returns the text.
    ///
    /// # Errors
    /// Fails if the file is missing.
    pub(crate) fn require_text(&self) -> Result<&str> {
        self.text().ok_or_else(|| {
            Error::failure(format!(
                "influxctl configuration `{}` not found",
                self.requested_path.display()
            ))
            .hint(self.add_create_hint("pass an existing file with --config FILE"))
        })
    }

    /// Returns the default path of a profile's admin token.
    ///
    /// It is beside the requested path, because the target of a symlink can be in a shared or
    /// versioned directory. A profile name with special characters has no default.
    pub(crate) fn default_token_file(&self, profile: &str) -> Option<PathBuf> {
        let is_plain = !profile.is_empty()
            && profile
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        is_plain.then(|| {
            self.requested_path
                .with_file_name(format!("admin-token-{profile}.json"))
        })
    }

    pub(crate) fn with_edit(mut self, edit: &ConfigEdit) -> Self {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.bytes = edit.text.clone().into_bytes().into();
        }
        self
    }

    /// Refuses a file that its owner made read-only, even for a user who can still write to it.
    pub(crate) fn ensure_writable(&self) -> Result<()> {
        let Some(snapshot) = &self.snapshot else {
            return Ok(());
        };
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let access = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK);
        if snapshot.meta.mode() & 0o222 == 0 {
            let path = self.path.display();
            return Err(
                Error::refusal(format!("`{path}` is read-only")).hint(format!(
                    "run `chmod u+w {}`",
                    shell_quote(&path.to_string())
                )),
            );
        }
        access(&self.path).map_err(|error| {
            Error::refusal(format!(
                "cannot write to `{}`: {error}",
                self.path.display()
            ))
            .hint(
                "check its owner and mode (`ls -l`), its attributes (`lsattr`) and the mount \
                 options of its filesystem",
            )
        })?;
        // The edit replaces the file, so its directory must be writable.
        access(directory).map_err(|error| {
            Error::refusal(format!(
                "cannot write to the directory `{}`: {error}",
                directory.display()
            ))
            .hint("check its mode (`ls -ld`) and the mount options of its filesystem")
        })
    }

    /// Warns about syntax that influxctl cannot read.
    pub(crate) fn warn_about_newer_syntax(&self, session: &Session) {
        if let Some(syntax) = self.text().and_then(find_newer_syntax) {
            let path = self.requested_path.display();
            session
                .ui
                .warn(&format!("`{path}`: {syntax}"), NEWER_SYNTAX_HINT);
        }
    }

    /// Deletes the temporary file that a killed run may have left beside the file.
    pub(crate) fn remove_stale_temp(&self, session: &Session) -> Result<()> {
        match find_stale_temp_file(&self.path) {
            Some(path) => session
                .executor
                .delete_file("delete-stale-temp-file", &path),
            None => Ok(()),
        }
    }

    /// Converts an error of the profile. It has line and column, but never quotes the file.
    pub(crate) fn to_error(&self, error: &ConfigError) -> Error {
        let unhinted = Error::failure(format!("`{}`: {error}", self.requested_path.display()));
        match (error, error.hint()) {
            (ConfigError::NoProfiles { .. }, _) if self.create_profile_command.is_none() => {
                unhinted.hint("pass the configuration that has the profile: `--config FILE`")
            }
            (ConfigError::NoProfiles { .. }, Some(hint)) => {
                unhinted.hint(self.add_create_hint(&hint))
            }
            (_, Some(hint)) => unhinted.hint(hint),
            (_, None) => {
                unhinted.hint(self.add_create_hint("pass a known profile: `--profile NAME`"))
            }
        }
    }

    /// Adds the command that creates the profile, unless the session only deletes a token.
    fn add_create_hint(&self, hint: &str) -> String {
        match &self.create_profile_command {
            Some(command) => format!("{hint}, or create the profile with `{command}`"),
            None => hint.to_owned(),
        }
    }
}

/// Builds the command that creates the profile of the session, with the options of this run.
fn build_create_command(session: &Session) -> Option<String> {
    if session.executor.command() == "disable" {
        return None;
    }
    let common = session.common;
    let config = common
        .config
        .as_ref()
        .map(|path| path.display().to_string());
    let mut options = match common.target.as_deref() {
        Some(target) => vec![("--target", Some(target))],
        None => vec![
            ("-n", common.namespace.as_deref()),
            ("--context", common.context.as_deref()),
        ],
    };
    let profile = Some(session.profile).filter(|profile| *profile != session.default_profile());
    options.extend([("--config", config.as_deref()), ("--profile", profile)]);
    let options = options
        .into_iter()
        .filter_map(|(option, value)| Some([option, value?]))
        .flatten();
    let words = ["bypassctl", "enable"].into_iter().chain(options).chain([
        "--create-profile",
        "--host",
        "HOST",
        "--port",
        "PORT",
    ]);
    Some(format_shell_line(
        &words.map(str::to_owned).collect::<Vec<_>>(),
    ))
}

/// Finds the configuration that influxctl of that version reads, unless the user chooses another.
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
                "INFLUXCTL_PROFILE is set, but influxctl before 2.10.2 ignores it",
                "pass --config FILE",
            );
            paths::influxctl_config_path(environment)
        }
        None => paths::influxctl_config_path(environment),
    }
}

/// Lists the configurations that `disable` searches, for influxctl before and after 2.10.2: it does
/// not run influxctl to learn the version.
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

/// Locks the configuration, before it is read for a change.
pub(crate) fn lock_config(session: &Session, requested_path: &Path) -> Result<TargetLock> {
    let path = resolve_symlinks(requested_path);
    let name = format!(
        "config-{}",
        &Digest::compute(path.as_os_str().as_encoded_bytes()).to_string()[..16]
    );
    session
        .executor
        .lock_target(&name, &format!("`{}`", path.display()))
}

/// Follows symlinks, so that an edit replaces their target and keeps them.
fn resolve_symlinks(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn config_read_error(path: &Path, error: &std::io::Error) -> Error {
    Error::failure(format!("cannot read `{}`: {error}", path.display()))
        .hint("check its owner and mode, or pass another file with --config")
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
                .hint("fix that line: influxctl cannot read it either")
        })
}

/// Returns why a file can be no token file and is never deleted, if it is such a file.
pub(crate) fn reserved_reason(
    session: &Session,
    config: &InfluxctlConfig,
    file: &Path,
) -> Option<&'static str> {
    let is_same = |other: &Path| match (file.metadata(), other.metadata()) {
        (Ok(file), Ok(other)) => (file.dev(), file.ino()) == (other.dev(), other.ino()),
        _ => file == other,
    };
    let log = paths::audit_log_path(session.common, session.executor.environment());
    if is_same(&config.path) || is_same(&config.requested_path) {
        Some("it is influxctl's configuration")
    } else if log.is_ok_and(|log| is_same(&log)) {
        Some("it is the audit log")
    } else {
        None
    }
}

/// Returns whether a file has the default name of the session's profile.
pub(crate) fn is_default_token_file(
    path: &Path,
    config: &InfluxctlConfig,
    session: &Session,
) -> bool {
    config
        .default_token_file(session.profile)
        .is_some_and(|default| default == path)
}

pub(crate) fn build_quirk_context(influxctl: &Tool, profile: &Profile) -> QuirkContext {
    QuirkContext {
        version: influxctl.version.clone(),
        has_oauth2: profile.has_oauth2,
        client_secret_line: profile.client_secret_line,
        has_mgmt_token: profile.has_mgmt_token,
    }
}
