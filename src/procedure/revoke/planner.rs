//! Which steps are left to do, and how each is done.

use super::{
    CREATE_ADMIN_TOKEN, DOCUMENTED_SELECTOR, Facts, KEY_GEN, Kind, Operator, Pods, Proof, Rerun,
    Revocation, Secret, Stage,
};
use crate::error::{Error, Result};
use crate::plan::{
    Action, Deletion, JobRun, NewSecret, Plan, Prove, Restart, SameCluster, Step, Way,
};
use crate::tool::invocation::Object;
use crate::tool::kubectl::{Job, JobManifest, work};

/// Puts the steps together, from what was seen.
pub(super) struct Planner<'a> {
    facts: &'a Facts,
    stage: Stage,
    steps: Vec<Step>,
    held: Vec<(&'static str, String)>,
    warnings: Vec<(String, String)>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(facts: &'a Facts, stage: Stage) -> Self {
        Self {
            facts,
            stage,
            steps: Vec::new(),
            held: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// All steps in their order, with those of this machine before the proof.
    pub(super) fn plan(mut self, local: Vec<Step>) -> Result<Revocation> {
        self.no_token_is_left()?;
        self.same_cluster();
        self.secrets();
        self.job(&KEY_GEN, ["rerun-key-gen", "see-rsa-keys"])?;
        self.restart();
        if self.facts.options.new_token {
            self.job(
                &CREATE_ADMIN_TOKEN,
                ["rerun-create-admin-token", "see-admin-token"],
            )?;
            self.read_token();
        }
        self.prove();
        // A token that is refused is not put in the place of one that may still work.
        self.steps.extend(local);
        // Where nothing in the cluster is left to do, it is only looked at.
        let only_looks = |step: &Step| {
            !matches!(
                step.action,
                Action::DeleteSecret(_)
                    | Action::RunJob(_)
                    | Action::Restart(_)
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
        Ok(Revocation {
            plan,
            half_done: self.stage.half_done,
            held: self.held,
            warnings: self.warnings,
        })
    }

    fn step(
        &mut self,
        id: &'static str,
        why: impl Into<String>,
        action: Action,
        holds: impl Into<String>,
    ) {
        self.steps.push(Step {
            id,
            why: why.into(),
            action,
            holds: holds.into(),
            beside: false,
        });
    }

    /// A token that an unfinished revocation has made is valid, and would stay so with its secret gone.
    fn no_token_is_left(&self) -> Result<()> {
        if self.facts.options.new_token || self.stage.token != Secret::New {
            return Ok(());
        }
        Err(Error::refused("an unfinished revocation has made a new admin token: it would stay valid")
            .hint("to end with it: run again without --no-new-token; to end without any token: start over, --again"))
    }

    /// A context is a name: between the look and the deed it may have come to mean another cluster.
    fn same_cluster(&mut self) {
        let id = &self.facts.cluster;
        if let Some((command, expected)) =
            id.again(&self.facts.at.kubectl, &self.facts.at.namespace)
        {
            let action = Action::SameCluster(SameCluster {
                command,
                expected: expected.to_owned(),
            });
            self.step(
                "check-cluster",
                "a context is a name, and it may lead elsewhere by now",
                action,
                "it is the cluster that was looked at",
            );
        }
    }

    fn secrets(&mut self) {
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
                Secret::Old(uid) => {
                    let deletion = Deletion {
                        at: self.facts.at.clone(),
                        name,
                        uid,
                    };
                    self.step(
                        id,
                        why,
                        Action::DeleteSecret(deletion),
                        format!("secret `{name}` of that UID is gone"),
                    );
                }
                Secret::Missing => self
                    .held
                    .push((id, format!("secret `{name}` is not there"))),
                Secret::New => self
                    .held
                    .push((id, format!("secret `{name}` is a new one"))),
            }
        }
    }

    /// Has a job run again, where what it makes is not there yet.
    fn job(&mut self, kind: &'static Kind, [rerun, see]: [&'static str; 2]) -> Result<()> {
        let stands = if kind.secret == "rsa-keys" {
            &self.stage.keys
        } else {
            &self.stage.token
        };
        if *stands == Secret::New {
            self.held
                .push((rerun, format!("secret `{}` is a new one", kind.secret)));
            return Ok(());
        }
        let old = match stands {
            Secret::Old(uid) => Some(uid.clone()),
            _ => None,
        };
        let way = self.way(kind, old.is_none())?;
        let at = self.facts.at.clone();
        let run = JobRun {
            at: at.clone(),
            way,
            secret: kind.secret,
            limit: self.facts.options.wait,
        };
        let secret = NewSecret {
            at,
            name: kind.secret,
            old,
            job: run.name().map(str::to_owned),
        };
        let why = format!("its job makes secret `{}` anew", kind.secret);
        self.step(
            rerun,
            why,
            Action::RunJob(Box::new(run)),
            "that very job is complete",
        );
        let holds = format!("secret `{}` is there with a new UID", kind.secret);
        self.step(
            see,
            "a job that is complete may have made nothing",
            Action::SeeSecret(secret),
            holds,
        );
        Ok(())
    }

    fn way(&mut self, kind: &'static Kind, missing: bool) -> Result<Way> {
        let (facts, options) = (self.facts, &self.facts.options);
        let named = if kind.secret == "rsa-keys" {
            &options.key_gen_job
        } else {
            &options.create_admin_token_job
        };
        if let Some(active) = kind
            .among(&facts.jobs)
            .filter(|job| job.active())
            .max_by_key(|job| job.metadata.created())
        {
            let name = &active.metadata.name;
            // While what it makes is there, it may end without a word: then nothing would make it again. And a token that
            // is made before the pods are new is of the old keys.
            if missing && self.comes_next(kind) {
                return Ok(Way::Running {
                    job: object(active),
                });
            }
            return Err(Error::refused(format!(
                "job `{name}` is at work: it could make secret `{}` at any moment",
                kind.secret
            ))
            .hint(format!(
                "wait for its end: `kubectl get job/{name} --namespace {} --watch`",
                facts.at.namespace
            )));
        }
        let job = kind.choose(&facts.jobs, named.as_deref(), &facts.at.namespace)?;
        let by_kubit = match options.rerun {
            Rerun::Operator => true,
            Rerun::Auto => facts.operator == Operator::Running,
            Rerun::Clone | Rerun::FromJob => false,
        };
        if by_kubit {
            return self.by_kubit(kind, job, missing);
        }
        let job = job.ok_or_else(|| self.no_job(kind))?;
        self.healthy(kind, job)?;
        let name = kind.next_name(&facts.jobs);
        if options.rerun == Rerun::FromJob {
            return Ok(Way::FromJob {
                from: object(job),
                name,
            });
        }
        if job.suspended() {
            let text = format!(
                "job `{}` is suspended: its clone runs all the same",
                job.metadata.name
            );
            self.warnings
                .push((text, "find out who suspended it, and why".to_owned()));
        }
        let manifest = JobManifest::of(job, &facts.at.namespace, &name);
        Ok(Way::Clone {
            patch: manifest.patch(job),
            manifest,
        })
    }

    /// Whether what this kind of job makes now is of the new keys, as far as can be told; the proof shows it for certain.
    fn comes_next(&self, kind: &Kind) -> bool {
        kind.secret == KEY_GEN.secret || (self.stage.keys == Secret::New && !self.stage.serves_old)
    }

    fn by_kubit(&self, kind: &'static Kind, job: Option<&Job>, missing: bool) -> Result<Way> {
        let facts = self.facts;
        if facts.operator != Operator::Running {
            return Err(Error::refused(format!(
                "kubit would not make the jobs again ({})",
                facts.operator.state()
            ))
            .hint("--rerun clone makes them again without it"));
        }
        match job {
            Some(job) if job.suspended() => Err(Error::refused(format!(
                "job `{}` is suspended, and kubit would make it so again",
                job.metadata.name
            ))
            .hint("--rerun clone runs it all the same")),
            Some(job) if kind.is_original(job) => {
                self.healthy(kind, job)?;
                Ok(Way::Operator { job: object(job) })
            }
            // Deleted by a run that was cut short: kubit is about to make it again.
            None if missing => Ok(Way::Awaited { kind: kind.name }),
            Some(clone) => {
                let text = format!(
                    "job `{}` is a clone: kubit would not make it again",
                    clone.metadata.name
                );
                Err(Error::refused(text).hint("--rerun clone makes it again without kubit"))
            }
            _ => Err(self.no_job(kind)),
        }
    }

    fn no_job(&self, kind: &Kind) -> Error {
        let namespace = &self.facts.at.namespace;
        let hint = match &self.facts.operator {
            Operator::Paused => format!(
                "kubit makes it once its pause ends: `kubectl get appinstances.kubecfg.dev --namespace {namespace}`"
            ),
            _ => format!(
                "apply the release again (`kubit local apply`), or name another job: {} NAME; there are: `kubectl get jobs --namespace {namespace}`",
                kind.flag
            ),
        };
        Error::refused(format!(
            "there is no job `{}`: secret `{}` could not be made again",
            kind.name, kind.secret
        ))
        .hint(hint)
    }

    /// A job that failed is likely to fail again, unless another has done the same work.
    fn healthy(&self, kind: &Kind, job: &Job) -> Result<()> {
        let same = work(job);
        let worked = || {
            self.facts
                .jobs
                .iter()
                .any(|other| other.complete() && work(other) == same)
        };
        match job.failure() {
            Some(why) if !worked() && self.facts.options.waived != Some(Proof::FailedJob) => {
                let name = &job.metadata.name;
                Err(Error::refused(format!(
                    "job `{name}` has failed ({why}): it would not make secret `{}` either",
                    kind.secret
                ))
                .hint(format!(
                    "`kubectl logs job/{name} --namespace {}` shows why; --waive failed-job goes on all the same",
                    self.facts.at.namespace
                )))
            }
            _ => Ok(()),
        }
    }

    fn restart(&mut self) {
        let going = match &self.stage.pods {
            Pods::New => {
                self.held
                    .push(("restart-pods", "all have loaded the new keys".to_owned()));
                return;
            }
            Pods::Going(going) => Some(going.clone()),
            Pods::Old => None,
        };
        let live = self
            .facts
            .pods
            .iter()
            .filter(|pod| !pod.ended() && pod.metadata.deletion_timestamp.is_none());
        let (all, ready) = (live.clone().count(), live.filter(|pod| pod.ready()).count());
        let wanted = match &going {
            // Those of a half-done revocation may just be waiting for the keys, or not be there yet.
            Some(going) => all.max(going.len()).max(1),
            None if self.stage.half_done.is_some() => all,
            None => ready,
        };
        let selector = self.facts.options.selector.clone();
        self.doubtful_pods(&selector, wanted, ready, all);
        let why = if going.is_some() {
            "their restart has begun"
        } else {
            "they load the keys when they start, and serve the old ones until then"
        };
        let restart = Restart {
            at: self.facts.at.clone(),
            selector,
            ready: wanted,
            going,
            limit: self.facts.options.wait,
        };
        self.step(
            "restart-pods",
            why,
            Action::Restart(restart),
            format!("those of the old UIDs are gone, and {wanted} others are ready"),
        );
    }

    fn doubtful_pods(&mut self, selector: &str, wanted: usize, ready: usize, all: usize) {
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
                    self.facts.at.namespace
                ),
            ));
        }
    }

    fn read_token(&mut self) {
        // Beside the look at its UID: neither needs the other.
        let beside = self
            .steps
            .last()
            .is_some_and(|step| matches!(step.action, Action::SeeSecret(_)));
        self.step(
            "get-token",
            "read the new token, to show that it is accepted where the old one is not",
            Action::ReadToken(self.facts.at.kubectl.admin_token(&self.facts.at.namespace)),
            "the new token is known, in memory only",
        );
        self.steps
            .iter_mut()
            .rev()
            .take(1)
            .for_each(|step| step.beside = beside);
    }

    fn prove(&mut self) {
        let prove = Prove {
            trial: self.facts.trial.clone(),
            new_token: self.facts.options.new_token,
            grace: self.facts.grace,
        };
        let holds = if self.facts.options.new_token {
            "the old token is refused where the new one is accepted"
        } else {
            "the old token, accepted before, is refused"
        };
        self.step(
            "prove-revocation",
            "show the result, do not assume it",
            Action::Prove(prove),
            holds,
        );
    }
}

fn object(job: &Job) -> Object {
    Object {
        name: format!("job/{}", job.metadata.name),
        uid: job.metadata.uid.clone(),
    }
}
