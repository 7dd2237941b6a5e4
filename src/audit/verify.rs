//! Whether logs hold: chain, sequence, form, intents without a result, torn lines and their recovery, one after another.

mod blocks;

use super::line::{RECORD_VERSION, UnsupportedFormat};
use super::lines::TornAccumulator;
use super::record::PreviousLog;
use crate::digest::Digest;
use blocks::{CheckedEntry, CheckedLine, EntryKind};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use uuid::Uuid;

/// Something that does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// The line, counted from 1.
    pub line: u64,
    /// Where it begins, in bytes from the start of the file.
    pub offset: u64,
    /// What does not hold, and what is therefore not known.
    pub message: String,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LogReport {
    /// How many records.
    pub record_count: u64,
    /// The log's name.
    pub log: Option<String>,
    /// The last record, `SEQ:HASH`.
    pub head: Option<String>,
    /// The end of the log that this one goes on from, as it says.
    pub previous: Option<PreviousLog>,
    /// Whether it was closed by a rotation.
    pub closed: bool,
    /// What does not hold; empty when all does.
    pub findings: Vec<Finding>,
    /// Commands of which only the intent is on record: whether they happened is not known.
    pub unknown: Vec<Finding>,
    /// Torn lines that a later run recovered.
    pub recovered: Vec<Finding>,
    /// Whether a record had the expected hash; `None` when nothing was expected.
    #[serde(skip)]
    pub anchored: Option<bool>,
}

impl LogReport {
    /// Whether all holds.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.findings.is_empty() && self.anchored != Some(false)
    }
}

struct Verifier {
    report: LogReport,
    expected_head: Option<(u64, String)>,
    line: u64,
    offset: u64,
    seq: u64,
    prev: Digest,
    log: Option<Uuid>,
    /// Lines behind the last good record that are none, and where they begin.
    torn: Option<(u64, u64, TornAccumulator)>,
    /// Intents without a result so far: line, offset, step and run.
    open_intents: BTreeMap<u64, (u64, u64, String, Option<Uuid>)>,
    /// Runs that have begun and not ended so far.
    open_runs: BTreeSet<Uuid>,
    /// Whether the record that opens a log was there.
    has_log_open: bool,
}

/// Verifies a log; `expect` is a record's sequence number and hash, known from outside.
///
/// # Errors
/// Only those of reading.
pub fn verify_log(input: &mut dyn Read, expect: Option<(u64, String)>) -> io::Result<LogReport> {
    let report = LogReport {
        anchored: expect.as_ref().map(|_| false),
        ..LogReport::default()
    };
    let mut verifier = Verifier {
        report,
        expected_head: expect,
        line: 0,
        offset: 0,
        seq: 0,
        prev: Digest::default(),
        log: None,
        torn: None,
        open_intents: BTreeMap::new(),
        open_runs: BTreeSet::new(),
        has_log_open: false,
    };
    // A line is judged when the one behind it is known: that may be its recovery. The last of a block is kept for it.
    let mut kept: Option<(Vec<u8>, CheckedLine)> = None;
    blocks::for_each_block(input, |block| {
        let mut lines = block.lines.into_iter().peekable();
        if let Some((raw, line)) = kept.take() {
            verifier.check_line(&raw, line, lines.peek());
        }
        let mut at = 0;
        while let Some(line) = lines.next() {
            let raw = &block.bytes[at..at + line.length];
            at += line.length;
            match lines.peek() {
                None => kept = Some((raw.to_owned(), line)),
                next => verifier.check_line(raw, line, next),
            }
        }
    })?;
    if let Some((raw, line)) = kept {
        verifier.check_line(&raw, line, None);
    }
    Ok(verifier.finish())
}

impl Verifier {
    fn check_line(&mut self, raw: &[u8], line: CheckedLine, next: Option<&CheckedLine>) {
        self.line += 1;
        match line.entry {
            Some(entry) if !self.is_recovered_by(raw, next) => self.check_record(entry, line.hash),
            _ => self.add_torn_line(raw),
        }
        self.offset += raw.len() as u64;
    }

    /// Whether the next record says that this line had no LF when its run was cut off: whole as it is, it was never
    /// durable, and the chain goes on without it.
    fn is_recovered_by(&self, raw: &[u8], next: Option<&CheckedLine>) -> bool {
        let next = next.and_then(|next| next.entry.as_ref());
        let Some(EntryKind::LogRecover { torn }) = next
            .filter(|next| next.prev == Some(self.prev))
            .map(|next| &next.kind)
        else {
            return false;
        };
        self.torn
            .as_ref()
            .map_or_else(TornAccumulator::default, |(.., so_far)| so_far.clone())
            .matches_with_line(raw, torn)
    }

    fn add_torn_line(&mut self, raw: &[u8]) {
        let (.., so_far) = self
            .torn
            .get_or_insert_with(|| (self.line, self.offset, TornAccumulator::default()));
        so_far.add(raw);
    }

