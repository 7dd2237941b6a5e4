//! Reports a revocation that has not finished, with the command that resumes it.

use super::resume::build_resume_command;
use crate::audit::{RevocationState, UnfinishedRevocation};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::format_shell_line;
use crate::session::Session;
use crate::text::sanitize_truncated;
use crate::ui::Check;

/// The length of an abbreviated run ID.
const SHORT_ID_LEN: usize = 8;

/// The maximum length of the quoted reason of a run.
const MAX_REASON: usize = 60;

/// An unfinished revocation as text.
pub(crate) struct UnfinishedNotice {
    /// Names the run and its progress.
    pub(crate) detail: String,
    /// The remedy.
    pub(crate) hint: String,
    /// The command that has not finished.
    pub(crate) command: String,
    /// The run is working on this host.
    pub(crate) is_running: bool,
}

impl UnfinishedNotice {
    /// Finds a running or unfinished revocation in the audit log.
    pub(crate) fn find(session: &Session) -> Result<Option<Self>> {
        let found = session.executor.list_unfinished_revocations()?;
        Ok(found.first().map(Self::from_revocation))
    }

    pub(crate) fn from_revocation(revocation: &UnfinishedRevocation) -> Self {
        let begin = revocation.begin.as_ref();
        let command = begin.map_or("revoke", |begin| begin.command.as_str());
        let reason = begin.and_then(|begin| begin.reason.as_deref());
        let reason = reason.map_or_else(String::new, |reason| {
            format!(", {}", sanitize_truncated(reason, MAX_REASON))
        });
        let id = revocation.run.get(..SHORT_ID_LEN).unwrap_or_default();
        let run = format!("run {id} (`{command}`{reason})");
        let host = begin.map_or("another host", |begin| begin.actor.host.as_str());
        match &revocation.state {
            RevocationState::Running => {
                let user = begin.map_or_else(String::new, |begin| begin.actor.user_name());
                let pid = begin.map_or(0, |begin| begin.pid);
                Self {
                    detail: format!("{run} of {user} on {host} (process {pid}) is working"),
                    hint: "wait until it ends".to_owned(),
                    command: command.to_owned(),
                    is_running: true,
                }
            }
            RevocationState::Stopped { last_step } => {
                let remote = if revocation.is_remote() {
                    format!(", or still runs on {host}")
                } else {
                    String::new()
                };
                let namespace = revocation.target.namespace.as_deref().unwrap_or_default();
                let argv = build_resume_command(&revocation.argv(), command, namespace);
                Self {
                    detail: format!("{run} stopped at step `{last_step}`{remote}"),
                    hint: format!("resume it: `{}`", format_shell_line(&argv)),
                    command: command.to_owned(),
                    is_running: false,
                }
            }
        }
    }

    pub(crate) fn to_check(&self) -> Check {
        Check::warning("revocation", &self.detail, &self.hint)
    }

    /// Replaces the hint of an error about the token. Only the revocation creates the token.
    pub(crate) fn replace_hint(&self, error: Error) -> Error {
        if error.kind != ErrorKind::Failed {
            return error;
        }
        Error {
            hint: self.hint.clone(),
            ..error
        }
    }
}
