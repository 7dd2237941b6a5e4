//! Logs that go on from each other, across rotations.

use super::record::{Head, PreviousLog};
use super::tail::{self, LogHeader, read_header};
use super::verify::LogReport;
use rustix::fs::{Mode, OFlags};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A log that is open to be read.
pub struct LogFile {
    /// Its file.
    pub path: PathBuf,
    file: File,
    /// How much was written when it was opened, in bytes.
    length: u64,
    header: LogHeader,
}

impl LogFile {
    /// Opens a log to be read, as far as it is written now.
    ///
    /// # Errors
    /// Those of reading, and for what is no regular file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let source = Self::open_locked(path)?;
        let _ = source.file.unlock();
        Ok(source)
    }

    /// The same, and nobody can write to it until it is unlocked.
    fn open_locked(path: &Path) -> io::Result<Self> {
        // A FIFO would keep who opens it waiting.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        // Where there are no locks, such as on some evidence shares, nobody writes a log either.
        let _ = file.lock_shared();
        let length = file.metadata()?.len();
        let opening = read_header(&file)?.unwrap_or_default();
        Ok(Self {
            path: path.to_owned(),
            file,
            length,
            header: opening,
        })
    }

    /// Whether both are the same file, by whatever names.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        let file = |source: &Self| {
            source
                .file
                .metadata()
                .map(|meta| (meta.dev(), meta.ino()))
                .ok()
        };
        file(self).is_some_and(|one| file(other) == Some(one))
    }

    /// From its start; nobody else reads from it meanwhile.
    ///
    /// # Errors
    /// Those of reading.
    pub fn reader(&self) -> io::Result<io::Take<&File>> {
        (&self.file).rewind()?;
        Ok((&self.file).take(self.length))
    }

    /// Its last record; `None` where it has none.
    ///
    /// # Errors
    /// Those of reading, and where it is no log.
    pub fn read_head(&self) -> io::Result<Option<Head>> {
        tail::read_head(&self.file)
    }
}

/// A log and those beside it that were closed by rotations under its name, the oldest first. A rotation that is under
/// way is waited for.
///
/// # Errors
/// Those of reading.
pub fn open_segments(path: &Path) -> io::Result<Vec<LogFile>> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let current = loop {
        let current = LogFile::open_locked(path)?;
        if super::file::is_file_at_path(path, &current.file)? {
            break current;
        }
    };
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let other = entry?.path();
        if is_segment_name(path, &other) {
            let named = |error| io::Error::other(format!("`{}`: {error}", other.display()));
            sources.push(LogFile::open(&other).map_err(named)?);
        }
    }
    let _ = current.file.unlock();
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources.push(current);
    Ok(sort_by_chain(sources))
}

/// Each log behind the one that it goes on from; those of which that cannot be told as they come.
#[must_use]
pub fn sort_by_chain(mut left: Vec<LogFile>) -> Vec<LogFile> {
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let waits = |source: &LogFile| {
            let previous = source.header.previous.as_ref();
            previous
                .is_some_and(|previous| left.iter().any(|other| other.header.log == previous.log))
        };
        let next = left.iter().position(|source| !waits(source)).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

/// `audit-20260131T120000Z-1a2b3c4d.jsonl` beside `audit.jsonl`. Other names are somebody's own, such as copies.
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

/// A log, and what was found in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Segment {
    /// The file.
    pub file: PathBuf,
    /// What was found.
    #[serde(flatten)]
    pub report: LogReport,
}

/// Something about how one log goes on from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Link {
    /// The file.
    pub file: PathBuf,
    /// What is the matter.
    pub message: String,
}

/// How logs go on from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Links {
    /// What does not hold.
    pub broken: Vec<Link>,
    /// What cannot be told from these files alone.
    pub open: Vec<Link>,
}

/// What holds in logs that are verified together.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LogVerification {
    /// Whether all holds.
    pub intact: bool,
    /// Whether the record that was expected is there; null where none was.
    pub anchored: Option<bool>,
    /// Each log, the oldest first, and what was found in it.
    pub logs: Vec<Segment>,
    /// How they go on from each other.
    pub links: Links,
}

/// Whether these logs are one record: each but the oldest goes on from the end of another of them.
#[must_use]
pub fn check_links(segments: &[Segment]) -> Links {
    let mut links = Links::default();
    let named = |log: &str| {
        segments
            .iter()
            .find(|segment| segment.report.log.as_deref() == Some(log))
    };
    let mut follower: BTreeMap<&str, &Segment> = BTreeMap::new();
    let mut oldest = Vec::new();
    for segment in segments {
        if let Some(twin) = segment
            .report
            .log
            .as_deref()
            .and_then(named)
            .filter(|twin| twin.file != segment.file)
        {
            links
                .broken
                .push(segment.new_link(format!("it is the same log as `{}`", twin.file.display())));
        }
        let Some(previous) = &segment.report.previous else {
            oldest.push(segment);
            continue;
        };
        if let Some(twin) = follower.insert(&previous.log, segment) {
            let twin = twin.file.display();
            links.broken.push(segment.new_link(format!(
                "`{twin}` goes on from the same log: one of the two was not"
            )));
        }
        match named(&previous.log) {
            Some(before) => links
                .broken
                .extend(segment.find_broken_link(previous, before)),
            None => {
                oldest.push(segment);
                let PreviousLog { log, head } = previous;
                links.open.push(segment.new_link(format!(
                    "it goes on from log {log}, {head}, which is not among these: what that holds is not known"
                )));
            }
        }
    }
    let ends = |segment: &&Segment| {
        segment
            .report
            .log
            .as_deref()
            .is_none_or(|log| !follower.contains_key(log))
    };
    links.open.extend(segments.iter().filter(|segment| segment.report.closed).filter(ends).map(|segment| {
        segment.new_link("it was closed by a rotation, and the log that goes on from it is not among these".to_owned())
    }));
    if let [first, .., last] = oldest[..] {
        let first = first.file.display();
        links.broken.push(last.new_link(format!(
            "with `{first}` it is not one record: neither goes on from another of these"
        )));
    }
    links
}

impl Segment {
    fn new_link(&self, what: String) -> Link {
        Link {
            file: self.file.clone(),
            message: what,
        }
    }

    fn find_broken_link(&self, previous: &PreviousLog, before: &Self) -> Option<Link> {
        let fits = before.report.closed && before.report.head.as_ref() == Some(&previous.head);
        let (head, before) = (&previous.head, before.file.display());
        (!fits).then(|| self.new_link(format!("it goes on from record {head}, which is not the end of `{before}`: one of the two was rewritten, or cut")))
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
