//! Verifies logs: hash chain, sequence, form of each entry, runs, intents without a result, and
//! torn lines with their recovery.

mod blocks;

use super::body::PreviousLog;
use super::line::{LOG_FORMAT_VERSION, UnsupportedFormat};
use super::lines::TornAccumulator;
use crate::digest::Digest;
use blocks::{CheckedEntry, CheckedLine, EntryKind};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use uuid::Uuid;

/// A finding about one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Finding {
    /// Number of the line, from 1.
    pub line: u64,
    /// Start of the line in the file, in bytes.
    pub offset: u64,
    /// Description of the fault.
    pub message: String,
    #[serde(skip)]
    pub kind: FindingKind,
}

/// The entries that a finding puts in doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FindingKind {
    /// The line and all later ones.
    #[default]
    Line,
    /// The previous entry too, because its hash differs.
    BrokenChain,
    /// The whole file, because it contains no entry.
    EmptyLog,
}

impl Finding {
    fn from_line(line: u64, offset: u64, message: String) -> Self {
        Self {
            line,
            offset,
            message,
            kind: FindingKind::Line,
        }
    }
}

/// The result of verifying one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LogReport {
    /// Number of entries.
    pub entry_count: u64,
    /// UUID of the log.
    pub log: Option<String>,
    /// The head, `SEQ:HASH`.
    pub head: Option<String>,
    /// The log that this log continues, and its head.
    pub previous: Option<PreviousLog>,
    /// True if a rotation closed the log.
    pub closed: bool,
    /// Faults. Empty for an intact log.
    pub findings: Vec<Finding>,
    /// Intents without a result. Their effect is unknown.
    pub unknown: Vec<Finding>,
    /// Torn lines that a later run recovered.
    pub recovered: Vec<Finding>,
    /// The runs that begin in the log.
    #[serde(skip)]
    pub(super) runs: BTreeSet<Uuid>,
    /// True if the log contains the expected entry. `None` without an expected entry.
    #[serde(skip)]
    pub anchored: Option<bool>,
}

impl LogReport {
    /// Returns whether the log has no fault and contains the expected entry.
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
    /// The torn bytes behind the last good entry, and their first line and offset.
    torn: Option<(u64, u64, TornAccumulator)>,
    /// Intents without a result so far, by sequence number: line, offset, step and run.
    open_intents: BTreeMap<u64, (u64, u64, String, Option<Uuid>)>,
    /// Runs without an end so far.
    open_runs: BTreeSet<Uuid>,
    has_log_open: bool,
}

/// Verifies a log. `expect` is the sequence number and the hash of an entry, from an anchor.
///
/// # Errors
/// Fails if the log cannot be read.
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
    // The next line can be the recovery of a line. So the last line of a block waits for the next
    // block.
    let mut last: Option<(Vec<u8>, CheckedLine)> = None;
    blocks::for_each_block(input, |block| {
        let mut lines = block.lines.into_iter().peekable();
        if let Some((raw, line)) = last.take() {
            verifier.check_line(&raw, line, lines.peek());
        }
        let mut at = 0;
        while let Some(line) = lines.next() {
            let raw = &block.bytes[at..at + line.length];
            at += line.length;
            match lines.peek() {
                None => last = Some((raw.to_owned(), line)),
                next => verifier.check_line(raw, line, next),
            }
        }
    })?;
    if let Some((raw, line)) = last {
        verifier.check_line(&raw, line, None);
    }
    Ok(verifier.finish())
}

impl Verifier {
    fn check_line(&mut self, raw: &[u8], line: CheckedLine, next: Option<&CheckedLine>) {
        self.line += 1;
        match line.entry {
            Some(entry) if !self.is_recovered_by(raw, next) => self.check_entry(entry, line.hash),
            _ => self.add_torn_line(raw),
        }
        self.offset += raw.len() as u64;
    }

