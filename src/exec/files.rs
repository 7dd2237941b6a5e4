//! Reads files up to a limit, replaces them atomically and deletes them. A change takes a receipt.

use crate::audit::Receipt;
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A file as it was when it was read.
pub struct Snapshot {
    /// Wiped when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    pub meta: Metadata,
}

/// Reads a regular file of at most `max` bytes. Returns `None` where it does not exist.
///
/// # Errors
/// Fails for other kinds of files and for larger ones.
pub fn read_file(path: &Path, max: u64) -> io::Result<Option<Snapshot>> {
    // Opening a FIFO would block.
    let flags = rustix::fs::OFlags::NONBLOCK.union(rustix::fs::OFlags::NOCTTY);
    let opened = File::options()
        .read(true)
        .custom_flags(i32::try_from(flags.bits()).map_err(io::Error::other)?)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(meta.len().min(max)).map_err(io::Error::other)? + 1,
    ));
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!("larger than {max} bytes")));
    }
    Ok(Some(Snapshot { bytes, meta }))
}

/// Returns the path under which a file is written before it is renamed. The name is fixed, so that
/// the next run finds and removes the file of a killed run.
fn temp_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.bypassctl-new"))
}

/// The outcome of a change, which may succeed and then fail to become durable.
pub(super) struct WriteOutcome {
    pub(super) is_applied: bool,
    pub(super) result: io::Result<()>,
}

impl WriteOutcome {
    fn from_change(change: io::Result<()>, make_durable: impl FnOnce() -> io::Result<()>) -> Self {
        match change {
            Ok(()) => Self {
                is_applied: true,
                result: make_durable(),
            },
            Err(error) => Self {
                is_applied: false,
                result: Err(error),
            },
        }
    }
}

/// The source of a written file's mode and owner.
pub(super) enum ModeSource<'a> {
    /// The replaced file.
    Existing(&'a Metadata),
    /// This mode, with the user who runs this program.
    Fixed(u32),
}

/// Replaces `path` atomically. The mode is 0600 until the file is complete. Creates missing
/// directories with mode 0700.
pub(super) fn replace_file(
    _receipt: &Receipt,
    path: &Path,
    bytes: &[u8],
    mode: &ModeSource,
) -> WriteOutcome {
    let new = temp_path(path);
    let directory = path.parent().unwrap_or(Path::new("/"));
    let written = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| remove_if_exists(&new))
        .and_then(|()| write_temp_file(&new, bytes, mode))
        .and_then(|()| std::fs::rename(&new, path));
    let written = written.map_err(|error| match remove_if_exists(&new) {
        Ok(()) => error,
        Err(cleanup) => io::Error::other(format!(
            "{error}, and `{}` remains: {cleanup}",
            new.display()
        )),
    });
    WriteOutcome::from_change(written, || sync_directory(path))
}

fn write_temp_file(new: &Path, bytes: &[u8], mode: &ModeSource) -> io::Result<()> {
    let mut options = tempfile::Builder::new();
    let directory = new.parent().unwrap_or(Path::new("/"));
    let name = new.file_name().unwrap_or_default();
    let mut file = options
        .prefix(name)
        .rand_bytes(0)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    let mode = match mode {
        ModeSource::Fixed(mode) => *mode,
        ModeSource::Existing(old) => {
            let new = file.as_file().metadata()?;
            if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
                fchown(file.as_file(), Some(old.uid()), Some(old.gid()))
                    .map_err(|error| io::Error::other(format!("cannot keep its owner: {error}")))?;
            }
            old.mode() & 0o7777
        }
    };
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.keep().map_err(|error| error.error)?;
    Ok(())
}

/// Deletes a file and the temporary file that a killed run may have left beside it.
pub(super) fn delete_file(_receipt: &Receipt, path: &Path) -> WriteOutcome {
    WriteOutcome::from_change(remove_if_exists(path), || {
        remove_if_exists(&temp_path(path)).and_then(|()| sync_directory(path))
    })
}

fn remove_if_exists(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Finds the temporary file that a killed run left beside `path`.
#[must_use]
pub fn find_stale_temp_file(path: &Path) -> Option<PathBuf> {
    Some(temp_path(path)).filter(|new| new.symlink_metadata().is_ok())
}

/// A directory that does not protect a secret: the problem and its fix.
pub struct UnsafeDirectory {
    pub problem: String,
    pub remedy: String,
}

/// Checks whether others could replace files in a directory, and whether this program can write to
/// it (a read-only filesystem, an immutable directory). Returns `None` for a safe directory.
#[must_use]
pub fn check_directory(directory: &Path) -> Option<UnsafeDirectory> {
    let name = directory.display();
    let unsafe_because =
        |problem: String, remedy: String| Some(UnsafeDirectory { problem, remedy });
    let meta = match std::fs::metadata(directory) {
        Ok(meta) => meta,
        Err(error) => {
            let problem = format!("cannot read the directory `{name}`: {error}");
            return unsafe_because(problem, format!("mkdir -p -m 700 '{name}'"));
        }
    };
    let trusted = [rustix::process::geteuid().as_raw(), 0];
    if !meta.is_dir() {
        return unsafe_because(
            format!("`{name}` is not a directory"),
            format!("mkdir -p -m 700 '{name}'"),
        );
    }
    if meta.mode() & 0o022 != 0 {
        let mode = meta.mode() & 0o7777;
        return unsafe_because(
            format!("others can write to the directory `{name}` (mode {mode:04o})"),
            format!("chmod go-w '{name}'"),
        );
    }
    if !trusted.contains(&meta.uid()) {
        let uid = meta.uid();
        return unsafe_because(
            format!("the directory `{name}` belongs to another user (uid {uid})"),
            format!("chown {} '{name}'", trusted[0]),
        );
    }
    let needed = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let error = rustix::fs::access(directory, needed).err()?;
    let remedy = format!("chmod u+wx '{name}', mount its filesystem writable, or chattr -i");
    unsafe_because(
        format!("cannot write to the directory `{name}`: {error}"),
        remedy,
    )
}
