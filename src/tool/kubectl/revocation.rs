//! The commands of a revocation.

use super::super::invocation::{Invocation, Object};
use super::{Failure, JobManifest, Kubectl, NO_VALIDATION, Output};

/// What a watch may print at most, in bytes: a job with 1 MiB of environment is printed at each of its changes.
const MAX_WATCHED: usize = 64 << 20;

impl Kubectl {
    /// The documented deletion of a secret. It waits until the secret is gone.
    pub fn delete_secret(&self, namespace: &str, name: &str, uid: &str) -> Invocation {
        self.delete(namespace, format!("secrets/{name}"), uid)
    }

    /// The deletion of a job that kubit makes again, as documented since September 2024.
    pub fn delete_job(&self, namespace: &str, name: &str, uid: &str) -> Invocation {
        self.delete(namespace, format!("job/{name}"), uid)
    }

    fn delete(&self, namespace: &str, object: String, uid: &str) -> Invocation {
        let mut invocation = self
            .call(["delete", &object, "--namespace", namespace])
            .changes();
        invocation.object = Some(Object {
            name: object,
            uid: uid.to_owned(),
        });
        invocation
    }

    /// The documented restart. It lists, then deletes one by one. `--wait=false`: the wait for what comes after it is
    /// the same watch as the one for their successors, and shows progress.
    pub fn delete_pods(&self, namespace: &str, selector: &str) -> Invocation {
        self.call([
            "delete",
            "pods",
            "--selector",
            selector,
            "--namespace",
            namespace,
            "--wait=false",
        ])
        .changes()
    }

    /// The UID of a job.
    pub fn job_uid(&self, namespace: &str, name: &str) -> Invocation {
        let job = format!("job/{name}");
        self.call([
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
        let mut invocation = self.call(create).changes();
        invocation.stdin = Some(manifest.text());
        invocation.made_from = vec![manifest.from.clone()];
        invocation
    }

    /// Tries the creation of jobs with the server, which then makes none.
    pub fn try_jobs(&self, namespace: &str, manifests: &[JobManifest]) -> Invocation {
        let mut invocation = self.call([
            "create",
            "--filename",
            "-",
            "--namespace",
            namespace,
            "--dry-run=server",
            "--output",
            "name",
        ]);
        invocation.stdin = Some(JobManifest::list(manifests));
        invocation.made_from = manifests
            .iter()
            .map(|manifest| manifest.from.clone())
            .collect();
        invocation
    }

    /// The documented command of March 2024. No kubectl up to 1.37 accepts it (recordings `create-job-from-job`).
    pub fn job_from_job(&self, namespace: &str, from: &str, name: &str) -> Invocation {
        let from = format!("--from=job/{from}");
        self.call([
            "create",
            "job",
            &from,
            name,
            "--namespace",
            namespace,
            "--output",
            "json",
        ])
        .changes()
    }

    /// Whether this kubectl accepts the documented command at all.
    pub fn try_job_from_job(&self, namespace: &str, from: &str, name: &str) -> Invocation {
        let from = format!("--from=job/{from}");
        self.call([
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
        let mut invocation = self.call(what.iter().copied().chain(how));
        invocation.max_stdout = MAX_WATCHED;
        invocation
    }
}

/// The UID of the job that a creation printed.
///
/// # Errors
/// As kubectl says, or [`Failure::Unrecognised`] for anything that is no object.
pub fn parse_created(output: &Output) -> Result<String, Failure> {
    #[derive(serde::Deserialize)]
    struct Created {
        metadata: super::Metadata,
    }
    if !output.ok() {
        return Err(Failure::of(output));
    }
    let created: Created =
        serde_json::from_slice(&output.stdout).map_err(|_| Failure::unrecognised(output))?;
    Some(created.metadata.uid)
        .filter(|uid| !uid.is_empty())
        .ok_or_else(|| Failure::unrecognised(output))
}

/// Whether the server would make all of these jobs: it names each.
///
/// # Errors
/// As kubectl says, or [`Failure::Unrecognised`] where one is not named.
pub fn parse_tried(manifests: &[JobManifest], output: &Output) -> Result<(), Failure> {
    parse_done(output)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let named = |manifest: &JobManifest| {
        text.lines()
            .any(|line| line.trim() == format!("job.batch/{}", manifest.name))
    };
    if manifests.iter().all(named) {
        Ok(())
    } else {
        Err(Failure::unrecognised(output))
    }
}

/// Whether a command that prints nothing to be read has succeeded: its words change from version to version.
///
/// # Errors
/// As kubectl says.
pub fn parse_done(output: &Output) -> Result<(), Failure> {
    if output.ok() {
        Ok(())
    } else {
        Err(Failure::of(output))
    }
}
