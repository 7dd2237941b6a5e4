//! The directory of a token probe: an empty home, a throwaway configuration and a token in memory.

use crate::audit::Receipt;
use crate::secret::Secret;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

const DIRECTORY_PREFIX: &str = "bypassctl-probe-";

/// A private directory. Dropping it removes it, and the next run removes one that a killed run
/// left.
pub(super) struct ProbeDirectory {
    path: PathBuf,
    /// Locks the directory, so that no other run removes it as stale.
    _lock: File,
    /// Keeps the memory file with the token open.
    token_file: Option<File>,
}

/// Generates an unpredictable path.
pub(super) fn generate_path(parent: &Path) -> PathBuf {
    parent.join(format!(
        "{DIRECTORY_PREFIX}{}",
        uuid::Uuid::new_v4().simple()
    ))
}

impl ProbeDirectory {
    /// Creates and locks a directory. Retries where another run removes it as stale in between.
    pub(super) fn new(_receipt: &Receipt, path: &Path) -> io::Result<Self> {
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
        Err(io::Error::other("another run keeps deleting it"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn config_path(&self) -> PathBuf {
        self.path().join("config.toml")
    }

    /// Returns the variables that point a child at this directory.
    pub(super) fn build_env(&self) -> Vec<(OsString, OsString)> {
        let home = self.path().join("home");
        let directories = [
            ("XDG_CONFIG_HOME", ".config"),
            ("XDG_CACHE_HOME", ".cache"),
            ("XDG_DATA_HOME", ".local/share"),
            ("XDG_STATE_HOME", ".local/state"),
        ];
        let directories = directories.map(|(name, path)| (name.into(), home.join(path).into()));
        directories
            .into_iter()
            .chain([("HOME".into(), home.into())])
            .collect()
    }

    pub(super) fn write_config(&self, text: &str) -> io::Result<()> {
        std::fs::write(self.config_path(), text)
    }

    /// Writes the token and returns its path: a memory file, which ends with this process, or a
    /// file of this directory where the system has no memory files.
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

    pub(super) fn remove(self) -> io::Result<()> {
        std::fs::remove_dir_all(&self.path)
    }
}

impl Drop for ProbeDirectory {
    fn drop(&mut self) {
        // Usually `remove` has done this already.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Creates a memory file. Opening its path takes the permission to read this process's memory.
#[cfg(target_os = "linux")]
fn create_memory_file(token: &Secret) -> Option<(File, PathBuf)> {
    use std::os::fd::AsRawFd as _;
    let mut file = File::from(
        rustix::fs::memfd_create("bypassctl-probe", rustix::fs::MemfdFlags::CLOEXEC).ok()?,
    );
    file.write_all(token.expose_secret()).ok()?;
    let path = PathBuf::from(format!(
        "/proc/{}/fd/{}",
        std::process::id(),
        file.as_raw_fd()
    ));
    // Some containers have no /proc.
    File::open(&path).ok().map(|_| (file, path))
}

#[cfg(not(target_os = "linux"))]
fn create_memory_file(_token: &Secret) -> Option<(File, PathBuf)> {
    None
}

/// Chooses the parent of probe directories: the user's runtime directory, shared memory, or the
/// temporary directory.
pub(super) fn choose_runtime_directory(
    runtime: Option<&OsStr>,
    temporary: Option<&OsStr>,
) -> PathBuf {
    let is_usable = |path: &Path| {
        let is_private = |meta: std::fs::Metadata| {
            meta.is_dir()
                && meta.uid() == rustix::process::geteuid().as_raw()
                && meta.mode() & 0o077 == 0
        };
        path.is_absolute() && path.metadata().is_ok_and(is_private)
    };
    let shared_memory = || Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir());
    let runtime = runtime.map(PathBuf::from).filter(|path| is_usable(path));
    runtime
        .or_else(shared_memory)
        .or_else(|| temporary.map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// Finds and locks the directories that killed runs of this user left.
pub(super) fn find_stale_directories(parent: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let uid = rustix::process::geteuid().as_raw();
    let mut stale = Vec::new();
    for entry in std::fs::read_dir(parent)?.flatten() {
        let has_prefix = entry
            .file_name()
            .to_string_lossy()
            .starts_with(DIRECTORY_PREFIX);
        if !has_prefix
            || !entry
                .metadata()
                .is_ok_and(|meta| meta.is_dir() && meta.uid() == uid)
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

/// Removes a stale directory, unless another run did.
pub(super) fn remove_stale_directory(_receipt: &Receipt, path: &Path) -> io::Result<()> {
    ignore_not_found(std::fs::remove_dir_all(path)).map(drop)
}

fn ignore_not_found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
