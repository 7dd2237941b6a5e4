//! The log file: opened safely, appended to one durable line at a time, its torn tail recovered.

mod file;
mod rotate;

pub(super) use file::names;
pub use rotate::Rotated;

use super::line::{Line, NO_PREVIOUS, RECORD_VERSION, to_line};
use super::record::{Body, Previous, Target, Torn, Unfinished};
use super::tail::{self, Tail};
use super::under_way::{self, PlanStand};
use crate::error::{Error, Kind, Result};
use crate::secret::{Needles, sha256_hex};
use crate::tool::invocation::Object;
use file::{open_file, reserve};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Room kept for what must still be recorded after an act, in bytes: a result holds digests, never output.
const RESULT_ROOM: u64 = 16 << 10;

/// How often a log is opened anew that another process has just closed.
const ATTEMPTS: u32 = 100;

const OTHER_FILE: &str = "its path names another file now";

/// Room taken at once, in bytes, so that few records have to ask for it.
const ROOM_AHEAD: u64 = 256 << 10;

/// The last record: what anchors a log from outside.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Head {
    /// The log.
    pub log: String,
    /// The record's sequence number.
    pub seq: u64,
    /// SHA-256 of its raw line, LF included.
    pub hash: String,
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "audit head {} {}:{}", self.log, self.seq, self.hash)
    }
}

/// The receipt of a durable intent. Starting a process or changing a file takes one, and only the log makes them.
#[must_use = "an intent on record is followed by its act and its result"]
pub struct Begun {
    seq: u64,
    at: Instant,
}