    fn check_record(&mut self, record: CheckedEntry, hash: Digest) {
        self.report.record_count += 1;
        self.check_recovery(&record);
        if record.prev != Some(self.prev) {
            self.add_finding("its `prev` is not the hash of the record before it: something before this line was edited, cut out or put in");
        }
        if record.seq != self.seq + 1 {
            let seq = self.seq + 1;
            self.add_finding(format!(
                "its sequence number is {}, not {seq}: what was in between is not known",
                record.seq
            ));
        }
        if self.report.closed {
            self.add_finding("the log was closed by a rotation before it");
        }
        if let Some(problem) = self.find_format_error(&record) {
            self.add_finding(problem);
        }
        (self.seq, self.prev) = (record.seq, hash);
        self.check_anchor();
        self.report.closed = matches!(record.kind, EntryKind::LogRotate);
        self.update_state(record);
    }

    fn check_anchor(&mut self) {
        let Some((seq, hash)) = &self.expected_head else {
            return;
        };
        if *seq == self.seq {
            self.report.anchored = Some(*hash == self.prev.to_string());
        }
    }

    fn check_recovery(&mut self, record: &CheckedEntry) {
        let recovery = match &record.kind {
            EntryKind::LogRecover { torn } => Some(torn),
            _ => None,
        };
        match (self.torn.take(), recovery) {
            (Some((line, offset, so_far)), Some(torn)) if so_far.matches(torn) => {
                let bytes = so_far.bytes;
                self.report.recovered.push(Finding {
                    line,
                    offset,
                    message: format!(
                        "{bytes} bytes are no record; a later run found and recorded them"
                    ),
                });
            }
            (Some((line, offset, TornAccumulator { bytes, .. })), _) => {
                self.report.findings.push(Finding {
                    line,
                    offset,
                    message: format!(
                        "{bytes} bytes are no record, and no recovery of them is on record"
                    ),
                });
            }
            (None, Some(_)) => self.add_finding("it records torn bytes that are not there"),
            (None, None) => {}
        }
    }

    fn find_format_error(&self, record: &CheckedEntry) -> Option<String> {
        // Where the very first line is torn, its recovery is the first record.
        let opens = matches!(
            record.kind,
            EntryKind::LogOpen { .. } | EntryKind::LogRecover { .. }
        );
        if record.version != u64::from(RECORD_VERSION) {
            Some(UnsupportedFormat(record.version).to_string())
        } else if let EntryKind::Malformed { defect } = &record.kind {
            Some(format!("its form is not that of a record: {defect}"))
        } else if !self.has_log_open && !opens {
            Some("a log begins with `log.open`".to_owned())
        } else if self.has_log_open && matches!(record.kind, EntryKind::LogOpen { .. }) {
            Some("a log is opened once, by its first record".to_owned())
        } else if self.log.is_some() && self.log != record.log {
            Some("it belongs to another log".to_owned())
        } else {
            None
        }
    }

    /// What the next records are judged by.
    fn update_state(&mut self, record: CheckedEntry) {
        self.update_open_runs(&record);
        self.has_log_open |= !matches!(record.kind, EntryKind::LogRecover { .. });
        self.log = self.log.or(record.log);
        match record.kind {
            EntryKind::Intent { step } => {
                let intent = (self.line, self.offset, step, record.run);
                self.open_intents.insert(record.seq, intent);
            }
            EntryKind::Result { intent } => match self.open_intents.remove(&intent) {
                None => self.add_finding(format!(
                    "it is the result of record {intent}, which is no intent that waits for one"
                )),
                Some((.., run)) if run != record.run => {
                    self.add_finding(format!(
                        "it is the result of record {intent}, which is of another run"
                    ));
                }
                Some(_) => {}
            },
            EntryKind::LogOpen { previous } => self.report.previous = previous,
            _ => {}
        }
    }

    /// A run's records are between its begin and its end.
    fn update_open_runs(&mut self, record: &CheckedEntry) {
        let Some(run) = record.run else { return };
        // Said once: what follows is taken for a run of which the begin is not there.
        match (
            self.open_runs.insert(run),
            matches!(record.kind, EntryKind::RunBegin),
        ) {
            (false, true) => self.add_finding("its run has begun already"),
            (true, false) => self
                .add_finding("its run has not begun, or has ended: what came before is not known"),
            _ => {}
        }
        if matches!(record.kind, EntryKind::RunEnd) {
            self.open_runs.remove(&run);
        }
    }

    fn add_finding(&mut self, what: impl Into<String>) {
        self.report.findings.push(Finding {
            line: self.line,
            offset: self.offset,
            message: what.into(),
        });
    }

    fn finish(mut self) -> LogReport {
        if let Some((line, offset, TornAccumulator { bytes, .. })) = self.torn.take() {
            let what = format!(
                "the last {bytes} bytes are no record: a run was cut off while writing (the next run records that), or someone wrote here"
            );
            self.report.findings.push(Finding {
                line,
                offset,
                message: what,
            });
        }
        if self.report.record_count == 0 {
            self.line = self.line.max(1);
            self.add_finding("there is no record in it");
        } else {
            self.report.head = Some(format!("{}:{}", self.seq, self.prev));
        }
        self.report.log = self.log.map(|log| log.to_string());
        let unknown = |(seq, (line, offset, step, _))| Finding {
            line,
            offset,
            message: format!(
                "record {seq}, step `{step}`, has no result: whether it happened is not known"
            ),
        };
        self.report.unknown = self.open_intents.into_iter().map(unknown).collect();
        self.report
    }
}
