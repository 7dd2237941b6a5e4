//! A rotation of the log, from its checks to the exchange of names.

use super::open::{LockedLog, PriorState};
use super::rotation::{LogRotation, finish_rotation, next_path, path_taken_error};
use super::writer::{Log, unrecorded_error};
use crate::audit::file::parent_directory;
use crate::audit::record::{Actor, Body};
use crate::audit::tail;
use crate::audit::unfinished;
use crate::error::{Error, ErrorKind, Result};
use crate::redact::Redactor;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::File;
use std::io;
use std::path::Path;

impl Log {
    /// Closes a log, and opens one that goes on from it. `None` where nothing is recorded in it yet. A rotation that was
    /// cut short is brought to its end, and is the one that is returned.
    ///
    /// # Errors
    /// [`Kind::Refused`] while a run or a revocation is under way, and where the names cannot be exchanged;
    /// [`Kind::Unrecorded`]; [`Kind::Stopped`] where it is closed, and the other not yet in its place.
    pub fn rotate(path: &Path, who: Actor, reason: Option<String>) -> Result<Option<LogRotation>> {
        let failed = |error: io::Error| unrecorded_error(path, &error);
        let LockedLog {
            mut log,
            prior_state:
                PriorState {
                    unfinished,
                    finished_rotation: rotated,
                },
        } = Self::open_locked(path).map_err(failed)?;
        if rotated.is_some() || log.head.seq == 1 {
            return Ok(rotated);
        }
        log.ensure_rotatable()?;
        log.write_record(
            None,
            &Body::LogRotate {
                actor: who,
                reason,
                unfinished,
            },
            &Redactor::default(),
        )
        .map_err(failed)?;
        let go_on = || {
            let closed = tail::read_tail(&log.file)?
                .rotation
                .ok_or_else(|| io::Error::other("it does not end as it was closed"))?;
            finish_rotation(path, &log.file, &log.head, closed)
        };
        go_on().map(Some).map_err(|error| {
            let what = format!(
                "`{}` is closed, and no other goes on from it yet: {error}",
                path.display()
            );
            Error::from_kind(ErrorKind::Stopped, what).hint(
                "mend that; the next command of any kind, or this one again, brings it to its end",
            )
        })
    }

    /// Looked at under the lock: nobody can begin anything meanwhile.
    fn ensure_rotatable(&self) -> Result<()> {
        let failed = |error: io::Error| unrecorded_error(&self.path, &error);
        if let Some(run) = unfinished::find_unfinished_run(&self.file).map_err(failed)? {
            return Err(
                Error::refusal(format!("{run} has not ended, and writes to this log")).hint(
                    "wait until it has; one of another host that was killed counts for 24 hours",
                ),
            );
        }
        if let Some(place) = unfinished::find_unfinished_revocation(&self.file).map_err(failed)? {
            let namespace = place.namespace.unwrap_or_default();
            return Err(Error::refusal(format!("a revocation in namespace `{namespace}` has not come to its end, and carries on by what this log holds"))
                .hint(format!("bring it to its end (bypassctl revoke -n {namespace}), or wait until 24 hours have gone by since it began")));
        }
        let (path, directory) = (self.path.display(), parent_directory(&self.path));
        if is_append_only(&self.file) {
            return Err(Error::refusal(format!(
                "`{path}` is append-only: it cannot be given another name"
            ))
            .hint(format!(
                "chattr -a {path}, rotate, then chattr +a both files"
            )));
        }
        let making = next_path(&self.path);
        if making.symlink_metadata().is_ok() {
            return Err(Error::refusal(path_taken_error(&making).to_string())
                .hint("it was not made by a rotation of this log"));
        }
        ensure_exchange_support(directory).map_err(|error| {
            Error::refusal(format!("two names cannot be exchanged in `{}`: {error}", directory.display()))
                .hint("name a log in a place where they can from now on: --audit-log, BYPASSCTL_AUDIT_LOG")
        })
    }
}

/// Whether this filesystem exchanges two names.
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
