//! Replaces a closed log by the next one, under the same name.
//!
//! `log.rotate` closes the log. The next log is created beside it, under the future name of the
//! closed one. Then the two names are exchanged, so that a log exists at every instant. A closed
//! log under the name of the log means an interrupted rotation. The next run completes it.

use super::writer::Log;
use crate::audit::body::{Head, PreviousLog, UnfinishedCommand};
use crate::audit::file::{open_log_file, parent_directory};
use crate::audit::lock_file::LockFile;
use crate::audit::tail::{self, RotationFacts, Tail, read_header};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The result of a rotation.
pub struct LogRotation {
    /// The last entry of the closed log.
    pub closed_head: Head,
    /// The new path of the closed log.
    pub archived_path: PathBuf,
    /// The first entry of the new log.
    pub new_head: Head,
    /// Commands in the closed log without a result.
    pub unfinished: Vec<UnfinishedCommand>,
}

/// Creates the next log unless it exists, and exchanges the names. The closed log is locked.
pub(super) fn finish_rotation(
    path: &Path,
    file: &File,
    head: &Head,
    rotation: RotationFacts,
) -> io::Result<LogRotation> {
    let suffix = archive_suffix(head, &rotation);
    let has_suffix = |stem: &OsStr| stem.as_encoded_bytes().ends_with(suffix.as_bytes());
    if path.file_stem().is_some_and(has_suffix) {
        return Err(io::Error::other(
            "a rotation closed this log, and the next log has another name",
        ));
    }
    let archived_path = append_suffix(path, &suffix);
    let previous = PreviousLog {
        log: head.log.clone(),
        head: format!("{}:{}", head.seq, head.hash),
    };
    if !archived_path.try_exists()? {
        create_next_log(path, &archived_path, file, &previous)?;
    }
    let new_head = read_next_head(&open_log_file(&archived_path)?, &previous)?
        .ok_or_else(|| path_taken_error(&archived_path))?;
    renameat_with(CWD, &archived_path, CWD, path, RenameFlags::EXCHANGE)?;
    File::open(parent_directory(path))?.sync_all()?;
    Ok(LogRotation {
        closed_head: head.clone(),
        archived_path,
        new_head,
        unfinished: rotation.unfinished,
    })
}

/// Creates the next log. Its first entry is durable before the log gets its name.
fn create_next_log(
    path: &Path,
    name: &Path,
    closed: &File,
    previous: &PreviousLog,
) -> io::Result<()> {
    let next_path = &next_path(path);
    let add_path = |error| io::Error::other(format!("`{}`: {error}", next_path.display()));
    let file = open_log_file(next_path).map_err(add_path)?;
    tail::ensure_is_log(&file).map_err(add_path)?;
    // An interrupted attempt left at most the first entry of a log that nobody used.
    if tail::read_tail(&file)?.head.is_some() && read_next_head(&file, previous)?.is_none() {
        return Err(path_taken_error(next_path));
    }
    file.set_len(0)?;
    file.set_permissions(closed.metadata()?.permissions())?;
    // Nobody else can find the next log yet, so it needs no lock of its own.
    let lock = LockFile {
        file: closed.try_clone()?,
        path: path.to_owned(),
    };
    drop(Log::from_locked_file(
        file,
        name,
        (lock, Box::new(|| false)),
        Some(previous.clone()),
        &Tail::default(),
    )?);
    Ok(renameat_with(
        CWD,
        next_path,
        CWD,
        name,
        RenameFlags::NOREPLACE,
    )?)
}

/// Returns the path where the next log is created. It never changes, so that a later run finds the
/// file of an interrupted rotation.
pub(super) fn next_path(path: &Path) -> PathBuf {
    let mut next_path = path.as_os_str().to_owned();
    next_path.push(".next");
    next_path.into()
}

/// Reads the only entry of the log that continues `previous`. Returns `None` for another log, or if
/// the log has more entries.
fn read_next_head(file: &File, previous: &PreviousLog) -> io::Result<Option<Head>> {
    let continues =
        read_header(file)?.is_some_and(|header| header.previous.as_ref() == Some(previous));
    Ok(tail::read_tail(file)?
        .head
        .filter(|head| head.seq == 1 && continues))
}

pub(super) fn path_taken_error(path: &Path) -> io::Error {
    io::Error::other(format!(
        "`{}` prevents the rotation: move the file elsewhere",
        path.display()
    ))
}

/// Returns the suffix of a closed log: its closing time, and the start of its UUID.
fn archive_suffix(head: &Head, rotation: &RotationFacts) -> String {
    let time = rotation
        .closed_at
        .split('.')
        .next()
        .unwrap_or_default()
        .replace(['-', ':'], "");
    format!("-{time}Z-{}", head.log.get(..8).unwrap_or(&head.log))
}

/// Appends to the stem: `audit.jsonl` becomes `audit-20260131T120000Z-1a2b3c4d.jsonl`.
fn append_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(suffix);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}
