//! The entries of a log, one after another. Torn bytes are skipped.

use super::body::{Body, TornBytes};
use super::entry::Entry;
use super::strict::Word;
use crate::digest::Hasher;
use std::io::{self, BufRead};

/// The torn bytes behind the last good entry.
#[derive(Clone, Default)]
pub(super) struct TornAccumulator {
    pub(super) bytes: u64,
    hasher: Hasher,
}

impl TornAccumulator {
    pub(super) fn add(&mut self, raw: &[u8]) {
        self.bytes += raw.len() as u64;
        self.hasher.update(raw);
    }

    /// Returns whether a recovery counts exactly these bytes.
    pub(super) fn matches(&self, torn: &TornBytes) -> bool {
        torn.bytes == self.bytes && torn.sha256 == self.hasher.clone().finish().to_string()
    }

    /// Returns whether a recovery counts these bytes and this line. The line can be complete: its
    /// run was killed before the line was durable.
    pub(super) fn matches_with_line(&self, raw: &[u8], torn: &TornBytes) -> bool {
        let mut with = self.clone();
        with.add(raw);
        with.matches(torn)
    }
}

/// Calls `visit` with each entry, its raw line, LF included, and the offset of the line's end.
pub(super) fn for_each_entry(
    input: &mut dyn BufRead,
    mut visit: impl FnMut(Entry<'_>, &[u8], usize),
) -> io::Result<()> {
    let (mut torn, mut line, mut next) = (TornAccumulator::default(), Vec::new(), Vec::new());
    let mut end = 0;
    loop {
        end += line.len();
        let is_last = input.read_until(b'\n', &mut next)? == 0;
        // The next line can count this one among the torn bytes.
        let is_torn =
            parse_recovery(&next).is_some_and(|bytes| torn.matches_with_line(&line, &bytes));
        match Entry::parse(&line).filter(|_| !is_torn) {
            Some(entry) => {
                visit(entry, &line, end);
                torn = TornAccumulator::default();
            }
            None => torn.add(&line),
        }
        if is_last {
            return Ok(());
        }
        std::mem::swap(&mut line, &mut next);
        next.clear();
    }
}

fn parse_recovery(raw: &[u8]) -> Option<TornBytes> {
    let is_likely = raw.len() < 1024 && memchr::memmem::find(raw, b"log.recover").is_some();
    match is_likely.then(|| Entry::<Word>::parse(raw))??.body {
        Ok(Body::LogRecover { torn }) => Some(torn),
        _ => None,
    }
}
