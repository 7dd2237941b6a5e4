//! One run at a time for one target.

use crate::error::{Error, Kind, Result};
use crate::tool::invocation::printable;
use rustix::io::FdFlags;
use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Held until dropped. Children inherit it: a kubectl orphaned by SIGKILL keeps it until it ends.
pub struct TargetLock(File);

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
pub(super) fn take(directory: &Path, name: &str, what: &str, holder: &str) -> Result<TargetLock> {
    let path = directory.join(format!("{name}.lock"));
    match try_take(directory, &path, holder) {
        Ok(Ok(lock)) => Ok(lock),
        Ok(Err(other)) => Err(Error::refused(format!("another run is at work on {what}: {}", printable(&other, 200)))
            .hint("wait until it has ended; where that process is gone, a kubectl or influxctl that it has left behind is still at work (`ps -e | grep -E 'kubectl|influxctl'`)")),
        Err(error) => Err(Error::new(Kind::Failed, format!("the lock `{}` cannot be taken: {error}", path.display()))
            .hint("the state directory must be writable: see XDG_STATE_HOME")),
    }
}

fn try_take(directory: &Path, path: &Path, holder: &str) -> io::Result<std::result::Result<TargetLock, String>> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut other = String::new();
            file.read_to_string(&mut other)?;
            return Ok(Err(other.trim().to_owned()));
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.set_len(0)?;
    file.write_all(holder.as_bytes())?;
    rustix::io::fcntl_setfd(&file, FdFlags::empty())?;
    Ok(Ok(TargetLock(file)))
}
