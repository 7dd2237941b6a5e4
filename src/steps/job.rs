//! The step that reruns a job and waits for it.

use super::cluster::concurrent_change_error;
use super::watch::{ConditionWatch, WatchObserver};
use crate::error::{self, Error, Result};
use crate::plan::{JobRun, JobStrategy};
use crate::procedure::revoke::JobKind;
use crate::session::runner::Runner;
use crate::tool::invocation::{Invocation, ObjectRef};
use crate::tool::kubectl::{self, EventType, Job, KubectlError, Pod, WatchEvent};
use crate::ui::StepOutcome;
use std::time::{Duration, Instant};

/// How long a job may take before its pods are looked at, and then again.
const FIRST_POD_CHECK_DELAY: Duration = Duration::from_secs(3);

const POD_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// How long such a look may take: what is waited for is not noticed meanwhile.
const POD_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Has a job run again, and waits for it.
pub(crate) fn run_job(runner: &Runner, step: &str, run: &JobRun) -> Result<()> {
    let wanted = start_job(runner, step, run)?;
    let name = run
        .job_name()
        .map_or_else(|| "made by kubit".to_owned(), |name| format!("`{name}`"));
    let namespace = &run.target.namespace;
    let more = |verb: &str| match run.job_name() {
        Some(name) => format!("`kubectl {verb} job/{name} --namespace {namespace}`"),
        None => format!("`kubectl get jobs,pods --namespace {namespace}`"),
    };
    let wait = ConditionWatch {
        runner,
        step,
        condition: format!("job {name} is complete"),
        timeout: run.timeout,
        start: Instant::now(),
        details_command: more("describe"),
    };
    let mut judge = JobObserver {
        expected: wanted,
        last_event: None,
    };
    let mut pods = JobDiagnostics {
        runner,
        job_run: run,
        reported: Vec::new(),
        next_check: FIRST_POD_CHECK_DELAY,
    };
    let end = wait.wait_for_decision(&run.watch_command(), &mut judge, |waited| {
        pods.check_pods(waited)
    })?;
    if let JobOutcome::Failed(why) = &end {
        return Err(Error::failure(format!("job {name} failed ({why})"))
            .hint(format!("{} shows more", more("logs"))));
    }
    let how = if matches!(end, JobOutcome::Deleted) {
        "was deleted before it was seen complete"
    } else {
        "is complete"
    };
    runner
        .ui
        .report_step(step, StepOutcome::Done, &format!("job {name} {how}"));
    Ok(())
}

/// Which job is waited for.
enum ExpectedJob {
    /// The one of this UID.
    Uid(String),
    /// One of this name, made after the one of that UID was deleted.
    Successor { name: String, previous_uid: String },
    /// Any original of this kind.
    Original(JobKind),
}

fn start_job(runner: &Runner, step: &str, run: &JobRun) -> Result<ExpectedJob> {
    let namespace = &run.target.namespace;
    match (&run.strategy, run.command()) {
        (JobStrategy::Operator { job }, Some(command)) => {
            let name = run.job_name().unwrap_or_default().to_owned();
            let look = run.target.kubectl.get_job_uid(namespace, &name);
            match kubectl::parse_uid(&runner.run(&format!("{step}-look"), &look)?) {
                Ok(uid) if uid == job.uid => delete_job(runner, step, &command, job)?,
                Ok(_) => return Err(concurrent_change_error(&job.to_string())),
                Err(KubectlError::NotFound(_)) => {}
                Err(failure) => {
                    return Err(failure.into_error(&format!("{job} cannot be looked at")));
                }
            }
            Ok(ExpectedJob::Successor {
                name,
                previous_uid: job.uid.clone(),
            })
        }
        (_, Some(command)) => {
            let output = runner.run(step, &command)?;
            let name = run.job_name().unwrap_or_default();
            kubectl::parse_created_uid(&output).map(ExpectedJob::Uid).map_err(|failure| {
                let error = failure.into_error(&format!("job `{name}` could not be made"));
                match error.message.contains("(AlreadyExists)") {
                    true => Error {
                        hint:
                            "another run, by someone else or on another host, may be in it right now: wait for its end"
                                .to_owned(),
                        ..error
                    },
                    false => error,
                }
            })
        }
        (JobStrategy::Running { job }, None) => Ok(ExpectedJob::Uid(job.uid.clone())),
        (JobStrategy::AwaitExisting { .. }, None) => {
            Ok(ExpectedJob::Original(JobKind::from_secret(run.secret)))
        }
        (_, None) => Err(
            Error::failure("a job is to run again, and there is no command for it")
                .into_internal_bug(),
        ),
    }
}

