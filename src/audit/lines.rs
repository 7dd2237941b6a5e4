//! The records of a log, one after another; what is no record is passed over.

use super::record::{Body, TornBytes};
use crate::digest::Hasher;
use std::io::{self, BufRead};

/// Bytes behind the last good record that are none, so far.
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

    /// Whether a recovery is of these bytes.
    pub(super) fn matches(&self, torn: &TornBytes) -> bool {
        torn.bytes == self.bytes && torn.sha256 == self.hasher.clone().finish().to_string()
    }

    /// Whether a recovery is of these bytes and this line: whole as it is, it was never durable, and is no record.
    pub(super) fn matches_with_line(&self, raw: &[u8], torn: &TornBytes) -> bool {
        let mut with = self.clone();
        with.add(raw);
        with.matches(torn)
    }
}

/// Gives the raw line of each record, LF included. A line that parses and yet was recovered is no record; nor is a last
/// one without an LF.
pub(super) fn for_each_record(
    input: &mut dyn BufRead,
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    let (mut torn, mut held, mut line) = (TornAccumulator::default(), Vec::new(), Vec::new());
    while input.read_until(b'\n', &mut line)? > 0 {
        if parse_recovery(&line).is_some_and(|recovery| torn.matches_with_line(&held, &recovery))
            || !is_record(&held)
        {
            torn.add(&held);
        } else {
            take(&held);
            torn = TornAccumulator::default();
        }
        std::mem::swap(&mut held, &mut line);
        line.clear();
    }
    if is_record(&held) {
        take(&held);
    }
    Ok(())
}

fn is_record(raw: &[u8]) -> bool {
    raw.ends_with(b"\n") && serde_json::from_slice::<serde::de::IgnoredAny>(raw).is_ok()
}

fn parse_recovery(raw: &[u8]) -> Option<TornBytes> {
    let likely = raw.len() < 1024 && memchr::memmem::find(raw, b"log.recover").is_some();
    match likely.then(|| serde_json::from_slice(raw)) {
        Some(Ok(Body::LogRecover { torn })) => Some(torn),
        _ => None,
    }
}
