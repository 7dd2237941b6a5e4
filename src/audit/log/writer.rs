//! Appends entries to an open log. Each line is durable before the next one.

use super::room::OwnRoom;
use crate::audit::body::{
    Body, Head, PreviousLog, ProbeSubject, SecretVersion, Target, Text, TornBytes,
};
use crate::audit::file::{is_file_at_path, preallocate};
use crate::audit::line::{
    EntryLine, LOG_FORMAT_VERSION, UnsupportedFormat, ZERO_HASH, encode_line,
};
use crate::audit::lock_file::{InterruptCheck, LockFile, lock_path};
use crate::audit::recent::RecentLog;
use crate::audit::tail::{self, Tail};
use crate::audit::token_file::{self, TokenFileOrigin};
use crate::audit::unfinished::{
    self, PlanProgress, RecordedVerification, StartedChanges, UnfinishedRevocation,
};
use crate::audit::written_target::{LastWrite, find_last_write};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::redact::Redactor;
use crate::tool::invocation::ObjectRef;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Space reserved for each result, in bytes. A result contains digests, never output.
const RESULT_PREALLOCATION: u64 = 16 << 10;

pub(super) const PATH_CHANGED: &str = "the path names another file now";

/// Space reserved at once, in bytes, so that few entries need a system call for it.
const PREALLOCATION_SIZE: u64 = 256 << 10;

/// The receipt of a durable intent. Starting a process or changing a file needs one, and only the
/// log creates them.
#[must_use = "an intent is followed by its action and its result"]
pub struct Receipt {
    seq: u64,
    start: Instant,
}

impl Receipt {
    /// Returns the sequence number of the intent.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Returns the milliseconds since the intent was durable.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A log that is open for appending.
pub struct Log {
    pub(super) file: File,
    pub(super) lock: LockFile,
    is_interrupted: InterruptCheck,
    pub(super) path: PathBuf,
    id: String,
    /// End of the last line that this process knows, in bytes.
    end: u64,
    pub(super) head: Head,
    /// Number of intents without a result, of this process.
    open_intents: u64,
    /// The room of this run among all runs on the log. `None` without a lock file that lists them.
    room: Option<OwnRoom>,
    /// End of the reserved space, in bytes.
    preallocated_end: u64,
    preallocates: bool,
    /// The error of a write or a sync. There are no retries.
    write_error: Option<String>,
    /// The error of a reservation. Only results follow: their intents reserved space for them.
    reservation_error: Option<String>,
    /// Results that the log does not contain, because a write failed.
    unwritten_results: Vec<String>,
}

impl Log {
    /// Opens a locked file as the log of a path. Writes `log.open` into an empty log.
    pub(super) fn from_locked_file(
        file: File,
        path: &Path,
        (lock, is_interrupted): (LockFile, InterruptCheck),
        previous: Option<PreviousLog>,
        tail: &Tail,
    ) -> io::Result<Self> {
        let room = (lock.path == lock_path(path)).then(OwnRoom::new);
        let others = match &room {
            Some(room) => room.prune_others(&lock)?,
            None => 0,
        };
        let preallocates = preallocate(&file, tail.end, 2 * RESULT_PREALLOCATION + others)?;
        let id = tail
            .head
            .as_ref()
            .map_or_else(|| uuid::Uuid::new_v4().to_string(), |head| head.log.clone());
        let head = tail.head.clone().unwrap_or_else(|| Head {
            log: id.clone(),
            seq: 0,
            hash: ZERO_HASH.to_owned(),
        });
        let mut log = Self {
            file,
            lock,
            is_interrupted,
            path: path.to_owned(),
            id,
            end: tail.end,
            head,
            open_intents: 0,
            room,
            preallocated_end: 0,
            preallocates,
            write_error: None,
            reservation_error: None,
            unwritten_results: Vec::new(),
        };
        log.recover_tail(tail)?;
        if tail.head.is_none() {
            let body = Body::LogOpen {
                bypassctl: env!("CARGO_PKG_VERSION").to_owned(),
                preallocates,
                previous,
            };
            log.write_entry(None, &body, &Redactor::default())?;
        }
        Ok(log)
    }

    /// Returns the last entry that this process knows.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Appends an entry that is neither an intent nor a result.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`].
    pub fn append(&mut self, run: &str, body: &Body, redactor: &Redactor) -> Result<()> {
        self.ensure_has_room()?;
        self.with_lock(|log| {
            let room = log.open_intents * RESULT_PREALLOCATION;
            log.write_entry_with_room(Some(run), body, redactor, room)
        })
    }

