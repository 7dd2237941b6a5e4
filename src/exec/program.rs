//! A tool's file, opened once: the file that is hashed is the file that runs.

use super::sync::lock_mutex;
use super::writers::{Writer, writers_from_metadata};
use crate::digest::{Digest, Hasher};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The first bytes of an ELF file. The kernel executes it from its open descriptor. An interpreter
/// would open a script by its name again.
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// Filesystems on which each write changes the times of a file, also through a memory map, and those
/// that are read-only (`linux/magic.h`). On tmpfs a write through a memory map changes no time.
/// Others, such as network filesystems, depend on a server or on another filesystem.
#[cfg(target_os = "linux")]
const FILESYSTEMS_WITH_TIMES: &[(&str, u64)] = &[
    ("ext2, ext3, ext4", 0xef53),
    ("XFS", 0x5846_5342),
    ("Btrfs", 0x9123_683e),
    ("F2FS", 0xf2f5_2010),
    ("ZFS", 0x2fc1_2fc1),
    ("SquashFS", 0x7371_7368),
    ("EROFS", 0xe0f5_e1e2),
];

/// The largest file that is hashed.
const MAX_PROGRAM_BYTES: u64 = 1 << 30;

pub(super) struct Program {
    path: PathBuf,
    file: File,
    /// The open file as a path. `None`: it is executed by its own path.
    fd_path: Option<PathBuf>,
    is_script: bool,
    content_digest: Mutex<Option<ContentDigest>>,
}

#[derive(Clone, Copy)]
struct ContentDigest {
    sha256: Digest,
    stamp: FileStamp,
}

/// Metadata that changes with the content. It may also change alone, so a difference only means
/// that the file must be hashed again.
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
            return Err(io::Error::other("larger than 1 GiB"));
        }
        let mut magic = [0; 4];
        // A shorter file fails at its start, with the system's message.
        let _ = file.read_at(&mut magic, 0)?;
        let fd_path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        // The interpreter opens a script by its name again, and scripts look for files beside them.
        let fd_path = Some(fd_path).filter(|path| magic == ELF_MAGIC && path.exists());
        Ok(Self {
            path: path.to_owned(),
            file,
            fd_path,
            is_script: magic.starts_with(b"#!"),
            content_digest: Mutex::default(),
        })
    }

    /// Returns whether an interpreter runs the file.
    pub(super) fn is_script(&self) -> bool {
        self.is_script
    }

    /// Finds the untrusted users who can change the file unnoticed, because its filesystem does not
    /// change its times at each write.
    pub(super) fn find_unnoticed_writers(&self) -> io::Result<Vec<Writer>> {
        if has_reliable_times(&self.file) {
            return Ok(Vec::new());
        }
        let mut writers = writers_from_metadata(&self.file.metadata()?);
        writers.retain(|writer| writer.is_untrusted());
        Ok(writers)
    }

    /// Returns the path to execute: the open file, where the system has a path for it.
    pub(super) fn exec_path(&self) -> &Path {
        self.fd_path.as_deref().unwrap_or(&self.path)
    }

    /// Computes the SHA-256. From then on no other content runs.
    ///
    /// # Errors
    /// Fails where the file changes meanwhile.
    pub(super) fn compute_sha256(&self) -> io::Result<Digest> {
        let (sha256, stamp) = self.hash_content()?;
        let mut digest = lock_mutex(&self.content_digest);
        Ok(digest.get_or_insert(ContentDigest { sha256, stamp }).sha256)
    }

    /// Returns whether the file still has the hashed content. An unreadable file counts as changed.
    pub(super) fn is_unchanged(&self) -> bool {
        let Some(ContentDigest { sha256, stamp }) = *lock_mutex(&self.content_digest) else {
            return true;
        };
        let current = self
            .open_file()
            .and_then(|file| file.metadata())
            .map(|meta| FileStamp::from(&meta));
        // A rename or chmod changes the stamp as well, so a new hash decides.
        if current.is_ok_and(|current| current == stamp) {
            return true;
        }
        let Ok((current, stamp)) = self.hash_content() else {
            return false;
        };
        let is_same = current == sha256;
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
            return Err(io::Error::other("the file changed during the read"));
        }
        Ok((sha256, stamp))
    }

    /// Returns whether the process that just started runs the hashed content. Always true for one
    /// that was started by its path, where this cannot be checked.
    pub(super) fn is_unchanged_after_start(&self) -> bool {
        self.fd_path.is_none() || self.is_unchanged()
    }

    /// Opens the file that `exec_path` names.
    fn open_file(&self) -> io::Result<File> {
        if self.fd_path.is_some() {
            self.file.try_clone()
        } else {
            File::open(&self.path)
        }
    }
}

#[cfg(target_os = "linux")]
fn has_reliable_times(file: &File) -> bool {
    let magic = rustix::fs::fstatfs(file).map(|stat| u64::try_from(stat.f_type));
    magic.is_ok_and(|magic| {
        FILESYSTEMS_WITH_TIMES
            .iter()
            .any(|(_, known)| magic == Ok(*known))
    })
}

#[cfg(not(target_os = "linux"))]
fn has_reliable_times(_file: &File) -> bool {
    true
}

/// Computes the SHA-256 of an open file in pieces.
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
        file.write_all(b"\x7fELF one").expect("a write");
        let program = Program::open(file.path()).expect("a program");
        assert!(program.is_unchanged(), "not hashed yet");
        let sha256 = program.compute_sha256().expect("a digest");
        assert!(program.is_unchanged());
        file.write_all(b" two").expect("a write");
        assert!(
            !program.is_unchanged()
                && !program.is_unchanged()
                && !program.is_unchanged_after_start()
        );
        assert_eq!(
            program.compute_sha256().expect("a digest"),
            sha256,
            "the first digest stays"
        );
        file.as_file().set_len(8).expect("a shorter file");
        file.rewind().expect("the start");
        assert!(program.is_unchanged(), "the content is back");
    }
}
