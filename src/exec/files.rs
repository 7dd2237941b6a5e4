//! Files read with a limit, replaced as a whole, or deleted. Changing one takes the receipt of a durable record.

use crate::audit::Receipt;
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A file as it was read, to be compared with later.
pub struct Snapshot {
    /// Its bytes; wiped when dropped.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Its mode and owner.
    pub meta: Metadata,
}

/// Reads a regular file of at most `max` bytes; `None` when nothing is there.
///
/// # Errors
/// Those of reading, and for what is no regular file or too large.
pub fn read_file(path: &Path, max: u64) -> io::Result<Option<Snapshot>> {
    // A FIFO would block the open for ever.
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
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(meta.len().min(max)).map_err(io::Error::other)? + 1,
    ));
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!("it is larger than {max} bytes")));
    }
    Ok(Some(Snapshot { bytes, meta }))
}

/// The name under which a file is written before it takes its place: always the same, so that what a killed run left
/// is found and taken away by the next.
fn temp_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.bypassctl-new"))
}

/// What came of a change: an error may come after it has happened.
pub(super) struct WriteOutcome {
    pub(super) is_applied: bool,
    pub(super) result: io::Result<()>,
}

impl WriteOutcome {
    /// The change itself, and what makes it durable.
    fn from_change(change: io::Result<()>, durable: impl FnOnce() -> io::Result<()>) -> Self {
        match change {
            Ok(()) => Self {
                is_applied: true,
                result: durable(),
            },
            Err(error) => Self {
                is_applied: false,
                result: Err(error),
            },
        }
    }
}

/// Mode and owner of a file that is written.
pub(super) enum ModeSource<'a> {
    /// Those of the file that it takes the place of.
    Existing(&'a Metadata),
    /// This mode, and who runs this.
    Fixed(u32),
}

/// Puts `bytes` in the place of `path` as a whole: old file or new, never a part. Until it is whole its mode is 0600. A
/// directory that is not there is made, mode 0700.
pub(super) fn replace_file(
    _recorded: &Receipt,
    path: &Path,
    bytes: &[u8],
    like: &ModeSource,
) -> WriteOutcome {
    let new = temp_path(path);
    let directory = path.parent().unwrap_or(Path::new("/"));
    let written = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| remove_if_exists(&new))
        .and_then(|()| write_temp_file(&new, bytes, like))
        .and_then(|()| std::fs::rename(&new, path));
    let written = written.map_err(|error| match remove_if_exists(&new) {
        Ok(()) => error,
        Err(left) => io::Error::other(format!(
            "{error}; and `{}` is left behind: {left}",
            new.display()
        )),
    });
    WriteOutcome::from_change(written, || sync_directory(path))
}

fn write_temp_file(new: &Path, bytes: &[u8], like: &ModeSource) -> io::Result<()> {
    let mut options = tempfile::Builder::new();
    let directory = new.parent().unwrap_or(Path::new("/"));
    let name = new.file_name().unwrap_or_default();
    let mut file = options
        .prefix(name)
        .rand_bytes(0)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    let mode = match like {
        ModeSource::Fixed(mode) => *mode,
        ModeSource::Existing(old) => {
            let ours = file.as_file().metadata()?;
            if (ours.uid(), ours.gid()) != (old.uid(), old.gid()) {
                fchown(file.as_file(), Some(old.uid()), Some(old.gid())).map_err(|error| {
                    io::Error::other(format!("its owner cannot be kept: {error}"))
                })?;
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

/// Deletes a file, and what a killed run may have left beside it.
pub(super) fn delete_file(_recorded: &Receipt, path: &Path) -> WriteOutcome {
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

/// What a killed run left beside a file, if anything.
#[must_use]
pub fn find_stale_temp_file(path: &Path) -> Option<PathBuf> {
    Some(temp_path(path)).filter(|new| new.symlink_metadata().is_ok())
}

/// Why a directory is no place for something secret, and what mends that.
pub struct UnsafeDirectory {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

/// Whether others could replace what is put into a directory, or nothing can be put there (a read-only filesystem, an
/// immutable directory); `None` where it is fit.
#[must_use]
pub fn check_directory(directory: &Path) -> Option<UnsafeDirectory> {
    let name = directory.display();
    let unfit = |what: String, remedy: String| {
        Some(UnsafeDirectory {
            problem: what,
            remedy,
        })
    };
    let meta = match std::fs::metadata(directory) {
        Ok(meta) => meta,
        Err(error) => {
            let what = format!("the directory `{name}` cannot be looked at: {error}");
            return unfit(what, format!("mkdir -p -m 700 '{name}'"));
        }
    };
    let ours = [rustix::process::geteuid().as_raw(), 0];
    if !meta.is_dir() {
        return unfit(
            format!("`{name}` is not a directory"),
            format!("mkdir -p -m 700 '{name}'"),
        );
    }
    if meta.mode() & 0o022 != 0 {
        let mode = meta.mode() & 0o7777;
        return unfit(
            format!("others can write to the directory `{name}` (mode {mode:04o})"),
            format!("chmod go-w '{name}'"),
        );
    }
    if !ours.contains(&meta.uid()) {
        let uid = meta.uid();
        return unfit(
            format!("the directory `{name}` belongs to another user (uid {uid})"),
            format!("chown {} '{name}'", ours[0]),
        );
    }
    let needed = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let error = rustix::fs::access(directory, needed).err()?;
    let remedy = format!("chmod u+wx '{name}', mount its filesystem for writing, or chattr -i");
    unfit(
        format!("the directory `{name}` cannot be written to: {error}"),
        remedy,
    )
}