impl Begun {
    /// The intent's sequence number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Milliseconds since the intent was durable.
    #[must_use]
    pub fn ms(&self) -> u64 {
        u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// An open log.
pub struct Log {
    file: File,
    path: PathBuf,
    id: String,
    /// Where the last line known to this process ends.
    end: u64,
    head: Head,
    /// Intents whose result is still to come.
    open_intents: u64,
    /// Up to where room is reserved.
    reserved: u64,
    reserves: bool,
    /// Why a write or a sync failed: nothing is retried.
    broken: Option<String>,
    /// Results that could not be recorded.
    lost: Vec<String>,
}

/// A log that is locked, and has nothing of this process in it yet.
struct Opened {
    log: Log,
    inherited: Inherited,
}

/// What earlier runs have left in a log.
pub struct Inherited {
    /// Commands whose result is not on record.
    pub unfinished: Vec<Unfinished>,
    /// The rotation that was cut short, and has been brought to its end.
    pub rotated: Option<Rotated>,
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
        begin: impl FnOnce(&Inherited) -> Body,
    ) -> Result<(Self, Inherited)> {
        let opened = || {
            let Opened { mut log, inherited } = Self::opened(path)?;
            log.write(Some(run), &begin(&inherited), &Needles::default())?;
            log.file.unlock()?;
            Ok((log, inherited))
        };
        opened().map_err(|error| unrecorded(path, &error))
    }

    fn opened(path: &Path) -> io::Result<Opened> {
        let mut rotated = None;
        for _ in 0..ATTEMPTS {
            let file = open_file(path)?;
            file.lock()?;
            // Another process may have closed it meanwhile; what its path names then is a newer one.
            if !names(path, &file)? {
                continue;
            }
            tail::must_be_a_log(&file)?;
            let mut tail = tail::read(&file)?;
            if let (Some(head), Some(closed)) = (&tail.head, tail.closed.take()) {
                rotated = Some(rotate::go_on(path, &file, head, closed)?);
                continue;
            }
            let log = Self::locked_at(file, path, None, &tail)?;
            return Ok(Opened {
                log,
                inherited: Inherited {
                    unfinished: tail.unfinished,
                    rotated,
                },
            });
        }
        Err(io::Error::other(OTHER_FILE))
    }

    /// A file that is locked, as a log of that path; begun where there is no record in it.
    fn locked_at(
        file: File,
        path: &Path,
        previous: Option<Previous>,
        tail: &Tail,
    ) -> io::Result<Self> {
        let reserves = reserve(&file, tail.end, 2 * RESULT_ROOM)?;
        let id = tail
            .head
            .as_ref()
            .map_or_else(|| uuid::Uuid::new_v4().to_string(), |head| head.log.clone());
        let head = tail.head.clone().unwrap_or_else(|| Head {
            log: id.clone(),
            seq: 0,
            hash: NO_PREVIOUS.to_owned(),
        });
        let mut log = Self {
            file,
            path: path.to_owned(),
            id,
            end: tail.end,
            head,
            open_intents: 0,
            reserved: 0,
            reserves,
            broken: None,
            lost: Vec::new(),
        };
        log.recover(tail)?;
        if tail.head.is_none() {
            let body = Body::LogOpen {
                bypassctl: env!("CARGO_PKG_VERSION").to_owned(),
                reserves,
                previous,
            };
            log.write(None, &body, &Needles::default())?;
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
    pub fn append(&mut self, run: &str, body: &Body, needles: &Needles) -> Result<()> {
        self.locked(|log| log.write(Some(run), body, needles))
    }

    /// Records an intent, and room for its result; the receipt says that both are durable.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`]: then the act must not happen.
    pub fn begin(&mut self, run: &str, body: &Body, needles: &Needles) -> Result<Begun> {
        self.open_intents += 1;
        let written = self.locked(|log| {
            log.write_with_room(
                Some(run),
                body,
                needles,
                (log.open_intents + 1) * RESULT_ROOM,
            )
        });
        if written.is_err() {
            self.open_intents -= 1;
        }
        written.map(|()| Begun {
            seq: self.head.seq,
            at: Instant::now(),
        })
    }

    /// Records a result and takes the receipt back.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`]; [`Self::lost`] then has the record itself.
    pub fn end(&mut self, begun: Begun, run: &str, body: &Body, needles: &Needles) -> Result<()> {
        let Begun { seq, .. } = begun;
        self.open_intents -= 1;
        self.locked(|log| log.write(Some(run), body, needles))
            .inspect_err(|_| {
                let record = serde_json::to_string(body).unwrap_or_default();
                self.lost.push(format!(
                    "the result of record {seq} that is missing there: {record}"
                ));
            })
    }

    /// Reserves this many bytes behind the end, many more at once where the disk has them.
    fn reserve(&mut self, needed: u64) -> io::Result<()> {
        if self.end + needed <= self.reserved {
            return Ok(());
        }
        let room = match reserve(&self.file, self.end, needed.max(ROOM_AHEAD)) {
            Ok(_) => needed.max(ROOM_AHEAD),
            Err(_) => reserve(&self.file, self.end, needed).map(|_| needed)?,
        };
        self.reserved = self.end + room;
        Ok(())
    }

    /// Results that could not be recorded: they happened and are nowhere else.
    #[must_use]
    pub fn lost(&self) -> &[String] {
        &self.lost
    }

    /// The objects whose deletion in this place was begun, in the last 24 hours, by revocations that did not come to
    /// their end.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] where the record cannot be read.
    pub fn deletions(&self, place: &Target) -> Result<Vec<Object>> {
        under_way::deletions(&self.file, place).map_err(|error| unrecorded(&self.path, &error))
    }

    /// How far a plan has come by other runs than this one.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] where the record cannot be read.
    pub fn plan_stand(&self, plan: &str, run: &str) -> Result<PlanStand> {
        under_way::plan(&self.file, plan, run).map_err(|error| unrecorded(&self.path, &error))
    }

    fn locked(&mut self, act: impl FnOnce(&mut Self) -> io::Result<()>) -> Result<()> {
        self.try_locked(act).map_err(|error| {
            self.broken.get_or_insert_with(|| error.to_string());
            unrecorded(&self.path, &error)
        })
    }

    fn try_locked(&mut self, act: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if let Some(why) = &self.broken {
            return Err(io::Error::other(format!(
                "{why}: that was an earlier record, and none is tried twice"
            )));
        }
        self.file.lock()?;
        let done = self.catch_up().and_then(|()| act(self));
        self.file.unlock()?;
        done
    }

    /// Takes in what other processes appended since.
    fn catch_up(&mut self) -> io::Result<()> {
        if !names(&self.path, &self.file)? {
            return Err(io::Error::other(OTHER_FILE));
        }
        let length = self.file.metadata()?.len();
        if length == self.end {
            return Ok(());
        }
        if length < self.end {
            return Err(io::Error::other("it has become shorter"));
        }
        let tail = tail::read(&self.file)?;
        if tail.closed.is_some() {
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
        self.recover(&tail)
    }

    /// Never cuts a torn line off: ends it, and records what stands there.
    fn recover(&mut self, tail: &Tail) -> io::Result<()> {
        let Some(torn) = &tail.torn else {
            return Ok(());
        };
        let mut bytes = vec![0; usize::try_from(torn.length).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, torn.start)?;
        if bytes.last() != Some(&b'\n') {
            self.put(b"\n")?;
            bytes.push(b'\n');
        }
        let torn = Torn {
            bytes: bytes.len() as u64,
            sha256: sha256_hex(&bytes),
        };
        self.write(None, &Body::LogRecover { torn }, &Needles::default())
    }

    fn write(&mut self, run: Option<&str>, body: &Body, needles: &Needles) -> io::Result<()> {
        self.write_with_room(run, body, needles, 0)
    }

    /// Writes a record; room for what must follow it is reserved first.
    fn write_with_room(
        &mut self,
        run: Option<&str>,
        body: &Body,
        needles: &Needles,
        room: u64,
    ) -> io::Result<()> {
        let ts = format!("{:.3}", jiff::Timestamp::now());
        let seq = self.head.seq + 1;
        let line = to_line(&Line {
            v: RECORD_VERSION,
            seq,
            prev: &self.head.hash,
            body,
            log: &self.id,
            run,
            ts,
        })?;
        if needles.occur_in(&line) {
            return Err(io::Error::other("the record would have held a secret"));
        }
        if room > 0 {
            self.reserve(line.len() as u64 + room)?;
        }
        self.put(&line)?;
        self.head = Head {
            log: self.id.clone(),
            seq,
            hash: sha256_hex(&line),
        };
        Ok(())
    }

    /// One write, then a sync; a short write is a failure.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
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
    pub fn reserves(&self) -> bool {
        self.reserves
    }
}

fn unrecorded(path: &Path, error: &io::Error) -> Error {
    Error::of(Kind::Unrecorded, format!("the audit record could not be made in `{}`: {error}", path.display()))
        .hint("nothing is run that cannot be recorded: mend the file or its disk, or name another with --audit-log")
}
