//! Chooses how to rerun a job, and refuses a rerun that cannot succeed.

use super::facts::RevocationFacts;
use super::jobs::JobKind;
use super::operator::Operator;
use super::options::{PreflightCheck, Rerun};
use super::stage::{SecretState, Stage};
use crate::error::{Error, Result};
use crate::plan::JobStrategy;
use crate::tool::kubectl::{Job, JobManifest, comparable_spec};

/// Chooses strategies with the same facts.
pub(super) struct StrategyChooser<'a> {
    pub(super) facts: &'a RevocationFacts,
    pub(super) stage: &'a Stage,
}

impl StrategyChooser<'_> {
    /// Chooses the strategy for the job of a secret that is missing or has to be replaced.
    pub(super) fn choose(&self, kind: JobKind) -> Result<JobStrategy> {
        if let Some(active) = self.find_active_job(kind) {
            return self.await_active_job(kind, active);
        }
        let options = &self.facts.options;
        let given_name = match kind {
            JobKind::KeyGen => &options.key_gen_job,
            JobKind::CreateAdminToken => &options.create_admin_token_job,
        };
        let namespace = &self.facts.target.namespace;
        let job = kind.choose_job(&self.facts.jobs, given_name.as_deref(), namespace)?;
        let is_by_operator = match options.rerun {
            Rerun::Operator => true,
            Rerun::Auto => self.facts.operator == Operator::Running,
            Rerun::Clone | Rerun::FromJob => false,
        };
        if is_by_operator {
            self.choose_operator(kind, job)
        } else {
            let job = job.ok_or_else(|| self.missing_job_error(kind))?;
            self.choose_new_job(kind, job)
        }
    }

    /// Returns the warning about a suspended job with a running clone.
    pub(super) fn suspension_warning(&self, strategy: &JobStrategy) -> Option<(String, String)> {
        let JobStrategy::Clone { manifest, .. } = strategy else {
            return None;
        };
        let mut jobs = self.facts.jobs.iter();
        let source = jobs.find(|job| job.metadata.uid == manifest.source.uid)?;
        source.is_suspended().then(|| {
            (
                format!(
                    "job `{}` is suspended, but its clone runs",
                    source.metadata.name
                ),
                "find out who suspended it, and why".to_owned(),
            )
        })
    }

    fn is_missing(&self, kind: JobKind) -> bool {
        *self.stage.secret(kind.secret()) == SecretState::Missing
    }

    fn find_active_job(&self, kind: JobKind) -> Option<&Job> {
        kind.filter_jobs(&self.facts.jobs)
            .filter(|job| job.is_active())
            .max_by_key(|job| job.metadata.creation_time())
    }

    /// Waits for a running job, if its secret is missing and belongs to the new keys.
    ///
    /// A job that finds its secret can finish without a change, and then nothing recreates the
    /// secret. A token that is created before the pods restart belongs to the old keys.
    fn await_active_job(&self, kind: JobKind, active: &Job) -> Result<JobStrategy> {
        if self.is_missing(kind) && self.uses_new_keys(kind) {
            return Ok(JobStrategy::Running {
                job: active.to_object_ref(),
            });
        }
        let name = &active.metadata.name;
        Err(Error::refusal(format!(
            "job `{name}` is running: it can create secret `{}` at any moment",
            kind.secret()
        ))
        .hint(format!(
            "wait until it finishes: `kubectl get job/{name} --namespace {} --watch`",
            self.facts.target.namespace
        )))
    }

    /// Returns whether a job that runs now uses the new keys, as far as the pods show it. The
    /// verification of the revocation makes it certain.
    fn uses_new_keys(&self, kind: JobKind) -> bool {
        kind == JobKind::KeyGen
            || (self.stage.keys == SecretState::New && !self.stage.serves_old_keys)
    }

    fn choose_new_job(&self, kind: JobKind, job: &Job) -> Result<JobStrategy> {
        self.check_not_failed(kind, job)?;
        let name = kind.next_clone_name(&self.facts.jobs);
        if self.facts.options.rerun == Rerun::FromJob {
            return Ok(JobStrategy::FromJob {
                source: job.to_object_ref(),
                name,
            });
        }
        let manifest = JobManifest::from_job(job, &self.facts.target.namespace, &name);
        Ok(JobStrategy::Clone {
            patch: manifest.to_json_patch(job),
            manifest,
        })
    }

    fn choose_operator(&self, kind: JobKind, job: Option<&Job>) -> Result<JobStrategy> {
        if self.facts.operator != Operator::Running {
            return Err(Error::refusal(format!(
                "kubit would not recreate the jobs ({})",
                self.facts.operator.describe_state()
            ))
            .hint("use --rerun clone, which does not need kubit"));
        }
        match job {
            Some(job) if job.is_suspended() => Err(Error::refusal(format!(
                "job `{}` is suspended, and kubit would recreate it suspended",
                job.metadata.name
            ))
            .hint("use --rerun clone, which runs it")),
            Some(job) if kind.is_original(job) => {
                self.check_not_failed(kind, job)?;
                Ok(JobStrategy::Operator {
                    job: job.to_object_ref(),
                    method: self.facts.options.deletion_method,
                })
            }
            Some(clone) => Err(Error::refusal(format!(
                "job `{}` is a clone, which kubit would not recreate",
                clone.metadata.name
            ))
            .hint("use --rerun clone, which does not need kubit")),
            // An interrupted run has deleted the job, and kubit is about to recreate it.
            None if self.is_missing(kind) => Ok(JobStrategy::AwaitExisting {
                name_prefix: kind.name_prefix(),
            }),
            None => Err(self.missing_job_error(kind)),
        }
    }

    fn missing_job_error(&self, kind: JobKind) -> Error {
        let namespace = &self.facts.target.namespace;
        let hint = if self.facts.app_instances.is_paused() {
            format!(
                "end kubit's pause, so that it recreates the job: \
                 `kubectl get appinstances.kubecfg.dev --namespace {namespace}`"
            )
        } else {
            format!(
                "apply the release again (`kubit local apply`), or choose one of \
                 `kubectl get jobs --namespace {namespace}` with {} NAME",
                kind.flag()
            )
        };
        Error::refusal(format!(
            "job `{}` not found: nothing could recreate secret `{}`",
            kind.name_prefix(),
            kind.secret()
        ))
        .hint(hint)
    }

    /// Refuses a job that failed, unless a job with the same work completed.
    fn check_not_failed(&self, kind: JobKind, job: &Job) -> Result<()> {
        let Some(reason) = job.failure_reason() else {
            return Ok(());
        };
        let spec = comparable_spec(job);
        let mut jobs = self.facts.jobs.iter();
        if self
            .facts
            .options
            .skip_checks
            .contains(&PreflightCheck::FailedJob)
            || jobs.any(|other| other.is_complete() && comparable_spec(other) == spec)
        {
            return Ok(());
        }
        let name = &job.metadata.name;
        Err(Error::refusal(format!(
            "job `{name}` failed ({reason}), and can fail to create secret `{}` again",
            kind.secret()
        ))
        .hint(format!(
            "look for the cause (`kubectl logs job/{name} --namespace {}`), \
             or use --skip-check failed-job",
            self.facts.target.namespace
        )))
    }
}
