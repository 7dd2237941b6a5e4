//! Locks that keep two runs from the same target.

use super::sync::lock_mutex;
use crate::error::{Error, Result};
use crate::text::sanitize_truncated;
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// The length in bytes to which a holder's description is padded. A longer one would leave the end
/// of another description behind it.
const HOLDER_LEN: usize = 200;

/// The maximum number of attempts to read a description.
const MAX_READ_ATTEMPTS: u32 = 50;
const READ_RETRY_DELAY: Duration = Duration::from_millis(10);

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

/// Locks `name` in `directory`. Other runs show `holder` in their messages meanwhile.
///
/// # Errors
/// [`ErrorKind::Refused`] where another run has the lock.
pub(super) fn acquire_lock(
    directory: &Path,
    name: &str,
    target: &str,
    holder: &str,
) -> Result<TargetLock> {
    let path = directory.join(format!("{name}.lock"));
    match try_acquire_lock(directory, &path, holder) {
        Ok(LockAttempt::Acquired(lock)) => Ok(lock),
        Ok(LockAttempt::HeldBy(holder)) => {
            let holder = sanitize_truncated(&holder, 200);
            let message = format!("another run is working on {target}: {holder}");
            Err(Error::refusal(message).hint(
                "wait until it ends. If its process is gone, wait until the kubectl or influxctl \
                 that it started exits, or find and stop it: \
                 `ps -e | grep -E 'kubectl|influxctl'`, then `kill PID`",
            ))
        }
        Err(error) => {
            let message = format!("cannot lock `{}`: {error}", path.display());
            Err(Error::failure(message)
                .with_source(error)
                .hint("make the state directory writable, or set XDG_STATE_HOME"))
        }
    }
}

/// Reads the holder's description, which the holder writes right after it has locked the file.
fn read_holder(file: &File) -> io::Result<String> {
    let mut text = [0; 2 * HOLDER_LEN];
    for _ in 0..MAX_READ_ATTEMPTS {
        let length = file.read_at(&mut text, 0)?;
        if length > 0 {
            return Ok(String::from_utf8_lossy(&text[..length]).trim().to_owned());
        }
        std::thread::sleep(READ_RETRY_DELAY);
    }
    Ok("no description yet".to_owned())
}

enum LockAttempt {
    Acquired(TargetLock),
    /// The description of the run that has the lock.
    HeldBy(String),
}

fn try_acquire_lock(directory: &Path, path: &Path, holder: &str) -> io::Result<LockAttempt> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return read_holder(&file).map(LockAttempt::HeldBy);
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // A single write, so that a reader gets the last holder's description or this one.
    file.write_all_at(format!("{holder:<HOLDER_LEN$}").as_bytes(), 0)?;
    Ok(LockAttempt::Acquired(TargetLock(Arc::new(file))))
}
