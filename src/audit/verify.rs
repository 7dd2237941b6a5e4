//! Whether a log holds: chain, sequence, form, intents without a result, torn lines and their recovery.

use super::record::NO_PREVIOUS;
use crate::secret::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, BufRead};

/// A line longer than this is no record, in bytes.
const MAX_LINE: usize = 16 << 20;

/// The form of a record: what every one has, and what some have.
#[derive(Deserialize)]
struct Parsed<'a> {
    v: u64,
    seq: u64,
    #[serde(borrow)]
    prev: &'a str,
    #[serde(borrow, rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    log: &'a str,
    run: Option<&'a str>,
    ts: Option<&'a str>,
    step: Option<&'a str>,
    intent: Option<u64>,
    torn: Option<super::record::Torn>,
}

impl<'de> Deserialize<'de> for super::record::Torn {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Fields {
            bytes: u64,
            sha256: String,
        }
        Fields::deserialize(input).map(|fields| Self { bytes: fields.bytes, sha256: fields.sha256 })
    }
}

/// Something that does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
pub struct Report {
    /// How many records.
    pub records: u64,
    /// The log's name.
    pub log: Option<String>,
    /// The last record, `SEQ:HASH`.
    pub head: Option<String>,
    /// What does not hold; empty when all does.
    pub findings: Vec<Finding>,
    /// Commands of which only the intent is on record: whether they happened is not known.
    pub unknown: Vec<Finding>,
    /// Torn lines that a later run recovered.
    pub recovered: Vec<Finding>,
    /// Whether a record had the expected hash; `None` when nothing was expected.
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
    prev: String,
    /// Lines behind the last good record that are none: where they begin, how many bytes, their digest so far.
    torn: Option<(u64, u64, u64, Sha256)>,
    open: BTreeMap<u64, (u64, u64, String)>,
}

/// Verifies a log; `expect` is a record's sequence number and hash, known from outside.
///
/// # Errors
/// Only those of reading.
pub fn verify(input: &mut dyn BufRead, expect: Option<(u64, String)>) -> io::Result<Report> {
    let report = Report { anchored: expect.as_ref().map(|_| false), ..Report::default() };
    let mut verifier = Verifier {
        report,
        expect,
        line: 0,
        offset: 0,
        seq: 0,
        prev: NO_PREVIOUS.to_owned(),
        torn: None,
        open: BTreeMap::new(),
    };
    // A line is judged when the one behind it is known: that may be its recovery.
    let (mut raw, mut next) = (Vec::new(), Vec::new());
    read_line(input, &mut raw)?;
    while !raw.is_empty() {
        read_line(input, &mut next)?;
        verifier.take(&raw, &next);
        verifier.offset += raw.len() as u64;
        std::mem::swap(&mut raw, &mut next);
    }
    Ok(verifier.finish())
}

fn read_line(input: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    io::Read::take(&mut *input, MAX_LINE as u64).read_until(b'\n', line).map(drop)
}

fn parsed(raw: &[u8]) -> Option<Parsed<'_>> {
    let record = raw.strip_suffix(b"\n").filter(|record| record.is_ascii())?;
    serde_json::from_slice(record).ok()
}

impl Verifier {
    fn take(&mut self, raw: &[u8], next: &[u8]) {
        self.line += 1;
        match parsed(raw) {
            Some(record) if !self.recovered_by(raw, next) => self.record(&record, raw),
            _ => self.no_record(raw),
        }
    }

    /// Whether the next record says that this line had no LF when its run was cut off: whole as it is, it was never
    /// durable, and the chain goes on without it.
    fn recovered_by(&self, raw: &[u8], next: &[u8]) -> bool {
        let Some(next) = parsed(next).filter(|next| next.kind == "log.recover" && next.prev == self.prev) else {
            return false;
        };
        let (bytes, digest) =
            self.torn.as_ref().map_or((0, Sha256::new()), |(_, _, bytes, digest)| (*bytes, digest.clone()));
        let (bytes, digest) = (bytes + raw.len() as u64, digest.chain_update(raw));
        next.torn.is_some_and(|torn| torn.bytes == bytes && torn.sha256 == hex(&digest.finalize()))
    }

    fn no_record(&mut self, raw: &[u8]) {
        let (_, _, bytes, digest) = self.torn.get_or_insert_with(|| (self.line, self.offset, 0, Sha256::new()));
        *bytes += raw.len() as u64;
        digest.update(raw);
    }

