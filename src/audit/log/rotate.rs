//! Rotates the log: checks, `log.rotate`, and the exchange of names.

use super::open::{LockedLog, PriorState};
use super::rotation::{LogRotation, finish_rotation, next_path, path_taken_error};
use super::writer::{Log, unrecorded_error};
use crate::audit::body::{Actor, Body};
use crate::audit::file::parent_directory;
use crate::audit::tail;
use crate::audit::unfinished;
use crate::error::{Error, ErrorKind, Result};
use crate::redact::Redactor;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::File;
use std::io;
use std::path::Path;

impl Log {
    /// Closes a log, and opens the next one. Returns `None` if the log contains no run. Completes
    /// and returns an interrupted rotation instead, if one exists.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] if a run or a revocation has not ended, or if the filesystem cannot
    /// exchange two names. [`ErrorKind::Stopped`] if the log is closed, but the next one is not in
    /// place. [`ErrorKind::Unrecorded`] for other errors of the log.
    pub fn rotate(
        path: &Path,
        actor: Actor,
        reason: Option<String>,
    ) -> Result<Option<LogRotation>> {
        let failed = |error: io::Error| unrecorded_error(path, &error);
        let LockedLog {
            mut log,
            prior_state:
                PriorState {
                    unfinished,
                    finished_rotation,
                },
        } = Self::open_locked(path, Box::new(|| false)).map_err(failed)?;
        if finished_rotation.is_some() || log.head.seq == 1 {
            return Ok(finished_rotation);
        }
        log.ensure_rotatable()?;
        log.write_entry(
            None,
            &Body::LogRotate {
                actor,
                reason,
                unfinished,
            },
            &Redactor::default(),
        )
        .map_err(failed)?;
        let finish = || {
            let rotation = tail::read_tail(&log.file)?
                .rotation
                .ok_or_else(|| io::Error::other("the log does not end with `log.rotate`"))?;
            finish_rotation(path, &log.file, &log.head, rotation)
        };
        finish().map(Some).map_err(|error| {
            let message = format!(
                "audit log `{}` is closed, but the next log is not in place: {error}",
                path.display()
            );
            Error::from_kind(ErrorKind::Stopped, message)
                .hint("fix the cause, then rerun this command: any command completes the rotation")
        })
    }

    /// Refuses a rotation at the wrong time. The lock keeps other runs from starting meanwhile.
    fn ensure_rotatable(&self) -> Result<()> {
        let failed = |error: io::Error| unrecorded_error(&self.path, &error);
        if let Some(run) = unfinished::find_unfinished_run(&self.file).map_err(failed)? {
            return Err(
                Error::refusal(format!("{run} has not ended and uses this log")).hint(
                    "wait until the run ends. A killed run of another host counts for 24 hours",
                ),
            );
        }
        let revocations = self.list_unfinished_revocations(None)?;
        if let Some(revocation) = revocations.into_iter().next() {
            let namespace = revocation.target.namespace.unwrap_or_default();
            return Err(Error::refusal(format!(
                "a revocation in namespace `{namespace}` has not finished and resumes from this log"
            ))
            .hint(format!(
                "run `bypassctl revoke -n {namespace}`, or wait until 24 hours after its start"
            )));
        }
        let (path, directory) = (self.path.display(), parent_directory(&self.path));
        if is_append_only(&self.file) {
            return Err(
                Error::refusal(format!("cannot rename `{path}`: the file is append-only")).hint(
                    format!("run `chattr -a {path}`, rotate, then run `chattr +a` for both files"),
                ),
            );
        }
        let next_path = next_path(&self.path);
        if next_path.symlink_metadata().is_ok() {
            return Err(Error::refusal(path_taken_error(&next_path).to_string())
                .hint("no rotation of this log created the file"));
        }
        ensure_exchange_support(directory).map_err(|error| {
            Error::refusal(format!(
                "cannot exchange two names in `{}`: {error}",
                directory.display()
            ))
            .hint("pass `--audit-log FILE` with a file on another filesystem")
        })
    }
}

/// Checks that the filesystem can exchange two names.
fn ensure_exchange_support(directory: &Path) -> io::Result<()> {
    let [one, other] = [
        tempfile::NamedTempFile::new_in(directory)?,
        tempfile::NamedTempFile::new_in(directory)?,
    ];
    Ok(renameat_with(
        CWD,
        one.path(),
        CWD,
        other.path(),
        RenameFlags::EXCHANGE,
    )?)
}

#[cfg(target_os = "linux")]
fn is_append_only(file: &File) -> bool {
    rustix::fs::ioctl_getflags(file).is_ok_and(|flags| flags.contains(rustix::fs::IFlags::APPEND))
}

#[cfg(not(target_os = "linux"))]
fn is_append_only(_file: &File) -> bool {
    false
}
