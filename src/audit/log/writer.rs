//! An open log: one durable line after another.

use crate::audit::file::{is_file_at_path, preallocate};
use crate::audit::line::{RECORD_VERSION, RecordLine, UnsupportedFormat, ZERO_HASH, encode_line};
use crate::audit::record::{Body, Head, PreviousLog, Target, TornBytes};
use crate::audit::tail::{self, Tail};
use crate::audit::unfinished::{self, PlanProgress};
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::redact::Redactor;
use crate::tool::invocation::ObjectRef;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Room kept for what must still be recorded after an act, in bytes: a result holds digests, never output.
const RESULT_PREALLOCATION: u64 = 16 << 10;

pub(super) const PATH_CHANGED: &str = "its path names another file now";

/// Room taken at once, in bytes, so that few records have to ask for it.
const PREALLOCATION_SIZE: u64 = 256 << 10;

/// The receipt of a durable intent. Starting a process or changing a file takes one, and only the log makes them.
#[must_use = "an intent on record is followed by its act and its result"]
pub struct Receipt {
    seq: u64,
    start: Instant,
}

impl Receipt {
    /// The intent's sequence number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Milliseconds since the intent was durable.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// An open log.
pub struct Log {
    pub(super) file: File,
    pub(super) path: PathBuf,
    id: String,
    /// Where the last line known to this process ends.
    end: u64,
    pub(super) head: Head,
    /// Intents whose result is still to come.
    open_intents: u64,
    /// Up to where room is reserved.
    preallocated_end: u64,
    preallocates: bool,
    /// Why a write or a sync failed: nothing is retried.
    write_error: Option<String>,
    /// Results that could not be recorded.
    unwritten_results: Vec<String>,
}

impl Log {
    /// A file that is locked, as a log of that path; begun where there is no record in it.
    pub(super) fn from_locked_file(
        file: File,
        path: &Path,
        previous: Option<PreviousLog>,
        tail: &Tail,
    ) -> io::Result<Self> {
        let reserves = preallocate(&file, tail.end, 2 * RESULT_PREALLOCATION)?;
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
            path: path.to_owned(),
            id,
            end: tail.end,
            head,
            open_intents: 0,
            preallocated_end: 0,
            preallocates: reserves,
            write_error: None,
            unwritten_results: Vec::new(),
        };
        log.recover_tail(tail)?;
        if tail.head.is_none() {
            let body = Body::LogOpen {
                bypassctl: env!("CARGO_PKG_VERSION").to_owned(),
                preallocates: reserves,
                previous,
            };
            log.write_record(None, &body, &Redactor::default())?;
        }
        Ok(log)
    }

    /// The last record that this process knows of.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Records something that is neither an intent nor a result.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`].
    pub fn append(&mut self, run: &str, body: &Body, needles: &Redactor) -> Result<()> {
        self.with_lock(|log| log.write_record(Some(run), body, needles))
    }