    fn record(&mut self, record: &Parsed, raw: &[u8]) {
        self.report.records += 1;
        self.torn_before(record);
        if record.prev != self.prev {
            self.find("its `prev` is not the hash of the record before it: something before this line was edited, cut out or put in");
        }
        if record.seq != self.seq + 1 {
            self.find(format!(
                "its sequence number is {}, not {}: what was in between is not known",
                record.seq,
                self.seq + 1
            ));
        }
        if let Some(problem) = self.misshapen(record) {
            self.find(problem);
        }
        self.follow(record);
        self.seq = record.seq;
        self.prev = hex(&Sha256::digest(raw));
        self.anchor();
        self.report.log.get_or_insert_with(|| record.log.to_owned());
        self.report.head = Some(format!("{}:{}", self.seq, self.prev));
    }

    fn anchor(&mut self) {
        let Some((seq, hash)) = &self.expect else { return };
        if *seq == self.seq {
            self.report.anchored = Some(*hash == self.prev);
        }
    }

    fn torn_before(&mut self, record: &Parsed) {
        let recovery = record.torn.as_ref().filter(|_| record.kind == "log.recover");
        match (self.torn.take(), recovery) {
            (Some((line, offset, bytes, digest)), Some(torn))
                if torn.bytes == bytes && torn.sha256 == hex(&digest.clone().finalize()) =>
            {
                self.report.recovered.push(Finding {
                    line,
                    offset,
                    what: format!("{bytes} bytes are no record; a later run found and recorded them"),
                });
            }
            (Some((line, offset, bytes, _)), _) => {
                self.report.findings.push(Finding {
                    line,
                    offset,
                    what: format!("{bytes} bytes are no record, and no recovery of them is on record"),
                });
            }
            (None, Some(_)) => self.find("it records torn bytes that are not there"),
            (None, None) => {}
        }
    }

    fn misshapen(&self, record: &Parsed) -> Option<String> {
        let known = ["log.open", "run.begin", "tool", "intent", "result", "run.end", "log.recover", "log.rotate"];
        let first = self.seq == 0 && !["log.open", "log.recover"].contains(&record.kind);
        let in_run = !record.kind.starts_with("log.");
        if record.v != 1 {
            Some(format!("its version is {}, and this program knows 1", record.v))
        } else if !known.contains(&record.kind) {
            Some("its type is not known".to_owned())
        } else if first {
            Some("a log begins with `log.open`".to_owned())
        } else if self.report.log.as_deref().is_some_and(|log| log != record.log) {
            Some("it belongs to another log".to_owned())
        } else if in_run && record.run.is_none() || record.ts.is_none_or(|ts| ts.parse::<jiff::Timestamp>().is_err()) {
            Some("its run or its time is missing".to_owned())
        } else if record.kind == "intent" && record.step.is_none() || record.kind == "result" && record.intent.is_none()
        {
            Some("the step of an intent, or the intent of a result, is missing".to_owned())
        } else {
            None
        }
    }

    fn follow(&mut self, record: &Parsed) {
        match (record.kind, record.intent) {
            ("intent", _) => {
                drop(self.open.insert(record.seq, (self.line, self.offset, record.step.unwrap_or_default().to_owned())))
            }
            ("result", Some(intent)) if self.open.remove(&intent).is_none() => {
                self.find(format!("it is the result of record {intent}, which is no intent that waits for one"));
            }
            _ => {}
        }
    }

    fn find(&mut self, what: impl Into<String>) {
        self.report.findings.push(Finding { line: self.line, offset: self.offset, what: what.into() });
    }

    fn finish(mut self) -> Report {
        if let Some((line, offset, bytes, _)) = self.torn.take() {
            let what = format!(
                "the last {bytes} bytes are no record: a run was cut off while writing (the next run records that), or someone wrote here"
            );
            self.report.findings.push(Finding { line, offset, what });
        }
        if self.report.records == 0 {
            self.find("there is no record in it");
        }
        let unknown = |(seq, (line, offset, step))| Finding {
            line,
            offset,
            what: format!("record {seq}, step `{step}`, has no result: whether it happened is not known"),
        };
        self.report.unknown = self.open.into_iter().map(unknown).collect();
        self.report
    }
}