    /// Appends an intent and reserves space for its result. The receipt shows that the intent is
    /// durable.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`]. Then the action must not happen.
    pub fn append_intent(
        &mut self,
        run: &str,
        body: &Body,
        redactor: &Redactor,
    ) -> Result<Receipt> {
        self.ensure_has_room()?;
        self.open_intents += 1;
        let written = self.with_lock(|log| {
            log.write_entry_with_room(
                Some(run),
                body,
                redactor,
                (log.open_intents + 1) * RESULT_PREALLOCATION,
            )
        });
        if written.is_err() {
            self.open_intents -= 1;
        }
        written.map(|()| Receipt {
            seq: self.head.seq,
            start: Instant::now(),
        })
    }

    /// Appends a result and consumes the receipt of its intent.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`]. Then [`Self::unwritten_results`] contains the result.
    pub fn append_result(
        &mut self,
        receipt: Receipt,
        run: &str,
        body: &Body,
        redactor: &Redactor,
    ) -> Result<()> {
        let Receipt { seq, .. } = receipt;
        self.open_intents -= 1;
        self.with_lock(|log| log.write_entry(Some(run), body, redactor))
            .inspect_err(|_| {
                let result = serde_json::to_string(body).unwrap_or_default();
                self.unwritten_results
                    .push(format!("missing result of entry {seq}: {result}"));
            })
    }

    /// Reserves space behind the end for an entry, for later entries of this run, and for those of
    /// the other runs on the log. Reserves more at once if the disk has it.
    fn reserve(&mut self, length: u64, own_room: u64) -> io::Result<()> {
        let mut others = 0;
        if let Some(room) = &mut self.room {
            room.register(&self.lock, own_room)?;
            others = room.read_others(&self.lock)?;
            if self.end + length + own_room + others > self.preallocated_end {
                others = room.prune_others(&self.lock)?;
            }
        }
        let needed = length + own_room + others;
        // Without room for others, a full disk stops the run at its next intent.
        if own_room + others == 0 || self.end + needed <= self.preallocated_end {
            return Ok(());
        }
        let size = match preallocate(&self.file, self.end, needed.max(PREALLOCATION_SIZE)) {
            Ok(_) => needed.max(PREALLOCATION_SIZE),
            Err(_) => preallocate(&self.file, self.end, needed).map(|_| needed)?,
        };
        self.preallocated_end = self.end + size;
        Ok(())
    }

    /// Returns the results that the log does not contain. Nothing else stores them.
    #[must_use]
    pub fn unwritten_results(&self) -> &[String] {
        &self.unwritten_results
    }

    /// Finds what unfinished revocations of the last 24 hours started to change in this namespace.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] if the log cannot be read.
    pub fn find_started_changes(&self, target: &Target) -> Result<StartedChanges> {
        self.open_recent()
            .and_then(|log| unfinished::find_started_changes(&log, target))
            .map_err(|error| unrecorded_error(&self.path, &error))
    }

    /// Finds the secrets of this namespace that jobs of unfinished revocations created, if the log
    /// is intact.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] if the log cannot be read.
    pub fn find_created_secrets(&self, target: &Target) -> Result<Vec<ObjectRef>> {
        let find = || {
            let log = self.open_recent()?;
            let found = unfinished::find_created_secrets(&log, target)?;
            let is_reliable = !found.is_empty() && log.is_intact()?;
            Ok(if is_reliable { found } else { Vec::new() })
        };
        find().map_err(|error| unrecorded_error(&self.path, &error))
    }

    /// Finds the last write of a file, as far as the last megabytes of the log show. Returns `None`
    /// after a deletion.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] if the log cannot be read.
    pub fn find_last_write(&self, path: &Path) -> Result<Option<LastWrite>> {
        find_last_write(&self.path, &self.file, &Text::from(path))
            .map_err(|error| unrecorded_error(&self.path, &error))
    }

    /// Lists the revocations that have not finished, the running ones first. Without a target, every
    /// namespace counts.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] if the log cannot be read.
    pub fn list_unfinished_revocations(
        &self,
        target: Option<&Target>,
    ) -> Result<Vec<UnfinishedRevocation>> {
        self.open_recent()
            .and_then(|log| unfinished::list_unfinished_revocations(&log, target))
            .map_err(|error| unrecorded_error(&self.path, &error))
    }

