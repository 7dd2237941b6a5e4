//! What is made of the record goes into a directory that was named for it. It is not itself on record, and so needs no
//! receipt: nothing that is there already is changed.

use super::files::read_file;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A directory that files are added to.
pub struct ExportDirectory(PathBuf);

impl ExportDirectory {
    /// One that is there.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it, of at most `max` bytes; `None` when it is not there.
    ///
    /// # Errors
    /// Those of reading, and for what is no regular file or too large.
    pub fn read_file(&self, name: &str, max: u64) -> io::Result<Option<Vec<u8>>> {
        Ok(read_file(&self.0.join(name), max)?.map(|file| file.bytes.to_vec()))
    }

    /// Adds a file, mode 0600. One that is there already must hold the same.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] where it holds anything else, and those of writing.
    pub fn add_file(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if name.contains('/') {
            return Err(io::Error::other("a name leads out of the directory"));
        }
        match File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.0.join(name))
        {
            Ok(mut file) => file.write_all(bytes).and_then(|()| file.sync_all()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let same = self
                    .read_file(name, bytes.len() as u64)
                    .ok()
                    .flatten()
                    .is_some_and(|there| there == bytes);
                if same { Ok(()) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Makes the names durable.
    ///
    /// # Errors
    /// Those of the system.
    pub fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}
