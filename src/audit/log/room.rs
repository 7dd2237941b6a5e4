//! The room that all runs on a log need for the results of their running commands.
//!
//! The lock file of the log lists the runs. They read and write it under the lock.

use crate::audit::lock_file::LockFile;
use crate::audit::process::is_process_running;
use crate::host::read_process_start;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::fs::FileExt as _;
use uuid::Uuid;

/// Maximum size of the list, in bytes. It contains some thousand runs.
const MAX_LIST: usize = 256 << 10;

/// The room that one run needs.
#[derive(Serialize, Deserialize)]
struct RunRoom {
    id: String,
    pid: u32,
    process_start: Option<String>,
    /// Size in bytes.
    size: u64,
}

impl RunRoom {
    fn is_running(&self) -> bool {
        is_process_running(self.pid, self.process_start.as_deref())
    }
}

/// The entry of this run in the list.
pub(super) struct OwnRoom {
    id: String,
    /// The size in the list. It only grows: few entries then need a write.
    size: u64,
}

impl OwnRoom {
    pub(super) fn new() -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            size: 0,
        }
    }

    /// Returns the room of the other runs, with runs that have ended.
    pub(super) fn read_others(&self, lock: &LockFile) -> io::Result<u64> {
        Ok(self.sum_others(&read_list(lock)?))
    }

    /// Returns the room of the other runs, and removes those that have ended from the list.
    pub(super) fn prune_others(&self, lock: &LockFile) -> io::Result<u64> {
        let mut rooms = read_list(lock)?;
        let count = rooms.len();
        rooms.retain(|room| room.id == self.id || room.is_running());
        if rooms.len() < count {
            write_list(lock, &rooms)?;
        }
        Ok(self.sum_others(&rooms))
    }

    /// Lists the room of this run, unless the list has at least as much.
    pub(super) fn register(&mut self, lock: &LockFile, size: u64) -> io::Result<()> {
        if size <= self.size {
            return Ok(());
        }
        let mut rooms = read_list(lock)?;
        rooms.retain(|room| room.id != self.id && room.is_running());
        let pid = std::process::id();
        rooms.push(RunRoom {
            id: self.id.clone(),
            pid,
            process_start: read_process_start(pid),
            size,
        });
        write_list(lock, &rooms)?;
        self.size = size;
        Ok(())
    }

    fn sum_others(&self, rooms: &[RunRoom]) -> u64 {
        let others = rooms.iter().filter(|room| room.id != self.id);
        others.map(|room| room.size).sum()
    }
}

/// Reads the list. A damaged list counts as empty.
fn read_list(lock: &LockFile) -> io::Result<Vec<RunRoom>> {
    let length = usize::try_from(lock.file.metadata()?.len()).map_err(io::Error::other)?;
    let mut bytes = vec![0; length.min(MAX_LIST)];
    lock.file.read_exact_at(&mut bytes, 0)?;
    Ok(serde_json::from_slice(bytes.trim_ascii_end()).unwrap_or_default())
}

/// Writes the list. The file never shrinks, so that a full disk has room for it.
fn write_list(lock: &LockFile, rooms: &[RunRoom]) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(rooms)?;
    let length = usize::try_from(lock.file.metadata()?.len()).map_err(io::Error::other)?;
    bytes.resize(bytes.len().max(length.min(MAX_LIST)), b' ');
    lock.file.write_all_at(&bytes, 0)
}
