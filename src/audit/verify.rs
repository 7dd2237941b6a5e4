//! Whether logs hold: chain, sequence, form, intents without a result, torn lines and their recovery, one after another.

mod blocks;

use super::form::{Kind, Shape};
use super::lines::TornSoFar;
use super::record::Previous;
use crate::secret::hex;
use blocks::Judged;
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
    pub what: String,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// How many records.
    pub records: u64,
    /// The log's name.
    pub log: Option<String>,
    /// The last record, `SEQ:HASH`.
    pub head: Option<String>,
    /// The end of the log that this one goes on from, as it says.
    pub previous: Option<Previous>,
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

impl Report {
    /// Whether all holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.is_empty() && self.anchored != Some(false)
    }
}

struct Verifier {
    report: Report,
    expect: Option<(u64, String)>,
    line: u64,
    offset: u64,
    seq: u64,
    prev: [u8; 32],
    log: Option<Uuid>,
    /// Lines behind the last good record that are none, and where they begin.
    torn: Option<(u64, u64, TornSoFar)>,
    /// Intents without a result so far: line, offset, step and run.
    open: BTreeMap<u64, (u64, u64, String, Option<Uuid>)>,
    /// Runs that have begun and not ended so far.
    runs: BTreeSet<Uuid>,
    /// Whether the record that opens a log was there.
    opened: bool,
}

/// Verifies a log; `expect` is a record's sequence number and hash, known from outside.
///
/// # Errors
/// Only those of reading.
pub fn verify(input: &mut dyn Read, expect: Option<(u64, String)>) -> io::Result<Report> {
    let report = Report {
        anchored: expect.as_ref().map(|_| false),
        ..Report::default()
    };
    let mut verifier = Verifier {
        report,
        expect,
        line: 0,
        offset: 0,
        seq: 0,
        prev: [0; 32],
        log: None,
        torn: None,
        open: BTreeMap::new(),
        runs: BTreeSet::new(),
        opened: false,
    };
    // A line is judged when the one behind it is known: that may be its recovery. The last of a block is kept for it.
    let mut kept: Option<(Vec<u8>, Judged)> = None;
    blocks::each(input, |block| {
        let mut lines = block.lines.into_iter().peekable();
        if let Some((raw, line)) = kept.take() {
            verifier.take(&raw, line, lines.peek());
        }
        let mut at = 0;
        while let Some(line) = lines.next() {
            let raw = &block.bytes[at..at + line.length];
            at += line.length;
            match lines.peek() {
                None => kept = Some((raw.to_owned(), line)),
                next => verifier.take(raw, line, next),
            }
        }
    })?;
    if let Some((raw, line)) = kept {
        verifier.take(&raw, line, None);
    }
    Ok(verifier.finish())
}

impl Verifier {
    fn take(&mut self, raw: &[u8], line: Judged, next: Option<&Judged>) {
        self.line += 1;
        match line.shape {
            Some(shape) if !self.recovered_by(raw, next) => self.record(shape, line.hash),
            _ => self.no_record(raw),
        }
        self.offset += raw.len() as u64;
    }

    /// Whether the next record says that this line had no LF when its run was cut off: whole as it is, it was never
    /// durable, and the chain goes on without it.
    fn recovered_by(&self, raw: &[u8], next: Option<&Judged>) -> bool {
        let next = next.and_then(|next| next.shape.as_ref());
        let Some(torn) = next
            .filter(|next| next.prev == Some(self.prev))
            .and_then(|next| next.torn.as_ref())
        else {
            return false;
        };
        self.torn
            .as_ref()
            .map_or_else(TornSoFar::default, |(.., so_far)| so_far.clone())
            .is_with(raw, torn)
    }

    fn no_record(&mut self, raw: &[u8]) {
        let (.., so_far) = self
            .torn
            .get_or_insert_with(|| (self.line, self.offset, TornSoFar::default()));
        so_far.add(raw);
    }

    fn record(&mut self, record: Shape, hash: [u8; 32]) {
        self.report.records += 1;
        self.torn_before(&record);
        if record.prev != Some(self.prev) {
            self.find("its `prev` is not the hash of the record before it: something before this line was edited, cut out or put in");
        }
        if record.seq != self.seq + 1 {
            let seq = self.seq + 1;
            self.find(format!(
                "its sequence number is {}, not {seq}: what was in between is not known",
                record.seq
            ));
        }
        if self.report.closed {
            self.find("the log was closed by a rotation before it");
        }
        if let Some(problem) = self.misshapen(&record) {
            self.find(problem);
        }
        (self.seq, self.prev) = (record.seq, hash);
        self.anchor();
        self.report.closed = record.kind == Some(Kind::LogRotate);
        self.follow(record);
    }

