//! The jobs that create the keys and the token, found by name as in the documentation.

use crate::error::{Error, Result};
use crate::plan::SecretName;
use crate::tool::kubectl::{Job, comparable_spec};

/// The jobs that create one of the secrets if it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobKind {
    KeyGen,
    CreateAdminToken,
}

impl JobKind {
    pub const ALL: [Self; 2] = [Self::KeyGen, Self::CreateAdminToken];

    /// Returns the whole name of a job, or its part before `-` and the suffix of a release.
    pub const fn name_prefix(self) -> &'static str {
        match self {
            Self::KeyGen => "key-gen",
            Self::CreateAdminToken => "create-admin-token",
        }
    }

    /// Returns the option that chooses one of several jobs.
    pub(super) const fn flag(self) -> &'static str {
        match self {
            Self::KeyGen => "--key-gen-job",
            Self::CreateAdminToken => "--create-admin-token-job",
        }
    }

    /// Returns the secret that the jobs create.
    pub const fn secret(self) -> SecretName {
        match self {
            Self::KeyGen => SecretName::RsaKeys,
            Self::CreateAdminToken => SecretName::AdminToken,
        }
    }

    pub const fn from_secret(secret: SecretName) -> Self {
        match secret {
            SecretName::RsaKeys => Self::KeyGen,
            SecretName::AdminToken => Self::CreateAdminToken,
        }
    }

    /// Iterates over the jobs of this kind, without those that are being deleted.
    pub fn filter_jobs(self, jobs: &[Job]) -> impl Iterator<Item = &Job> {
        let is_kind = move |job: &&Job| {
            let rest = job.metadata.name.strip_prefix(self.name_prefix());
            job.metadata.deletion_timestamp.is_none()
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        jobs.iter().filter(is_kind)
    }

    /// Parses the number of a clone, numbered as in the documentation: `key-gen-001`.
    ///
    /// The suffix of a release has eight characters, and can be all digits.
    fn clone_number(self, name: &str) -> Option<u32> {
        let digits = name.strip_prefix(self.name_prefix())?.strip_prefix('-')?;
        let is_number =
            (3..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| is_number)
    }

    /// Returns whether a job replaces another one, created by this program or by hand.
    fn is_clone(self, job: &Job) -> bool {
        job.is_clone() || self.clone_number(&job.metadata.name).is_some()
    }

    /// Returns whether a job is of this kind and created by kubit or the installer.
    pub fn is_original(self, job: &Job) -> bool {
        !self.is_clone(job) && self.filter_jobs(std::slice::from_ref(job)).next().is_some()
    }

    /// Returns a name for a new clone, with a number above all others.
    pub(super) fn next_clone_name(self, jobs: &[Job]) -> String {
        let max = jobs
            .iter()
            .filter_map(|job| self.clone_number(&job.metadata.name))
            .max()
            .unwrap_or(0);
        format!("{}-{:03}", self.name_prefix(), max + 1)
    }

    /// Chooses the job to rerun. `None` if no job is of this kind.
    ///
    /// Without a given name it is the latest job, and a clone only without originals.
    ///
    /// # Errors
    /// Refused if the given job is missing, or if the candidates differ.
    pub(super) fn choose_job<'a>(
        self,
        jobs: &'a [Job],
        given_name: Option<&str>,
        namespace: &str,
    ) -> Result<Option<&'a Job>> {
        if let Some(name) = given_name {
            return self.find_job(jobs, name).map(Some);
        }
        let (clones, originals): (Vec<&Job>, Vec<&Job>) =
            self.filter_jobs(jobs).partition(|job| self.is_clone(job));
        let candidates = if originals.is_empty() {
            clones
        } else {
            originals
        };
        if candidates
            .windows(2)
            .any(|pair| comparable_spec(pair[0]) != comparable_spec(pair[1]))
        {
            let names = join_names(candidates.iter().copied());
            return Err(Error::refusal(format!(
                "several different jobs create secret `{}`: {names}",
                self.secret()
            ))
            .hint(format!(
                "compare them (`kubectl get jobs --output yaml --namespace {namespace}`), \
                 then choose one with {} NAME",
                self.flag()
            )));
        }
        let age = |job: &&&Job| (job.metadata.creation_time(), job.metadata.name.clone());
        Ok(candidates.iter().max_by_key(age).copied())
    }

    fn find_job<'a>(self, jobs: &'a [Job], name: &str) -> Result<&'a Job> {
        let found = self.filter_jobs(jobs).find(|job| job.metadata.name == name);
        found.ok_or_else(|| {
            Error::refusal(format!(
                "no job `{name}` creates secret `{}`",
                self.secret()
            ))
            .hint(format!(
                "choose one of these with {}: {}",
                self.flag(),
                join_names(self.filter_jobs(jobs))
            ))
        })
    }
}

