//! Opens the segments of a log and checks the links between them.

use super::body::{Head, PreviousLog};
use super::lock_file::lock_for_reading;
use super::tail::{self, LogHeader, read_header};
use super::verify::LogReport;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Attempts to open a log that another process rotates, without its lock.
const MAX_OPEN_ATTEMPTS: u32 = 100;

/// Attempts to see a complete line at the end of a log without its lock.
const MAX_LINE_WAITS: u32 = 50;
const LINE_WAIT: Duration = Duration::from_millis(10);

/// A log that is open for reading.
pub struct LogFile {
    pub path: PathBuf,
    file: File,
    /// Length when the log was opened, in bytes. Later entries are not read.
    length: u64,
    header: LogHeader,
}

impl LogFile {
    /// Opens a log for reading, up to its current end.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is not a regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let lock = lock_for_reading(path);
        Self::open_locked(path, lock.as_ref())
    }

    /// Opens a log like [`Self::open`], under its lock if this user can have it.
    fn open_locked(path: &Path, lock: Option<&File>) -> io::Result<Self> {
        // Opening a FIFO would block without NONBLOCK.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if lock.is_none() {
            wait_for_complete_line(&file)?;
        }
        let length = file.metadata()?.len();
        let header = read_header(&file)?.unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            file,
            length,
            header,
        })
    }

    /// Takes an open log for reading, up to its current end. The caller can hold its lock.
    fn from_open_file(path: &Path, file: &File) -> io::Result<Self> {
        wait_for_complete_line(file)?;
        Ok(Self {
            path: path.to_owned(),
            file: file.try_clone()?,
            length: file.metadata()?.len(),
            header: read_header(file)?.unwrap_or_default(),
        })
    }

    /// Returns whether both paths name the same file.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        let file_id = |log: &Self| {
            log.file
                .metadata()
                .map(|meta| (meta.dev(), meta.ino()))
                .ok()
        };
        file_id(self).is_some_and(|id| file_id(other) == Some(id))
    }

    /// Returns a reader from the start of the log. All readers of a log share one position.
    ///
    /// # Errors
    /// Fails if the file cannot be read.
    pub fn reader(&self) -> io::Result<io::Take<&File>> {
        self.reader_from(0)
    }

    /// Returns a reader from an offset on.
    pub(super) fn reader_from(&self, offset: u64) -> io::Result<io::Take<&File>> {
        (&self.file).seek(io::SeekFrom::Start(offset))?;
        Ok((&self.file).take(self.length.saturating_sub(offset)))
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Reads the head. Returns `None` for an empty log.
    ///
    /// # Errors
    /// Fails if the file cannot be read or is not a log.
    pub fn read_head(&self) -> io::Result<Option<Head>> {
        tail::read_head(&self.file)
    }
}

/// Waits until a log ends with a complete line. Without the lock, a reader can see half a line.
fn wait_for_complete_line(file: &File) -> io::Result<()> {
    for _ in 0..MAX_LINE_WAITS {
        let length = file.metadata()?.len();
        let mut last = [b'\n'];
        file.read_at(&mut last, length.saturating_sub(1))?;
        if last == *b"\n" {
            break;
        }
        std::thread::sleep(LINE_WAIT);
    }
    Ok(())
}

/// Opens a log and the closed logs beside it, the oldest first. Waits for a rotation in progress.
///
/// # Errors
/// Fails if a file cannot be read, and for a symlink, as a run that writes to the log does.
pub fn open_segments(path: &Path) -> io::Result<Vec<LogFile>> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if path.symlink_metadata()?.is_symlink() {
        return Err(io::Error::other("the path is a symlink"));
    }
    let lock = lock_for_reading(path);
    let mut current = LogFile::open_locked(path, lock.as_ref())?;
    for _ in 0..MAX_OPEN_ATTEMPTS {
        if super::file::is_file_at_path(path, &current.file)? {
            break;
        }
        current = LogFile::open_locked(path, lock.as_ref())?;
    }
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let other = entry?.path();
        if is_segment_name(path, &other) {
            let add_path = |error| io::Error::other(format!("`{}`: {error}", other.display()));
            logs.push(LogFile::open(&other).map_err(add_path)?);
        }
    }
    drop(lock);
    logs.sort_by(|one, other| one.path.cmp(&other.path));
    logs.push(current);
    Ok(sort_by_chain(logs))
}

