//! A log opened to append to it.

use super::rotation::{LogRotation, finish_rotation};
use super::writer::{Log, PATH_CHANGED, unrecorded_error};
use crate::audit::file::{is_file_at_path, open_log_file};
use crate::audit::record::{Body, UnfinishedCommand};
use crate::audit::tail;
use crate::error::Result;
use crate::redact::Redactor;
use std::io;
use std::path::Path;

/// How often a log is opened anew that another process has just closed.
const MAX_OPEN_ATTEMPTS: u32 = 100;

/// A log that is locked, and has nothing of this process in it yet.
pub(super) struct LockedLog {
    pub(super) log: Log,
    pub(super) prior_state: PriorState,
}

/// What earlier runs have left in a log.
pub struct PriorState {
    /// Commands whose result is not on record.
    pub unfinished: Vec<UnfinishedCommand>,
    /// The rotation that was cut short, and has been brought to its end.
    pub finished_rotation: Option<LogRotation>,
}

impl Log {
    /// Opens a log, or makes one, and begins a run in it; what the first record says depends on what earlier runs have
    /// left without a result. Nobody can close the log between the two.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] for anything that keeps a record from being made: then nothing may run.
    pub fn open(
        path: &Path,
        run: &str,
        begin: impl FnOnce(&PriorState) -> Body,
    ) -> Result<(Self, PriorState)> {
        let opened = || {
            let LockedLog {
                mut log,
                prior_state: inherited,
            } = Self::open_locked(path)?;
            log.write_record(Some(run), &begin(&inherited), &Redactor::default())?;
            log.file.unlock()?;
            Ok((log, inherited))
        };
        opened().map_err(|error| unrecorded_error(path, &error))
    }

    pub(super) fn open_locked(path: &Path) -> io::Result<LockedLog> {
        let mut rotated = None;
        for _ in 0..MAX_OPEN_ATTEMPTS {
            let file = open_log_file(path)?;
            file.lock()?;
            // Another process may have closed it meanwhile; what its path names then is a newer one.
            if !is_file_at_path(path, &file)? {
                continue;
            }
            tail::ensure_is_log(&file)?;
            let mut tail = tail::read_tail(&file)?;
            if let (Some(head), Some(closed)) = (&tail.head, tail.rotation.take()) {
                rotated = Some(finish_rotation(path, &file, head, closed)?);
                continue;
            }
            let log = Self::from_locked_file(file, path, None, &tail)?;
            return Ok(LockedLog {
                log,
                prior_state: PriorState {
                    unfinished: tail.unfinished,
                    finished_rotation: rotated,
                },
            });
        }
        Err(io::Error::other(PATH_CHANGED))
    }
}
