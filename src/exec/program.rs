//! A tool's file, opened once: what is hashed is what runs, whatever its name leads to by then.

use super::sync::lock_mutex;
use crate::digest::{Digest, Hasher};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What an ELF file begins with: the kernel runs it without an interpreter that would open it by its name again, unless
/// it is for another machine.
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// More is no tool, and would take long to hash, in bytes.
const MAX_PROGRAM_BYTES: u64 = 1 << 30;

/// A tool's file.
pub(super) struct Program {
    path: PathBuf,
    file: File,
    /// The name of the open file; without one it is executed by its path.
    fd_path: Option<PathBuf>,
    is_script: bool,
    content_digest: Mutex<Option<ContentDigest>>,
}

#[derive(Clone, Copy)]
struct ContentDigest {
    sha256: Digest,
    stamp: FileStamp,
}

/// What changes when a file's content does. No file system promises the reverse, so a difference only means: look again.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    inode: (u64, u64),
    size: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
}

impl From<&Metadata> for FileStamp {
    fn from(meta: &Metadata) -> Self {
        Self {
            inode: (meta.dev(), meta.ino()),
            size: meta.size(),
            mtime: (meta.mtime(), meta.mtime_nsec()),
            ctime: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

impl Program {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() > MAX_PROGRAM_BYTES {
            return Err(io::Error::other("it is larger than 1 GiB"));
        }
        let mut begins = [0; 4];
        // A shorter file is no program; what the system says of it when it is to run is told.
        let _ = file.read_at(&mut begins, 0)?;
        let open = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        // The interpreter of a script opens it by its name again, and scripts look beside themselves.
        let open = Some(open).filter(|open| begins == ELF_MAGIC && open.exists());
        Ok(Self {
            path: path.to_owned(),
            file,
            fd_path: open,
            is_script: begins.starts_with(b"#!"),
            content_digest: Mutex::default(),
        })
    }

    /// Whether it is text for an interpreter, which is another program.
    pub(super) fn is_script(&self) -> bool {
        self.is_script
    }

    /// What is executed: the open file, where the system has a name for it.
    pub(super) fn exec_path(&self) -> &Path {
        self.fd_path.as_deref().unwrap_or(&self.path)
    }

    /// SHA-256 of what is executed, lower-case hexadecimal. From then on that is what runs.
    ///
    /// # Errors
    /// Those of reading, and where it was changed meanwhile.
    pub(super) fn compute_sha256(&self) -> io::Result<Digest> {
        let (sha256, stamp) = self.hash_content()?;
        let mut hashed = lock_mutex(&self.content_digest);
        Ok(hashed.get_or_insert(ContentDigest { sha256, stamp }).sha256)
    }

    /// Whether it is still what was hashed: to be asked right before it runs. What cannot be read any more is not.
    pub(super) fn is_unchanged(&self) -> bool {
        let Some(ContentDigest { sha256, stamp }) = *lock_mutex(&self.content_digest) else {
            return true;
        };
        let now = self
            .open_file()
            .and_then(|file| file.metadata())
            .map(|meta| FileStamp::from(&meta));
        // Another name or mode changes the stamp as well: then its content decides.
        if now.is_ok_and(|now| now == stamp) {
            return true;
        }
        let Ok((now, stamp)) = self.hash_content() else {
            return false;
        };
        let is_same = now == sha256;
        if is_same {
            *lock_mutex(&self.content_digest) = Some(ContentDigest { sha256, stamp });
        }
        is_same
    }

    fn hash_content(&self) -> io::Result<(Digest, FileStamp)> {
        let file = self.open_file()?;
        let stamp = FileStamp::from(&file.metadata()?);
        let sha256 = compute_file_sha256(&file)?;
        if FileStamp::from(&file.metadata()?) != stamp {
            return Err(io::Error::other("it was changed while it was read"));
        }
        Ok((sha256, stamp))
    }

    /// Whether what was just started is still what was hashed. Of what was started by its name that cannot be told.
    pub(super) fn is_unchanged_after_start(&self) -> bool {
        self.fd_path.is_none() || self.is_unchanged()
    }

    /// What is executed, opened.
    fn open_file(&self) -> io::Result<File> {
        if self.fd_path.is_some() {
            self.file.try_clone()
        } else {
            File::open(&self.path)
        }
    }
}

/// SHA-256 of an open file as lower-case hexadecimal, with little memory.
///
/// # Errors
/// Those of reading.
pub(super) fn compute_file_sha256(file: &File) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut chunk = vec![0; 256 << 10];
    let mut at = 0;
    loop {
        match file.read_at(&mut chunk, at)? {
            0 => return Ok(hasher.finish()),
            length => {
                hasher.update(&chunk[..length]);
                at += length as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek as _, Write as _};

    #[test]
    fn program_is_changed_until_overwritten_content_is_restored() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"\x7fELF one").expect("it is written to");
        let program = Program::open(file.path()).expect("a program");
        assert!(program.is_unchanged(), "nothing is known of it yet");
        let sha256 = program.compute_sha256().expect("it is read");
        assert!(program.is_unchanged());
        file.write_all(b" two").expect("it is written to");
        assert!(
            !program.is_unchanged()
                && !program.is_unchanged()
                && !program.is_unchanged_after_start()
        );
        assert_eq!(
            program.compute_sha256().expect("it is read"),
            sha256,
            "what was hashed first is what runs"
        );
        file.as_file().set_len(8).expect("it is cut");
        file.rewind().expect("its beginning");
        assert!(program.is_unchanged(), "written back");
    }
}
