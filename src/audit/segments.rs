//! Logs that go on from each other, across rotations.

use super::record::{Body, Previous};
use super::verify::Report;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// How much of a log is looked at for its first record, in bytes.
const OPENING_WINDOW: usize = 64 << 10;

/// A log and those beside it that were closed by rotations under its name, the oldest first.
///
/// # Errors
/// Those of reading the directory.
pub fn segments(path: &Path) -> io::Result<Vec<PathBuf>> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut closed = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let other = entry?.path();
        if is_closed_name(path, &other) {
            closed.push(other);
        }
    }
    closed.sort();
    closed.push(path.to_owned());
    in_order(closed)
}

/// Each log behind the one that it goes on from; those of which that cannot be told as they come.
fn in_order(files: Vec<PathBuf>) -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for path in files {
        let opening = opening(&File::open(&path)?)?.unwrap_or_default();
        left.push((path, opening));
    }
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let waits = |opening: &Opening| {
            opening.previous.as_ref().is_some_and(|previous| left.iter().any(|(_, other)| other.log == previous.log))
        };
        let next = left.iter().position(|(_, opening)| !waits(opening)).unwrap_or(0);
        ordered.push(left.remove(next).0);
    }
    Ok(ordered)
}

/// How a log begins.
#[derive(Default, Deserialize)]
pub(super) struct Opening {
    log: String,
    pub(super) previous: Option<Previous>,
}

/// How a log begins: its `log.open`, which a torn line and its recovery may stand before. `None` where it has none.
pub(super) fn opening(file: &File) -> io::Result<Option<Opening>> {
    let mut start = vec![0; OPENING_WINDOW];
    let mut length = 0;
    while let read @ 1.. = file.read_at(&mut start[length..], length as u64)? {
        length += read;
    }
    let opens = |line: &&[u8]| matches!(serde_json::from_slice(line), Ok(Body::LogOpen { .. }));
    let line = start[..length].split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")).find(opens);
    Ok(line.and_then(|line| serde_json::from_slice(line).ok()))
}

/// `audit-20260131T120000Z-1a2b3c4d.jsonl` beside `audit.jsonl`. Other names are somebody's own, such as copies.
fn is_closed_name(path: &Path, other: &Path) -> bool {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.as_encoded_bytes().to_vec()).unwrap_or_default();
    let other_stem = stem(other);
    let rest = other_stem.strip_prefix(stem(path).as_slice()).and_then(|rest| std::str::from_utf8(rest).ok());
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    path.extension() == other.extension()
        && rest.is_some_and(|rest| match rest.split(['-', 'T', 'Z']).collect::<Vec<_>>()[..] {
            ["", day, time, "", log] => digits(day) && digits(time) && log.len() == 8,
            _ => false,
        })
}

/// A log, and what was found in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// The file.
    pub file: PathBuf,
    /// What was found.
    #[serde(flatten)]
    pub report: Report,
}

/// Something about how one log goes on from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The file.
    pub file: PathBuf,
    /// What is the matter.
    pub what: String,
}

/// How logs go on from each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Links {
    /// What does not hold.
    pub broken: Vec<Link>,
    /// What cannot be told from these files alone.
    pub open: Vec<Link>,
}

/// Whether these logs are one record: each but the oldest goes on from the end of another of them.
#[must_use]
pub fn links(segments: &[Segment]) -> Links {
    let mut links = Links::default();
    let named = |log: &str| segments.iter().find(|segment| segment.report.log.as_deref() == Some(log));
    let mut follower: BTreeMap<&str, &Segment> = BTreeMap::new();
    let mut oldest = Vec::new();
    for segment in segments {
        if let Some(twin) = segment.report.log.as_deref().and_then(named).filter(|twin| twin.file != segment.file) {
            links.broken.push(segment.link(format!("it is the same log as `{}`", twin.file.display())));
        }
        let Some(previous) = &segment.report.previous else {
            oldest.push(segment);
            continue;
        };
        if let Some(twin) = follower.insert(&previous.log, segment) {
            let twin = twin.file.display();
            links.broken.push(segment.link(format!("`{twin}` goes on from the same log: one of the two was not")));
        }
        match named(&previous.log) {
            Some(before) => links.broken.extend(segment.unfit(previous, before)),
            None => {
                oldest.push(segment);
                let Previous { log, head } = previous;
                links.open.push(segment.link(format!(
                    "it goes on from log {log}, {head}, which is not among these: what that holds is not known"
                )));
            }
        }
    }
    let ends = |segment: &&Segment| segment.report.log.as_deref().is_none_or(|log| !follower.contains_key(log));
    links.open.extend(segments.iter().filter(|segment| segment.report.closed).filter(ends).map(|segment| {
        segment.link("it was closed by a rotation, and the log that goes on from it is not among these".to_owned())
    }));
    if let [first, .., last] = oldest[..] {
        let first = first.file.display();
        links
            .broken
            .push(last.link(format!("with `{first}` it is not one record: neither goes on from another of these")));
    }
    links
}

impl Segment {
    fn link(&self, what: String) -> Link {
        Link { file: self.file.clone(), what }
    }

    fn unfit(&self, previous: &Previous, before: &Self) -> Option<Link> {
        let fits = before.report.closed && before.report.head.as_ref() == Some(&previous.head);
        let (head, before) = (&previous.head, before.file.display());
        (!fits).then(|| self.link(format!("it goes on from record {head}, which is not the end of `{before}`: one of the two was rewritten, or cut")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_rotation_gives_belong_to_a_log() {
        let log = Path::new("/s/audit.jsonl");
        assert!(is_closed_name(log, Path::new("/s/audit-20260131T120000Z-1a2b3c4d.jsonl")));
        for other in [
            "audit.jsonl",
            "audit-copy.jsonl",
            "audit-20260131T120000Z-1a2b3c4d.jsonl.sig",
            "audit-20260131T120000Z-1a2b3c4d-copy.jsonl",
            "other-20260131T120000Z-1a2b3c4d.jsonl",
            "audit-20260131T120000Z-1a2b3c4d",
        ] {
            assert!(!is_closed_name(log, &Path::new("/s").join(other)), "{other}");
        }
    }
}
