//! The commands of a revocation.

use super::super::invocation::{Invocation, ObjectKind, ObjectRef};
use super::{JobManifest, Kubectl, KubectlError, NO_VALIDATION, ToolOutput};

/// What a watch may print at most, in bytes: a job with 1 MiB of environment is printed at each of its changes.
const MAX_WATCH_BYTES: usize = 64 << 20;

impl Kubectl {
    /// The documented deletion of a secret. It waits until the secret is gone.
    pub fn delete_secret(&self, namespace: &str, name: &str, uid: &str) -> Invocation {
        self.delete(namespace, ObjectKind::Secret, name, uid)
    }

    /// The deletion of a job that kubit makes again, as documented since September 2024.
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

    /// The documented restart. It lists, then deletes one by one. `--wait=false`: the wait for what comes after it is
    /// the same watch as the one for their successors, and shows progress.
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

    /// The UID of a job.
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

    /// Makes a job again under another name: what the documented `create job --from=job/…` was meant to do.
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

    /// Tries the creation of jobs with the server, which then makes none.
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

    /// The documented command of March 2024. No kubectl up to 1.37 accepts it (recordings `create-job-from-job`).
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

    /// Whether this kubectl accepts the documented command at all.
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

    /// All that becomes of one job, which need not be there yet, as it happens.
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

    /// All that becomes of all jobs, as it happens: for one whose name is not known.
    pub fn watch_jobs(&self, namespace: &str) -> Invocation {
        self.watch(&["get", "jobs", "--namespace", namespace])
    }

    /// All that becomes of the pods that a selector matches, as it happens.
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

    fn watch(&self, what: &[&str]) -> Invocation {
        let how = ["--output", "json", "--watch", "--output-watch-events"];
        let mut invocation = self.build_call(what.iter().copied().chain(how));
        invocation.max_stdout = MAX_WATCH_BYTES;
        invocation
    }
}

/// The UID of the job that a creation printed.
///
/// # Errors
/// As kubectl says, or [`Failure::Unrecognised`] for anything that is no object.
pub fn parse_created_uid(output: &ToolOutput) -> Result<String, KubectlError> {
    #[derive(serde::Deserialize)]
    struct CreatedObject {
        metadata: super::Metadata,
    }
    if !output.is_success() {
        return Err(KubectlError::from_output(output));
    }
    let created: CreatedObject = serde_json::from_slice(&output.stdout)
        .map_err(|_| KubectlError::from_unrecognised(output))?;
    Some(created.metadata.uid)
        .filter(|uid| !uid.is_empty())
        .ok_or_else(|| KubectlError::from_unrecognised(output))
}

/// Whether the server would make all of these jobs: it names each.
///
/// # Errors
/// As kubectl says, or [`Failure::Unrecognised`] where one is not named.
pub fn check_jobs_dry_run(
    manifests: &[JobManifest],
    output: &ToolOutput,
) -> Result<(), KubectlError> {
    check_success(output)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let named = |manifest: &JobManifest| {
        text.lines()
            .any(|line| line.trim() == format!("job.batch/{}", manifest.name))
    };
    if manifests.iter().all(named) {
        Ok(())
    } else {
        Err(KubectlError::from_unrecognised(output))
    }
}

/// Whether a command that prints nothing to be read has succeeded: its words change from version to version.
///
/// # Errors
/// As kubectl says.
pub fn check_success(output: &ToolOutput) -> Result<(), KubectlError> {
    if output.is_success() {
        Ok(())
    } else {
        Err(KubectlError::from_output(output))
    }
}
