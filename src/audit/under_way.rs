//! What is under way in a log, and must not be lost from sight: runs that have not ended, revocations that did not come
//! to their end.

use super::lines::each_record;
use super::record::Target;
use crate::error::Kind;
use crate::tool::invocation::{Effect, Object};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Seek as _};
use std::os::unix::fs::FileExt as _;

/// How far back deletions are looked for, in bytes: some thousand records.
const DELETIONS_WINDOW: u64 = 4 << 20;

/// How long what has not come to its end is taken to be under way where nobody can be asked.
const REMEMBERED: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// What tells whether the process of a run is still there, as `run.begin` has it.
#[derive(Deserialize)]
pub(super) struct Process {
    pid: Option<i32>,
    started: Option<String>,
    who: Option<Host>,
}

#[derive(Deserialize)]
struct Host {
    host: String,
}

impl Process {
    fn is_of_this_host(&self) -> bool {
        self.who
            .as_ref()
            .is_some_and(|who| who.host == super::host())
    }

    /// Whether the very process that began the run is still there. One on another host cannot be asked after.
    pub(super) fn still_runs(&self) -> bool {
        let Some(pid) = self
            .pid
            .filter(|_| self.is_of_this_host())
            .and_then(rustix::process::Pid::from_raw)
        else {
            return false;
        };
        match (
            &self.started,
            super::process_start(pid.as_raw_nonzero().get().unsigned_abs()),
        ) {
            (Some(then), Some(now)) => *then == now,
            (Some(_), None) => false,
            (None, _) => rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH),
        }
    }
}

/// What is read of a record to find out which runs have not ended.
#[derive(Deserialize)]
struct Mark {
    #[serde(rename = "type")]
    kind: String,
    run: Option<String>,
    command: Option<String>,
    ts: String,
    #[serde(flatten)]
    process: Process,
}

impl Mark {
    /// Whether it may still write to the log: its process is there, or is one of another host that began lately.
    fn may_write(&self) -> bool {
        self.process.still_runs() || (!self.process.is_of_this_host() && is_recent(&self.ts))
    }

    fn told(&self, run: &str) -> String {
        let host = self
            .process
            .who
            .as_ref()
            .map_or("", |who| who.host.as_str());
        let command = self.command.as_deref().unwrap_or_default();
        format!(
            "`{command}` (run {run}, process {} on {host})",
            self.process.pid.unwrap_or_default()
        )
    }
}

/// A run that has not ended, as it is told.
pub(super) fn run(file: &File) -> io::Result<Option<String>> {
    let mut reader = BufReader::new(file);
    reader.rewind()?;
    let mut open: BTreeMap<String, Mark> = BTreeMap::new();
    each_record(&mut reader, |line| {
        let Ok(mut mark) = serde_json::from_slice::<Mark>(line) else {
            return;
        };
        let Some(run) = mark.run.take() else { return };
        match mark.kind.as_str() {
            "run.begin" => drop(open.insert(run, mark)),
            "run.end" => drop(open.remove(&run)),
            _ => {}
        }
    })?;
    Ok(open
        .iter()
        .find(|(_, mark)| mark.may_write())
        .map(|(run, mark)| mark.told(run)))
}

fn is_recent(ts: &str) -> bool {
    ts.parse::<Timestamp>()
        .is_ok_and(|ts| ts >= Timestamp::now() - REMEMBERED)
}

/// What is read of a record to find out what revocations have begun.
#[derive(Deserialize)]
struct Deed {
    #[serde(rename = "type")]
    kind: String,
    object: Option<Object>,
    target: Option<Target>,
    command: Option<String>,
    dry_run: Option<bool>,
    outcome: Option<String>,
    run: Option<String>,
    step: Option<String>,
    plan: Option<String>,
    effect: Option<Effect>,
    ts: String,
}

impl Deed {
    /// Whether a run came to its end here, and did what it was to do.
    fn ends_run(&self) -> bool {
        self.kind == "run.end"
            && self.outcome.as_deref().is_some_and(|how| {
                [
                    "done",
                    Kind::Inconclusive.name(),
                    Kind::StillAccepted.name(),
                ]
                .contains(&how)
            })
    }

    /// Whether what had begun is over: a revocation came to its end here, whatever its proof showed, or the new token
    /// was put to use. Who revokes after that means the token in use.
    fn ends_revocation(&self) -> bool {
        self.ends_run()
            && self
                .command
                .as_deref()
                .is_some_and(|command| ["enable", "revoke", "rotate"].contains(&command))
            && self.dry_run == Some(false)
    }

    fn is_in(&self, place: &Target) -> bool {
        self.target
            .as_ref()
            .is_some_and(|target| target.is_same_place(place))
    }
}

/// The last megabytes of a log. A line that begins before them is no JSON, and passed over like a torn one.
fn deeds(file: &File) -> io::Result<Vec<Deed>> {
    let end = file.metadata()?.len();
    let start = end.saturating_sub(DELETIONS_WINDOW);
    let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, start)?;
    let mut deeds = Vec::new();
    each_record(&mut bytes.as_slice(), |line| {
        deeds.extend(serde_json::from_slice::<Deed>(line).ok())
    })?;
    Ok(deeds)
}

fn begun(deeds: &[Deed], place: &Target) -> Vec<Object> {
    let mut begun = Vec::new();
    for deed in deeds.iter().filter(|deed| deed.is_in(place)) {
        if deed.ends_revocation() {
            begun.clear();
        }
        begun.extend(
            deed.object
                .clone()
                .filter(|_| deed.kind == "intent" && is_recent(&deed.ts)),
        );
    }
    begun
}

/// The objects whose deletion in this place was begun, in the last 24 hours, by revocations that did not come to their
/// end, as far as the last megabytes of the log show. Only since then: a revocation that was carried on elsewhere is
/// not known here to have ended, and must not be taken for one that goes on for ever.
pub(super) fn deletions(file: &File, place: &Target) -> io::Result<Vec<Object>> {
    Ok(begun(&deeds(file)?, place))
}

/// Where a revocation was begun, in the last 24 hours, that did not come to its end.
pub(super) fn revocation(file: &File) -> io::Result<Option<Target>> {
    let deeds = deeds(file)?;
    let places = deeds
        .iter()
        .filter(|deed| deed.object.is_some())
        .filter_map(|deed| deed.target.as_ref());
    let mut unfinished = places.filter(|place| !begun(&deeds, place).is_empty());
    Ok(unfinished.next().cloned())
}

/// How far a plan has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanStand {
    /// Nothing of it was begun.
    Left,
    /// It was begun, and did not come to its end: the steps that were.
    Begun(Vec<String>),
    /// It was carried out.
    Done,
}

/// How far a plan has come by other runs than this one, as far as the last megabytes of the log show.
pub(super) fn plan(file: &File, sha256: &str, but: &str) -> io::Result<PlanStand> {
    let (mut runs, mut steps) = (Vec::new(), Vec::new());
    for deed in deeds(file)?
        .into_iter()
        .filter(|deed| deed.run.as_deref() != Some(but))
    {
        if deed.plan.as_deref() == Some(sha256) {
            steps.extend(deed.step.filter(|_| deed.effect == Some(Effect::Changes)));
            runs.push(deed.run);
        } else if deed.ends_run() && runs.contains(&deed.run) {
            return Ok(PlanStand::Done);
        }
    }
    Ok(if steps.is_empty() {
        PlanStand::Left
    } else {
        PlanStand::Begun(steps)
    })
}