fn join_names<'a>(jobs: impl Iterator<Item = &'a Job>) -> String {
    let mut names: Vec<String> = jobs.map(|job| format!("`{}`", job.metadata.name)).collect();
    names.sort();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn make_job(name: &str, created: &str, image: &str) -> Job {
        let metadata = json!({"labels": {"job-name": name}});
        let spec = json!({"template": {"metadata": metadata, "spec": {"image": image}}});
        serde_json::from_value(
            json!({"metadata": {"name": name, "creationTimestamp": created}, "spec": spec}),
        )
        .unwrap()
    }

    fn choose_job_name(jobs: &[Job]) -> Option<&str> {
        JobKind::KeyGen
            .choose_job(jobs, None, "influxdb")
            .unwrap()
            .map(|job| job.metadata.name.as_str())
    }

    const OLD_TIME: &str = "2024-01-01T00:00:00Z";
    const NEW_TIME: &str = "2024-02-01T00:00:00Z";

    #[test]
    fn choose_job_picks_latest_when_jobs_are_equal() {
        let jobs = [
            make_job("key-gen-aaaaaaaa", OLD_TIME, "i"),
            make_job("key-gen-12345678", NEW_TIME, "i"),
            make_job("key-gen-001", NEW_TIME, "other"),
            make_job("token-gen-aaaaaaaa", NEW_TIME, "other"),
            make_job("key-generator", NEW_TIME, "other"),
            make_job("kubit-apply-key-gen", NEW_TIME, "other"),
        ];
        assert_eq!(choose_job_name(&jobs), Some("key-gen-12345678"));
        assert_eq!(
            choose_job_name(&jobs[2..]),
            Some("key-gen-001"),
            "a clone, without originals"
        );
        assert_eq!(choose_job_name(&jobs[3..]), None);
        assert_eq!(
            choose_job_name(&[make_job("key-gen", OLD_TIME, "i")]),
            Some("key-gen")
        );
    }

    #[test]
    fn choose_job_names_candidates_when_jobs_differ() {
        let jobs = [
            make_job("key-gen-aaaaaaaa", OLD_TIME, "i"),
            make_job("key-gen-bbbbbbbb", NEW_TIME, "j"),
        ];
        let error = JobKind::KeyGen
            .choose_job(&jobs, None, "influxdb")
            .unwrap_err();
        assert!(
            error
                .message
                .ends_with(": `key-gen-aaaaaaaa`, `key-gen-bbbbbbbb`"),
            "{error}"
        );
        assert!(error.hint.contains("--key-gen-job"));
        assert!(
            JobKind::KeyGen
                .choose_job(&jobs, Some("key-gen-aaaaaaaa"), "influxdb")
                .unwrap()
                .is_some()
        );
        assert!(
            JobKind::KeyGen
                .choose_job(&jobs, Some("key-gen-cccccccc"), "influxdb")
                .is_err()
        );
    }

    #[test]
    fn next_clone_name_uses_free_number() {
        let next = |names: &[&str]| {
            let jobs: Vec<Job> = names
                .iter()
                .map(|name| make_job(name, OLD_TIME, "i"))
                .collect();
            JobKind::KeyGen.next_clone_name(&jobs)
        };
        assert_eq!(next(&["key-gen-7c9d2b41"]), "key-gen-001");
        assert_eq!(
            next(&["key-gen-12345678", "key-gen-001", "key-gen-004"]),
            "key-gen-005"
        );
        assert_eq!(next(&["key-gen-999"]), "key-gen-1000");
    }
}
