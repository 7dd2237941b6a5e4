//! The steps of a revocation in the cluster, each judged by UIDs and conditions, never by what kubectl says.

use super::carry_out::RunState;
use super::session::Session;
use super::wait::{ConditionWatch, WatchObserver};
use crate::error::{self, Error, Result};
use crate::plan::{ExpectedSecret, JobRun, JobStrategy, PodRestart, SecretDeletion};
use crate::procedure::revoke::{CREATE_ADMIN_TOKEN, JobKind, KEY_GEN};
use crate::tool::invocation::{Invocation, ObjectRef};
use crate::tool::kubectl::{self, EventType, Job, KubectlError, Pod, SecretUid, WatchEvent};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a job may take before its pods are looked at, and then again.
const FIRST_POD_CHECK_DELAY: Duration = Duration::from_secs(3);
const POD_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// How long to wait before pods are watched anew.
const POD_RECHECK_DELAY: Duration = Duration::from_millis(500);

/// How long such a look may take: what is waited for is not noticed meanwhile.
const POD_CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Deletes a secret, if it still is the one that was seen, and sees that it is gone.
pub(super) fn delete_secret(
    session: &Session,
    step: &str,
    deletion: &SecretDeletion,
    known: &RunState,
) -> Result<()> {
    // What the step right before has seen after its own deletion is as fresh as another look.
    let secrets = match known.take_secret_uids() {
        Some(secrets) => secrets,
        None => list_secret_uids(session, &format!("{step}-look"), &deletion.list_command())?,
    };
    match secrets.iter().find(|secret| secret.name == deletion.name) {
        None => {
            session.ui.report_step(
                step,
                "unchanged",
                &format!("secret `{}` is gone already", deletion.name),
            );
            return Ok(());
        }
        Some(secret) if secret.uid != deletion.uid => {
            return Err(concurrent_change_error(&format!(
                "secret `{}`",
                deletion.name
            )));
        }
        Some(_) => {}
    }
    match kubectl::check_success(&session.run(step, &deletion.command())?) {
        Ok(()) | Err(KubectlError::NotFound(_)) => {}
        Err(failure) => {
            return Err(
                failure.into_error(&format!("secret `{}` could not be deleted", deletion.name))
            );
        }
    }
    let secrets = list_secret_uids(session, &format!("{step}-look"), &deletion.list_command())?;
    if secrets.iter().any(|secret| secret.uid == deletion.uid) {
        let (name, namespace) = (deletion.name, &deletion.target.namespace);
        return Err(Error::failure(format!("secret `{name}` is still there after its deletion"))
            .hint(format!("`kubectl describe secrets/{name} --namespace {namespace}`: a finalizer may hold it")));
    }
    session.ui.report_step(
        step,
        "done",
        &format!("secret `{}` of UID {} is gone", deletion.name, deletion.uid),
    );
    known.cache_secret_uids(secrets);
    Ok(())
}

fn list_secret_uids(session: &Session, step: &str, look: &Invocation) -> Result<Vec<SecretUid>> {
    let output = session.run(step, look)?;
    kubectl::parse_secret_uids(&output)
        .map_err(|failure| failure.into_error("the secrets cannot be looked at"))
}

/// Sees that a job has made its secret.
pub(super) fn verify_new_secret(
    session: &Session,
    step: &str,
    wanted: &ExpectedSecret,
) -> Result<()> {
    let secrets = list_secret_uids(session, step, &wanted.list_command())?;
    let made = secrets.iter().find(|secret| {
        secret.name == wanted.name && Some(&secret.uid) != wanted.previous_uid.as_ref()
    });
    let Some(made) = made else {
        let namespace = &wanted.target.namespace;
        let more = match &wanted.job {
            Some(job) => {
                format!("`kubectl logs job/{job} --namespace {namespace}` shows what its job did")
            }
            None => format!("`kubectl get jobs,pods --namespace {namespace}` shows what there is"),
        };
        return Err(Error::failure(format!(
            "its job has ended, and yet there is no new secret `{}`",
            wanted.name
        ))
        .hint(more));
    };
    session.ui.report_step(
        step,
        "done",
        &format!("secret `{}` has the new UID {}", wanted.name, made.uid),
    );
    Ok(())
}

fn concurrent_change_error(what: &str) -> Error {
    Error::refusal(format!("{what} was made anew by someone else meanwhile"))
        .hint("find out by whom; the same command looks again and starts from what is there then")
}

