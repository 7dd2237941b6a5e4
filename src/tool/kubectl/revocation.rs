//! The commands of a revocation.

use super::client::{Kubectl, NO_VALIDATION};
use super::failure::KubectlError;
use super::manifest::JobManifest;
use super::objects::Metadata;
use super::output::{check_success, parse_json};
use crate::tool::invocation::{Invocation, ObjectKind, ObjectRef, ToolOutput};

/// The maximum output of a watch, in bytes. kubectl prints a job of 1 MiB at each change.
const MAX_WATCH_BYTES: usize = 64 << 20;

impl Kubectl {
    /// Deletes a secret with the documented command, which waits for the end of the deletion.
    pub fn delete_secret(&self, namespace: &str, name: &str, uid: &str) -> Invocation {
        self.delete(namespace, ObjectKind::Secret, name, uid)
    }

    /// Deletes a job, which kubit then recreates, as documented since September 2024.
    pub fn delete_job(&self, namespace: &str, name: &str, uid: &str) -> Invocation {
        self.delete(namespace, ObjectKind::Job, name, uid)
    }

    fn delete(&self, namespace: &str, kind: ObjectKind, name: &str, uid: &str) -> Invocation {
        let object = ObjectRef {
            kind,
            name: name.to_owned(),
            uid: uid.to_owned(),
        };
        let mut invocation = self
            .build_call(["delete", &object.to_string(), "--namespace", namespace])
            .into_change();
        invocation.object = Some(object);
        invocation
    }

    /// Restarts pods with the documented command. `--wait=false`, because the watch for the new
    /// pods also waits for the end of the old ones, and shows progress.
    pub fn delete_pods(&self, namespace: &str, selector: &str) -> Invocation {
        self.build_call([
            "delete",
            "pods",
            "--selector",
            selector,
            "--namespace",
            namespace,
            "--wait=false",
        ])
        .into_change()
    }

    pub fn get_job_uid(&self, namespace: &str, name: &str) -> Invocation {
        let job = format!("job/{name}");
        self.build_call([
            "get",
            &job,
            "--namespace",
            namespace,
            "--output",
            "jsonpath={.metadata.uid}",
        ])
    }

    /// Creates a clone of a job. The documented `create job --from=job/…` was meant to do this.
    pub fn create_job(&self, namespace: &str, manifest: &JobManifest) -> Invocation {
        let create = [
            "create",
            "--filename",
            "-",
            NO_VALIDATION,
            "--namespace",
            namespace,
            "--output",
            "json",
        ];
        let mut invocation = self.build_call(create).into_change();
        invocation.stdin = Some(manifest.to_json());
        invocation.derived_from = vec![manifest.source.clone()];
        invocation
    }

    /// Asks the server to validate and admit jobs without creating them.
    pub fn dry_run_jobs(&self, namespace: &str, manifests: &[JobManifest]) -> Invocation {
        let mut invocation = self.build_call([
            "create",
            "--filename",
            "-",
            "--namespace",
            namespace,
            "--dry-run=server",
            "--output",
            "name",
        ]);
        invocation.stdin = Some(JobManifest::to_list_json(manifests));
        invocation.derived_from = manifests
            .iter()
            .map(|manifest| manifest.source.clone())
            .collect();
        invocation
    }

    /// Creates a job with the documented command of March 2024. No kubectl up to 1.37 accepts it
    /// (recordings `create-job-from-job`).
    pub fn create_job_from_job(&self, namespace: &str, from: &str, name: &str) -> Invocation {
        let from = format!("--from=job/{from}");
        self.build_call([
            "create",
            "job",
            &from,
            name,
            "--namespace",
            namespace,
            "--output",
            "json",
        ])
        .into_change()
    }

    /// Tests whether this kubectl accepts [`create_job_from_job`](Self::create_job_from_job).
    pub fn dry_run_job_from_job(&self, namespace: &str, from: &str, name: &str) -> Invocation {
        let from = format!("--from=job/{from}");
        self.build_call([
            "create",
            "job",
            &from,
            name,
            "--namespace",
            namespace,
            "--dry-run=client",
            "--output",
            "name",
        ])
    }

    /// Watches one job, which may not exist yet.
    pub fn watch_job(&self, namespace: &str, name: &str) -> Invocation {
        let field = format!("metadata.name={name}");
        self.watch(&[
            "get",
            "jobs",
            "--field-selector",
            &field,
            "--namespace",
            namespace,
        ])
    }

    /// Watches all jobs, to find a new job of unknown name.
    pub fn watch_jobs(&self, namespace: &str) -> Invocation {
        self.watch(&["get", "jobs", "--namespace", namespace])
    }

    pub fn watch_pods(&self, namespace: &str, selector: &str) -> Invocation {
        self.watch(&[
            "get",
            "pods",
            "--selector",
            selector,
            "--namespace",
            namespace,
        ])
    }

    fn watch(&self, get: &[&str]) -> Invocation {
        let watch = ["--output", "json", "--watch", "--output-watch-events"];
        let mut invocation = self.build_call(get.iter().copied().chain(watch));
        invocation.max_stdout = MAX_WATCH_BYTES;
        invocation
    }
}

/// Parses the UID of a created job.
///
/// # Errors
/// kubectl's failure, or [`KubectlError::Unrecognised`] for anything but an object.
pub fn parse_created_uid(output: &ToolOutput) -> Result<String, KubectlError> {
    #[derive(serde::Deserialize)]
    struct CreatedObject {
        metadata: Metadata,
    }
    let created: CreatedObject = parse_json(output)?;
    Some(created.metadata.uid)
        .filter(|uid| !uid.is_empty())
        .ok_or_else(|| KubectlError::from_unrecognised(output))
}

/// Checks that the server would create all of these jobs.
///
/// # Errors
/// kubectl's failure, or [`KubectlError::Unrecognised`] if the output does not name a job.
pub fn check_jobs_dry_run(
    manifests: &[JobManifest],
    output: &ToolOutput,
) -> Result<(), KubectlError> {
    check_success(output)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let is_named = |manifest: &JobManifest| {
        let name = format!("job.batch/{}", manifest.name);
        text.lines().any(|line| line.trim() == name)
    };
    if manifests.iter().all(is_named) {
        Ok(())
    } else {
        Err(KubectlError::from_unrecognised(output))
    }
}