/// Opens the closed logs that an open log continues, back to the first one that `is_enough` accepts.
/// Returns them and the open log, the oldest first. A segment that is not beside the log ends the
/// chain.
pub(super) fn open_chain(
    path: &Path,
    file: &File,
    is_enough: impl Fn(&LogFile) -> io::Result<bool>,
) -> io::Result<Vec<LogFile>> {
    let mut chain = Vec::new();
    let mut next = Some(LogFile::from_open_file(path, file)?);
    while let Some(log) = next {
        let previous = match &log.header.previous {
            Some(previous) if !is_enough(&log)? => find_segment(path, &previous.log)?,
            _ => None,
        };
        chain.push(log);
        let is_new = |found: &LogFile| chain.iter().all(|log| log.header.log != found.header.log);
        next = previous.filter(is_new);
    }
    chain.reverse();
    Ok(chain)
}

/// Finds the closed log with this UUID beside a log.
fn find_segment(path: &Path, log: &str) -> io::Result<Option<LogFile>> {
    for entry in std::fs::read_dir(super::file::parent_directory(path))? {
        let other = entry?.path();
        let stem = other.file_stem().unwrap_or_default().to_string_lossy();
        if is_segment_name(path, &other) && stem.get(stem.len() - 8..) == log.get(..8) {
            let segment = LogFile::open(&other)?;
            if segment.header.log == log {
                return Ok(Some(segment));
            }
        }
    }
    Ok(None)
}

/// Sorts each log behind the log that it continues. Keeps the order of all others.
#[must_use]
pub fn sort_by_chain(mut logs: Vec<LogFile>) -> Vec<LogFile> {
    let mut ordered = Vec::new();
    while !logs.is_empty() {
        let has_predecessor = |log: &LogFile| {
            let previous = log.header.previous.as_ref();
            previous
                .is_some_and(|previous| logs.iter().any(|other| other.header.log == previous.log))
        };
        let next = logs
            .iter()
            .position(|log| !has_predecessor(log))
            .unwrap_or(0);
        ordered.push(logs.remove(next));
    }
    ordered
}

/// Returns whether `other` is named like a closed log of `path`:
/// `audit-20260131T120000Z-1a2b3c4d.jsonl` beside `audit.jsonl`. Other names can be copies.
fn is_segment_name(path: &Path, other: &Path) -> bool {
    let stem = |path: &Path| {
        path.file_stem()
            .map(|stem| stem.as_encoded_bytes().to_vec())
            .unwrap_or_default()
    };
    let other_stem = stem(other);
    let rest = other_stem
        .strip_prefix(stem(path).as_slice())
        .and_then(|rest| std::str::from_utf8(rest).ok());
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    path.extension() == other.extension()
        && rest.is_some_and(
            |rest| match rest.split(['-', 'T', 'Z']).collect::<Vec<_>>()[..] {
                ["", day, time, "", log] => digits(day) && digits(time) && log.len() == 8,
                _ => false,
            },
        )
}

/// A file of the log and the result of its verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Segment {
    /// Path of the file.
    pub file: PathBuf,
    #[serde(flatten)]
    pub report: LogReport,
}

/// A finding about the link of one file to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Link {
    /// Path of the file.
    pub file: PathBuf,
    /// Description of the finding.
    pub message: String,
}

/// The findings about the links between files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Links {
    /// Faults.
    pub broken: Vec<Link>,
    /// Links to files outside the set.
    pub open: Vec<Link>,
}

/// The result of verifying several files together.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LogVerification {
    /// True if no file and no link has a fault, and the expected entry exists.
    pub intact: bool,
    /// True if the expected entry exists. Null without an expected entry.
    pub anchored: Option<bool>,
    /// The files, the oldest first.
    pub logs: Vec<Segment>,
    /// The links between the files.
    pub links: Links,
}

