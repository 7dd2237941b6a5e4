//! Finds the unfinished work in a log: runs without an end, and revocations and plans that did not
//! finish.

use super::body::{
    Body, Operation, ProbeSubject, ProbeVerdict, RunBegin, SecretVersion, Target, Text,
    VerifiedSecrets,
};
use super::entry::Entry;
use super::lines::for_each_entry;
use super::process::{is_local, is_running};
use super::recent::RecentLog;
use crate::error::ErrorKind;
use crate::tool::invocation::{Effect, ObjectKind, ObjectRef};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Seek as _};
use uuid::Uuid;

/// Time until work without an end counts as abandoned, if its process cannot be checked.
const UNFINISHED_TTL: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// Finds a run that has not ended and can still write to the log. Returns its description.
pub(super) fn find_unfinished_run(file: &File) -> io::Result<Option<String>> {
    let mut reader = BufReader::new(file);
    reader.rewind()?;
    let mut open: BTreeMap<Uuid, (RunBegin, String)> = BTreeMap::new();
    for_each_entry(&mut reader, |entry, _, _| {
        let Some(run) = entry.run else { return };
        match entry.body {
            Ok(Body::RunBegin(begin)) => {
                open.insert(run, (*begin, entry.ts.into_owned()));
            }
            Ok(Body::RunEnd { .. }) => drop(open.remove(&run)),
            _ => {}
        }
    })?;
    let can_write =
        |begin: &RunBegin, ts: &str| is_running(begin) || (!is_local(begin) && is_recent(ts));
    let run = open.iter().find(|(_, (begin, ts))| can_write(begin, ts));
    Ok(run.map(|(run, (begin, _))| {
        let RunBegin {
            command,
            pid,
            actor,
            ..
        } = begin;
        format!("`{command}` (run {run}, process {pid} on {})", actor.host)
    }))
}

fn is_recent(ts: &str) -> bool {
    ts.parse::<Timestamp>()
        .is_ok_and(|ts| ts >= Timestamp::now() - UNFINISHED_TTL)
}

/// The start, an intent or the end of a run, with the facts that show how far revocations and plans
/// got.
struct RunEvent {
    run: String,
    target: Target,
    kind: RunEventKind,
}

enum RunEventKind {
    Begin(Box<RunBegin>),
    Intent {
        seq: u64,
        ts: String,
        step: String,
        plan: Option<String>,
        effect: Effect,
        is_process: bool,
        object: Option<ObjectRef>,
        probe: Option<ProbeSubject>,
    },
    /// A job created these secrets.
    Created(Vec<ObjectRef>),
    /// The result of a token probe.
    Probed {
        intent: u64,
        verdict: ProbeVerdict,
    },
    End {
        /// The run reached its goal.
        is_completed: bool,
        /// The run left no revocation unfinished. Either a revocation ended, with any result of
        /// its verification, or the new token was enabled. A later revocation means the new token.
        is_completed_revocation: bool,
        /// The run changed something.
        has_changed: bool,
    },
}

impl RunEvent {
    fn from_entry(entry: Entry) -> Option<Self> {
        let run = entry.run?.to_string();
        let (target, kind) = match entry.body.ok()? {
            Body::RunBegin(begin) => (Target::default(), RunEventKind::Begin(begin)),
            Body::Intent(intent) => {
                let is_process = matches!(intent.operation, Operation::Process { .. });
                let (object, probe) = match intent.operation {
                    Operation::Process { object, probe, .. } => (object, probe),
                    Operation::File { .. } => (None, None),
                };
                let kind = RunEventKind::Intent {
                    seq: entry.seq,
                    ts: entry.ts.into_owned(),
                    step: intent.step,
                    plan: intent.plan,
                    effect: intent.effect,
                    is_process,
                    object,
                    probe,
                };
                (intent.target, kind)
            }
            Body::Result(result) => {
                let (intent, verdict) = (result.intent, result.verdict?);
                (Target::default(), RunEventKind::Probed { intent, verdict })
            }
            Body::Creation(creation) => (creation.target, RunEventKind::Created(creation.secrets)),
            Body::RunEnd {
                command,
                dry_run,
                outcome,
                changed,
                target,
                ..
            } => {
                let completing = [
                    "done",
                    ErrorKind::Inconclusive.name(),
                    ErrorKind::StillAccepted.name(),
                ];
                let is_completed = completing.contains(&outcome.as_str());
                let is_revocation = ["enable", "revoke", "rotate"].contains(&command.as_str());
                let kind = RunEventKind::End {
                    is_completed,
                    is_completed_revocation: is_completed && is_revocation && !dry_run,
                    has_changed: changed,
                };
                (target, kind)
            }
            _ => return None,
        };
        Some(Self { run, target, kind })
    }
}

