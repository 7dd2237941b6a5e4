//! The step that reruns a job and waits for it.

use super::cluster::{concurrent_change_error, refused_deletion_error};
use super::watch::{ConditionWatch, WatchObserver};
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{JobRun, JobStrategy};
use crate::procedure::revoke::JobKind;
use crate::session::runner::Runner;
use crate::tool::invocation::{Invocation, ObjectRef};
use crate::tool::kubectl::{self, EventType, Job, KubectlError, Pod, WatchEvent};
use crate::ui::{StepOutcome, WaitGuard};
use std::time::{Duration, Instant};

/// The time until the first check of a job's pods: most jobs complete earlier.
const FIRST_POD_CHECK_DELAY: Duration = Duration::from_secs(3);

const POD_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The time limit of a check.
const POD_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Reruns a job, and waits until it completes.
pub(crate) fn run_job(runner: &Runner, step: &str, run: &JobRun) -> Result<()> {
    let expected = start_job(runner, step, run)?;
    let name = run
        .job_name()
        .map_or_else(|| "from kubit".to_owned(), |name| format!("`{name}`"));
    let namespace = &run.target.namespace;
    let details_command = |verb: &str| match run.job_name() {
        Some(name) => format!("`kubectl {verb} job/{name} --namespace {namespace}`"),
        None => format!("`kubectl get jobs,pods --namespace {namespace}`"),
    };
    let wait = ConditionWatch {
        runner,
        step,
        condition: format!("job {name} to complete"),
        timeout: run.timeout,
        start: Instant::now(),
        details_command: details_command("describe"),
    };
    let mut observer = JobObserver {
        expected,
        last_event: None,
    };
    let mut diagnostics = JobDiagnostics {
        runner,
        job_run: run,
        reported: Vec::new(),
        next_check: FIRST_POD_CHECK_DELAY,
    };
    let outcome =
        wait.wait_for_decision(&run.watch_command(), &mut observer, |elapsed, wait| {
            diagnostics.check_pods(elapsed, wait)
        })?;
    let result = match outcome {
        JobOutcome::Failed(reason) => {
            return Err(Error::failure(format!("job {name} failed: {reason}"))
                .hint(format!("read its log: {}", details_command("logs"))));
        }
        // A TTL can delete a job right after its end. The next step checks its secret.
        JobOutcome::Deleted => "was deleted before its completion was observed",
        JobOutcome::Complete => "is complete",
    };
    runner
        .ui
        .report_step(step, StepOutcome::Done, &format!("job {name} {result}"));
    Ok(())
}

/// The job to wait for.
enum ExpectedJob {
    /// The job with this UID.
    Uid(String),
    /// The job that kubit recreates under the same name.
    Successor { name: String, previous_uid: String },
    /// Any job of this kind from kubit.
    Original(JobKind),
}

