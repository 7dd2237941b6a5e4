//! The end of a log, read backwards: a long log costs no more than a short one.

use super::line::{RECORD_VERSION, ensure_supported_format};
use super::lines::for_each_record;
use super::record::{Body, Head, PreviousLog, UnfinishedCommand};
use super::unfinished::RunProcess;
use crate::digest::Digest;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// How much of the end is looked at first, in bytes: some hundred records.
const INITIAL_WINDOW: u64 = 128 << 10;

/// How much of a log is looked at for its first record, in bytes.
const HEADER_WINDOW: usize = 64 << 10;

/// How the first record begins.
const FIRST_RECORD_PREFIX: &[u8] = br#"{"v":2,"seq":1,"#;

/// Where a search for a good record ends: further back, this is no audit log.
const MAX_WINDOW: u64 = 64 << 20;

/// What stands at the end of a log.
#[derive(Default)]
pub(super) struct Tail {
    /// The file's length.
    pub(super) end: u64,
    /// The last good record; `None` in an empty log.
    pub(super) head: Option<Head>,
    /// What stands behind it and is no record.
    pub(super) torn: Option<TornRange>,
    /// Commands of runs that ended without saying so.
    pub(super) unfinished: Vec<UnfinishedCommand>,
    /// How it was closed by a rotation, where it was.
    pub(super) rotation: Option<RotationRecord>,
}

/// What the last record of a closed log says.
pub(super) struct RotationRecord {
    /// When that was.
    pub(super) closed_at: String,
    /// Commands whose result is not on record.
    pub(super) unfinished: Vec<UnfinishedCommand>,
}

pub(super) struct TornRange {
    pub(super) start: u64,
    pub(super) length: u64,
}

/// What is read of a record to find out where a log stands.
#[derive(Deserialize)]
struct RecordHeader {
    v: u32,
    seq: u64,
    log: String,
    #[serde(rename = "type")]
    kind: String,
    run: Option<String>,
    step: Option<String>,
    intent: Option<u64>,
    #[serde(default)]
    unfinished: Vec<UnfinishedRun>,
    #[serde(flatten)]
    process: RunProcess,
}

#[derive(Deserialize)]
struct UnfinishedRun {
    run: String,
}

/// Reads the end of a log.
pub(super) fn read_tail(file: &File) -> io::Result<Tail> {
    let end = file.metadata()?.len();
    let mut size = INITIAL_WINDOW;
    loop {
        let start = end.saturating_sub(size);
        let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, start)?;
        if let Some(tail) = parse_window(&bytes, start) {
            return Ok(tail);
        }
        if size >= MAX_WINDOW {
            return Err(io::Error::other(
                "it does not end with any audit record: not an audit log",
            ));
        }
        size *= 2;
    }
}

/// The last good record of a log; `None` in an empty one.
///
/// # Errors
/// Those of reading, and where it is no log.
pub(super) fn read_head(file: &File) -> io::Result<Option<Head>> {
    ensure_is_log(file)?;
    read_tail(file).map(|tail| tail.head)
}

/// Another file, named by mistake, is never appended to: a log begins as the first record does, torn or not.
pub(super) fn ensure_is_log(file: &File) -> io::Result<()> {
    let mut start = [0; FIRST_RECORD_PREFIX.len()];
    let length = file.read_at(&mut start, 0)?;
    if start[..length] == FIRST_RECORD_PREFIX[..length] {
        return Ok(());
    }
    parse_version(&start[..length]).map_or(Ok(()), ensure_supported_format)?;
    Err(io::Error::other("it is not an audit log"))
}