    /// Returns whether the next entry counts this line among the torn bytes. The line can be a
    /// complete entry without its LF: then it was never durable and is no link of the chain.
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
            .map_or_else(TornAccumulator::default, |(.., torn_bytes)| {
                torn_bytes.clone()
            })
            .matches_with_line(raw, torn)
    }

    fn add_torn_line(&mut self, raw: &[u8]) {
        let (.., torn_bytes) = self
            .torn
            .get_or_insert_with(|| (self.line, self.offset, TornAccumulator::default()));
        torn_bytes.add(raw);
    }

    fn check_entry(&mut self, entry: CheckedEntry, hash: Digest) {
        self.report.entry_count += 1;
        self.check_recovery(&entry);
        if entry.prev != Some(self.prev) {
            self.add_finding_of_kind(
                FindingKind::BrokenChain,
                "`prev` is not the hash of the previous entry: \
                 somebody edited, removed or inserted a line before this one",
            );
        }
        if entry.seq != self.seq + 1 {
            let expected = self.seq + 1;
            self.add_finding(format!(
                "the sequence number is {}, not {expected}: entries are missing or out of order",
                entry.seq
            ));
        }
        if self.report.closed {
            self.add_finding("a rotation closed the log before this entry");
        }
        if let Some(defect) = self.find_defect(&entry) {
            self.add_finding(defect);
        }
        (self.seq, self.prev) = (entry.seq, hash);
        self.check_anchor();
        self.report.closed = matches!(entry.kind, EntryKind::LogRotate);
        self.update_state(entry);
    }

    fn check_anchor(&mut self) {
        let Some((seq, hash)) = &self.expected_head else {
            return;
        };
        if *seq == self.seq {
            self.report.anchored = Some(*hash == self.prev.to_string());
        }
    }

    fn check_recovery(&mut self, entry: &CheckedEntry) {
        let recovery = match &entry.kind {
            EntryKind::LogRecover { torn } => Some(torn),
            _ => None,
        };
        match (self.torn.take(), recovery) {
            (Some((line, offset, torn_bytes)), Some(torn)) if torn_bytes.matches(torn) => {
                let bytes = torn_bytes.bytes;
                let message = format!("{bytes} torn bytes, recovered by a later run");
                let finding = Finding::from_line(line, offset, message);
                self.report.recovered.push(finding);
            }
            (Some((line, offset, TornAccumulator { bytes, .. })), _) => {
                let message = format!("{bytes} torn bytes, and no entry records their recovery");
                let finding = Finding::from_line(line, offset, message);
                self.report.findings.push(finding);
            }
            (None, Some(_)) => self.add_finding("the recovered torn bytes do not exist"),
            (None, None) => {}
        }
    }

    fn find_defect(&self, entry: &CheckedEntry) -> Option<String> {
        // If the very first line is torn, its recovery is the first entry.
        let opens = matches!(
            entry.kind,
            EntryKind::LogOpen { .. } | EntryKind::LogRecover { .. }
        );
        if entry.version != u64::from(LOG_FORMAT_VERSION) {
            Some(UnsupportedFormat(entry.version).to_string())
        } else if let EntryKind::Malformed { defect } = &entry.kind {
            Some(format!("invalid entry: {defect}"))
        } else if !self.has_log_open && !opens {
            Some("the log does not begin with `log.open`".to_owned())
        } else if self.has_log_open && matches!(entry.kind, EntryKind::LogOpen { .. }) {
            Some("second `log.open`".to_owned())
        } else if self.log.is_some() && self.log != entry.log {
            Some("the entry belongs to another log".to_owned())
        } else {
            None
        }
    }

    /// Updates the state that later entries are checked against.
    fn update_state(&mut self, entry: CheckedEntry) {
        self.update_open_runs(&entry);
        self.has_log_open |= !matches!(entry.kind, EntryKind::LogRecover { .. });
        self.log = self.log.or(entry.log);
        match entry.kind {
            EntryKind::Intent { step } => {
                let intent = (self.line, self.offset, step, entry.run);
                self.open_intents.insert(entry.seq, intent);
            }
            EntryKind::Result { intent } => match self.open_intents.remove(&intent) {
                None => {
                    self.add_finding(format!("entry {intent} is not an intent without a result"))
                }
                Some((.., run)) if run != entry.run => {
                    self.add_finding(format!("intent {intent} belongs to another run"));
                }
                Some(_) => {}
            },
            EntryKind::LogOpen { previous } => self.report.previous = previous,
            _ => {}
        }
    }

    /// Checks that the entries of a run are between its begin and its end.
    fn update_open_runs(&mut self, entry: &CheckedEntry) {
        let Some(run) = entry.run else { return };
        // The run counts as open from here on, so that it is reported only once.
        let is_open = !self.open_runs.insert(run);
        if matches!(entry.kind, EntryKind::RunBegin) {
            if !self.report.runs.insert(run) || is_open {
                self.add_finding("second `run.begin` of the run");
            }
        } else if !is_open {
            self.add_finding("entry before `run.begin` or after `run.end` of its run");
        }
        if matches!(entry.kind, EntryKind::RunEnd) {
            self.open_runs.remove(&run);
        }
    }

    fn add_finding(&mut self, message: impl Into<String>) {
        self.add_finding_of_kind(FindingKind::Line, message);
    }

    fn add_finding_of_kind(&mut self, kind: FindingKind, message: impl Into<String>) {
        self.report.findings.push(Finding {
            kind,
            ..Finding::from_line(self.line, self.offset, message.into())
        });
    }

    fn finish(mut self) -> LogReport {
        if let Some((line, offset, TornAccumulator { bytes, .. })) = self.torn.take() {
            let message = format!(
                "the last {bytes} bytes are not an entry: \
                 a run was killed while it wrote, or another program wrote to the file"
            );
            let finding = Finding::from_line(line, offset, message);
            self.report.findings.push(finding);
        }
        if self.report.entry_count == 0 {
            self.line = self.line.max(1);
            self.add_finding_of_kind(FindingKind::EmptyLog, "the log contains no entry");
        } else {
            self.report.head = Some(format!("{}:{}", self.seq, self.prev));
        }
        self.report.log = self.log.map(|log| log.to_string());
        let unknown = |(seq, (line, offset, step, _))| {
            let message =
                format!("entry {seq}, step `{step}`, has no result: its effect is unknown");
            Finding::from_line(line, offset, message)
        };
        self.report.unknown = self.open_intents.into_iter().map(unknown).collect();
        self.report
    }
}
