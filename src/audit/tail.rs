//! Reads the end of a log backwards, so that a long log costs no more than a short one.

use super::body::{Body, Head, PreviousLog, UnfinishedCommand};
use super::entry::Entry;
use super::line::{LOG_FORMAT_VERSION, ensure_supported_format};
use super::lines::for_each_entry;
use super::process::is_running;
use crate::digest::Digest;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Size of the first window at the end, in bytes. It contains some hundred entries.
const INITIAL_WINDOW: u64 = 128 << 10;

/// Size of the window at the start that contains the first entry, in bytes.
const HEADER_WINDOW: usize = 64 << 10;

/// Start of the first entry.
const FIRST_ENTRY_PREFIX: &[u8] = br#"{"v":3,"seq":1,"#;

/// Maximum size of the window at the end, in bytes. A file without an entry in it is no log.
const MAX_WINDOW: u64 = 64 << 20;

/// The state at the end of a log.
#[derive(Default)]
pub(super) struct Tail {
    /// Length of the file.
    pub(super) end: u64,
    /// The last good entry. `None` for an empty log.
    pub(super) head: Option<Head>,
    /// The torn bytes behind the last good entry.
    pub(super) torn: Option<TornRange>,
    /// Intents without a result, of runs without an end.
    pub(super) unfinished: Vec<UnfinishedCommand>,
    /// The rotation that closed the log.
    pub(super) rotation: Option<RotationFacts>,
}

/// The facts of a `log.rotate`.
pub(super) struct RotationFacts {
    pub(super) closed_at: String,
    /// Intents without a result.
    pub(super) unfinished: Vec<UnfinishedCommand>,
}

pub(super) struct TornRange {
    pub(super) start: u64,
    pub(super) length: u64,
}

/// Reads the end of a log.
pub(super) fn read_tail(file: &File) -> io::Result<Tail> {
    let end = file.metadata()?.len();
    let mut size = INITIAL_WINDOW;
    loop {
        let start = end.saturating_sub(size);
        let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, start)?;
        if let Some(tail) = parse_window(&bytes, start)? {
            return Ok(tail);
        }
        if size >= MAX_WINDOW {
            return Err(io::Error::other(
                "not an audit log: no entry found at the end",
            ));
        }
        size *= 2;
    }
}

/// Reads the head of a log. Returns `None` for an empty log.
///
/// # Errors
/// Fails if the file cannot be read or is not a log.
pub(super) fn read_head(file: &File) -> io::Result<Option<Head>> {
    ensure_is_log(file)?;
    read_tail(file).map(|tail| tail.head)
}

/// Checks the start of a file, so that nothing is ever appended to another file by mistake. An
/// empty file and a torn first entry count as a log.
pub(super) fn ensure_is_log(file: &File) -> io::Result<()> {
    let mut start = [0; FIRST_ENTRY_PREFIX.len()];
    let length = file.read_at(&mut start, 0)?;
    if start[..length] == FIRST_ENTRY_PREFIX[..length] {
        return Ok(());
    }
    parse_version(&start[..length]).map_or(Ok(()), ensure_supported_format)?;
    Err(io::Error::other("not an audit log"))
}

/// Parses the version out of the first bytes of a log.
fn parse_version(start: &[u8]) -> Option<u64> {
    let digits = start.strip_prefix(br#"{"v":"#)?;
    let (digits, _) = digits.split_at(digits.iter().position(|byte| *byte == b',')?);
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The facts of a `log.open`.
#[derive(Default)]
pub(super) struct LogHeader {
    pub(super) log: String,
    pub(super) previous: Option<PreviousLog>,
}

/// Reads the `log.open` of a log. A torn line and its recovery can precede it. Returns `None` if
/// it is missing.
pub(super) fn read_header(file: &File) -> io::Result<Option<LogHeader>> {
    let mut start = vec![0; HEADER_WINDOW];
    let mut length = 0;
    while let read @ 1.. = file.read_at(&mut start[length..], length as u64)? {
        length += read;
    }
    let lines = start[..length].split_inclusive(|byte| *byte == b'\n');
    let version = lines.clone().find_map(parse_version);
    version.map_or(Ok(()), ensure_supported_format)?;
    let open = lines.filter_map(Entry::<String>::parse).find_map(|entry| {
        let Ok(Body::LogOpen { previous, .. }) = entry.body else {
            return None;
        };
        Some(LogHeader {
            log: entry.log.into_owned(),
            previous,
        })
    });
    Ok(open)
}

/// Parses a window at the end of a log. Returns `None` if it contains no good entry and does not
/// reach back to the start of the file.
fn parse_window(bytes: &[u8], start: u64) -> io::Result<Option<Tail>> {
    let first_line = if start == 0 {
        0
    } else if let Some(at) = memchr::memchr(b'\n', bytes) {
        at + 1
    } else {
        return Ok(None);
    };
    let (mut last, mut rotation, mut open_runs) = (None, None, OpenRuns::default());
    for_each_entry(&mut &bytes[first_line..], |entry, raw, end| {
        if entry.version != u64::from(LOG_FORMAT_VERSION) {
            return;
        }
        let end = first_line + end;
        last = Some((entry.log.to_string(), entry.seq, end - raw.len()..end));
        open_runs.update(&entry);
        rotation = parse_rotation(entry);
    })?;
    let (head, good_end) = match last {
        Some((log, seq, line)) => {
            let good_end = line.end;
            let hash = Digest::compute(&bytes[line]).to_string();
            (Some(Head { log, seq, hash }), good_end)
        }
        None if start > 0 => return Ok(None),
        None => (None, first_line),
    };
    let length = (bytes.len() - good_end) as u64;
    let torn = (length > 0).then(|| TornRange {
        start: start + good_end as u64,
        length,
    });
    Ok(Some(Tail {
        end: start + bytes.len() as u64,
        head,
        torn,
        unfinished: open_runs.into_commands(),
        rotation,
    }))
}

fn parse_rotation(entry: Entry) -> Option<RotationFacts> {
    match entry.body {
        Ok(Body::LogRotate { unfinished, .. }) => Some(RotationFacts {
            closed_at: entry.ts.into_owned(),
            unfinished,
        }),
        _ => None,
    }
}

/// The steps of intents without a result, by run and sequence number. The runs have no end, their
/// process is gone, and no later run has listed them as unfinished.
#[derive(Default)]
struct OpenRuns(BTreeMap<String, BTreeMap<u64, String>>);

impl OpenRuns {
    fn update(&mut self, entry: &Entry) {
        let (Some(run), Ok(body)) = (entry.run, &entry.body) else {
            return;
        };
        let run = run.to_string();
        match (body, self.0.get_mut(&run)) {
            (Body::RunBegin(begin), _) => {
                for command in &begin.unfinished {
                    self.0.remove(&command.run);
                }
                if !is_running(begin) {
                    self.0.insert(run, BTreeMap::new());
                }
            }
            (Body::Intent(intent), Some(steps)) => {
                steps.insert(entry.seq, intent.step.clone());
            }
            (Body::Result(result), Some(steps)) => {
                steps.remove(&result.intent);
            }
            (Body::RunEnd { .. }, _) => {
                self.0.remove(&run);
            }
            _ => {}
        }
    }

    fn into_commands(self) -> Vec<UnfinishedCommand> {
        let mut commands = Vec::new();
        for (run, steps) in self.0 {
            commands.extend(steps.into_iter().map(|(intent, step)| UnfinishedCommand {
                run: run.clone(),
                intent,
                step,
            }));
        }
        commands
    }
}