/// Parses the version out of the first bytes of a log.
fn parse_version(start: &[u8]) -> Option<u64> {
    let digits = start.strip_prefix(br#"{"v":"#)?;
    let (digits, _) = digits.split_at(digits.iter().position(|byte| *byte == b',')?);
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// How a log begins.
#[derive(Default, Deserialize)]
pub(super) struct LogHeader {
    pub(super) log: String,
    pub(super) previous: Option<PreviousLog>,
}

#[derive(Deserialize)]
struct FormatVersion {
    v: u64,
}

/// How a log begins: its `log.open`, which a torn line and its recovery may stand before. `None` where it has none.
pub(super) fn read_header(file: &File) -> io::Result<Option<LogHeader>> {
    let mut start = vec![0; HEADER_WINDOW];
    let mut length = 0;
    while let read @ 1.. = file.read_at(&mut start[length..], length as u64)? {
        length += read;
    }
    let opens = |line: &&[u8]| matches!(serde_json::from_slice(line), Ok(Body::LogOpen { .. }));
    let mut lines = start[..length]
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| line.ends_with(b"\n"));
    let version = lines
        .clone()
        .find_map(|line| serde_json::from_slice::<FormatVersion>(line).ok());
    version.map_or(Ok(()), |format| ensure_supported_format(format.v))?;
    let line = lines.find(opens);
    Ok(line.and_then(|line| serde_json::from_slice(line).ok()))
}

/// What a window shows; `None` when it shows no good record and does not reach back to the start of the file.
fn parse_window(bytes: &[u8], start: u64) -> Option<Tail> {
    let whole_from = if start == 0 {
        0
    } else {
        bytes.iter().position(|byte| *byte == b'\n')? + 1
    };
    let (mut head, mut good_until, mut at) = (None, whole_from, whole_from);
    for line in bytes[whole_from..].split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if let Some(glance) = parse_header(line) {
            head = Some((glance.log, glance.seq, line));
            good_until = at;
        }
    }
    if head.is_none() && start > 0 {
        return None;
    }
    let mut glances = Vec::new();
    // Reading what is in memory already cannot fail.
    let _ = for_each_record(&mut &bytes[whole_from..], |line| {
        glances.extend(parse_header(line))
    });
    let closed = head.as_ref().and_then(|(.., line)| parse_rotation(line));
    let head = head.map(|(log, seq, line)| Head {
        log,
        seq,
        hash: Digest::compute(line).to_string(),
    });
    let length = (bytes.len() - good_until) as u64;
    let torn = (length > 0).then(|| TornRange {
        start: start + good_until as u64,
        length,
    });
    Some(Tail {
        end: start + bytes.len() as u64,
        head,
        torn,
        unfinished: find_unfinished_commands(&glances),
        rotation: closed,
    })
}

fn parse_rotation(line: &[u8]) -> Option<RotationRecord> {
    #[derive(Deserialize)]
    struct RecordTime {
        ts: String,
    }
    let Ok(Body::LogRotate { unfinished, .. }) = serde_json::from_slice(line) else {
        return None;
    };
    let at =
        serde_json::from_slice::<RecordTime>(line).map_or_else(|_| String::new(), |time| time.ts);
    Some(RotationRecord {
        closed_at: at,
        unfinished,
    })
}

fn parse_header(line: &[u8]) -> Option<RecordHeader> {
    let record = line.strip_suffix(b"\n")?;
    serde_json::from_slice::<RecordHeader>(record)
        .ok()
        .filter(|glance| glance.v == RECORD_VERSION)
}

/// Intents without a result, of runs without an end, whose process is gone and that no later run has named.
fn find_unfinished_commands(glances: &[RecordHeader]) -> Vec<UnfinishedCommand> {
    let mut open: BTreeMap<&str, BTreeMap<u64, &str>> = BTreeMap::new();
    for glance in glances {
        let Some(run) = glance.run.as_deref() else {
            continue;
        };
        match glance.kind.as_str() {
            "run.begin" => {
                glance
                    .unfinished
                    .iter()
                    .for_each(|known| drop(open.remove(known.run.as_str())));
                if !glance.process.is_running() {
                    open.insert(run, BTreeMap::new());
                }
            }
            "intent" => drop(open.get_mut(run).map(|intents| {
                intents.insert(glance.seq, glance.step.as_deref().unwrap_or_default())
            })),
            "result" => drop(
                open.get_mut(run)
                    .zip(glance.intent)
                    .map(|(intents, seq)| intents.remove(&seq)),
            ),
            "run.end" => drop(open.remove(run)),
            _ => {}
        }
    }
    let flat = |(run, intents): (&str, BTreeMap<u64, &str>)| {
        intents
            .into_iter()
            .map(move |(intent, step)| (run.to_owned(), intent, step.to_owned()))
            .collect::<Vec<_>>()
    };
    open.into_iter()
        .flat_map(flat)
        .map(|(run, intent, step)| UnfinishedCommand { run, intent, step })
        .collect()
}