fn delete_job(runner: &Runner, step: &str, command: &Invocation, job: &ObjectRef) -> Result<()> {
    match kubectl::check_success(&runner.run(step, command)?) {
        Ok(()) | Err(KubectlError::NotFound(_)) => Ok(()),
        Err(failure) => Err(failure.into_error(&format!("{job} could not be deleted"))),
    }
}

/// How a job ended, as far as a watch shows.
enum JobOutcome {
    Complete,
    Failed(String),
    Deleted,
}

struct JobObserver {
    expected: ExpectedJob,
    last_event: Option<(EventType, Job)>,
}

impl WatchObserver for JobObserver {
    type Object = Job;
    type Decision = JobOutcome;

    fn reset(&mut self) {
        self.last_event = None;
    }

    fn observe_event(&mut self, event: WatchEvent<Job>) {
        let job = &event.object.metadata;
        let is_wanted = match &self.expected {
            ExpectedJob::Uid(uid) => job.uid == *uid,
            ExpectedJob::Successor {
                name,
                previous_uid: of,
            } => job.name == *name && job.uid != *of,
            ExpectedJob::Original(kind) => {
                event.event_type != EventType::Deleted && kind.is_original(&event.object)
            }
        };
        if is_wanted {
            self.last_event = Some((event.event_type, event.object));
        }
    }

    fn decision(&self) -> Option<JobOutcome> {
        let (change, job) = self.last_event.as_ref()?;
        match job.failure_reason() {
            Some(why) => Some(JobOutcome::Failed(why)),
            None if job.is_complete() => Some(JobOutcome::Complete),
            None if *change == EventType::Deleted => Some(JobOutcome::Deleted),
            None => None,
        }
    }
}

/// Tells why a job that does not come to its end has not started: its pods know, not the job.
struct JobDiagnostics<'a> {
    runner: &'a Runner<'a>,
    job_run: &'a JobRun,
    reported: Vec<String>,
    next_check: Duration,
}

impl JobDiagnostics<'_> {
    fn check_pods(&mut self, waited: Duration) -> Result<()> {
        let Some(name) = self
            .job_run
            .job_name()
            .filter(|_| waited >= self.next_check)
        else {
            return Ok(());
        };
        self.next_check = waited + POD_CHECK_INTERVAL;
        let namespace = &self.job_run.target.namespace;
        let command = self
            .job_run
            .target
            .kubectl
            .list_pods(namespace, &format!("job-name={name}"));
        // A look that fails is on record, and the wait goes on: it has its own means to notice what is wrong.
        let output = match self
            .runner
            .run("list-pods", &command.with_timeout(POD_CHECK_TIMEOUT))
        {
            Ok(output) => output,
            Err(error)
                if matches!(
                    error.kind,
                    error::ErrorKind::Failed | error::ErrorKind::TimedOut
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let Ok(pods) = kubectl::parse_list::<Pod>(&output) else {
            return Ok(());
        };
        let reason = |pod: &Pod| {
            pod.waiting_reason().map(|why| {
                (
                    format!("pod `{}` does not start: {why}", pod.metadata.name),
                    format!("pod/{}", pod.metadata.name),
                )
            })
        };
        let told =
            if pods.is_empty() && matches!(self.job_run.strategy, JobStrategy::Operator { .. }) {
                Some((
                    "kubit has not made it again so far, or no pod of it was made".to_owned(),
                    format!("job/{name}"),
                ))
            } else if pods.is_empty() {
                Some((
                    "no pod of it was made so far: a quota or a pod security policy may forbid it"
                        .to_owned(),
                    format!("job/{name}"),
                ))
            } else {
                pods.iter().find_map(reason)
            };
        if let Some((why, object)) = told.filter(|(why, _)| !self.reported.contains(why)) {
            let hint = format!("`kubectl describe {object} --namespace {namespace}` shows more");
            self.runner.ui.warn(&format!("job `{name}`: {why}"), &hint);
            self.reported.push(why);
        }
        Ok(())
    }
}