/// Reads the events of revocations, and the ends of other runs that leave none unfinished.
fn read_revocation_events(log: &RecentLog) -> io::Result<Vec<RunEvent>> {
    // Most logs have no revocation.
    let patterns: [&[u8]; 3] = [
        br#""command":"revoke""#,
        br#""command":"rotate""#,
        br#""object":{"#,
    ];
    let mut events: Vec<RunEvent> = Vec::new();
    if !log.contains_any(&patterns)? {
        return Ok(events);
    }
    let mut revocations = BTreeSet::new();
    log.for_each_entry(|entry| {
        let Some(event) = RunEvent::from_entry(entry) else {
            return;
        };
        let is_start = match &event.kind {
            RunEventKind::Begin(begin) => is_revocation(begin),
            RunEventKind::Intent { object, .. } => object.is_some(),
            _ => false,
        };
        if is_start {
            revocations.insert(event.run.clone());
        }
        let is_end = |event: &RunEvent| {
            matches!(
                event.kind,
                RunEventKind::End {
                    is_completed_revocation: true,
                    ..
                }
            )
        };
        // Thousands of other runs can end in a day. One end for each target is enough.
        let is_repeated = |last: &RunEvent| is_end(last) && last.target == event.target;
        if revocations.contains(&event.run)
            || (is_end(&event) && !events.last().is_none_or(is_repeated))
        {
            events.push(event);
        }
    })?;
    remove_refused_changes(&mut events);
    Ok(events)
}

/// Removes the changes of runs that changed nothing: the server refused them all.
fn remove_refused_changes(events: &mut Vec<RunEvent>) {
    let unchanged: BTreeSet<String> = events
        .iter()
        .filter(|event| {
            matches!(
                event.kind,
                RunEventKind::End {
                    has_changed: false,
                    ..
                }
            )
        })
        .map(|event| event.run.clone())
        .collect();
    events.retain(|event| {
        let is_change = matches!(
            event.kind,
            RunEventKind::Intent {
                effect: Effect::Changes,
                ..
            }
        );
        !is_change || !unchanged.contains(&event.run)
    });
}

/// What unfinished revocations of a namespace started to change.
#[derive(Default)]
pub struct StartedChanges {
    /// They started to change more than local files. A rotation that continues after
    /// `revoke --no-new-token` deletes no keys.
    pub has_changes: bool,
    /// The objects that they started to delete.
    pub deletions: Vec<ObjectRef>,
}

fn collect_started_changes(events: &[RunEvent], target: &Target) -> StartedChanges {
    let mut started = StartedChanges::default();
    for event in events {
        if !event.target.is_same_namespace(target) {
            continue;
        }
        match &event.kind {
            RunEventKind::Intent {
                ts,
                effect: Effect::Changes,
                is_process: true,
                object,
                ..
            } if is_recent(ts) => {
                started.has_changes = true;
                started.deletions.extend(object.clone());
            }
            RunEventKind::End {
                is_completed_revocation: true,
                ..
            } => started = StartedChanges::default(),
            _ => {}
        }
    }
    started
}

/// Finds what unfinished revocations of the last 24 hours started to change in this namespace.
///
/// A revocation that was resumed on another host has no end in this log. The limit of 24 hours
/// keeps it from counting as unfinished forever.
pub(super) fn find_started_changes(log: &RecentLog, target: &Target) -> io::Result<StartedChanges> {
    let events = read_revocation_events(log)?;
    Ok(collect_started_changes(&events, target))
}

/// Finds the secrets of this namespace that jobs of unfinished revocations created.
pub(super) fn find_created_secrets(log: &RecentLog, target: &Target) -> io::Result<Vec<ObjectRef>> {
    let mut created = Vec::new();
    for event in read_revocation_events(log)? {
        match event.kind {
            _ if !event.target.is_same_namespace(target) => {}
            RunEventKind::Created(secrets) => created.extend(secrets),
            RunEventKind::End {
                is_completed_revocation: true,
                ..
            } => created.clear(),
            _ => {}
        }
    }
    Ok(created)
}

