//! The recent entries of a log, across rotations. A busy host writes many megabytes in a day, so
//! the window is one of time, and reading it takes little memory.

use super::entry::Entry;
use super::lines::for_each_entry;
use super::segments::{LogFile, Segment, check_links, open_chain};
use super::verify::verify_log;
use jiff::{SignedDuration, Timestamp};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

/// The window starts this long ago. A revocation counts as unfinished for 24 hours after its last
/// deletion, and its run began before that.
const WINDOW: SignedDuration = SignedDuration::from_hours(26);

/// Size of the window at least, in bytes: the clock of the host can have been wrong.
const MIN_WINDOW_BYTES: u64 = 4 << 20;

/// Size of the part that a search for the start of the window ends with, in bytes.
const SEARCH_STEP: u64 = 64 << 10;

/// The recent entries of a log.
pub(super) struct RecentLog {
    /// The segments of the window, the oldest first.
    segments: Vec<LogFile>,
    /// Start of the window in the oldest segment, in bytes.
    start: u64,
}

impl RecentLog {
    /// Opens a log and the closed logs that it continues, as far as the window reaches back.
    pub(super) fn open(path: &Path, file: &File) -> io::Result<Self> {
        let cutoff = Timestamp::now() - WINDOW;
        let segments = open_chain(path, file, |log| {
            Ok(read_time(log, 0)?.is_some_and(|first| first < cutoff))
        })?;
        let start = match &segments[..] {
            [oldest, ..] => find_start(oldest, cutoff)?,
            [] => 0,
        };
        Ok(Self { segments, start })
    }

    /// Calls `visit` with each entry, the oldest first.
    pub(super) fn for_each_entry(&self, mut visit: impl FnMut(Entry<'_>)) -> io::Result<()> {
        self.for_each_reader(|mut reader| {
            for_each_entry(&mut reader, |entry, _, _| visit(entry))?;
            Ok(true)
        })
    }

    /// Returns whether a line contains one of the patterns. Parsing takes much longer.
    pub(super) fn contains_any(&self, patterns: &[&[u8]]) -> io::Result<bool> {
        let finders: Vec<_> = patterns.iter().map(memchr::memmem::Finder::new).collect();
        let (mut is_found, mut line) = (false, Vec::new());
        self.for_each_reader(|mut reader| {
            while !is_found && reader.read_until(b'\n', &mut line)? > 0 {
                is_found = finders.iter().any(|finder| finder.find(&line).is_some());
                line.clear();
            }
            Ok(!is_found)
        })?;
        Ok(is_found)
    }

    /// Verifies the segments of the window and the links between them, before a run relies on an
    /// entry.
    pub(super) fn is_intact(&self) -> io::Result<bool> {
        let verify = |log: &LogFile| {
            Ok(Segment {
                file: log.path.clone(),
                report: verify_log(&mut log.reader()?, None)?,
            })
        };
        let segments: Vec<Segment> = self
            .segments
            .iter()
            .map(verify)
            .collect::<io::Result<_>>()?;
        let are_intact = segments.iter().all(|segment| segment.report.is_intact());
        Ok(are_intact && check_links(&segments).broken.is_empty())
    }

    /// Calls `read` with a reader of each segment's part of the window, until it returns `false`.
    /// The first line can be incomplete, which makes it a torn line.
    fn for_each_reader(
        &self,
        mut read: impl FnMut(BufReader<io::Take<&File>>) -> io::Result<bool>,
    ) -> io::Result<()> {
        for (index, log) in self.segments.iter().enumerate() {
            let start = if index == 0 { self.start } else { 0 };
            let reader = BufReader::with_capacity(1 << 20, log.reader_from(start)?);
            if !read(reader)? {
                break;
            }
        }
        Ok(())
    }
}

/// Finds an offset before the first entry of the window. The times of a log ascend.
fn find_start(log: &LogFile, cutoff: Timestamp) -> io::Result<u64> {
    let (mut older, mut newer) = (0, log.length());
    while newer - older > SEARCH_STEP {
        let middle = older.midpoint(newer);
        match read_time(log, middle)? {
            Some(time) if time < cutoff => older = middle,
            _ => newer = middle,
        }
    }
    Ok(older.min(log.length().saturating_sub(MIN_WINDOW_BYTES)))
}

/// Reads the time of the first entry that starts at an offset or soon behind it.
fn read_time(log: &LogFile, offset: u64) -> io::Result<Option<Timestamp>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    log.reader_from(offset)?
        .take(SEARCH_STEP)
        .read_to_end(&mut bytes)?;
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    Ok(lines.find_map(|line| Entry::<String>::parse(line)?.ts.parse().ok()))
}
