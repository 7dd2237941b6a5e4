//! Lock files: only their owner can open them, so that nobody else can lock them.
//!
//! A lock on the log itself would not do: whoever can read a file can lock it.

use super::file::open_own_file;
use crate::host::{LockHolder, find_lock_holders};
use rustix::fs::{Mode, OFlags};
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time to wait for a lock. Appending takes milliseconds, but hundreds of runs can wait.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// Time to wait for a lock after a signal, so that the result of a step can still be written.
const INTERRUPTED_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Time that a reader waits for a lock.
const READER_TIMEOUT: Duration = Duration::from_secs(5);

const RETRY_DELAY: Duration = Duration::from_millis(2);

/// A function that returns whether a signal asks this program to end.
pub type InterruptCheck = Box<dyn Fn() -> bool + Send + Sync>;

/// A file to lock. Other users cannot open it.
pub struct LockFile {
    pub file: File,
    pub path: PathBuf,
}

impl LockFile {
    /// Opens or creates a lock file.
    ///
    /// # Errors
    /// Fails for a symlink, another kind of file, a file of another user, one with two names and one
    /// that others can open.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (file, _) = open_own_file(path, OFlags::empty())?;
        if file.metadata()?.mode() & 0o077 != 0 {
            return Err(io::Error::other(
                "other users can lock the file (run `chmod go-rwx`)",
            ));
        }
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Opens the lock file of a log. The log itself serves where this user may create no file
    /// beside it.
    pub(super) fn open_for_log(log: &Path) -> io::Result<Self> {
        let is_unwritable = |error: &io::Error| {
            [
                io::ErrorKind::PermissionDenied,
                io::ErrorKind::ReadOnlyFilesystem,
            ]
            .contains(&error.kind())
        };
        match Self::open(&lock_path(log)) {
            Err(error) if is_unwritable(&error) => Ok(Self {
                file: super::file::open_log_file(log)?,
                path: log.to_owned(),
            }),
            Err(error) => Err(io::Error::other(format!(
                "lock file `{}`: {error}",
                lock_path(log).display()
            ))),
            opened => opened,
        }
    }

    /// Locks the file unless another process has locked it.
    ///
    /// # Errors
    /// Fails if the filesystem has no locks.
    pub fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Waits for the lock. After a signal it waits for a few seconds only.
    ///
    /// # Errors
    /// Fails after the time limit. The message names the process that holds the lock.
    pub fn lock(&self, is_interrupted: &InterruptCheck) -> io::Result<()> {
        self.lock_within([LOCK_TIMEOUT, INTERRUPTED_LOCK_TIMEOUT], is_interrupted)
    }

    fn lock_within(
        &self,
        [timeout, interrupted_timeout]: [Duration; 2],
        is_interrupted: &InterruptCheck,
    ) -> io::Result<()> {
        let start = Instant::now();
        let mut deadline = start + timeout;
        while !self.try_lock()? {
            let now = Instant::now();
            if now >= deadline {
                return Err(self.build_timeout_error(now - start));
            }
            std::thread::sleep(RETRY_DELAY);
            if is_interrupted() {
                deadline = deadline.min(now + interrupted_timeout);
            }
        }
        Ok(())
    }

    fn build_timeout_error(&self, waited: Duration) -> io::Error {
        let holders = find_lock_holders(&self.file);
        let names: Vec<String> = holders.iter().map(LockHolder::to_string).collect();
        let holder = if names.is_empty() {
            "a process that this user cannot see".to_owned()
        } else {
            names.join(", ")
        };
        io::Error::new(
            io::ErrorKind::TimedOut,
            format!(
                "timed out after {} s waiting for lock file `{}`, held by {holder}",
                waited.as_secs(),
                self.path.display()
            ),
        )
    }

    /// # Errors
    /// Fails if the filesystem has no locks.
    pub fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

/// Returns the path of a log's lock file. It stays the same when the log is rotated.
pub(super) fn lock_path(log: &Path) -> PathBuf {
    let mut path = log.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

/// Waits until nobody writes to a log, and keeps writers away until the value is dropped. Returns
/// `None` for a log without a lock file, and for other users. They can read a line that is not
/// complete yet.
pub(super) fn lock_for_reading(log: &Path) -> Option<File> {
    let flags =
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::NOFOLLOW;
    let opened = rustix::fs::open(lock_path(log), flags, Mode::empty());
    let file = File::from(opened.ok()?);
    let deadline = Instant::now() + READER_TIMEOUT;
    while let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(RETRY_DELAY);
    }
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn lock_ends_after_its_limit_and_names_the_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        let [held, waiting] = [(); 2].map(|()| LockFile::open(&path).unwrap());
        assert!(held.try_lock().unwrap());
        let limits = [60, 0].map(Duration::from_secs);
        let error = waiting
            .lock_within(limits, &(Box::new(|| true) as InterruptCheck))
            .unwrap_err();
        let expected = format!(
            "timed out after 0 s waiting for lock file `{}`, held by process {} (",
            path.display(),
            std::process::id()
        );
        assert!(error.to_string().starts_with(&expected), "{error}");
        held.unlock().unwrap();
        waiting
            .lock(&(Box::new(|| false) as InterruptCheck))
            .unwrap();
    }

    #[test]
    fn open_refuses_files_that_others_control() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        LockFile::open(&path).unwrap();
        let open = directory.path().join("open");
        std::fs::write(&open, "").unwrap();
        std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o640)).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let second = directory.path().join("second");
        std::fs::hard_link(&path, &second).unwrap();
        for (path, expected) in [
            (open.as_path(), "other users can lock the file"),
            (&link, "the path is a symlink"),
            (&second, "more than one name"),
            (Path::new("/dev/null"), "not a regular file"),
        ] {
            let error = LockFile::open(path).err().unwrap();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
