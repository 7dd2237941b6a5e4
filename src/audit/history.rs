//! Reads runs and their entries from a log. Torn lines and invalid entries are skipped, because
//! `verify` reports them.

use super::body::{Body, Operation, RunBegin, Target};
use super::lines::for_each_entry;
use crate::digest::Digest;
use serde::Serialize;
use std::io::{self, BufRead};
use uuid::Uuid;

/// An entry of a run.
pub struct RunEntry {
    pub seq: u64,
    pub ts: String,
    /// UUID of the log.
    pub log: String,
    /// SHA-256 of the raw line, LF included.
    pub sha256: String,
    pub body: Body,
}

/// The summary of a run.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Run {
    /// UUID of the run.
    pub run: String,
    /// Start of the run.
    pub started_at: String,
    /// End of the run. `None` for a run without an end.
    pub ended_at: Option<String>,
    /// The command.
    pub command: String,
    /// True if the run only showed its plan.
    pub dry_run: bool,
    /// User who started the run.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Text of `--reason`.
    pub reason: Option<String>,
    /// Name of the exit code. `unknown` for a run without an end.
    pub outcome: String,
    /// Exit code.
    pub exit_code: Option<u8>,
    /// True if the run changed anything. `None` for a run without an end.
    pub changed: Option<bool>,
    /// The target.
    pub target: Target,
    /// Number of commands that the run started.
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

/// Lists the runs in the order of their start.
///
/// # Errors
/// Fails if the log cannot be read.
pub fn list_runs(input: &mut dyn BufRead) -> io::Result<Vec<Run>> {
    let mut runs: Vec<(Uuid, Run)> = Vec::new();
    for_each_entry(input, |entry, _, _| {
        let (Some(id), Ok(body)) = (entry.run, entry.body) else {
            return;
        };
        // The entries of a run are close together, so the run is near the end of the list.
        let known = runs.iter_mut().rev().find(|(run, _)| *run == id);
        let known = known.map(|(_, run)| run);
        // No entry follows the end of a run. `verify` reports the others.
        if known.as_ref().is_some_and(|run| run.ended_at.is_some()) {
            return;
        }
        match (body, known) {
            (Body::RunBegin(begin), None) => {
                let run = Run::from_begin(id.to_string(), entry.ts.into_owned(), *begin);
                runs.push((id, run));
            }
            (Body::Intent(intent), Some(run)) => {
                let is_command = matches!(intent.operation, Operation::Process { .. });
                run.command_count += u64::from(is_command);
                run.target = intent.target;
            }
            (
                Body::RunEnd {
                    exit_code,
                    outcome,
                    changed,
                    target,
                    ..
                },
                Some(run),
            ) => {
                run.ended_at = Some(entry.ts.into_owned());
                (run.exit_code, run.changed) = (Some(exit_code), Some(changed));
                (run.outcome, run.target) = (outcome, target);
            }
            _ => {}
        }
    })?;
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

/// Reads the entries of all runs with this prefix of their ID, grouped by run.
///
/// # Errors
/// Fails if the log cannot be read.
pub fn read_entries(
    input: &mut dyn BufRead,
    run_prefix: &str,
) -> io::Result<Vec<(String, Vec<RunEntry>)>> {
    let mut runs: Vec<(String, Vec<RunEntry>)> = Vec::new();
    for_each_entry(input, |entry, line, _| {
        let (Some(id), Ok(body)) = (entry.run, entry.body) else {
            return;
        };
        let id = id.to_string();
        if !id.starts_with(run_prefix) {
            return;
        }
        let record = RunEntry {
            seq: entry.seq,
            ts: entry.ts.into_owned(),
            log: entry.log.into_owned(),
            sha256: Digest::compute(line).to_string(),
            body,
        };
        match runs.iter_mut().rev().find(|(run, _)| *run == id) {
            Some((_, records)) => records.push(record),
            None => runs.push((id, vec![record])),
        }
    })?;
    Ok(runs)
}
