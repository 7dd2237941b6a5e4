//! Checks who else can change the files that a run relies on.

use super::influxctl_config::InfluxctlConfig;
use super::{Session, paths};
use crate::cli::Command;
use crate::error::{Error, Result};
use crate::exec::{Writer, find_writers};
use std::path::Path;

/// Refuses a path that others than root and the current user can change.
///
/// Whoever names a file of another user trusts that user, but not everybody else.
fn check_writers(what: &str, path: &Path, is_named: bool, other_path: &str) -> Result<()> {
    let others: Vec<String> = find_writers(path)
        .into_iter()
        .filter(|writer| writer.is_untrusted())
        .filter(|writer| !(is_named && matches!(writer, Writer::User(_))))
        .map(|writer| writer.to_string())
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Error::refusal(format!(
        "others can change {what} `{}`: {}",
        path.display(),
        others.join(", ")
    ))
    .hint(format!(
        "run `chmod go-w` or `chown` on it and on each directory of its path, or {other_path}"
    )))
}

/// Refuses a configuration that others can change, because it decides where the token goes.
pub(crate) fn check_config(session: &Session, config: &InfluxctlConfig) -> Result<()> {
    let environment = session.executor.environment();
    let is_named =
        session.common.config.is_some() || environment.var("INFLUXCTL_PROFILE").is_some();
    check_writers(
        "influxctl's configuration",
        &config.requested_path,
        is_named,
        "pass another file: `--config FILE`",
    )
}

/// Refuses a token file that others can replace.
pub(crate) fn check_token_file(path: &Path, is_named: bool) -> Result<()> {
    let other_path = "pass another path: `--token-file FILE`";
    check_writers("the token file", path, is_named, other_path)
}

pub(crate) fn check_audit_log(session: &Session) -> Result<()> {
    let log = paths::audit_log_path(session.common, session.executor.environment())?;
    let is_named = session.common.audit_log.is_some();
    let other_path = "pass another path: `--audit-log FILE`";
    check_writers("the audit log", &log, is_named, other_path)
}

/// Refuses a state directory that others can change. Its lock files separate two runs.
pub(crate) fn check_state_dir(session: &Session) -> Result<()> {
    let environment = session.executor.environment();
    let is_named = environment.var("XDG_STATE_HOME").is_some();
    let other_path = "set XDG_STATE_HOME to another directory";
    let directory = paths::state_dir(environment)?;
    check_writers("the state directory", &directory, is_named, other_path)
}

/// Checks the audit log and the state directory before a command that probes a token or changes
/// anything.
pub(crate) fn enforce_ownership(session: &Session, command: &Command) -> Result<()> {
    if !session.can_change(command) && !matches!(command, Command::Status(_)) {
        return Ok(());
    }
    check_audit_log(session)?;
    check_state_dir(session)
}
