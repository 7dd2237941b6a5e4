//! A place for a trial: an empty home, a throwaway configuration, and a token that is on no disk.

use crate::secret::Secret;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

const PREFIX: &str = "bypassctl-trial-";

/// A directory of our own, gone when dropped, and swept by the next run where it could not be.
pub(super) struct Scratch {
    directory: tempfile::TempDir,
    /// Holds the lock that tells the next run's sweep to leave it alone.
    _lock: File,
    /// Holds the memory that the token is in.
    token: Option<File>,
}

impl Scratch {
    /// Makes one under `parent`, and takes away what killed runs left there.
    pub(super) fn new(parent: &Path) -> io::Result<Self> {
        sweep(parent)?;
        // Another run's sweep may take it away between its making and its locking: then once more.
        for _ in 0..8 {
            let directory = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(parent)?;
            let lock = File::open(directory.path())?;
            lock.lock()?;
            if directory.path().exists() {
                std::fs::create_dir(directory.path().join("home"))?;
                return Ok(Self { directory, _lock: lock, token: None });
            }
        }
        Err(io::Error::other(format!("no directory of our own could be made in `{}`", parent.display())))
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn config(&self) -> PathBuf {
        self.path().join("config.toml")
    }

    /// The variables that make it the whole world of a child.
    pub(super) fn env(&self) -> Vec<(OsString, OsString)> {
        let home = self.path().join("home");
        let below = [
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_CACHE_HOME", ".cache"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_STATE_HOME", ".local/state"),
        ];
        let below = below.map(|(name, path)| (name.into(), home.join(path).into()));
        below.into_iter().chain([("HOME".into(), home.into())]).collect()
    }

    pub(super) fn write_config(&self, text: &str) -> io::Result<()> {
        std::fs::write(self.config(), text)
    }

    /// Where the child finds the token: in memory where the system has that, and so gone with this process, however it
    /// ends; else in a file of this directory.
    pub(super) fn put_token(&mut self, token: &Secret) -> io::Result<PathBuf> {
        if let Some((file, path)) = in_memory(token) {
            self.token = Some(file);
            return Ok(path);
        }
        let path = self.path().join("token");
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(token.expose())?;
        Ok(path)
    }

    /// Takes it away.
    pub(super) fn close(self) -> io::Result<()> {
        self.directory.close()
    }
}

/// The descriptor closes on exec: only who may read this process's memory can open it by this path.
#[cfg(target_os = "linux")]
fn in_memory(token: &Secret) -> Option<(File, PathBuf)> {
    use std::os::fd::AsRawFd as _;
    let mut file = File::from(rustix::fs::memfd_create("bypassctl-trial", rustix::fs::MemfdFlags::CLOEXEC).ok()?);
    file.write_all(token.expose()).ok()?;
    let path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
    // Without /proc, as in some containers, there is no such path.
    File::open(&path).ok().map(|_| (file, path))
}

#[cfg(not(target_os = "linux"))]
fn in_memory(_token: &Secret) -> Option<(File, PathBuf)> {
    None
}

/// Where secrets may lie for a moment: the user's runtime directory, else shared memory, else the temporary directory.
pub(super) fn runtime_directory(runtime: Option<&OsStr>, temporary: Option<&OsStr>) -> PathBuf {
    let ours = |path: &Path| {
        let private = |meta: std::fs::Metadata| {
            meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o077 == 0
        };
        path.is_absolute() && path.metadata().is_ok_and(private)
    };
    let shared_memory = || Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir());
    let runtime = runtime.map(PathBuf::from).filter(|path| ours(path));
    runtime.or_else(shared_memory).or_else(|| temporary.map(PathBuf::from)).unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// Takes away what killed runs of this user left: directories of our name whose lock nobody holds.
fn sweep(parent: &Path) -> io::Result<()> {
    let ours = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(parent)?.flatten() {
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        let stale = named && entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == ours);
        if stale
            && File::open(entry.path())
                .is_ok_and(|lock| lock.try_lock().is_ok() && std::fs::remove_dir_all(entry.path()).is_err())
        {
            return Err(io::Error::other(format!(
                "what a killed run left in `{}` cannot be taken away",
                entry.path().display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_runs_directory_is_swept_and_a_living_ones_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join(format!("{PREFIX}dead"));
        std::fs::create_dir(&dead).unwrap();
        let living = Scratch::new(parent.path()).unwrap();
        assert!(!dead.exists());
        let other = Scratch::new(parent.path()).unwrap();
        assert!(living.path().exists() && other.path() != living.path());
        let path = living.path().to_owned();
        living.close().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn the_token_can_be_read_by_its_path_and_is_in_no_directory() {
        let parent = tempfile::tempdir().unwrap();
        let mut scratch = Scratch::new(parent.path()).unwrap();
        let path = scratch.put_token(&Secret::new(b"invented".to_vec().into())).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"invented");
        if cfg!(target_os = "linux") {
            assert!(path.starts_with("/proc"), "{}", path.display());
        }
    }
}