fn start_job(runner: &Runner, step: &str, run: &JobRun) -> Result<ExpectedJob> {
    let namespace = &run.target.namespace;
    match (&run.strategy, run.command()) {
        (JobStrategy::Operator { job, .. }, Some(command)) => {
            let name = run.job_name().unwrap_or_default().to_owned();
            let uid_command = run.target.kubectl.get_job_uid(namespace, &name);
            match kubectl::parse_uid(&runner.run(&format!("{step}-list"), &uid_command)?) {
                Ok(uid) if uid == job.uid => delete_job(runner, step, &command, job)?,
                Ok(_) => return Err(concurrent_change_error(&format!("job `{name}`"))),
                Err(KubectlError::NotFound(_)) => {}
                Err(failure) => {
                    return Err(failure.into_error(&format!("cannot read job `{name}`")));
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
            kubectl::parse_created_uid(&output)
                .map(ExpectedJob::Uid)
                .map_err(|failure| create_job_error(failure, name))
        }
        (JobStrategy::Running { job }, None) => Ok(ExpectedJob::Uid(job.uid.clone())),
        (JobStrategy::AwaitExisting { .. }, None) => {
            Ok(ExpectedJob::Original(JobKind::from_secret(run.secret)))
        }
        (_, None) => {
            Err(Error::failure("the plan has no command to rerun a job").into_internal_bug())
        }
    }
}

fn create_job_error(failure: KubectlError, name: &str) -> Error {
    let already_exists = matches!(failure, KubectlError::AlreadyExists(_));
    let error = failure.into_error(&format!("cannot create job `{name}`"));
    if already_exists {
        let hint = "wait until the other run ends: another user or host may have created this job";
        Error {
            hint: hint.to_owned(),
            ..error
        }
    } else {
        error
    }
}

fn delete_job(runner: &Runner, step: &str, command: &Invocation, job: &ObjectRef) -> Result<()> {
    match kubectl::check_success(&runner.run(step, command)?) {
        Ok(()) | Err(KubectlError::NotFound(_)) => Ok(()),
        Err(KubectlError::Conflict(_)) => Err(refused_deletion_error(
            runner,
            &format!("job `{}`", job.name),
        )),
        Err(failure) => Err(failure.into_error(&format!("cannot delete job `{}`", job.name))),
    }
}

/// The end of a job as a watch observes it.
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
        let is_expected = match &self.expected {
            ExpectedJob::Uid(uid) => job.uid == *uid,
            ExpectedJob::Successor { name, previous_uid } => {
                job.name == *name && job.uid != *previous_uid
            }
            ExpectedJob::Original(kind) => {
                event.event_type != EventType::Deleted && kind.is_original(&event.object)
            }
        };
        if is_expected {
            self.last_event = Some((event.event_type, event.object));
        }
    }

    fn describe_state(&self) -> String {
        let is_seen = self.last_event.is_some();
        if is_seen {
            "not complete yet"
        } else {
            "not seen yet"
        }
        .to_owned()
    }

    fn decision(&self) -> Option<JobOutcome> {
        let (event_type, job) = self.last_event.as_ref()?;
        match job.failure_reason() {
            Some(reason) => Some(JobOutcome::Failed(reason)),
            None if job.is_complete() => Some(JobOutcome::Complete),
            None if *event_type == EventType::Deleted => Some(JobOutcome::Deleted),
            None => None,
        }
    }
}

/// Warns about pods that do not start, since the status of their job does not show it.
struct JobDiagnostics<'a> {
    runner: &'a Runner<'a>,
    job_run: &'a JobRun,
    reported: Vec<String>,
    next_check: Duration,
}

impl JobDiagnostics<'_> {
    fn check_pods(&mut self, elapsed: Duration, wait: &WaitGuard) -> Result<()> {
        let Some(name) = self
            .job_run
            .job_name()
            .filter(|_| elapsed >= self.next_check)
        else {
            return Ok(());
        };
        self.next_check = elapsed + POD_CHECK_INTERVAL;
        let namespace = &self.job_run.target.namespace;
        let command = self
            .job_run
            .target
            .kubectl
            .list_pods(namespace, &format!("job-name={name}"));
        // The audit log has a failed check, and the watch detects a lasting problem by itself.
        let output = match self
            .runner
            .run("list-pods", &command.with_timeout(POD_CHECK_TIMEOUT))
        {
            Ok(output) => output,
            Err(error) if matches!(error.kind, ErrorKind::Failed | ErrorKind::TimedOut) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let Ok(pods) = kubectl::parse_list::<Pod>(&output) else {
            return Ok(());
        };
        if let Some(pod) = pods.last() {
            wait.set_state(&pod.describe_state());
        }
        let problem = self.find_problem(name, &pods);
        if let Some((message, object)) =
            problem.filter(|(message, _)| !self.reported.contains(message))
        {
            let hint = format!("run `kubectl describe {object} --namespace {namespace}`");
            self.runner.ui.warn(&message, &hint);
            self.reported.push(message);
        }
        Ok(())
    }

    /// Returns the message about a job that does not start, and the object to describe.
    fn find_problem(&self, name: &str, pods: &[Pod]) -> Option<(String, String)> {
        if pods.is_empty() {
            let cause = match self.job_run.strategy {
                JobStrategy::Operator { .. } => "kubit may not have recreated the job",
                _ => "a quota or a pod security policy may forbid one",
            };
            return Some((
                format!("job `{name}` has no pod yet: {cause}"),
                format!("job/{name}"),
            ));
        }
        pods.iter().find_map(|pod| {
            let pod_name = &pod.metadata.name;
            let reason = pod.waiting_reason()?;
            Some((
                format!("pod `{pod_name}` of job `{name}` does not start: {reason}"),
                format!("pod/{pod_name}"),
            ))
        })
    }
}
