//! The steps of a revocation in the cluster, each judged by UIDs and conditions, never by what kubectl says.

use super::carry_out::Known;
use super::session::Session;
use super::wait::{Judge, Wait};
use crate::error::{self, Error, Result};
use crate::plan::{Deletion, JobRun, NewSecret, Restart, Way};
use crate::procedure::revoke::{CREATE_ADMIN_TOKEN, KEY_GEN, Kind};
use crate::tool::invocation::{Invocation, Object};
use crate::tool::kubectl::{self, Change, Event, Failure, Job, Pod, SecretUid};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a job may take before its pods are looked at, and then again.
const LOOK_AFTER: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How long to wait before pods are watched anew.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How long such a look may take: what is waited for is not noticed meanwhile.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Deletes a secret, if it still is the one that was seen, and sees that it is gone.
pub(super) fn delete_secret(
    session: &Session,
    step: &str,
    deletion: &Deletion,
    known: &Known,
) -> Result<()> {
    // What the step right before has seen after its own deletion is as fresh as another look.
    let secrets = match known.take_secrets() {
        Some(secrets) => secrets,
        None => secrets_now(session, &format!("{step}-look"), &deletion.look())?,
    };
    match secrets.iter().find(|secret| secret.name == deletion.name) {
        None => {
            session.ui.step(
                step,
                "unchanged",
                &format!("secret `{}` is gone already", deletion.name),
            );
            return Ok(());
        }
        Some(secret) if secret.uid != deletion.uid => {
            return Err(made_meanwhile(&format!("secret `{}`", deletion.name)));
        }
        Some(_) => {}
    }
    match kubectl::parse_done(&session.run(step, &deletion.command())?) {
        Ok(()) | Err(Failure::NotFound(_)) => {}
        Err(failure) => {
            return Err(
                failure.into_error(&format!("secret `{}` could not be deleted", deletion.name))
            );
        }
    }
    let secrets = secrets_now(session, &format!("{step}-look"), &deletion.look())?;
    if secrets.iter().any(|secret| secret.uid == deletion.uid) {
        let (name, namespace) = (deletion.name, &deletion.at.namespace);
        return Err(Error::failed(format!("secret `{name}` is still there after its deletion"))
            .hint(format!("`kubectl describe secrets/{name} --namespace {namespace}`: a finalizer may hold it")));
    }
    session.ui.step(
        step,
        "done",
        &format!("secret `{}` of UID {} is gone", deletion.name, deletion.uid),
    );
    known.keep_secrets(secrets);
    Ok(())
}

fn secrets_now(session: &Session, step: &str, look: &Invocation) -> Result<Vec<SecretUid>> {
    let output = session.run(step, look)?;
    kubectl::parse_secret_uids(&output)
        .map_err(|failure| failure.into_error("the secrets cannot be looked at"))
}

/// Sees that a job has made its secret.
pub(super) fn see_secret(session: &Session, step: &str, wanted: &NewSecret) -> Result<()> {
    let secrets = secrets_now(session, step, &wanted.look())?;
    let made = secrets
        .iter()
        .find(|secret| secret.name == wanted.name && Some(&secret.uid) != wanted.old.as_ref());
    let Some(made) = made else {
        let namespace = &wanted.at.namespace;
        let more = match &wanted.job {
            Some(job) => {
                format!("`kubectl logs job/{job} --namespace {namespace}` shows what its job did")
            }
            None => format!("`kubectl get jobs,pods --namespace {namespace}` shows what there is"),
        };
        return Err(Error::failed(format!(
            "its job has ended, and yet there is no new secret `{}`",
            wanted.name
        ))
        .hint(more));
    };
    session.ui.step(
        step,
        "done",
        &format!("secret `{}` has the new UID {}", wanted.name, made.uid),
    );
    Ok(())
}

fn made_meanwhile(what: &str) -> Error {
    Error::refused(format!("{what} was made anew by someone else meanwhile"))
        .hint("find out by whom; the same command looks again and starts from what is there then")
}