    fn anchor(&mut self) {
        let Some((seq, hash)) = &self.expect else {
            return;
        };
        if *seq == self.seq {
            self.report.anchored = Some(*hash == hex(&self.prev));
        }
    }

    fn torn_before(&mut self, record: &Shape) {
        let recovery = record
            .torn
            .as_ref()
            .filter(|_| record.kind == Some(Kind::LogRecover));
        match (self.torn.take(), recovery) {
            (Some((line, offset, so_far)), Some(torn)) if so_far.is(torn) => {
                let bytes = so_far.bytes;
                self.report.recovered.push(Finding {
                    line,
                    offset,
                    what: format!(
                        "{bytes} bytes are no record; a later run found and recorded them"
                    ),
                });
            }
            (Some((line, offset, TornSoFar { bytes, .. })), _) => {
                self.report.findings.push(Finding {
                    line,
                    offset,
                    what: format!(
                        "{bytes} bytes are no record, and no recovery of them is on record"
                    ),
                });
            }
            (None, Some(_)) => self.find("it records torn bytes that are not there"),
            (None, None) => {}
        }
    }

    fn misshapen(&self, record: &Shape) -> Option<String> {
        // Where the very first line is torn, its recovery is the first record.
        let opens = matches!(record.kind, Some(Kind::LogOpen | Kind::LogRecover));
        if record.version != 1 {
            Some(format!(
                "its version is {}, and this program knows 1",
                record.version
            ))
        } else if let Some(wrong) = &record.wrong {
            Some(format!("its form is not that of a record: {wrong}"))
        } else if !self.opened && !opens {
            Some("a log begins with `log.open`".to_owned())
        } else if self.opened && record.kind == Some(Kind::LogOpen) {
            Some("a log is opened once, by its first record".to_owned())
        } else if self.log.is_some() && self.log != record.log {
            Some("it belongs to another log".to_owned())
        } else {
            None
        }
    }

    /// What the next records are judged by.
    fn follow(&mut self, record: Shape) {
        self.follow_run(&record);
        match (record.kind, record.intent) {
            (Some(Kind::Intent), _) => {
                let intent = (
                    self.line,
                    self.offset,
                    record.step.unwrap_or_default(),
                    record.run,
                );
                drop(self.open.insert(record.seq, intent));
            }
            (Some(Kind::Result), Some(intent)) => match self.open.remove(&intent) {
                None => self.find(format!(
                    "it is the result of record {intent}, which is no intent that waits for one"
                )),
                Some((.., run)) if run != record.run => {
                    self.find(format!(
                        "it is the result of record {intent}, which is of another run"
                    ));
                }
                Some(_) => {}
            },
            (Some(Kind::LogOpen), _) => self.report.previous = record.previous,
            _ => {}
        }
        // What is not opened by its first records is not said to be that of each.
        self.opened |= record.kind != Some(Kind::LogRecover);
        self.log = self.log.or(record.log);
    }

    /// A run's records are between its begin and its end.
    fn follow_run(&mut self, record: &Shape) {
        let Some(run) = record.run else { return };
        // Said once: what follows is taken for a run of which the begin is not there.
        match (self.runs.insert(run), record.kind == Some(Kind::RunBegin)) {
            (false, true) => self.find("its run has begun already"),
            (true, false) => {
                self.find("its run has not begun, or has ended: what came before is not known")
            }
            _ => {}
        }
        if record.kind == Some(Kind::RunEnd) {
            self.runs.remove(&run);
        }
    }

    fn find(&mut self, what: impl Into<String>) {
        self.report.findings.push(Finding {
            line: self.line,
            offset: self.offset,
            what: what.into(),
        });
    }

    fn finish(mut self) -> Report {
        if let Some((line, offset, TornSoFar { bytes, .. })) = self.torn.take() {
            let what = format!(
                "the last {bytes} bytes are no record: a run was cut off while writing (the next run records that), or someone wrote here"
            );
            self.report.findings.push(Finding { line, offset, what });
        }
        if self.report.records == 0 {
            self.line = self.line.max(1);
            self.find("there is no record in it");
        } else {
            self.report.head = Some(format!("{}:{}", self.seq, hex(&self.prev)));
        }
        self.report.log = self.log.map(|log| log.to_string());
        let unknown = |(seq, (line, offset, step, _))| Finding {
            line,
            offset,
            what: format!(
                "record {seq}, step `{step}`, has no result: whether it happened is not known"
            ),
        };
        self.report.unknown = self.open.into_iter().map(unknown).collect();
        self.report
    }
}