    /// Returns whether the unfinished revocation of this namespace saw this token accepted before it
    /// started to delete the keys, if the log is intact.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] if the log cannot be read.
    pub fn has_accepted_probe(&self, target: &Target, subject: &ProbeSubject) -> Result<bool> {
        let find = || {
            let log = self.open_recent()?;
            Ok(unfinished::has_accepted_probe(&log, target, subject)? && log.is_intact()?)
        };
        find().map_err(|error| unrecorded_error(&self.path, &error))
    }

    /// Finds the last verification of exactly these secrets in the same version, if the log is
    /// intact.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] if the log cannot be read.
    pub fn find_verification(
        &self,
        target: &Target,
        secrets: &[SecretVersion],
    ) -> Result<Option<RecordedVerification>> {
        let find = || {
            let log = self.open_recent()?;
            match unfinished::find_verification(&log, target, secrets)? {
                Some(found) if log.is_intact()? => Ok(Some(found)),
                _ => Ok(None),
            }
        };
        find().map_err(|error| unrecorded_error(&self.path, &error))
    }

    fn open_recent(&self) -> io::Result<RecentLog> {
        RecentLog::open(&self.path, &self.file)
    }

    /// Finds the run that set the token file of a profile, and the value that it replaced.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] if the log cannot be read.
    pub fn find_token_file_origin(
        &self,
        config: &Path,
        profile: &str,
        current: &str,
    ) -> Result<TokenFileOrigin> {
        token_file::find_token_file_origin(&self.path, &self.file, config, profile, current)
            .map_err(|error| unrecorded_error(&self.path, &error))
    }

    /// Finds the progress of a plan in other runs than `run`.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] if the log cannot be read.
    pub fn find_plan_progress(&self, plan: &str, run: &str) -> Result<PlanProgress> {
        self.open_recent()
            .and_then(|log| unfinished::find_plan_progress(&log, plan, run))
            .map_err(|error| unrecorded_error(&self.path, &error))
    }

    /// Fails after a failed reservation.
    fn ensure_has_room(&self) -> Result<()> {
        self.reservation_error.as_ref().map_or(Ok(()), |error| {
            Err(unrecorded_error(&self.path, &build_earlier_error(error)))
        })
    }

