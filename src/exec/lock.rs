//! One run at a time for one target.

use super::sync::lock_mutex;
use crate::error::{Error, ErrorKind, Result};
use crate::text::sanitize_truncated;
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

/// How long what a holder says of itself is at least, in bytes: all of one length, so that none shows the end of another.
const HOLDER_LEN: usize = 200;

/// How often, and how far apart, one looks for it.
const MAX_READ_ATTEMPTS: u32 = 50;
const READ_RETRY_DELAY: Duration = Duration::from_millis(10);

/// Held until dropped. Children inherit it: a kubectl orphaned by SIGKILL keeps it until it ends. Not so those that only
/// watch: they may live on for an hour, and keep nobody from anything.
pub struct TargetLock(Arc<File>);

/// The locks of a run, for the children that inherit them.
#[derive(Default)]
pub(super) struct RunLocks(Mutex<Vec<Weak<File>>>);

impl RunLocks {
    /// Descriptors that a process started meanwhile inherits.
    ///
    /// # Errors
    /// Those of the system: no more descriptors.
    pub(super) fn duplicate_inheritable(&self) -> io::Result<Vec<OwnedFd>> {
        let locks = lock_mutex(&self.0);
        // Unlike a copy by the standard library this one is not closed by exec.
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
        // A run that ends by itself gives the lock back although a child may live on: only a killed run leaves it.
        let _ = self.0.unlock();
    }
}

/// Takes the lock called `name` in `directory`; `holder` is what another run is told meanwhile.
///
/// # Errors
/// [`Kind::Refused`] when another run holds it.
pub(super) fn acquire_lock(
    directory: &Path,
    name: &str,
    what: &str,
    holder: &str,
) -> Result<TargetLock> {
    let path = directory.join(format!("{name}.lock"));
    match try_acquire_lock(directory, &path, holder) {
        Ok(LockAttempt::Acquired(lock)) => Ok(lock),
        Ok(LockAttempt::HeldBy(other)) => Err(Error::refusal(format!("another run is at work on {what}: {}", sanitize_truncated(&other, 200)))
            .hint("wait until it has ended; where that process is gone, a kubectl or influxctl that it has left behind is still at work (`ps -e | grep -E 'kubectl|influxctl'`)")),
        Err(error) => Err(Error::new(ErrorKind::Failed, format!("the lock `{}` cannot be taken: {error}", path.display()))
            .caused_by(error)
            .hint("the state directory must be writable: see XDG_STATE_HOME")),
    }
}

/// Who holds the lock: it says so right after it has taken it.
fn read_holder(file: &File) -> io::Result<String> {
    let mut text = [0; 2 * HOLDER_LEN];
    for _ in 0..MAX_READ_ATTEMPTS {
        let length = file.read_at(&mut text, 0)?;
        if length > 0 {
            return Ok(String::from_utf8_lossy(&text[..length]).trim().to_owned());
        }
        std::thread::sleep(READ_RETRY_DELAY);
    }
    Ok("it has not said yet who it is".to_owned())
}

enum LockAttempt {
    Acquired(TargetLock),
    /// Another run has it: this is how it describes itself.
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
    // One write over the last holder's, so that who reads meanwhile reads the one or the other.
    file.write_all_at(format!("{holder:<HOLDER_LEN$}").as_bytes(), 0)?;
    Ok(LockAttempt::Acquired(TargetLock(Arc::new(file))))
}