/// Has a job run again, and waits for it.
pub(super) fn run_job(session: &Session, step: &str, run: &JobRun) -> Result<()> {
    let wanted = begin_job(session, step, run)?;
    let name = run
        .name()
        .map_or_else(|| "made by kubit".to_owned(), |name| format!("`{name}`"));
    let namespace = &run.at.namespace;
    let more = |verb: &str| match run.name() {
        Some(name) => format!("`kubectl {verb} job/{name} --namespace {namespace}`"),
        None => format!("`kubectl get jobs,pods --namespace {namespace}`"),
    };
    let wait = Wait {
        session,
        step,
        what: format!("job {name} is complete"),
        limit: run.limit,
        begun: Instant::now(),
        more: more("describe"),
    };
    let mut judge = JobJudge { wanted, last: None };
    let mut pods = PodsOfJob {
        session,
        run,
        told: Vec::new(),
        next: LOOK_AFTER,
    };
    let end = wait.until(&run.watch(), &mut judge, |waited| pods.look(waited))?;
    if let JobEnd::Failed(why) = &end {
        return Err(Error::failed(format!("job {name} failed ({why})"))
            .hint(format!("{} shows more", more("logs"))));
    }
    let how = if matches!(end, JobEnd::Gone) {
        "was deleted before it was seen complete"
    } else {
        "is complete"
    };
    session.ui.step(step, "done", &format!("job {name} {how}"));
    Ok(())
}

/// Which job is waited for.
enum Wanted {
    /// The one of this UID.
    Uid(String),
    /// One of this name, made after the one of that UID was deleted.
    Successor { name: String, of: String },
    /// Any original of this kind.
    Original(Kind),
}