/// Returns whether a run revokes tokens.
fn is_revocation(begin: &RunBegin) -> bool {
    ["revoke", "rotate"].contains(&begin.command.as_str()) && !begin.dry_run
}

/// A run of a revocation that has not finished.
pub struct UnfinishedRevocation {
    /// UUID of the run.
    pub run: String,
    /// The target of its last intent.
    pub target: Target,
    /// The start of the run, unless it precedes the recent entries.
    pub begin: Option<RunBegin>,
    pub state: RevocationState,
}

pub enum RevocationState {
    /// Its process exists on this host.
    Running,
    /// No process of it exists on this host.
    Stopped {
        /// The last step that began to change something.
        last_step: String,
    },
}

impl UnfinishedRevocation {
    /// Returns whether the run began on another host, where it can still run.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.begin.as_ref().is_some_and(|begin| !is_local(begin))
    }

    /// Returns the command line of the run. Omits words that are not UTF-8.
    #[must_use]
    pub fn argv(&self) -> Vec<String> {
        let words = self.begin.iter().flat_map(|begin| &begin.argv);
        words
            .filter_map(|word| match word {
                Text::Utf8(word) => Some(word.clone()),
                Text::Bytes { .. } => None,
            })
            .collect()
    }
}

/// The facts about one run in the recent entries of a log.
#[derive(Default)]
struct RunProgress<'a> {
    begin: Option<&'a RunBegin>,
    target: Option<&'a Target>,
    last_change: Option<&'a str>,
    deletes: bool,
    has_ended: bool,
}

impl RunProgress<'_> {
    fn is_revocation(&self) -> bool {
        self.begin.map_or(self.deletes, is_revocation)
    }
}

/// Lists the runs with their progress, in the order of their first event.
fn list_run_progress(events: &[RunEvent]) -> Vec<(&str, RunProgress<'_>)> {
    let mut runs: Vec<(&str, RunProgress)> = Vec::new();
    for event in events {
        // The entries of a run are close together, so the run is near the end of the list.
        let index = runs.iter().rposition(|(run, _)| *run == event.run);
        let index = index.unwrap_or_else(|| {
            runs.push((&event.run, RunProgress::default()));
            runs.len() - 1
        });
        let progress = &mut runs[index].1;
        match &event.kind {
            RunEventKind::Begin(begin) => progress.begin = Some(begin),
            RunEventKind::Intent {
                step,
                effect,
                object,
                ..
            } => {
                progress.target = Some(&event.target);
                progress.deletes |= object.is_some();
                if *effect == Effect::Changes {
                    progress.last_change = Some(step);
                }
            }
            RunEventKind::Created(_) | RunEventKind::Probed { .. } => {}
            RunEventKind::End { .. } => progress.has_ended = true,
        }
    }
    runs
}

/// Lists the running revocations, then those of the last 24 hours that did not finish. The last one
/// comes first.
///
/// Without a target, every namespace counts.
pub(super) fn list_unfinished_revocations(
    log: &RecentLog,
    target: Option<&Target>,
) -> io::Result<Vec<UnfinishedRevocation>> {
    let events = read_revocation_events(log)?;
    let candidates: Vec<_> = list_run_progress(&events)
        .into_iter()
        .filter_map(|(run, progress)| Some((run, progress.target?, progress)))
        .filter(|(_, found, progress)| {
            progress.is_revocation() && target.is_none_or(|target| found.is_same_namespace(target))
        })
        .rev()
        .collect();
    let is_running =
        |progress: &RunProgress| !progress.has_ended && progress.begin.is_some_and(is_running);
    let (running, stopped): (Vec<_>, Vec<_>) = candidates
        .into_iter()
        .partition(|(.., progress)| is_running(progress));
    let running = running
        .into_iter()
        .map(|candidate| (candidate, RevocationState::Running));
    let stopped = stopped.into_iter().filter_map(|candidate| {
        let (_, target, progress) = &candidate;
        let last_step = progress.last_change?.to_owned();
        let is_unfinished = collect_started_changes(&events, target).has_changes;
        is_unfinished.then_some((candidate, RevocationState::Stopped { last_step }))
    });
    let build = |((run, target, progress), state): ((&str, &Target, RunProgress), _)| {
        UnfinishedRevocation {
            run: run.to_owned(),
            target: target.clone(),
            begin: progress.begin.cloned(),
            state,
        }
    };
    Ok(running.chain(stopped).map(build).collect())
}

