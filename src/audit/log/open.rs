//! Opens a log to append to it.

use super::rotation::{LogRotation, finish_rotation};
use super::writer::{Log, PATH_CHANGED, unrecorded_error};
use crate::audit::body::{Body, UnfinishedCommand};
use crate::audit::file::{is_file_at_path, open_log_file};
use crate::audit::lock_file::{InterruptCheck, LockFile};
use crate::audit::tail;
use crate::error::Result;
use crate::redact::Redactor;
use std::io;
use std::path::Path;

/// Attempts to open a log that other processes rotate at the same time.
const MAX_OPEN_ATTEMPTS: u32 = 100;

/// A locked log without entries of this process.
pub(super) struct LockedLog {
    pub(super) log: Log,
    pub(super) prior_state: PriorState,
}

/// The state that earlier runs left in a log.
pub struct PriorState {
    /// Commands without a result.
    pub unfinished: Vec<UnfinishedCommand>,
    /// The interrupted rotation that opening the log completed.
    pub finished_rotation: Option<LogRotation>,
}

impl Log {
    /// Opens or creates a log and begins a run in it. `begin` builds the first entry from the state
    /// that earlier runs left. No other process can rotate the log between the two. Waiting for
    /// the lock of the log ends soon after `is_interrupted` returns `true`.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`]. Then nothing may run.
    pub fn open(
        path: &Path,
        run: &str,
        is_interrupted: InterruptCheck,
        begin: impl FnOnce(&PriorState) -> Body,
    ) -> Result<(Self, PriorState)> {
        let open = || {
            let LockedLog {
                mut log,
                prior_state,
            } = Self::open_locked(path, is_interrupted)?;
            let begin = begin(&prior_state);
            log.write_entry_with_room(Some(run), &begin, &Redactor::default(), 0)?;
            log.lock.unlock()?;
            Ok((log, prior_state))
        };
        open().map_err(|error| unrecorded_error(path, &error))
    }

    pub(super) fn open_locked(
        path: &Path,
        is_interrupted: InterruptCheck,
    ) -> io::Result<LockedLog> {
        // Checks the path before a lock file is created beside it.
        let mut file = open_log_file(path)?;
        let lock = LockFile::open_for_log(path)?;
        lock.lock(&is_interrupted)?;
        let mut finished_rotation = None;
        for _ in 0..MAX_OPEN_ATTEMPTS {
            // Another process can have rotated the log before the lock. Then the path names the
            // next log.
            if !is_file_at_path(path, &file)? {
                file = open_log_file(path)?;
                continue;
            }
            tail::ensure_is_log(&file)?;
            let mut tail = tail::read_tail(&file)?;
            if let (Some(head), Some(rotation)) = (&tail.head, tail.rotation.take()) {
                finished_rotation = Some(finish_rotation(path, &file, head, rotation)?);
                file = open_log_file(path)?;
                continue;
            }
            let log = Self::from_locked_file(file, path, (lock, is_interrupted), None, &tail)?;
            return Ok(LockedLog {
                log,
                prior_state: PriorState {
                    unfinished: tail.unfinished,
                    finished_rotation,
                },
            });
        }
        Err(io::Error::other(PATH_CHANGED))
    }
}