fn begin_job(session: &Session, step: &str, run: &JobRun) -> Result<Wanted> {
    let namespace = &run.at.namespace;
    match (&run.way, run.command()) {
        (Way::Operator { job }, Some(command)) => {
            let name = run.name().unwrap_or_default().to_owned();
            let look = run.at.kubectl.job_uid(namespace, &name);
            match kubectl::parse_uid(&session.run(&format!("{step}-look"), &look)?) {
                Ok(uid) if uid == job.uid => delete_job(session, step, &command, job)?,
                Ok(_) => return Err(made_meanwhile(&job.name)),
                Err(Failure::NotFound(_)) => {}
                Err(failure) => {
                    return Err(failure.into_error(&format!("{} cannot be looked at", job.name)));
                }
            }
            Ok(Wanted::Successor {
                name,
                of: job.uid.clone(),
            })
        }
        (_, Some(command)) => {
            let output = session.run(step, &command)?;
            let name = run.name().unwrap_or_default();
            kubectl::parse_created(&output).map(Wanted::Uid).map_err(|failure| {
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
        (Way::Running { job }, None) => Ok(Wanted::Uid(job.uid.clone())),
        (Way::Awaited { .. }, None) => Ok(Wanted::Original(if run.secret == KEY_GEN.secret {
            KEY_GEN
        } else {
            CREATE_ADMIN_TOKEN
        })),
        (_, None) => Err(
            Error::failed("a job is to run again, and there is no command for it").own_mistake(),
        ),
    }
}

fn delete_job(session: &Session, step: &str, command: &Invocation, job: &Object) -> Result<()> {
    match kubectl::parse_done(&session.run(step, command)?) {
        Ok(()) | Err(Failure::NotFound(_)) => Ok(()),
        Err(failure) => Err(failure.into_error(&format!("{} could not be deleted", job.name))),
    }
}

/// How a job ended, as far as a watch shows.
enum JobEnd {
    Complete,
    Failed(String),
    Gone,
}

struct JobJudge {
    wanted: Wanted,
    last: Option<(Change, Job)>,
}

impl Judge for JobJudge {
    type Object = Job;
    type Verdict = JobEnd;

    fn begin(&mut self) {
        self.last = None;
    }

    fn see(&mut self, event: Event<Job>) {
        let job = &event.object.metadata;
        let is_wanted = match &self.wanted {
            Wanted::Uid(uid) => job.uid == *uid,
            Wanted::Successor { name, of } => job.name == *name && job.uid != *of,
            Wanted::Original(kind) => {
                event.kind != Change::Deleted && kind.is_original(&event.object)
            }
        };
        if is_wanted {
            self.last = Some((event.kind, event.object));
        }
    }

    fn verdict(&self) -> Option<JobEnd> {
        let (change, job) = self.last.as_ref()?;
        match job.failure() {
            Some(why) => Some(JobEnd::Failed(why)),
            None if job.complete() => Some(JobEnd::Complete),
            None if *change == Change::Deleted => Some(JobEnd::Gone),
            None => None,
        }
    }
}

/// Tells why a job that does not come to its end has not started: its pods know, not the job.
struct PodsOfJob<'a> {
    session: &'a Session<'a>,
    run: &'a JobRun,
    told: Vec<String>,
    next: Duration,
}

impl PodsOfJob<'_> {
    fn look(&mut self, waited: Duration) -> Result<()> {
        let Some(name) = self.run.name().filter(|_| waited >= self.next) else {
            return Ok(());
        };
        self.next = waited + LOOK_AGAIN;
        let namespace = &self.run.at.namespace;
        let command = self
            .run
            .at
            .kubectl
            .pods(namespace, &format!("job-name={name}"));
        // A look that fails is on record, and the wait goes on: it has its own means to notice what is wrong.
        let output = match self
            .session
            .run("look-at-pods", &command.within(LOOK_LIMIT))
        {
            Ok(output) => output,
            Err(error) if matches!(error.kind, error::Kind::Failed | error::Kind::TimedOut) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let Ok(pods) = kubectl::parse_list::<Pod>(&output) else {
            return Ok(());
        };
        let reason = |pod: &Pod| {
            pod.stuck().map(|why| {
                (
                    format!("pod `{}` does not start: {why}", pod.metadata.name),
                    format!("pod/{}", pod.metadata.name),
                )
            })
        };
        let told = if pods.is_empty() && matches!(self.run.way, Way::Operator { .. }) {
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
        if let Some((why, object)) = told.filter(|(why, _)| !self.told.contains(why)) {
            let hint = format!("`kubectl describe {object} --namespace {namespace}` shows more");
            self.session.ui.warn(&format!("job `{name}`: {why}"), &hint);
            self.told.push(why);
        }
        Ok(())
    }
}

/// Restarts the pods that load the keys, and waits until their successors serve and they are gone.
pub(super) fn restart(session: &Session, step: &str, restart: &Restart) -> Result<()> {
    let old = match (&restart.going, restart.command()) {
        (None, Some(command)) => {
            let pods = pods_now(session, step, restart)?;
            if pods.iter().all(Pod::ended) {
                return Err(Error::failed(format!(
                    "no pod matches `{}` any more: nothing can be restarted",
                    restart.selector
                ))
                .hint(format!(
                    "`kubectl get pods --namespace {}` shows what there is",
                    restart.at.namespace
                )));
            }
            match kubectl::parse_done(&session.run(step, &command)?) {
                // One of them was gone before its turn came.
                Ok(()) | Err(Failure::NotFound(_)) => {}
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
    session.ui.step(
        step,
        "done",
        &format!("{gone}{} new ones are ready", restart.ready),
    );
    Ok(())
}

fn pods_now(session: &Session, step: &str, restart: &Restart) -> Result<Vec<Pod>> {
    let output = session.run(&format!("{step}-look"), &restart.look())?;
    kubectl::parse_list(&output).map_err(|failure| failure.into_error("the pods cannot be listed"))
}

fn wait_for_pods(session: &Session, step: &str, restart: &Restart, old: &[String]) -> Result<()> {
    let Restart {
        at,
        selector,
        ready,
        limit,
        ..
    } = restart;
    let what = format!("the old pods are gone and {ready} new ones are ready");
    let more = format!(
        "`kubectl describe pods --selector {selector} --namespace {}`",
        at.namespace
    );
    let wait = Wait {
        session,
        step,
        what,
        limit: *limit,
        begun: Instant::now(),
        more,
    };
    loop {
        let mut judge = PodsJudge {
            old,
            ready: *ready,
            pods: BTreeMap::new(),
            settled: false,
        };
        wait.until(&restart.watch(), &mut judge, |_| Ok(()))?;
        if judge.settled {
            return Ok(());
        }
        // It may have been decided in the middle of what a watch begins with, one by one all that is there.
        let pods = pods_now(session, step, restart)?;
        judge.pods = pods
            .into_iter()
            .map(|pod| (pod.metadata.uid.clone(), pod))
            .collect();
        if judge.verdict().is_some() {
            return Ok(());
        }
        session.exec.pause(AGAIN_AFTER)?;
    }
}

struct PodsJudge<'a> {
    old: &'a [String],
    ready: usize,
    /// Those that are there, by UID.
    pods: BTreeMap<String, Pod>,
    /// Whether the watch has shown all that was there when it began: it does before it shows any change.
    settled: bool,
}

impl Judge for PodsJudge<'_> {
    type Object = Pod;
    type Verdict = ();

    fn begin(&mut self) {
        self.pods.clear();
        self.settled = false;
    }

    fn see(&mut self, event: Event<Pod>) {
        let uid = event.object.metadata.uid.clone();
        self.settled = self.settled || event.kind != Change::Added;
        match event.kind {
            Change::Deleted => drop(self.pods.remove(&uid)),
            _ => drop(self.pods.insert(uid, event.object)),
        }
    }

    fn verdict(&self) -> Option<()> {
        let is_old = |uid: &String| self.old.contains(uid);
        let ready = self
            .pods
            .iter()
            .filter(|(uid, pod)| !is_old(uid) && pod.ready())
            .count();
        (ready >= self.ready && !self.pods.keys().any(is_old)).then_some(())
    }
}
