//! Writes exports of the audit log. An export changes no existing file, so it needs no entry and no
//! receipt of its own.

use super::files::read_file;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// An existing directory to which files are added.
pub struct ExportDirectory(PathBuf);

impl ExportDirectory {
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads a regular file of at most `max` bytes. Returns `None` where it does not exist.
    pub fn read_file(&self, name: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(read_file(&self.0.join(name), max)?.map(|file| file.bytes.to_vec()))
    }

    /// Adds a file with mode 0600, unless it exists with the same content.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where it has other content.
    pub fn add_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if name.contains('/') {
            return Err(io::Error::other("the name contains a slash"));
        }
        match File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.0.join(name))
        {
            Ok(mut file) => file.write_all(bytes).and_then(|()| file.sync_all()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let is_same = self
                    .read_file(name, bytes.len() as u64)
                    .ok()
                    .flatten()
                    .is_some_and(|existing| existing == bytes);
                if is_same { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the added names durable.
    pub fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}
