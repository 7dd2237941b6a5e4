//! Splits a log into blocks of complete lines and checks them on several threads. The hash and the
//! form of a line depend on no other line. The caller checks the chain, in the order of the log.

use crate::audit::body::{Body, PreviousLog, TornBytes};
use crate::audit::entry::Entry;
use crate::audit::strict::Word;
use crate::digest::Digest;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use uuid::Uuid;

/// Size of a block, in bytes.
const BLOCK_SIZE: usize = 1 << 20;

/// Maximum length of an entry, in bytes.
const MAX_LINE_BYTES: usize = 16 << 20;

/// Maximum number of threads. More threads would wait for the caller.
const MAX_THREADS: usize = 8;

/// Complete lines. Only the last line of a log can lack its LF.
pub(super) struct Block {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: Vec<CheckedLine>,
}

/// The facts of one line.
pub(super) struct CheckedLine {
    /// Length in bytes, LF included.
    pub(super) length: usize,
    pub(super) hash: Digest,
    /// `None` for torn bytes.
    pub(super) entry: Option<CheckedEntry>,
}

/// The facts of an entry that other entries are checked against.
pub(super) struct CheckedEntry {
    pub(super) version: u64,
    pub(super) seq: u64,
    pub(super) prev: Option<Digest>,
    pub(super) log: Option<Uuid>,
    pub(super) run: Option<Uuid>,
    pub(super) kind: EntryKind,
}

/// The type of an entry, and the facts of this type.
pub(super) enum EntryKind {
    LogOpen {
        previous: Option<PreviousLog>,
    },
    RunBegin,
    /// Nothing to check but the run that it belongs to.
    InRun,
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
            Ok(Body::Tool { .. } | Body::Creation(_) | Body::Verification(_)) => EntryKind::InRun,
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

/// The channels to and from a thread.
struct Worker {
    sender: SyncSender<Vec<u8>>,
    receiver: Receiver<Block>,
}

/// Calls `visit` with each checked block, in the order of the log.
///
/// # Errors
/// Fails if the log cannot be read.
pub(super) fn for_each_block(input: &mut dyn Read, visit: impl FnMut(Block)) -> io::Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for_each_block_on(threads.min(MAX_THREADS), input, visit)
}

/// Checks the blocks on this many threads, or on fewer where the system allows no further one.
/// Without any, the calling thread does the work.
fn for_each_block_on(
    threads: usize,
    input: &mut dyn Read,
    mut visit: impl FnMut(Block),
) -> io::Result<()> {
    std::thread::scope(|scope| {
        let start_worker = || {
            let (sender, blocks) = sync_channel::<Vec<u8>>(1);
            let (checked, receiver) = sync_channel(1);
            let thread = std::thread::Builder::new().spawn_scoped(scope, move || {
                blocks
                    .into_iter()
                    .try_for_each(|bytes| checked.send(check_block(bytes)))
            });
            thread.ok().map(|_| Worker { sender, receiver })
        };
        let workers: Vec<Worker> = std::iter::repeat_with(start_worker)
            .take(threads)
            .map_while(std::convert::identity)
            .collect();
        let threads = workers.len();
        let mut rest = Vec::new();
        let (mut sent, mut delivered) = (0, 0);
        let result = loop {
            let block = match read_block(input, &mut rest) {
                Ok(block) if block.is_empty() => break Ok(()),
                Ok(block) => block,
                Err(error) => break Err(error),
            };
            if threads == 0 {
                visit(check_block(block));
                continue;
            }
            if sent - delivered == threads {
                delivered += deliver_next_block(&workers[delivered % threads], &mut visit);
            }
            // A thread ends only when this function does.
            let _ = workers[sent % threads].sender.send(block);
            sent += 1;
        };
        while delivered < sent {
            delivered += deliver_next_block(&workers[delivered % threads], &mut visit);
        }
        result
    })
}

/// Waits for the next checked block and passes it to `visit`. Returns the number of blocks: 1.
fn deliver_next_block(worker: &Worker, visit: &mut impl FnMut(Block)) -> usize {
    worker.receiver.recv().into_iter().for_each(visit);
    1
}

/// Reads the next block. It is empty at the end of the log. Bytes behind its last LF go to `rest`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_same_without_threads() {
        let log = "x\n".repeat(BLOCK_SIZE) + "torn";
        let check = |threads: usize| {
            let mut lines = Vec::new();
            for_each_block_on(threads, &mut log.as_bytes(), |block| {
                lines.extend(block.lines.iter().map(|line| line.length));
            })
            .unwrap();
            lines
        };
        let lines = check(0);
        assert_eq!(lines.len(), BLOCK_SIZE + 1);
        assert!(lines == check(3));
    }
}