/// Returns whether the unfinished revocation of this namespace saw this token accepted at this
/// address before it started to delete the keys.
pub(super) fn has_accepted_probe(
    log: &RecentLog,
    target: &Target,
    subject: &ProbeSubject,
) -> io::Result<bool> {
    if subject.token_hmac.is_none() {
        return Ok(false);
    }
    let mut probes: Vec<u64> = Vec::new();
    let (mut is_accepted, mut is_deleting) = (false, false);
    for event in read_revocation_events(log)? {
        match event.kind {
            RunEventKind::Probed {
                intent,
                verdict: ProbeVerdict::Accepted,
            } => is_accepted |= !is_deleting && probes.contains(&intent),
            _ if !event.target.is_same_namespace(target) => {}
            RunEventKind::Intent {
                seq, object, probe, ..
            } => {
                probes.extend(probe.filter(|probe| probe == subject).map(|_| seq));
                is_deleting |= object.is_some_and(|object| {
                    object.kind == ObjectKind::Secret && object.name == KEYS_SECRET
                });
            }
            RunEventKind::End {
                is_completed_revocation: true,
                ..
            } => (is_accepted, is_deleting) = (false, false),
            _ => {}
        }
    }
    Ok(is_accepted && is_deleting)
}

/// The secret with the keys.
const KEYS_SECRET: &str = "rsa-keys";

/// An entry that records a verification.
#[derive(Clone)]
pub struct RecordedVerification {
    pub seq: u64,
    /// UUID of the run.
    pub run: String,
    pub secrets: Vec<SecretVersion>,
}

impl RecordedVerification {
    /// Returns whether all its secrets are among these, in the same version.
    #[must_use]
    pub fn is_current(&self, secrets: &[SecretVersion]) -> bool {
        self.secrets.iter().all(|secret| secrets.contains(secret))
    }
}

/// Finds the last recent verification of exactly these secrets, in the same version.
pub(super) fn find_verification(
    log: &RecentLog,
    target: &Target,
    secrets: &[SecretVersion],
) -> io::Result<Option<RecordedVerification>> {
    let is_same = |verification: &VerifiedSecrets| {
        verification.target.is_same_namespace(target)
            && verification.secrets.len() == secrets.len()
            && secrets
                .iter()
                .all(|secret| verification.secrets.contains(secret))
    };
    let mut found = None;
    log.for_each_entry(|entry| {
        if let (Some(run), Ok(Body::Verification(verification))) = (entry.run, entry.body)
            && is_same(&verification)
        {
            found = Some(RecordedVerification {
                seq: entry.seq,
                run: run.to_string(),
                secrets: verification.secrets,
            });
        }
    })?;
    Ok(found)
}

/// The progress of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanProgress {
    /// No step began.
    Pending,
    /// These steps began, and no run completed.
    Incomplete(Vec<String>),
    /// A run completed.
    Done,
}

/// Finds the progress of a plan in other runs than `own_run`, as far as the recent entries show.
pub(super) fn find_plan_progress(
    log: &RecentLog,
    plan_digest: &str,
    own_run: &str,
) -> io::Result<PlanProgress> {
    let (mut runs, mut is_done) = (BTreeSet::new(), false);
    // Each step with its run.
    let mut steps: Vec<(String, String)> = Vec::new();
    log.for_each_entry(|entry| {
        let event = RunEvent::from_entry(entry).filter(|event| event.run != own_run);
        let Some(event) = event else { return };
        match event.kind {
            RunEventKind::Intent {
                step, plan, effect, ..
            } if plan.as_deref() == Some(plan_digest) => {
                if effect == Effect::Changes {
                    steps.push((step, event.run.clone()));
                }
                runs.insert(event.run);
            }
            RunEventKind::End {
                is_completed,
                has_changed,
                ..
            } => {
                is_done |= is_completed && runs.contains(&event.run);
                // The server refused all changes of this run.
                steps.retain(|(_, run)| has_changed || *run != event.run);
            }
            _ => {}
        }
    })?;
    Ok(match steps.is_empty() {
        _ if is_done => PlanProgress::Done,
        true => PlanProgress::Pending,
        false => PlanProgress::Incomplete(steps.into_iter().map(|(step, _)| step).collect()),
    })
}
