//! A place for a trial: an empty home, a throwaway configuration, and a token that is on no disk.

use crate::audit::Receipt;
use crate::secret::Secret;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const DIRECTORY_PREFIX: &str = "bypassctl-trial-";

/// A directory of our own, gone when dropped, and swept by the next run where it could not be.
pub(super) struct ProbeDirectory {
    path: PathBuf,
    /// Holds the lock that tells the next run's sweep to leave it alone.
    _lock: File,
    /// Holds the memory that the token is in.
    token_file: Option<File>,
}

/// A name that nobody can foresee.
pub(super) fn generate_path(parent: &Path) -> PathBuf {
    parent.join(format!(
        "{DIRECTORY_PREFIX}{}",
        uuid::Uuid::new_v4().simple()
    ))
}

impl ProbeDirectory {
    /// Makes one. Another run's sweep may take it away between its making and its locking: then once more.
    pub(super) fn new(_recorded: &Receipt, path: &Path) -> io::Result<Self> {
        for _ in 0..8 {
            std::fs::DirBuilder::new().mode(0o700).create(path)?;
            let Some(lock) = ignore_not_found(File::open(path))? else {
                continue;
            };
            lock.lock()?;
            if path.exists() {
                let scratch = Self {
                    path: path.to_owned(),
                    _lock: lock,
                    token_file: None,
                };
                std::fs::create_dir(path.join("home"))?;
                return Ok(scratch);
            }
        }
        Err(io::Error::other(
            "another run takes it away again and again",
        ))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn config_path(&self) -> PathBuf {
        self.path().join("config.toml")
    }

    /// The variables that make it the whole world of a child.
    pub(super) fn build_env(&self) -> Vec<(OsString, OsString)> {
        let home = self.path().join("home");
        let below = [
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_CACHE_HOME", ".cache"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_STATE_HOME", ".local/state"),
        ];
        let below = below.map(|(name, path)| (name.into(), home.join(path).into()));
        below
            .into_iter()
            .chain([("HOME".into(), home.into())])
            .collect()
    }

    pub(super) fn write_config(&self, text: &str) -> io::Result<()> {
        std::fs::write(self.config_path(), text)
    }

    /// Where the child finds the token: in memory where the system has that, and so gone with this process, however it
    /// ends; else in a file of this directory.
    pub(super) fn write_token(&mut self, token: &Secret) -> io::Result<PathBuf> {
        if let Some((file, path)) = create_memory_file(token) {
            self.token_file = Some(file);
            return Ok(path);
        }
        let path = self.path().join("token");
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(token.expose_secret())?;
        Ok(path)
    }

    /// Takes it away.
    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_dir_all(&self.path)
    }
}

impl Drop for ProbeDirectory {
    fn drop(&mut self) {
        // Closed already, in the ordinary case.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// The descriptor closes on exec: only who may read this process's memory can open it by this path.
#[cfg(target_os = "linux")]
fn create_memory_file(token: &Secret) -> Option<(File, PathBuf)> {
    use std::os::fd::AsRawFd as _;
    let mut file = File::from(
        rustix::fs::memfd_create("bypassctl-trial", rustix::fs::MemfdFlags::CLOEXEC).ok()?,
    );
    file.write_all(token.expose_secret()).ok()?;
    let path = PathBuf::from(format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        file.as_raw_fd()
    ));
    // Without /proc, as in some containers, there is no such path.
    File::open(&path).ok().map(|_| (file, path))
}

#[cfg(not(target_os = "linux"))]
fn create_memory_file(_token: &Secret) -> Option<(File, PathBuf)> {
    None
}

/// Where secrets may lie for a moment: the user's runtime directory, else shared memory, else the temporary directory.
pub(super) fn choose_runtime_directory(
    runtime: Option<&OsStr>,
    temporary: Option<&OsStr>,
) -> PathBuf {
    let ours = |path: &Path| {
        let private = |meta: std::fs::Metadata| {
            meta.is_dir()
                && meta.uid() == rustix::process::geteuid().as_raw()
                && meta.mode() & 0o077 == 0
        };
        path.is_absolute() && path.metadata().is_ok_and(private)
    };
    let shared_memory = || Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir());
    let runtime = runtime.map(PathBuf::from).filter(|path| ours(path));
    runtime
        .or_else(shared_memory)
        .or_else(|| temporary.map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// What killed runs of this user left: directories of our name whose lock nobody holds; it is held from here on.
pub(super) fn find_stale_directories(parent: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let ours = rustix::process::geteuid().as_raw();
    let mut stale = Vec::new();
    for entry in std::fs::read_dir(parent)?.flatten() {
        let named = entry
            .file_name()
            .to_string_lossy()
            .starts_with(DIRECTORY_PREFIX);
        if !named
            || !entry
                .metadata()
                .is_ok_and(|meta| meta.is_dir() && meta.uid() == ours)
        {
            continue;
        }
        if let Some(lock) =
            ignore_not_found(File::open(entry.path()))?.filter(|lock| lock.try_lock().is_ok())
        {
            stale.push((entry.path(), lock));
        }
    }
    Ok(stale)
}

/// Takes one of these away; another run may have been faster.
pub(super) fn remove_stale_directory(_recorded: &Receipt, path: &Path) -> io::Result<()> {
    ignore_not_found(std::fs::remove_dir_all(path)).map(drop)
}

fn ignore_not_found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