/// Has a job run again, and waits for it.
pub(super) fn run_job(session: &Session, step: &str, run: &JobRun) -> Result<()> {
    let wanted = start_job(session, step, run)?;
    let name = run
        .job_name()
        .map_or_else(|| "made by kubit".to_owned(), |name| format!("`{name}`"));
    let namespace = &run.target.namespace;
    let more = |verb: &str| match run.job_name() {
        Some(name) => format!("`kubectl {verb} job/{name} --namespace {namespace}`"),
        None => format!("`kubectl get jobs,pods --namespace {namespace}`"),
    };
    let wait = ConditionWatch {
        session,
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
        session,
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
    session
        .ui
        .report_step(step, "done", &format!("job {name} {how}"));
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

fn start_job(session: &Session, step: &str, run: &JobRun) -> Result<ExpectedJob> {
    let namespace = &run.target.namespace;
    match (&run.strategy, run.command()) {
        (JobStrategy::Operator { job }, Some(command)) => {
            let name = run.job_name().unwrap_or_default().to_owned();
            let look = run.target.kubectl.get_job_uid(namespace, &name);
            match kubectl::parse_uid(&session.run(&format!("{step}-look"), &look)?) {
                Ok(uid) if uid == job.uid => delete_job(session, step, &command, job)?,
                Ok(_) => return Err(concurrent_change_error(&job.name)),
                Err(KubectlError::NotFound(_)) => {}
                Err(failure) => {
                    return Err(failure.into_error(&format!("{} cannot be looked at", job.name)));
                }
            }
            Ok(ExpectedJob::Successor {
                name,
                previous_uid: job.uid.clone(),
            })
        }
        (_, Some(command)) => {
            let output = session.run(step, &command)?;
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
            Ok(ExpectedJob::Original(if run.secret == KEY_GEN.secret {
                KEY_GEN
            } else {
                CREATE_ADMIN_TOKEN
            }))
        }
        (_, None) => Err(
            Error::failure("a job is to run again, and there is no command for it")
                .into_internal_bug(),
        ),
    }
}

fn delete_job(session: &Session, step: &str, command: &Invocation, job: &ObjectRef) -> Result<()> {
    match kubectl::check_success(&session.run(step, command)?) {
        Ok(()) | Err(KubectlError::NotFound(_)) => Ok(()),
        Err(failure) => Err(failure.into_error(&format!("{} could not be deleted", job.name))),
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
    session: &'a Session<'a>,
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
            .session
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
            self.session.ui.warn(&format!("job `{name}`: {why}"), &hint);
            self.reported.push(why);
        }
        Ok(())
    }
}

/// Restarts the pods that load the keys, and waits until their successors serve and they are gone.
pub(super) fn restart_pods(session: &Session, step: &str, restart: &PodRestart) -> Result<()> {
    let old = match (&restart.terminating, restart.command()) {
        (None, Some(command)) => {
            let pods = list_pods(session, step, restart)?;
            if pods.iter().all(Pod::is_finished) {
                return Err(Error::failure(format!(
                    "no pod matches `{}` any more: nothing can be restarted",
                    restart.selector
                ))
                .hint(format!(
                    "`kubectl get pods --namespace {}` shows what there is",
                    restart.target.namespace
                )));
            }
            match kubectl::check_success(&session.run(step, &command)?) {
                // One of them was gone before its turn came.
                Ok(()) | Err(KubectlError::NotFound(_)) => {}
                Err(failure) => return Err(failure.into_error("the pods could not be deleted")),
            }
            pods.into_iter().map(|pod| pod.metadata.uid).collect()
        }
        (going, _) => going.clone().unwrap_or_default(),
    };
    wait_for_pods(session, step, restart, &old)?;
    let gone = if old.is_empty() {
        String::new()
    } else {
        format!("{} old pods are gone, ", old.len())
    };
    session.ui.report_step(
        step,
        "done",
        &format!("{gone}{} new ones are ready", restart.ready_pods),
    );
    Ok(())
}

fn list_pods(session: &Session, step: &str, restart: &PodRestart) -> Result<Vec<Pod>> {
    let output = session.run(&format!("{step}-look"), &restart.list_command())?;
    kubectl::parse_list(&output).map_err(|failure| failure.into_error("the pods cannot be listed"))
}

fn wait_for_pods(
    session: &Session,
    step: &str,
    restart: &PodRestart,
    old: &[String],
) -> Result<()> {
    let PodRestart {
        target: at,
        selector,
        ready_pods: ready,
        timeout: limit,
        ..
    } = restart;
    let what = format!("the old pods are gone and {ready} new ones are ready");
    let more = format!(
        "`kubectl describe pods --selector {selector} --namespace {}`",
        at.namespace
    );
    let wait = ConditionWatch {
        session,
        step,
        condition: what,
        timeout: *limit,
        start: Instant::now(),
        details_command: more,
    };
    loop {
        let mut judge = PodObserver {
            old_uids: old,
            ready_count: *ready,
            pods: BTreeMap::new(),
            synced: false,
        };
        wait.wait_for_decision(&restart.watch_command(), &mut judge, |_| Ok(()))?;
        if judge.synced {
            return Ok(());
        }
        // It may have been decided in the middle of what a watch begins with, one by one all that is there.
        let pods = list_pods(session, step, restart)?;
        judge.pods = pods
            .into_iter()
            .map(|pod| (pod.metadata.uid.clone(), pod))
            .collect();
        if judge.decision().is_some() {
            return Ok(());
        }
        session.exec.sleep(POD_RECHECK_DELAY)?;
    }
}

struct PodObserver<'a> {
    old_uids: &'a [String],
    ready_count: usize,
    /// Those that are there, by UID.
    pods: BTreeMap<String, Pod>,
    /// Whether the watch has shown all that was there when it began: it does before it shows any change.
    synced: bool,
}

impl WatchObserver for PodObserver<'_> {
    type Object = Pod;
    type Decision = ();

    fn reset(&mut self) {
        self.pods.clear();
        self.synced = false;
    }

    fn observe_event(&mut self, event: WatchEvent<Pod>) {
        let uid = event.object.metadata.uid.clone();
        self.synced = self.synced || event.event_type != EventType::Added;
        match event.event_type {
            EventType::Deleted => drop(self.pods.remove(&uid)),
            _ => drop(self.pods.insert(uid, event.object)),
        }
    }

    fn decision(&self) -> Option<()> {
        let is_old = |uid: &String| self.old_uids.contains(uid);
        let ready = self
            .pods
            .iter()
            .filter(|(uid, pod)| !is_old(uid) && pod.is_ready())
            .count();
        (ready >= self.ready_count && !self.pods.keys().any(is_old)).then_some(())
    }
}
