//! The clones of earlier revocations, which `--prune-clones` deletes.

use crate::plan::{Action, JobStrategy, Step};
use crate::tool::invocation::ObjectRef;
use crate::tool::kubectl::Job;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The newest clone of an original.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Newest {
    /// Exists since this time.
    CreatedAt(Timestamp),
    /// The plan creates it.
    Planned,
}

/// Finds the finished clones that are older than the newest one of the same original.
///
/// The newest clone is the one that the steps create or await, or else the last one that completed.
/// Clones of the same second have no order, so all of them stay.
pub(super) fn find_earlier_clones(jobs: &[Job], steps: &[Step]) -> Vec<ObjectRef> {
    let mut newest: BTreeMap<&str, Newest> = BTreeMap::new();
    let mut note_clone = |original, clone: Newest| {
        newest
            .entry(original)
            .and_modify(|newest| *newest = clone.max(*newest))
            .or_insert(clone);
    };
    let completed = jobs
        .iter()
        .filter(|job| job.is_complete() && job.is_finished());
    for job in completed {
        if let (Some(source), Some(created)) = (job.clone_source(), job.metadata.creation_time()) {
            note_clone(find_original(jobs, source), Newest::CreatedAt(created));
        }
    }
    for step in steps {
        let Action::RunJob(run) = &step.action else {
            continue;
        };
        match &run.strategy {
            JobStrategy::Clone { manifest, .. } => {
                note_clone(find_original(jobs, &manifest.source.name), Newest::Planned);
            }
            // The run fails unless this job completes.
            JobStrategy::Running { job } => {
                let awaited = jobs.iter().find(|other| other.metadata.uid == job.uid);
                let source = awaited.and_then(Job::clone_source);
                let created = awaited.and_then(|job| job.metadata.creation_time());
                if let (Some(source), Some(created)) = (source, created) {
                    note_clone(find_original(jobs, source), Newest::CreatedAt(created));
                }
            }
            JobStrategy::FromJob { .. }
            | JobStrategy::Operator { .. }
            | JobStrategy::AwaitExisting { .. } => {}
        }
    }
    let is_earlier = |job: &&Job| {
        let Some((source, created)) = job.clone_source().zip(job.metadata.creation_time()) else {
            return false;
        };
        let newest = newest.get(find_original(jobs, source));
        job.is_finished() && newest.is_some_and(|newest| Newest::CreatedAt(created) < *newest)
    };
    let mut earlier: Vec<ObjectRef> = jobs
        .iter()
        .filter(is_earlier)
        .map(Job::to_object_ref)
        .collect();
    earlier.sort_by(|one, other| one.name.cmp(&other.name));
    earlier
}

/// Follows the sources of clones to a job that is no clone, or that is gone.
fn find_original<'a>(jobs: &'a [Job], source: &'a str) -> &'a str {
    let mut original = source;
    // Annotations that form a circle must not loop forever.
    for _ in jobs {
        let job = jobs.iter().find(|job| job.metadata.name == original);
        match job.and_then(Job::clone_source) {
            Some(source) => original = source,
            None => break,
        }
    }
    original
}
