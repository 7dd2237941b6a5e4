//! Which steps are left to do, and how each is done.

use super::{
    CREATE_ADMIN_TOKEN, DOCUMENTED_SELECTOR, JobKind, KEY_GEN, Operator, PodState, PreflightCheck,
    Rerun, RevocationFacts, RevocationPlan, SecretState, Stage,
};
use crate::error::{Error, Result};
use crate::plan::{
    Action, ExpectedCluster, ExpectedSecret, JobRun, JobStrategy, Plan, PodRestart, SecretDeletion,
    Step, VerificationStep,
};
use crate::tool::invocation::{ObjectKind, ObjectRef};
use crate::tool::kubectl::{Job, JobManifest, comparable_spec};

/// Puts the steps together, from what was seen.
pub(super) struct Planner<'a> {
    facts: &'a RevocationFacts,
    stage: Stage,
    steps: Vec<Step>,
    satisfied: Vec<(&'static str, String)>,
    warnings: Vec<(String, String)>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(facts: &'a RevocationFacts, stage: Stage) -> Self {
        Self {
            facts,
            stage,
            steps: Vec::new(),
            satisfied: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// All steps in their order, with those of this machine before the proof.
    pub(super) fn build_plan(mut self, local: Vec<Step>) -> Result<RevocationPlan> {
        self.ensure_no_new_token()?;
        self.push_cluster_check();
        self.push_secret_deletions();
        self.push_job_rerun(&KEY_GEN, ["rerun-key-gen", "verify-rsa-keys"])?;
        self.push_pod_restart();
        if self.facts.options.new_token {
            self.push_job_rerun(
                &CREATE_ADMIN_TOKEN,
                ["rerun-create-admin-token", "verify-admin-token"],
            )?;
            self.push_token_read();
        }
        self.push_verification();
        // A token that is refused is not put in the place of one that may still work.
        self.steps.extend(local);
        // Where nothing in the cluster is left to do, it is only looked at.
        let only_looks = |step: &Step| {
            !matches!(
                step.action,
                Action::DeleteSecret(_)
                    | Action::RunJob(_)
                    | Action::RestartPods(_)
                    | Action::WriteToken { .. }
            )
        };
        if self.steps.iter().all(only_looks) {
            self.steps
                .retain(|step| !matches!(step.action, Action::SameCluster(_)));
        }
        let plan = Plan {
            command: self.facts.command,
            about: self.facts.about.clone(),
            steps: self.steps,
        };
        Ok(RevocationPlan {
            plan,
            resuming: self.stage.resuming,
            satisfied: self.satisfied,
            warnings: self.warnings,
        })
    }

    fn push_step(
        &mut self,
        id: &'static str,
        why: impl Into<String>,
        action: Action,
        holds: impl Into<String>,
    ) {
        self.steps.push(Step {
            id,
            reason: why.into(),
            action,
            postcondition: holds.into(),
            parallel: false,
        });
    }

    /// A token that an unfinished revocation has made is valid, and would stay so with its secret gone.
    fn ensure_no_new_token(&self) -> Result<()> {
        if self.facts.options.new_token || self.stage.token != SecretState::New {
            return Ok(());
        }
        Err(Error::refusal("an unfinished revocation has made a new admin token: it would stay valid")
            .hint("to end with it: run again without --no-new-token; to end without any token: start over, --start-over"))
    }

    /// A context is a name: between the look and the deed it may have come to mean another cluster.
    fn push_cluster_check(&mut self) {
        let id = &self.facts.cluster;
        if let Some((command, expected)) =
            id.recheck(&self.facts.target.kubectl, &self.facts.target.namespace)
        {
            let action = Action::SameCluster(ExpectedCluster {
                command,
                expected: expected.to_owned(),
            });
            self.push_step(
                "check-cluster",
                "a context is a name, and it may lead elsewhere by now",
                action,
                "it is the cluster that was looked at",
            );
        }
    }

    fn push_secret_deletions(&mut self) {
        let secrets = [
            (
                "delete-rsa-keys",
                "rsa-keys",
                self.stage.keys.clone(),
                "from here on there is no way back: what was signed with these keys becomes worthless",
            ),
            (
                "delete-admin-token",
                "admin-token",
                self.stage.token.clone(),
                "its job makes a new one only where there is none",
            ),
        ];
        for (id, name, stands, why) in secrets {
            match stands {
                SecretState::Old(uid) => {
                    let deletion = SecretDeletion {
                        target: self.facts.target.clone(),
                        name,
                        uid,
                    };
                    self.push_step(
                        id,
                        why,
                        Action::DeleteSecret(deletion),
                        format!("secret `{name}` of that UID is gone"),
                    );
                }
                SecretState::Missing => self
                    .satisfied
                    .push((id, format!("secret `{name}` is not there"))),
                SecretState::New => self
                    .satisfied
                    .push((id, format!("secret `{name}` is a new one"))),
            }
        }
    }

    /// Has a job run again, where what it makes is not there yet.
    fn push_job_rerun(
        &mut self,
        kind: &'static JobKind,
        [rerun, see]: [&'static str; 2],
    ) -> Result<()> {
        let stands = if kind.secret == "rsa-keys" {
            &self.stage.keys
        } else {
            &self.stage.token
        };
        if *stands == SecretState::New {
            self.satisfied
                .push((rerun, format!("secret `{}` is a new one", kind.secret)));
            return Ok(());
        }
        let old = match stands {
            SecretState::Old(uid) => Some(uid.clone()),
            _ => None,
        };
        let way = self.choose_strategy(kind, old.is_none())?;
        let at = self.facts.target.clone();
        let run = JobRun {
            target: at.clone(),
            strategy: way,
            secret: kind.secret,
            timeout: self.facts.options.timeout,
        };
        let secret = ExpectedSecret {
            target: at,
            name: kind.secret,
            previous_uid: old,
            job: run.job_name().map(str::to_owned),
        };
        let why = format!("its job makes secret `{}` anew", kind.secret);
        self.push_step(
            rerun,
            why,
            Action::RunJob(Box::new(run)),
            "that very job is complete",
        );
        let holds = format!("secret `{}` is there with a new UID", kind.secret);
        self.push_step(
            see,
            "a job that is complete may have made nothing",
            Action::VerifySecret(secret),
            holds,
        );
        Ok(())
    }

    fn choose_strategy(&mut self, kind: &'static JobKind, missing: bool) -> Result<JobStrategy> {
        let (facts, options) = (self.facts, &self.facts.options);
        let named = if kind.secret == "rsa-keys" {
            &options.key_gen_job
        } else {
            &options.create_admin_token_job
        };
        if let Some(active) = kind
            .filter_jobs(&facts.jobs)
            .filter(|job| job.is_active())
            .max_by_key(|job| job.metadata.creation_time())
        {
            let name = &active.metadata.name;
            // While what it makes is there, it may end without a word: then nothing would make it again. And a token that
            // is made before the pods are new is of the old keys.
            if missing && self.can_run_now(kind) {
                return Ok(JobStrategy::Running {
                    job: to_object_ref(active),
                });
            }
            return Err(Error::refusal(format!(
                "job `{name}` is at work: it could make secret `{}` at any moment",
                kind.secret
            ))
            .hint(format!(
                "wait for its end: `kubectl get job/{name} --namespace {} --watch`",
                facts.target.namespace
            )));
        }
        let job = kind.choose_job(&facts.jobs, named.as_deref(), &facts.target.namespace)?;
        let by_kubit = match options.rerun {
            Rerun::Operator => true,
            Rerun::Auto => facts.operator == Operator::Running,
            Rerun::Clone | Rerun::FromJob => false,
        };
        if by_kubit {
            return self.choose_operator_strategy(kind, job, missing);
        }
        let job = job.ok_or_else(|| self.missing_job_error(kind))?;
        self.check_not_failed(kind, job)?;
        let name = kind.next_clone_name(&facts.jobs);
        if options.rerun == Rerun::FromJob {
            return Ok(JobStrategy::FromJob {
                source: to_object_ref(job),
                name,
            });
        }
        if job.is_suspended() {
            let text = format!(
                "job `{}` is suspended: its clone runs all the same",
                job.metadata.name
            );
            self.warnings
                .push((text, "find out who suspended it, and why".to_owned()));
        }
        let manifest = JobManifest::from_job(job, &facts.target.namespace, &name);
        Ok(JobStrategy::Clone {
            patch: manifest.to_json_patch(job),
            manifest,
        })
    }

    /// Whether what this kind of job makes now is of the new keys, as far as can be told; the proof shows it for certain.
    fn can_run_now(&self, kind: &JobKind) -> bool {
        kind.secret == KEY_GEN.secret
            || (self.stage.keys == SecretState::New && !self.stage.serves_old_keys)
    }

    fn choose_operator_strategy(
        &self,
        kind: &'static JobKind,
        job: Option<&Job>,
        missing: bool,
    ) -> Result<JobStrategy> {
        let facts = self.facts;
        if facts.operator != Operator::Running {
            return Err(Error::refusal(format!(
                "kubit would not make the jobs again ({})",
                facts.operator.describe_state()
            ))
            .hint("--rerun clone makes them again without it"));
        }
        match job {
            Some(job) if job.is_suspended() => Err(Error::refusal(format!(
                "job `{}` is suspended, and kubit would make it so again",
                job.metadata.name
            ))
            .hint("--rerun clone runs it all the same")),
            Some(job) if kind.is_original(job) => {
                self.check_not_failed(kind, job)?;
                Ok(JobStrategy::Operator {
                    job: to_object_ref(job),
                })
            }
            // Deleted by a run that was cut short: kubit is about to make it again.
            None if missing => Ok(JobStrategy::AwaitExisting {
                name_prefix: kind.name_prefix,
            }),
            Some(clone) => {
                let text = format!(
                    "job `{}` is a clone: kubit would not make it again",
                    clone.metadata.name
                );
                Err(Error::refusal(text).hint("--rerun clone makes it again without kubit"))
            }
            _ => Err(self.missing_job_error(kind)),
        }
    }

    fn missing_job_error(&self, kind: &JobKind) -> Error {
        let namespace = &self.facts.target.namespace;
        let hint = match &self.facts.operator {
            Operator::Paused => format!(
                "kubit makes it once its pause ends: `kubectl get appinstances.kubecfg.dev --namespace {namespace}`"
            ),
            _ => format!(
                "apply the release again (`kubit local apply`), or name another job: {} NAME; there are: `kubectl get jobs --namespace {namespace}`",
                kind.flag
            ),
        };
        Error::refusal(format!(
            "there is no job `{}`: secret `{}` could not be made again",
            kind.name_prefix, kind.secret
        ))
        .hint(hint)
    }

    /// A job that failed is likely to fail again, unless another has done the same work.
    fn check_not_failed(&self, kind: &JobKind, job: &Job) -> Result<()> {
        let same = comparable_spec(job);
        let worked = || {
            self.facts
                .jobs
                .iter()
                .any(|other| other.is_complete() && comparable_spec(other) == same)
        };
        match job.failure_reason() {
            Some(why)
                if !worked()
                    && self.facts.options.skip_check != Some(PreflightCheck::FailedJob) =>
            {
                let name = &job.metadata.name;
                Err(Error::refusal(format!(
                    "job `{name}` has failed ({why}): it would not make secret `{}` either",
                    kind.secret
                ))
                .hint(format!(
                    "`kubectl logs job/{name} --namespace {}` shows why; --skip-check failed-job goes on all the same",
                    self.facts.target.namespace
                )))
            }
            _ => Ok(()),
        }
    }

    fn push_pod_restart(&mut self) {
        let going = match &self.stage.pods {
            PodState::New => {
                self.satisfied
                    .push(("restart-pods", "all have loaded the new keys".to_owned()));
                return;
            }
            PodState::Terminating(going) => Some(going.clone()),
            PodState::Old => None,
        };
        let live = self
            .facts
            .pods
            .iter()
            .filter(|pod| !pod.is_finished() && pod.metadata.deletion_timestamp.is_none());
        let (all, ready) = (
            live.clone().count(),
            live.filter(|pod| pod.is_ready()).count(),
        );
        let wanted = match &going {
            // Those of a half-done revocation may just be waiting for the keys, or not be there yet.
            Some(going) => all.max(going.len()).max(1),
            None if self.stage.resuming.is_some() => all,
            None => ready,
        };
        let selector = self.facts.options.selector.clone();
        self.warn_about_pods(&selector, wanted, ready, all);
        let why = if going.is_some() {
            "their restart has begun"
        } else {
            "they load the keys when they start, and serve the old ones until then"
        };
        let restart = PodRestart {
            target: self.facts.target.clone(),
            selector,
            ready_pods: wanted,
            terminating: going,
            timeout: self.facts.options.timeout,
        };
        self.push_step(
            "restart-pods",
            why,
            Action::RestartPods(restart),
            format!("those of the old UIDs are gone, and {wanted} others are ready"),
        );
    }

    fn warn_about_pods(&mut self, selector: &str, wanted: usize, ready: usize, all: usize) {
        if selector != DOCUMENTED_SELECTOR
            && !self
                .facts
                .pods
                .iter()
                .any(|pod| pod.uses_secret("rsa-keys"))
        {
            self.warnings.push((
                format!("none of the pods labelled {selector} mounts or reads secret `rsa-keys`: a restart of these may change nothing"),
                "which do: `kubectl get pods --output yaml`; whatever still holds the old keys accepts the old token".to_owned(),
            ));
        }
        if wanted < all {
            let text = format!(
                "only {ready} of {all} pods labelled {selector} are ready: no more than that are waited for after the restart"
            );
            self.warnings.push((
                text,
                format!(
                    "`kubectl describe pods --selector {selector} --namespace {}`",
                    self.facts.target.namespace
                ),
            ));
        }
    }

    fn push_token_read(&mut self) {
        // Beside the look at its UID: neither needs the other.
        let beside = self
            .steps
            .last()
            .is_some_and(|step| matches!(step.action, Action::VerifySecret(_)));
        self.push_step(
            "get-token",
            "read the new token, to show that it is accepted where the old one is not",
            Action::ReadToken(
                self.facts
                    .target
                    .kubectl
                    .get_admin_token(&self.facts.target.namespace),
            ),
            "the new token is known, in memory only",
        );
        self.steps
            .iter_mut()
            .rev()
            .take(1)
            .for_each(|step| step.parallel = beside);
    }

    fn push_verification(&mut self) {
        let prove = VerificationStep {
            token_probe: self.facts.token_probe.clone(),
            new_token: self.facts.options.new_token,
            grace_period: self.facts.grace_period,
        };
        let holds = if self.facts.options.new_token {
            "the old token is refused where the new one is accepted"
        } else {
            "the old token, accepted before, is refused"
        };
        self.push_step(
            "verify-revocation",
            "show the result, do not assume it",
            Action::VerifyRevocation(prove),
            holds,
        );
    }
}

fn to_object_ref(job: &Job) -> ObjectRef {
    ObjectRef {
        kind: ObjectKind::Job,
        name: job.metadata.name.clone(),
        uid: job.metadata.uid.clone(),
    }
}
