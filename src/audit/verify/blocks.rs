//! A log cut into blocks of whole lines, each judged by itself on one of several threads: a line's hash and its form
//! depend on no other line. What they say of each other is judged in their order, by who takes the blocks.

use crate::audit::entry::Entry;
use crate::audit::record::{Body, PreviousLog, TornBytes};
use crate::audit::strict::Word;
use crate::digest::Digest;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use uuid::Uuid;

/// How much is judged at once, in bytes.
const BLOCK_SIZE: usize = 1 << 20;

/// A line longer than this is no record, in bytes.
const MAX_LINE_BYTES: usize = 16 << 20;

/// More threads than this wait for each other.
const MAX_THREADS: usize = 8;

/// Whole lines, but for a last one without an LF.
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: Vec<CheckedLine>,
}

/// What is known of a line by itself.
pub(super) struct CheckedLine {
    /// How long it is, its LF included.
    pub(super) length: usize,
    /// SHA-256 of it.
    pub(super) hash: Digest,
    /// `None` when it is no record.
    pub(super) entry: Option<CheckedEntry>,
}

/// An entry, reduced to what other entries are checked against.
pub(super) struct CheckedEntry {
    pub(super) version: u64,
    pub(super) seq: u64,
    pub(super) prev: Option<Digest>,
    pub(super) log: Option<Uuid>,
    pub(super) run: Option<Uuid>,
    pub(super) kind: EntryKind,
}

/// The event that an entry reports.
pub(super) enum EntryKind {
    LogOpen {
        previous: Option<PreviousLog>,
    },
    RunBegin,
    Tool,
    Intent {
        step: String,
    },
    Result {
        intent: u64,
    },
    RunEnd,
    LogRecover {
        torn: TornBytes,
    },
    LogRotate,
    /// The entry violates the specification.
    Malformed {
        defect: String,
    },
}

impl CheckedEntry {
    fn from_entry(entry: Entry<Word>) -> Self {
        let kind = match entry.body {
            Ok(Body::LogOpen { previous, .. }) => EntryKind::LogOpen { previous },
            Ok(Body::RunBegin(_)) => EntryKind::RunBegin,
            Ok(Body::Tool { .. }) => EntryKind::Tool,
            Ok(Body::Intent(intent)) => EntryKind::Intent {
                step: intent.step.0.into_owned(),
            },
            Ok(Body::Result(result)) => EntryKind::Result {
                intent: result.intent,
            },
            Ok(Body::RunEnd { .. }) => EntryKind::RunEnd,
            Ok(Body::LogRecover { torn }) => EntryKind::LogRecover { torn },
            Ok(Body::LogRotate { .. }) => EntryKind::LogRotate,
            Err(defect) => EntryKind::Malformed { defect },
        };
        Self {
            version: entry.version,
            seq: entry.seq,
            prev: entry.prev,
            log: entry.log_id,
            run: entry.run,
            kind,
        }
    }
}

fn check_block(bytes: Vec<u8>) -> Block {
    let ends = memchr::memchr_iter(b'\n', &bytes).map(|at| at + 1);
    let rest = Some(bytes.len()).filter(|_| bytes.last() != Some(&b'\n'));
    let mut start = 0;
    let line = |end: usize| {
        let raw = &bytes[std::mem::replace(&mut start, end)..end];
        CheckedLine {
            length: raw.len(),
            hash: Digest::compute(raw),
            entry: Entry::parse(raw).map(CheckedEntry::from_entry),
        }
    };
    let lines = ends.chain(rest).map(line).collect();
    Block { bytes, lines }
}

/// A thread, and the way to it and back.
struct Worker {
    sender: SyncSender<Vec<u8>>,
    receiver: Receiver<Block>,
}

/// Gives every block, judged, in the order of the log.
///
/// # Errors
/// Those of reading.
pub(super) fn for_each_block(input: &mut dyn Read, mut take: impl FnMut(Block)) -> io::Result<()> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MAX_THREADS);
    std::thread::scope(|scope| {
        let workers: Vec<Worker> = std::iter::repeat_with(|| {
            let (to, work) = sync_channel::<Vec<u8>>(1);
            let (done, from) = sync_channel(1);
            scope.spawn(move || {
                work.into_iter()
                    .try_for_each(|bytes| done.send(check_block(bytes)))
            });
            Worker {
                sender: to,
                receiver: from,
            }
        })
        .take(threads)
        .collect();
        let mut rest = Vec::new();
        let (mut sent, mut taken) = (0, 0);
        let ended = loop {
            let block = match read_block(input, &mut rest) {
                Ok(block) if block.is_empty() => break Ok(()),
                Ok(block) => block,
                Err(error) => break Err(error),
            };
            if sent - taken == threads {
                taken += deliver_next_block(&workers[taken % threads], &mut take);
            }
            // A thread ends only when this function does.
            let _ = workers[sent % threads].sender.send(block);
            sent += 1;
        };
        while taken < sent {
            taken += deliver_next_block(&workers[taken % threads], &mut take);
        }
        ended
    })
}

/// Takes the next judged block; counts it.
fn deliver_next_block(worker: &Worker, take: &mut impl FnMut(Block)) -> usize {
    worker.receiver.recv().into_iter().for_each(take);
    1
}

/// The next block; empty at the end. What follows its last LF is left in `rest`.
fn read_block(input: &mut dyn Read, rest: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut block = std::mem::take(rest);
    loop {
        let before = block.len();
        let read = (&mut *input)
            .take(BLOCK_SIZE as u64)
            .read_to_end(&mut block)?;
        let last = block[before..]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map(|at| before + at + 1);
        match last {
            Some(end) => *rest = block.split_off(end),
            None if read > 0 && block.len() < MAX_LINE_BYTES => continue,
            None => {}
        }
        return Ok(block);
    }
}
