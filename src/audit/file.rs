//! The file of a log: opened safely, room reserved in it.

#[cfg(target_os = "linux")]
use rustix::fs::FallocateFlags;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

/// Whether a path names this very file.
pub(super) fn is_file_at_path(path: &Path, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    let named = std::fs::symlink_metadata(path)
        .map_err(|error| io::Error::other(format!("it is gone from its path ({error})")))?;
    Ok((ours.dev(), ours.ino()) == (named.dev(), named.ino()))
}

pub(super) fn parent_directory(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Opens a log safely, or makes an empty file for one.
pub(super) fn open_log_file(path: &Path) -> io::Result<File> {
    let directory = parent_directory(path);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let flags = OFlags::RDWR
        | OFlags::APPEND
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC
        | OFlags::NOCTTY
        | OFlags::NONBLOCK;
    let create = flags | OFlags::CREATE | OFlags::EXCL;
    let file = match rustix::fs::open(path, create, Mode::RUSR | Mode::WUSR) {
        Ok(file) => {
            File::open(directory)?.sync_all()?;
            File::from(file)
        }
        Err(rustix::io::Errno::EXIST) => {
            File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(to_io_error)?)
        }
        Err(error) => return Err(error.into()),
    };
    let meta = file.metadata()?;
    let problem = if !meta.is_file() {
        Some("it is not a regular file")
    } else if meta.uid() != rustix::process::geteuid().as_raw() {
        Some("it belongs to another user")
    } else if meta.nlink() != 1 {
        Some("it has more than one name (hard links)")
    } else if meta.mode() & 0o022 != 0 {
        Some("others can write to it (chmod go-w)")
    } else {
        None
    };
    problem.map_or(Ok(file), |problem| Err(io::Error::other(problem)))
}

fn to_io_error(error: rustix::io::Errno) -> io::Error {
    if error == rustix::io::Errno::LOOP {
        io::Error::other("it is a symlink")
    } else {
        error.into()
    }
}

/// Reserves room behind the end without changing the length; `false` where the filesystem cannot.
#[cfg(target_os = "linux")]
pub(super) fn preallocate(file: &File, end: u64, room: u64) -> io::Result<bool> {
    use rustix::io::Errno;
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, end, room) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn preallocate(_file: &File, _end: u64, _room: u64) -> io::Result<bool> {
    Ok(false)
}
