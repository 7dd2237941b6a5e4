//! A log closed, and another that goes on from it under the same name.
//!
//! The log is closed by its last record. The next one is made beside it, under the name that the closed one will have,
//! and the two names are exchanged: at no instant is there no log. Whoever opens a closed log under the log's own name
//! finds a rotation that was cut short, and brings it to its end.

use super::writer::Log;
use crate::audit::file::{open_log_file, parent_directory};
use crate::audit::record::{Head, PreviousLog, UnfinishedCommand};
use crate::audit::tail::{self, RotationRecord, Tail, read_header};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// What a rotation did.
pub struct LogRotation {
    /// The last record of the log that was closed.
    pub closed_head: Head,
    /// Where that log is now.
    pub archived_path: PathBuf,
    /// The first record of the log that goes on from it.
    pub new_head: Head,
    /// Commands of runs in the closed log whose result is not on record.
    pub unfinished: Vec<UnfinishedCommand>,
}

/// Makes the log that goes on from a closed one, where that is still to be done, and exchanges their names. The closed
/// one is locked.
pub(super) fn finish_rotation(
    path: &Path,
    file: &File,
    head: &Head,
    closed: RotationRecord,
) -> io::Result<LogRotation> {
    let suffix = archive_suffix(head, &closed);
    let has_suffix = |stem: &OsStr| stem.as_encoded_bytes().ends_with(suffix.as_bytes());
    if path.file_stem().is_some_and(has_suffix) {
        return Err(io::Error::other(
            "it was closed by a rotation: the log that goes on from it has another name",
        ));
    }
    let kept = append_suffix(path, &suffix);
    let previous = PreviousLog {
        log: head.log.clone(),
        head: format!("{}:{}", head.seq, head.hash),
    };
    if !kept.try_exists()? {
        create_next_log(path, &kept, file, &previous)?;
    }
    let opened = read_next_head(&open_log_file(&kept)?, &previous)?
        .ok_or_else(|| path_taken_error(&kept))?;
    renameat_with(CWD, &kept, CWD, path, RenameFlags::EXCHANGE)?;
    File::open(parent_directory(path))?.sync_all()?;
    Ok(LogRotation {
        closed_head: head.clone(),
        archived_path: kept,
        new_head: opened,
        unfinished: closed.unfinished,
    })
}

/// Makes a log whose first record is durable before it has its name.
fn create_next_log(
    path: &Path,
    name: &Path,
    closed: &File,
    previous: &PreviousLog,
) -> io::Result<()> {
    let making = &next_path(path);
    let named = |error| io::Error::other(format!("`{}`: {error}", making.display()));
    let file = open_log_file(making).map_err(named)?;
    tail::ensure_is_log(&file).map_err(named)?;
    // An attempt that was cut short has left at most the first record of a log that was never in use.
    if tail::read_tail(&file)?.head.is_some() && read_next_head(&file, previous)?.is_none() {
        return Err(path_taken_error(making));
    }
    file.set_len(0)?;
    file.set_permissions(closed.metadata()?.permissions())?;
    drop(Log::from_locked_file(
        file,
        name,
        Some(previous.clone()),
        &Tail::default(),
    )?);
    Ok(renameat_with(
        CWD,
        making,
        CWD,
        name,
        RenameFlags::NOREPLACE,
    )?)
}

/// The name under which the next log is made: always the same, so that what was cut short is found.
pub(super) fn next_path(path: &Path) -> PathBuf {
    let mut making = path.as_os_str().to_owned();
    making.push(".next");
    making.into()
}

/// The only record of a log that goes on from there; `None` where it is another log, or has more.
fn read_next_head(file: &File, previous: &PreviousLog) -> io::Result<Option<Head>> {
    let goes_on =
        read_header(file)?.is_some_and(|opening| opening.previous.as_ref() == Some(previous));
    Ok(tail::read_tail(file)?
        .head
        .filter(|head| head.seq == 1 && goes_on))
}

pub(super) fn path_taken_error(path: &Path) -> io::Error {
    io::Error::other(format!(
        "`{}` is in the way of its rotation: move it elsewhere",
        path.display()
    ))
}

/// What tells a closed log from others: when it was closed, and its name in short.
fn archive_suffix(head: &Head, closed: &RotationRecord) -> String {
    let at = closed
        .closed_at
        .split('.')
        .next()
        .unwrap_or_default()
        .replace(['-', ':'], "");
    format!("-{at}Z-{}", head.log.get(..8).unwrap_or(&head.log))
}

/// `audit.jsonl` becomes `audit-20260131T120000Z-1a2b3c4d.jsonl`.
fn append_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(suffix);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}
