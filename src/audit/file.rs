//! Opens the file of a log safely and reserves space in it.

#[cfg(target_os = "linux")]
use rustix::fs::FallocateFlags;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

/// Returns whether a path names this very file.
pub(super) fn is_file_at_path(path: &Path, file: &File) -> io::Result<bool> {
    let opened = file.metadata()?;
    let named = std::fs::symlink_metadata(path)
        .map_err(|error| io::Error::other(format!("the file is gone from its path ({error})")))?;
    Ok((opened.dev(), opened.ino()) == (named.dev(), named.ino()))
}

pub(super) fn parent_directory(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Opens the file of a log, or creates an empty file. Refuses files that other users control.
pub(super) fn open_log_file(path: &Path) -> io::Result<File> {
    let (file, is_new) = open_own_file(path, OFlags::APPEND)?;
    if is_new {
        File::open(parent_directory(path))?.sync_all()?;
    }
    if file.metadata()?.mode() & 0o022 != 0 {
        return Err(io::Error::other(
            "other users can write to the file (run `chmod go-w`)",
        ));
    }
    Ok(file)
}

/// Opens a file of this user, or creates it with mode 0600. Returns whether it is new. Refuses
/// symlinks, other kinds of files, files of other users and files with more than one name.
pub(super) fn open_own_file(path: &Path, flags: OFlags) -> io::Result<(File, bool)> {
    let directory = parent_directory(path);
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let flags = flags
        | OFlags::RDWR
        | OFlags::NOFOLLOW
        | OFlags::CLOEXEC
        | OFlags::NOCTTY
        | OFlags::NONBLOCK;
    let create = flags | OFlags::CREATE | OFlags::EXCL;
    let (file, is_new) = match rustix::fs::open(path, create, Mode::RUSR | Mode::WUSR) {
        Ok(file) => (File::from(file), true),
        Err(rustix::io::Errno::EXIST) => {
            let file = rustix::fs::open(path, flags, Mode::empty()).map_err(to_io_error)?;
            (File::from(file), false)
        }
        Err(error) => return Err(error.into()),
    };
    let meta = file.metadata()?;
    let problem = if !meta.is_file() {
        Some("not a regular file")
    } else if meta.uid() != rustix::process::geteuid().as_raw() {
        Some("the file belongs to another user")
    } else if meta.nlink() != 1 {
        Some("the file has more than one name (hard links)")
    } else {
        None
    };
    problem.map_or(Ok((file, is_new)), |problem| Err(io::Error::other(problem)))
}

fn to_io_error(error: rustix::io::Errno) -> io::Error {
    if error == rustix::io::Errno::LOOP {
        io::Error::other("the path is a symlink")
    } else {
        error.into()
    }
}

/// Reserves space behind the end of the file and keeps its length. Returns `false` if the
/// filesystem does not support this.
#[cfg(target_os = "linux")]
pub(super) fn preallocate(file: &File, end: u64, size: u64) -> io::Result<bool> {
    use rustix::io::Errno;
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, end, size) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn preallocate(_file: &File, _end: u64, _size: u64) -> io::Result<bool> {
    Ok(false)
}