/// Checks that the segments form one log. Each but the oldest continues another one from its end.
#[must_use]
pub fn check_links(segments: &[Segment]) -> Links {
    let mut links = Links::default();
    let find = |log: &str| {
        segments
            .iter()
            .find(|segment| segment.report.log.as_deref() == Some(log))
    };
    for (index, segment) in segments.iter().enumerate() {
        let link = |twin: &Segment| segment.find_shared_run(twin);
        links
            .broken
            .extend(segments[..index].iter().filter_map(link));
    }
    let mut successors: BTreeMap<&str, &Segment> = BTreeMap::new();
    let mut oldest = Vec::new();
    for segment in segments {
        if let Some(twin) = segment
            .report
            .log
            .as_deref()
            .and_then(find)
            .filter(|twin| twin.file != segment.file)
        {
            links.broken.push(
                segment.new_link(format!("the log is the same as `{}`", twin.file.display())),
            );
        }
        let Some(previous) = &segment.report.previous else {
            oldest.push(segment);
            continue;
        };
        if let Some(twin) = successors.insert(&previous.log, segment) {
            let twin = twin.file.display();
            links
                .broken
                .push(segment.new_link(format!("the log continues the same log as `{twin}`")));
        }
        match find(&previous.log) {
            Some(predecessor) => links
                .broken
                .extend(segment.find_broken_link(previous, predecessor)),
            None => {
                oldest.push(segment);
                let PreviousLog { log, head } = previous;
                links.open.push(segment.new_link(format!(
                    "the log continues log {log} from {head}, which is not among the files"
                )));
            }
        }
    }
    let has_no_successor = |segment: &&Segment| {
        segment
            .report
            .log
            .as_deref()
            .is_none_or(|log| !successors.contains_key(log))
    };
    links.open.extend(
        segments
            .iter()
            .filter(|segment| segment.report.closed)
            .filter(has_no_successor)
            .map(|segment| {
                segment.new_link(
                    "a rotation closed the log, and the next log is not among the files".to_owned(),
                )
            }),
    );
    if let [first, .., last] = oldest[..] {
        let first = first.file.display();
        links.broken.push(last.new_link(format!(
            "the log and `{first}` continue no other of the files"
        )));
    }
    links
}

impl Segment {
    fn new_link(&self, message: String) -> Link {
        Link {
            file: self.file.clone(),
            message,
        }
    }

    /// Finds a run that begins in both segments. A copy of a segment is reported as such.
    fn find_shared_run(&self, earlier: &Self) -> Option<Link> {
        let is_copy = self.report.log == earlier.report.log;
        let mut shared = self.report.runs.intersection(&earlier.report.runs);
        let run = shared.next().filter(|_| !is_copy)?;
        let file = earlier.file.display();
        Some(self.new_link(format!("run {run} begins in `{file}` too")))
    }

    fn find_broken_link(&self, previous: &PreviousLog, predecessor: &Self) -> Option<Link> {
        let is_intact =
            predecessor.report.closed && predecessor.report.head.as_ref() == Some(&previous.head);
        let (head, file) = (&previous.head, predecessor.file.display());
        (!is_intact).then(|| {
            self.new_link(format!(
                "the log continues from entry {head}, which is not the end of `{file}`"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_segment_name_accepts_only_rotation_names() {
        let log = Path::new("/s/audit.jsonl");
        assert!(is_segment_name(
            log,
            Path::new("/s/audit-20260131T120000Z-1a2b3c4d.jsonl")
        ));
        for other in [
            "audit.jsonl",
            "audit-copy.jsonl",
            "audit-20260131T120000Z-1a2b3c4d.jsonl.sig",
            "audit-20260131T120000Z-1a2b3c4d-copy.jsonl",
            "other-20260131T120000Z-1a2b3c4d.jsonl",
            "audit-20260131T120000Z-1a2b3c4d",
        ] {
            assert!(
                !is_segment_name(log, &Path::new("/s").join(other)),
                "{other}"
            );
        }
    }
}
