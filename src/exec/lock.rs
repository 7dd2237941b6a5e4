//! Locks that keep two runs from the same target.

use super::sync::lock_mutex;
use crate::audit::{InterruptCheck, LockFile};
use crate::error::{Error, Result};
use crate::host::{
    LockHolder, find_lock_holders, get_pid_namespace, read_process_start, read_session,
};
use crate::text::sanitize_truncated;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

/// The maximum length of a lock file, in bytes.
const MAX_LOCK_FILE: u64 = 4 << 10;

/// The programs that change a cluster. Only their end frees the lock of a killed run.
const TOOLS: &[&str] = &["kubectl", "influxctl"];

/// A lock that is held until it is dropped. Children inherit it, so a kubectl orphaned by SIGKILL
/// keeps it until it exits. Watches do not: they may run for another hour and change nothing.
pub struct TargetLock(Arc<File>);

/// The locks of a run, for the children that inherit them.
#[derive(Default)]
pub(super) struct RunLocks(Mutex<Vec<Weak<File>>>);

impl RunLocks {
    /// Duplicates the descriptors, for as long as a child is being started.
    pub(super) fn duplicate_inheritable(&self) -> io::Result<Vec<OwnedFd>> {
        let locks = lock_mutex(&self.0);
        // Unlike `File::try_clone`, `dup` leaves close-on-exec unset.
        locks
            .iter()
            .filter_map(Weak::upgrade)
            .map(|lock| Ok(rustix::io::dup(&*lock)?))
            .collect()
    }

    pub(super) fn add_lock(&self, lock: &TargetLock) {
        lock_mutex(&self.0).push(Arc::downgrade(&lock.0));
    }
}

impl Drop for TargetLock {
    fn drop(&mut self) {
        // Unlocks for the children too: only a killed run leaves its lock to them.
        let _ = self.0.unlock();
    }
}

/// The run that has a lock, as its lock file describes it.
#[derive(Serialize, Deserialize)]
struct LockOwner {
    /// Description for messages.
    run: String,
    pid: u32,
    process_start: Option<String>,
    session: Option<i32>,
    pid_namespace: Option<String>,
}

impl LockOwner {
    fn new(run: &str) -> Self {
        Self {
            run: run.to_owned(),
            pid: std::process::id(),
            process_start: read_process_start(std::process::id()),
            session: read_session(std::process::id()),
            pid_namespace: get_pid_namespace(),
        }
    }

    /// Returns whether the run is known to be killed.
    fn is_killed(&self) -> bool {
        self.pid_namespace.is_some()
            && self.pid_namespace == get_pid_namespace()
            && self.process_start.is_some()
            && self.process_start != read_process_start(self.pid)
    }

    /// Returns whether the run was killed, and only daemons still hold its lock: credential plugins
    /// leave them, and they change no cluster.
    fn left_only_daemons(&self, holders: &[LockHolder]) -> bool {
        let is_daemon = |holder: &LockHolder| {
            self.session
                .is_some_and(|session| holder.is_daemon(session, TOOLS))
        };
        self.is_killed() && !holders.is_empty() && holders.iter().all(is_daemon)
    }
}

/// Locks `name` in `directory`. Other runs show `run` in their messages meanwhile.
///
/// # Errors
/// [`ErrorKind::Refused`] where another run has the lock.
pub(super) fn acquire_lock(
    directory: &Path,
    name: &str,
    target: &str,
    run: &str,
    is_interrupted: &InterruptCheck,
) -> Result<TargetLock> {
    let path = directory.join(format!("{name}.lock"));
    match try_acquire_lock(directory, &path, run, is_interrupted) {
        Ok(LockAttempt::Acquired(lock)) => Ok(lock),
        Ok(LockAttempt::Held(owner, holders)) => Err(build_held_error(target, owner, &holders)),
        Err(error) => {
            let message = format!("cannot lock `{}`: {error}", path.display());
            Err(Error::failure(message).with_source(error).hint(
                "delete the lock file if it is a symlink or not yours, make the state directory \
                 writable, or set XDG_STATE_HOME",
            ))
        }
    }
}

fn build_held_error(target: &str, owner: Option<LockOwner>, holders: &[LockHolder]) -> Error {
    let run = owner.as_ref().map_or("no description", |owner| &owner.run);
    let message = format!(
        "another run is working on {target}: {}",
        sanitize_truncated(run, 200)
    );
    if holders.is_empty() || !owner.is_some_and(|owner| owner.is_killed()) {
        return Error::refusal(message).hint(
            "wait until it ends. If its process is gone, wait until the kubectl or influxctl \
             that it started exits, or find and stop it: \
             `ps -e | grep -E 'kubectl|influxctl'`, then `kill PID`",
        );
    }
    let list = |format: &dyn Fn(&LockHolder) -> String, separator: &str| {
        let words: Vec<String> = holders.iter().map(format).collect();
        words.join(separator)
    };
    Error::refusal(format!(
        "{message} was killed, but its lock is still held by {}",
        list(&LockHolder::to_string, ", ")
    ))
    .hint(format!(
        "wait until it exits, or stop it: `kill {}`",
        list(&|holder| holder.pid.to_string(), " ")
    ))
}

enum LockAttempt {
    Acquired(TargetLock),
    /// The run that has the lock, and the processes that hold it.
    Held(Option<LockOwner>, Vec<LockHolder>),
}

fn try_acquire_lock(
    directory: &Path,
    path: &Path,
    run: &str,
    is_interrupted: &InterruptCheck,
) -> io::Result<LockAttempt> {
    let _guard = lock_guard(directory, is_interrupted)?;
    let mut lock = LockFile::open(path)?;
    if !lock.try_lock()? {
        let owner = read_owner(&lock.file)?;
        let holders = find_lock_holders(&lock.file);
        if !owner
            .as_ref()
            .is_some_and(|owner| owner.left_only_daemons(&holders))
        {
            return Ok(LockAttempt::Held(owner, holders));
        }
        lock = replace_lock_file(path)?;
    }
    lock.file.set_len(0)?;
    lock.file
        .write_all_at(&serde_json::to_vec(&LockOwner::new(run))?, 0)?;
    Ok(LockAttempt::Acquired(TargetLock(Arc::new(lock.file))))
}

/// Waits for the lock under which only one run at a time reads, writes and replaces lock files and
/// creates files of the state directory. No child inherits it.
pub(super) fn lock_guard(
    directory: &Path,
    is_interrupted: &InterruptCheck,
) -> io::Result<LockFile> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let guard = LockFile::open(&directory.join("guard"))?;
    guard.lock(is_interrupted)?;
    Ok(guard)
}

/// Replaces a lock file that a daemon holds, and locks the new one.
fn replace_lock_file(path: &Path) -> io::Result<LockFile> {
    let new: PathBuf = path.with_extension("new");
    if let Err(error) = std::fs::remove_file(&new)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let lock = LockFile::open(&new)?;
    if !lock.try_lock()? {
        return Err(io::Error::other("another process locked the new lock file"));
    }
    std::fs::rename(new, path)?;
    Ok(lock)
}

/// Reads the description of the run that has the lock.
fn read_owner(file: &File) -> io::Result<Option<LockOwner>> {
    let mut text = Vec::new();
    file.take(MAX_LOCK_FILE).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text).ok())
}
