//! A log closed, and another that goes on from it under the same name.
//!
//! The log is closed by its last record. The next one is made beside it, under the name that the closed one will have,
//! and the two names are exchanged: at no instant is there no log. Whoever opens a closed log under the log's own name
//! finds a rotation that was cut short, and brings it to its end.

use super::{Head, Log, directory_of, open_file, unrecorded};
use crate::audit::record::{Body, Previous, Unfinished, Who};
use crate::audit::tail::{self, Tail};
use crate::audit::under_way;
use crate::error::{Error, Result};
use crate::secret::Needles;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// What a rotation did.
pub struct Rotated {
    /// The last record of the log that was closed.
    pub closed: Head,
    /// Where that log is now.
    pub kept: PathBuf,
    /// The first record of the log that goes on from it.
    pub opened: Head,
    /// Commands of runs in the closed log whose result is not on record.
    pub unfinished: Vec<Unfinished>,
}

impl Log {
    /// Closes a log, and opens one that goes on from it. `None` where nothing is recorded in it yet.
    ///
    /// # Errors
    /// [`Kind::Refused`](crate::error::Kind::Refused) while a run or a revocation is under way, and where the names cannot
    /// be exchanged; [`Kind::Unrecorded`](crate::error::Kind::Unrecorded).
    pub fn rotate(path: &Path, who: Who, reason: Option<String>) -> Result<Option<Rotated>> {
        let failed = |error: io::Error| unrecorded(path, &error);
        let (mut log, _) = Self::open(path)?;
        log.file.lock().and_then(|()| log.catch_up()).map_err(failed)?;
        if log.head.seq == 1 {
            return Ok(None);
        }
        log.may_be_closed()?;
        let unfinished = tail::read(&log.file).map_err(failed)?.unfinished;
        let body = Body::LogRotate { who, reason, unfinished: unfinished.clone() };
        log.write(None, &body, &Needles::default()).map_err(failed)?;
        let closed = tail::read(&log.file).map_err(failed)?.closed.unwrap_or_default();
        let (kept, opened) = go_on(path, &log.file, &log.head, &closed).map_err(failed)?;
        Ok(Some(Rotated { closed: log.head, kept, opened, unfinished }))
    }

    /// Looked at under the lock: nobody can begin anything meanwhile.
    fn may_be_closed(&self) -> Result<()> {
        let failed = |error: io::Error| unrecorded(&self.path, &error);
        if let Some(run) = under_way::run(&self.file).map_err(failed)? {
            return Err(
                Error::refused(format!("{run} has not ended, and writes to this log")).hint("wait until it has")
            );
        }
        if let Some(place) = under_way::revocation(&self.file).map_err(failed)? {
            let namespace = place.namespace.unwrap_or_default();
            return Err(Error::refused(format!("a revocation in namespace `{namespace}` has not come to its end, and carries on by what this log holds"))
                .hint(format!("bring it to its end (bypassctl revoke -n {namespace}), or wait until 24 hours have gone by since it began")));
        }
        let (path, directory) = (self.path.display(), directory_of(&self.path));
        if is_append_only(&self.file) {
            return Err(Error::refused(format!("`{path}` is append-only: it cannot be given another name"))
                .hint(format!("chattr -a {path}, rotate, then chattr +a both files")));
        }
        exchangeable(directory).map_err(|error| {
            Error::refused(format!("two names cannot be exchanged in `{}`: {error}", directory.display()))
                .hint("name a log in a place where they can from now on: --audit-log, BYPASSCTL_AUDIT_LOG")
        })
    }
}

/// Makes the log that goes on from a closed one, where that is still to be done, and exchanges their names. The closed
/// one is locked. Returns where it is now, and the first record of the other.
pub(super) fn go_on(path: &Path, closed: &File, head: &Head, at: &str) -> io::Result<(PathBuf, Head)> {
    let kept = beside(path, head, at);
    let previous = Previous { log: head.log.clone(), head: format!("{}:{}", head.seq, head.hash) };
    if !kept.try_exists()? {
        make(path, &kept, closed, previous.clone())?;
    }
    let file = open_file(&kept)?;
    let tail = tail::read(&file)?;
    let opened = tail.head.filter(|opened| opened.seq == 1);
    let opened = match opened {
        Some(opened) if previous_of(&file, tail.end)? == Some(previous) => opened,
        _ => return Err(io::Error::other(format!("`{}` is in the way of its rotation", kept.display()))),
    };
    renameat_with(CWD, &kept, CWD, path, RenameFlags::EXCHANGE)?;
    File::open(directory_of(path))?.sync_all()?;
    Ok((kept, opened))
}

/// Makes a log whose first record is durable before it has its name.
fn make(path: &Path, name: &Path, closed: &File, previous: Previous) -> io::Result<()> {
    let mut making = path.as_os_str().to_owned();
    making.push(".next");
    let file = open_file(Path::new(&making))?;
    tail::must_be_a_log(&file)?;
    // What an attempt that was cut short has left there was never in use.
    file.set_len(0)?;
    file.set_permissions(closed.metadata()?.permissions())?;
    drop(Log::begun(file, name, Some(previous), &Tail::default())?);
    Ok(renameat_with(CWD, &making, CWD, name, RenameFlags::NOREPLACE)?)
}

/// The name of a closed log: `audit.jsonl` becomes `audit-20260131T120000Z-1a2b3c4d.jsonl`.
fn beside(path: &Path, head: &Head, at: &str) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default();
    let mut name = stem.to_owned();
    let at = at.split('.').next().unwrap_or_default().replace(['-', ':'], "");
    name.push(format!("-{at}Z-{}", head.log.get(..8).unwrap_or(&head.log)));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// What the first record says it goes on from, in a log that has no other.
fn previous_of(file: &File, length: u64) -> io::Result<Option<Previous>> {
    let mut line = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut line, 0)?;
    match serde_json::from_slice(&line) {
        Ok(Body::LogOpen { previous, .. }) => Ok(previous),
        _ => Ok(None),
    }
}

/// Whether this filesystem exchanges two names.
fn exchangeable(directory: &Path) -> io::Result<()> {
    let [one, other] = [tempfile::NamedTempFile::new_in(directory)?, tempfile::NamedTempFile::new_in(directory)?];
    Ok(renameat_with(CWD, one.path(), CWD, other.path(), RenameFlags::EXCHANGE)?)
}

#[cfg(target_os = "linux")]
fn is_append_only(file: &File) -> bool {
    rustix::fs::ioctl_getflags(file).is_ok_and(|flags| flags.contains(rustix::fs::IFlags::APPEND))
}

#[cfg(not(target_os = "linux"))]
fn is_append_only(_file: &File) -> bool {
    false
}