    fn with_lock(&mut self, action: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<()> {
        let had_room = self.reservation_error.is_none();
        self.try_with_lock(action).map_err(|error| {
            // A failed reservation wrote nothing.
            if had_room == self.reservation_error.is_none() {
                self.write_error.get_or_insert_with(|| error.to_string());
            }
            unrecorded_error(&self.path, &error)
        })
    }

    fn try_with_lock(
        &mut self,
        action: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some(error) = &self.write_error {
            return Err(build_earlier_error(error));
        }
        self.lock.lock(&self.is_interrupted)?;
        let result = self.read_new_tail().and_then(|()| action(self));
        self.lock.unlock()?;
        result
    }

    /// Reads the entries that other processes appended.
    fn read_new_tail(&mut self) -> io::Result<()> {
        if !is_file_at_path(&self.path, &self.file)? {
            return Err(io::Error::other(PATH_CHANGED));
        }
        let length = self.file.metadata()?.len();
        if length == self.end {
            return Ok(());
        }
        if length < self.end {
            return Err(io::Error::other("the log is shorter than before"));
        }
        let tail = tail::read_tail(&self.file)?;
        if tail.rotation.is_some() {
            return Err(io::Error::other(
                "a rotation closed the log during this run",
            ));
        }
        match &tail.head {
            Some(head) if head.log == self.id && head.seq >= self.head.seq => {
                self.head = head.clone()
            }
            _ => {
                return Err(io::Error::other(
                    "the log no longer contains the entries of this run",
                ));
            }
        }
        self.end = tail.end;
        self.recover_tail(&tail)
    }

    /// Ends a torn line and records the torn bytes. Never truncates the log.
    fn recover_tail(&mut self, tail: &Tail) -> io::Result<()> {
        let Some(torn) = &tail.torn else {
            return Ok(());
        };
        let mut bytes = vec![0; usize::try_from(torn.length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, torn.start)?;
        if bytes.last() != Some(&b'\n') {
            self.write_durably(b"\n")?;
            bytes.push(b'\n');
        }
        let torn = TornBytes {
            bytes: bytes.len() as u64,
            sha256: Digest::compute(&bytes).to_string(),
        };
        self.write_entry(None, &Body::LogRecover { torn }, &Redactor::default())
    }

    /// Writes an entry into the space that is reserved for it.
    pub(super) fn write_entry(
        &mut self,
        run: Option<&str>,
        body: &Body,
        redactor: &Redactor,
    ) -> io::Result<()> {
        let line = self.encode_entry(run, body, redactor)?;
        self.write_line(&line)
    }

    /// Writes an entry. Reserves `room` bytes for later entries of this run first, and keeps the
    /// room of the other runs.
    pub(super) fn write_entry_with_room(
        &mut self,
        run: Option<&str>,
        body: &Body,
        redactor: &Redactor,
        room: u64,
    ) -> io::Result<()> {
        let line = self.encode_entry(run, body, redactor)?;
        self.reserve(line.len() as u64, room)
            .inspect_err(|error| self.reservation_error = Some(error.to_string()))?;
        self.write_line(&line)
    }

    fn encode_entry(
        &self,
        run: Option<&str>,
        body: &Body,
        redactor: &Redactor,
    ) -> io::Result<Vec<u8>> {
        let ts = format!("{:.3}", jiff::Timestamp::now());
        let line = encode_line(&EntryLine {
            v: LOG_FORMAT_VERSION,
            seq: self.head.seq + 1,
            prev: &self.head.hash,
            body,
            log: &self.id,
            run,
            ts,
        })?;
        if redactor.is_match(&line) {
            return Err(io::Error::other("the entry contains a secret"));
        }
        Ok(line)
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.write_durably(line)?;
        self.head = Head {
            log: self.id.clone(),
            seq: self.head.seq + 1,
            hash: Digest::compute(line).to_string(),
        };
        Ok(())
    }

    /// Writes once, then syncs. A short write is an error.
    fn write_durably(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write(bytes)?;
        if written != bytes.len() {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("wrote only {written} of {} bytes", bytes.len()),
            ));
        }
        self.file.sync_data()?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Returns whether the filesystem can reserve space.
    #[must_use]
    pub fn can_preallocate(&self) -> bool {
        self.preallocates
    }
}

fn build_earlier_error(error: &str) -> io::Error {
    io::Error::other(format!(
        "an earlier entry failed, and there are no retries: {error}"
    ))
}

pub(super) fn unrecorded_error(path: &Path, error: &io::Error) -> Error {
    let hint = if UnsupportedFormat::is_cause_of(error) {
        "move the old log elsewhere, or pass another file with `--audit-log FILE`"
    } else {
        "fix the file or its disk, or pass another file with `--audit-log FILE`. \
         Without an audit log nothing runs"
    };
    Error::from_kind(
        ErrorKind::Unrecorded,
        format!("cannot write the audit log `{}`: {error}", path.display()),
    )
    .hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    fn open(path: &Path) -> Log {
        let begin = |_: &_| make_tool();
        let run = uuid::Uuid::new_v4().to_string();
        Log::open(path, &run, Box::new(|| false), begin).unwrap().0
    }

    fn make_tool() -> Body {
        let tool = r#"{"type":"tool","name":"kubectl","path":"/k","sha256":null,"version":null,
            "found_at":"/k"}"#;
        serde_json::from_str(tool).unwrap()
    }

    #[test]
    fn intents_of_several_runs_reserve_room_for_all_results() {
        const COUNT: u64 = 40;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.jsonl");
        let mut logs: Vec<Log> = (0..COUNT).map(|_| open(&path)).collect();
        if !logs[0].can_preallocate() {
            return;
        }
        let run = uuid::Uuid::new_v4().to_string();
        let mut receipts = Vec::new();
        for log in &mut logs {
            let receipt = log.append_intent(&run, &make_tool(), &Redactor::default());
            receipts.push(receipt.unwrap());
        }
        // Other entries must not use the room of the results.
        let last = logs.last_mut().unwrap();
        for _ in 0..100 {
            last.append(&run, &make_tool(), &Redactor::default())
                .unwrap();
        }
        let meta = std::fs::metadata(&path).unwrap();
        let room = (meta.blocks() * 512).saturating_sub(meta.len());
        assert!(room >= COUNT * RESULT_PREALLOCATION, "{room}");
        drop(receipts);
    }
}