    /// Records an intent, and room for its result; the receipt says that both are durable.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`]: then the act must not happen.
    pub fn append_intent(&mut self, run: &str, body: &Body, needles: &Redactor) -> Result<Receipt> {
        self.open_intents += 1;
        let written = self.with_lock(|log| {
            log.write_record_with_room(
                Some(run),
                body,
                needles,
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

    /// Records a result and takes the receipt back.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`]; [`Self::lost`] then has the record itself.
    pub fn append_result(
        &mut self,
        begun: Receipt,
        run: &str,
        body: &Body,
        needles: &Redactor,
    ) -> Result<()> {
        let Receipt { seq, .. } = begun;
        self.open_intents -= 1;
        self.with_lock(|log| log.write_record(Some(run), body, needles))
            .inspect_err(|_| {
                let record = serde_json::to_string(body).unwrap_or_default();
                self.unwritten_results.push(format!(
                    "the result of record {seq} that is missing there: {record}"
                ));
            })
    }

    /// Reserves this many bytes behind the end, many more at once where the disk has them.
    fn preallocate(&mut self, needed: u64) -> io::Result<()> {
        if self.end + needed <= self.preallocated_end {
            return Ok(());
        }
        let room = match preallocate(&self.file, self.end, needed.max(PREALLOCATION_SIZE)) {
            Ok(_) => needed.max(PREALLOCATION_SIZE),
            Err(_) => preallocate(&self.file, self.end, needed).map(|_| needed)?,
        };
        self.preallocated_end = self.end + room;
        Ok(())
    }

    /// Results that could not be recorded: they happened and are nowhere else.
    #[must_use]
    pub fn unwritten_results(&self) -> &[String] {
        &self.unwritten_results
    }

    /// The objects whose deletion in this place was begun, in the last 24 hours, by revocations that did not come to
    /// their end.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] where the record cannot be read.
    pub fn find_begun_deletions(&self, place: &Target) -> Result<Vec<ObjectRef>> {
        unfinished::find_begun_deletions(&self.file, place)
            .map_err(|error| unrecorded_error(&self.path, &error))
    }

    /// How far a plan has come by other runs than this one.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] where the record cannot be read.
    pub fn find_plan_progress(&self, plan: &str, run: &str) -> Result<PlanProgress> {
        unfinished::find_plan_progress(&self.file, plan, run)
            .map_err(|error| unrecorded_error(&self.path, &error))
    }

    fn with_lock(&mut self, act: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<()> {
        self.try_with_lock(act).map_err(|error| {
            self.write_error.get_or_insert_with(|| error.to_string());
            unrecorded_error(&self.path, &error)
        })
    }

    fn try_with_lock(&mut self, act: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if let Some(why) = &self.write_error {
            return Err(io::Error::other(format!(
                "{why}: that was an earlier record, and none is tried twice"
            )));
        }
        self.file.lock()?;
        let done = self.read_new_tail().and_then(|()| act(self));
        self.file.unlock()?;
        done
    }

    /// Takes in what other processes appended since.
    fn read_new_tail(&mut self) -> io::Result<()> {
        if !is_file_at_path(&self.path, &self.file)? {
            return Err(io::Error::other(PATH_CHANGED));
        }
        let length = self.file.metadata()?.len();
        if length == self.end {
            return Ok(());
        }
        if length < self.end {
            return Err(io::Error::other("it has become shorter"));
        }
        let tail = tail::read_tail(&self.file)?;
        if tail.rotation.is_some() {
            return Err(io::Error::other(
                "it was closed by a rotation meanwhile, and nothing follows that",
            ));
        }
        match &tail.head {
            Some(head) if head.log == self.id && head.seq >= self.head.seq => {
                self.head = head.clone()
            }
            _ => {
                return Err(io::Error::other(
                    "it no longer holds what this run recorded",
                ));
            }
        }
        self.end = tail.end;
        self.recover_tail(&tail)
    }

    /// Never cuts a torn line off: ends it, and records what stands there.
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
        self.write_record(None, &Body::LogRecover { torn }, &Redactor::default())
    }

    pub(super) fn write_record(
        &mut self,
        run: Option<&str>,
        body: &Body,
        needles: &Redactor,
    ) -> io::Result<()> {
        self.write_record_with_room(run, body, needles, 0)
    }

    /// Writes a record; room for what must follow it is reserved first.
    fn write_record_with_room(
        &mut self,
        run: Option<&str>,
        body: &Body,
        needles: &Redactor,
        room: u64,
    ) -> io::Result<()> {
        let ts = format!("{:.3}", jiff::Timestamp::now());
        let seq = self.head.seq + 1;
        let line = encode_line(&RecordLine {
            v: RECORD_VERSION,
            seq,
            prev: &self.head.hash,
            body,
            log: &self.id,
            run,
            ts,
        })?;
        if needles.is_match(&line) {
            return Err(io::Error::other("the record would have held a secret"));
        }
        if room > 0 {
            self.preallocate(line.len() as u64 + room)?;
        }
        self.write_durably(&line)?;
        self.head = Head {
            log: self.id.clone(),
            seq,
            hash: Digest::compute(&line).to_string(),
        };
        Ok(())
    }

    /// One write, then a sync; a short write is a failure.
    fn write_durably(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write(bytes)?;
        if written != bytes.len() {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("only {written} of {} bytes were written", bytes.len()),
            ));
        }
        self.file.sync_data()?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Whether the filesystem can reserve room.
    #[must_use]
    pub fn can_preallocate(&self) -> bool {
        self.preallocates
    }
}

pub(super) fn unrecorded_error(path: &Path, error: &io::Error) -> Error {
    let hint = if UnsupportedFormat::is_cause_of(error) {
        "move the old log elsewhere, or name another file with --audit-log"
    } else {
        "nothing is run that cannot be recorded: mend the file or its disk, or name another with --audit-log"
    };
    Error::from_kind(
        ErrorKind::Unrecorded,
        format!(
            "the audit record could not be made in `{}`: {error}",
            path.display()
        ),
    )
    .hint(hint)
}
