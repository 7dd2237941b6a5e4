//! Which job makes the keys, which the token: found by name, as the documentation has it.

use crate::error::{Error, Result};
use crate::tool::kubectl::{Job, comparable_spec};

/// The jobs of one kind, `key-gen` or `create-admin-token`, and which of them is meant.
pub struct JobKind {
    /// How their names begin: alone, or before `-` and a suffix that changes with the release.
    pub name_prefix: &'static str,
    /// The flag that chooses one.
    pub flag: &'static str,
    /// The secret that they make where it is missing.
    pub secret: &'static str,
}

/// The jobs that make the keys.
pub const KEY_GEN: JobKind = JobKind {
    name_prefix: "key-gen",
    flag: "--key-gen-job",
    secret: "rsa-keys",
};

/// The jobs that make the token.
pub const CREATE_ADMIN_TOKEN: JobKind = JobKind {
    name_prefix: "create-admin-token",
    flag: "--create-admin-token-job",
    secret: "admin-token",
};

impl JobKind {
    /// Those of the kind. One that is being deleted is as good as gone.
    pub fn filter_jobs<'a>(&self, jobs: &'a [Job]) -> impl Iterator<Item = &'a Job> {
        let is_kind = |job: &&Job| {
            let rest = job.metadata.name.strip_prefix(self.name_prefix);
            job.metadata.deletion_timestamp.is_none()
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        jobs.iter().filter(is_kind)
    }

    /// The number of a job that stands in for another, as the documentation numbers them: `key-gen-001`. A release's
    /// suffix has eight characters, and may be all digits.
    fn clone_number(&self, name: &str) -> Option<u32> {
        let digits = name.strip_prefix(self.name_prefix)?.strip_prefix('-')?;
        let numbered =
            (3..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| numbered)
    }

    /// Whether a job was made in the place of another, by this program or by hand.
    fn is_clone(&self, job: &Job) -> bool {
        job.is_clone() || self.clone_number(&job.metadata.name).is_some()
    }

    /// Whether a job of the kind is one that kubit or the installer made.
    #[must_use]
    pub fn is_original(&self, job: &Job) -> bool {
        !self.is_clone(job) && self.filter_jobs(std::slice::from_ref(job)).next().is_some()
    }

    /// The name for the next clone: one more than any so far.
    #[must_use]
    pub fn next_clone_name(&self, jobs: &[Job]) -> String {
        let taken = jobs
            .iter()
            .filter_map(|job| self.clone_number(&job.metadata.name))
            .max()
            .unwrap_or(0);
        format!("{}-{:03}", self.name_prefix, taken + 1)
    }

    /// The job that is meant: the one named, else the latest of those that all do the same work, originals before
    /// clones; `None` where there is none.
    ///
    /// # Errors
    /// Refused where the named one is not there, or where several do different work.
    pub fn choose_job<'a>(
        &self,
        jobs: &'a [Job],
        named: Option<&str>,
        namespace: &str,
    ) -> Result<Option<&'a Job>> {
        if let Some(named) = named {
            let found = self
                .filter_jobs(jobs)
                .find(|job| job.metadata.name == named);
            return found.map(Some).ok_or_else(|| {
                let names = self.filter_jobs(jobs).map(|job| job.metadata.name.as_str());
                Error::refusal(format!(
                    "there is no job `{named}` that could make secret `{}`",
                    self.secret
                ))
                .hint(format!("known ones: {}", join_names(names)))
            });
        }
        let (clones, originals): (Vec<&Job>, Vec<&Job>) =
            self.filter_jobs(jobs).partition(|job| self.is_clone(job));
        let candidates = if originals.is_empty() {
            clones
        } else {
            originals
        };
        let latest = candidates
            .iter()
            .copied()
            .max_by_key(|job| (job.metadata.creation_time(), job.metadata.name.clone()));
        if candidates
            .windows(2)
            .any(|pair| comparable_spec(pair[0]) != comparable_spec(pair[1]))
        {
            let names = join_names(candidates.iter().map(|job| job.metadata.name.as_str()));
            return Err(Error::refusal(format!(
                "several jobs could be the one that makes `{}`, and they differ: {names}",
                self.secret
            ))
            .hint(format!(
                "look at them (`kubectl get jobs --output yaml --namespace {namespace}`), then choose one: {} NAME",
                self.flag
            )));
        }
        Ok(latest)
    }
}

fn join_names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
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
        let spec = json!({"template": {"metadata": {"labels": {"job-name": name}}, "spec": {"image": image}}});
        serde_json::from_value(
            json!({"metadata": {"name": name, "creationTimestamp": created}, "spec": spec}),
        )
        .unwrap()
    }

    fn choose_job_name(jobs: &[Job]) -> Option<&str> {
        KEY_GEN
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
            "a clone where there is no original"
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
        let error = KEY_GEN.choose_job(&jobs, None, "influxdb").unwrap_err();
        assert!(
            error
                .message
                .ends_with("differ: `key-gen-aaaaaaaa`, `key-gen-bbbbbbbb`"),
            "{error}"
        );
        assert!(error.hint.contains("--key-gen-job"));
        assert!(
            KEY_GEN
                .choose_job(&jobs, Some("key-gen-aaaaaaaa"), "influxdb")
                .unwrap()
                .is_some()
        );
        assert!(
            KEY_GEN
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
            KEY_GEN.next_clone_name(&jobs)
        };
        assert_eq!(next(&["key-gen-7c9d2b41"]), "key-gen-001");
        assert_eq!(
            next(&["key-gen-12345678", "key-gen-001", "key-gen-004"]),
            "key-gen-005"
        );
        assert_eq!(next(&["key-gen-999"]), "key-gen-1000");
    }
}
