//! What the record tells, run by run. Lines that are no record are passed over: whether the log holds is for `verify`.

use super::lines::for_each_record;
use super::record::{Body, RunBegin, Target};
use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead};

/// A record of a run.
pub struct Record {
    /// Its sequence number.
    pub seq: u64,
    /// When it was made.
    pub ts: String,
    /// The log that it is in.
    pub log: String,
    /// SHA-256 of its raw line, LF included.
    pub sha256: String,
    /// What it says.
    pub body: Body,
}

/// A run in short.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Run {
    /// Its name in the record.
    pub run: String,
    /// When it began.
    pub started_at: String,
    /// When it ended; `None` where it did not say so.
    pub ended_at: Option<String>,
    /// Which command.
    pub command: String,
    /// Whether it only showed what it would do.
    pub dry_run: bool,
    /// Who ran it: user and host.
    pub user: String,
    /// The machine.
    pub host: String,
    /// Why.
    pub reason: Option<String>,
    /// How it ended, in a word; `unknown` where it did not say so.
    pub outcome: String,
    /// The exit code.
    pub exit_code: Option<u8>,
    /// Whether anything was changed; `None` where it did not say so.
    pub changed: Option<bool>,
    /// What it was done to.
    pub target: Target,
    /// How many commands it ran.
    pub command_count: u64,
}

impl Run {
    fn from_begin(run: String, ts: String, begin: RunBegin) -> Self {
        Self {
            run,
            started_at: ts,
            ended_at: None,
            command: begin.command,
            dry_run: begin.dry_run,
            user: begin.actor.user_name(),
            host: begin.actor.host,
            reason: begin.reason,
            outcome: "unknown".to_owned(),
            exit_code: None,
            changed: None,
            target: Target::default(),
            command_count: 0,
        }
    }
}

/// What is read of every line.
#[derive(Deserialize)]
struct LineSummary {
    seq: u64,
    #[serde(rename = "type")]
    kind: String,
    run: Option<String>,
    log: String,
    ts: String,
    argv: Option<serde::de::IgnoredAny>,
    target: Option<Target>,
}

fn for_each_line(
    input: &mut dyn BufRead,
    mut take: impl FnMut(LineSummary, &[u8]),
) -> io::Result<()> {
    for_each_record(input, |line| {
        if let Ok(glance) = serde_json::from_slice(line) {
            take(glance, line);
        }
    })
}

/// All runs, in the order in which they began.
///
/// # Errors
/// Those of reading.
pub fn list_runs(input: &mut dyn BufRead) -> io::Result<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::new();
    for_each_line(input, |glance, line| {
        let Some(id) = glance.run else { return };
        // A run's records lie close together, near the end of what was read so far.
        let known = runs.iter_mut().rev().find(|run| run.run == id);
        match (glance.kind.as_str(), known) {
            ("run.begin", None) => {
                if let Ok(Body::RunBegin(begin)) = serde_json::from_slice(line) {
                    runs.push(Run::from_begin(id, glance.ts, *begin));
                }
            }
            ("intent", Some(run)) => {
                run.command_count += u64::from(glance.argv.is_some());
                run.target = glance.target.unwrap_or_default();
            }
            ("run.end", Some(run)) => {
                if let Ok(Body::RunEnd {
                    exit_code: code,
                    outcome,
                    changed,
                    target,
                    ..
                }) = serde_json::from_slice(line)
                {
                    (run.ended_at, run.exit_code, run.changed) =
                        (Some(glance.ts), Some(code), Some(changed));
                    (run.outcome, run.target) = (outcome, target);
                }
            }
            _ => {}
        }
    })?;
    Ok(runs)
}

/// The records of the runs whose name begins so, each run's together.
///
/// # Errors
/// Those of reading.
pub fn read_records(
    input: &mut dyn BufRead,
    wanted: &str,
) -> io::Result<Vec<(String, Vec<Record>)>> {
    let mut runs: Vec<(String, Vec<Record>)> = Vec::new();
    for_each_line(input, |glance, line| {
        let Some(id) = glance.run.filter(|id| id.starts_with(wanted)) else {
            return;
        };
        let Ok(body) = serde_json::from_slice::<Body>(line) else {
            return;
        };
        let sha256 = Digest::compute(line).to_string();
        let record = Record {
            seq: glance.seq,
            ts: glance.ts,
            log: glance.log,
            sha256,
            body,
        };
        match runs.iter_mut().rev().find(|(run, _)| *run == id) {
            Some((_, records)) => records.push(record),
            None => runs.push((id, vec![record])),
        }
    })?;
    Ok(runs)
}
