//! What is under way in a log, and must not be lost from sight: runs that have not ended, revocations that did not come
//! to their end.

use super::lines::for_each_record;
use super::record::Target;
use crate::error::ErrorKind;
use crate::tool::invocation::{Effect, ObjectRef};
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Seek as _};
use std::os::unix::fs::FileExt as _;

/// How far back deletions are looked for, in bytes: some thousand records.
const DELETIONS_WINDOW: u64 = 4 << 20;

/// How long what has not come to its end is taken to be under way where nobody can be asked.
const UNFINISHED_TTL: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// What tells whether the process of a run is still there, as `run.begin` has it.
#[derive(Deserialize)]
pub(super) struct RunProcess {
    pid: Option<i32>,
    process_start: Option<String>,
    actor: Option<ActorHost>,
}

#[derive(Deserialize)]
struct ActorHost {
    host: String,
}

impl RunProcess {
    fn is_local(&self) -> bool {
        self.actor
            .as_ref()
            .is_some_and(|who| who.host == crate::host::get_host_name())
    }

    /// Whether the very process that began the run is still there. One on another host cannot be asked after.
    pub(super) fn is_running(&self) -> bool {
        let Some(pid) = self
            .pid
            .filter(|_| self.is_local())
            .and_then(rustix::process::Pid::from_raw)
        else {
            return false;
        };
        match (
            &self.process_start,
            crate::host::read_process_start(pid.as_raw_nonzero().get().unsigned_abs()),
        ) {
            (Some(then), Some(now)) => *then == now,
            (Some(_), None) => false,
            (None, _) => rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH),
        }
    }
}

/// What is read of a record to find out which runs have not ended.
#[derive(Deserialize)]
struct RunMarker {
    #[serde(rename = "type")]
    kind: String,
    run: Option<String>,
    command: Option<String>,
    ts: String,
    #[serde(flatten)]
    process: RunProcess,
}

impl RunMarker {
    /// Whether it may still write to the log: its process is there, or is one of another host that began lately.
    fn can_write(&self) -> bool {
        self.process.is_running() || (!self.process.is_local() && is_recent(&self.ts))
    }

    fn describe(&self, run: &str) -> String {
        let host = self
            .process
            .actor
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
pub(super) fn find_unfinished_run(file: &File) -> io::Result<Option<String>> {
    let mut reader = BufReader::new(file);
    reader.rewind()?;
    let mut open: BTreeMap<String, RunMarker> = BTreeMap::new();
    for_each_record(&mut reader, |line| {
        let Ok(mut mark) = serde_json::from_slice::<RunMarker>(line) else {
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
        .find(|(_, mark)| mark.can_write())
        .map(|(run, mark)| mark.describe(run)))
}

fn is_recent(ts: &str) -> bool {
    ts.parse::<Timestamp>()
        .is_ok_and(|ts| ts >= Timestamp::now() - UNFINISHED_TTL)
}

/// What is read of a record to find out what revocations have begun.
#[derive(Deserialize)]
struct RunEvent {
    #[serde(rename = "type")]
    kind: String,
    object: Option<ObjectRef>,
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

impl RunEvent {
    /// Whether a run came to its end here, and did what it was to do.
    fn is_completed_run(&self) -> bool {
        self.kind == "run.end"
            && self.outcome.as_deref().is_some_and(|how| {
                [
                    "done",
                    ErrorKind::Inconclusive.name(),
                    ErrorKind::StillAccepted.name(),
                ]
                .contains(&how)
            })
    }

    /// Whether what had begun is over: a revocation came to its end here, whatever its proof showed, or the new token
    /// was put to use. Who revokes after that means the token in use.
    fn is_completed_revocation(&self) -> bool {
        self.is_completed_run()
            && self
                .command
                .as_deref()
                .is_some_and(|command| ["enable", "revoke", "rotate"].contains(&command))
            && self.dry_run == Some(false)
    }

    fn is_in_namespace(&self, place: &Target) -> bool {
        self.target
            .as_ref()
            .is_some_and(|target| target.is_same_namespace(place))
    }
}

/// The last megabytes of a log. A line that begins before them is no JSON, and passed over like a torn one.
fn read_run_events(file: &File) -> io::Result<Vec<RunEvent>> {
    let end = file.metadata()?.len();
    let start = end.saturating_sub(DELETIONS_WINDOW);
    let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, start)?;
    let mut deeds = Vec::new();
    for_each_record(&mut bytes.as_slice(), |line| {
        deeds.extend(serde_json::from_slice::<RunEvent>(line).ok())
    })?;
    Ok(deeds)
}

fn collect_begun_deletions(deeds: &[RunEvent], place: &Target) -> Vec<ObjectRef> {
    let mut begun = Vec::new();
    for deed in deeds.iter().filter(|deed| deed.is_in_namespace(place)) {
        if deed.is_completed_revocation() {
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
pub(super) fn find_begun_deletions(file: &File, place: &Target) -> io::Result<Vec<ObjectRef>> {
    Ok(collect_begun_deletions(&read_run_events(file)?, place))
}

/// Where a revocation was begun, in the last 24 hours, that did not come to its end.
pub(super) fn find_unfinished_revocation(file: &File) -> io::Result<Option<Target>> {
    let deeds = read_run_events(file)?;
    let places = deeds
        .iter()
        .filter(|deed| deed.object.is_some())
        .filter_map(|deed| deed.target.as_ref());
    let mut unfinished = places.filter(|place| !collect_begun_deletions(&deeds, place).is_empty());
    Ok(unfinished.next().cloned())
}

/// How far a plan has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanProgress {
    /// Nothing of it was begun.
    Pending,
    /// It was begun, and did not come to its end: the steps that were.
    Incomplete(Vec<String>),
    /// It was carried out.
    Done,
}

/// How far a plan has come by other runs than this one, as far as the last megabytes of the log show.
pub(super) fn find_plan_progress(file: &File, sha256: &str, but: &str) -> io::Result<PlanProgress> {
    let (mut runs, mut steps) = (Vec::new(), Vec::new());
    for deed in read_run_events(file)?
        .into_iter()
        .filter(|deed| deed.run.as_deref() != Some(but))
    {
        if deed.plan.as_deref() == Some(sha256) {
            steps.extend(deed.step.filter(|_| deed.effect == Some(Effect::Changes)));
            runs.push(deed.run);
        } else if deed.is_completed_run() && runs.contains(&deed.run) {
            return Ok(PlanProgress::Done);
        }
    }
    Ok(if steps.is_empty() {
        PlanProgress::Pending
    } else {
        PlanProgress::Incomplete(steps)
    })
}
