//! The commands of a revocation.

use super::client::{Kubectl, NO_VALIDATION, PinnedServer};
use super::failure::KubectlError;
use super::manifest::JobManifest;
use super::objects::Metadata;
use super::output::{check_success, parse_json};
use crate::tool::invocation::{Invocation, ObjectKind, ObjectRef, Sensitivity, ToolOutput};
use semver::Version;
use serde_json::json;

/// The first version of kubectl that keeps the path of the server's URL in `--raw`.
const RAW_BASE_PATH_VERSION: Version = Version::new(1, 34, 0);

/// The command that deletes an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionMethod {
    /// The documented `kubectl delete`, which deletes any object of the name and waits for the end
    /// of the deletion.
    Documented,
    /// `kubectl delete --raw` with the UID as a precondition.
    ByUid,
}

/// The maximum output of a watch, in bytes. kubectl prints a job of 1 MiB at each change.
const MAX_WATCH_BYTES: usize = 64 << 20;

impl Kubectl {
    /// Deletes a secret, or a job, which kubit then recreates.
    pub fn delete_object(
        &self,
        namespace: &str,
        object: ObjectRef,
        method: DeletionMethod,
    ) -> Invocation {
        let mut invocation = match method {
            DeletionMethod::Documented => {
                self.build_call(["delete", &object.to_string(), "--namespace", namespace])
            }
            DeletionMethod::ByUid => self.delete_by_uid(namespace, &object),
        }
        .into_change();
        invocation.object = Some(object);
        invocation
    }

    /// Deletes an object unless it has another UID by now: the server checks the precondition.
    fn delete_by_uid(&self, namespace: &str, object: &ObjectRef) -> Invocation {
        let (api, resource) = match object.kind {
            ObjectKind::Secret => ("api/v1", "secrets"),
            ObjectKind::Job => ("apis/batch/v1", "jobs"),
        };
        let base = self.raw_base_path();
        let path = format!(
            "{base}/{api}/namespaces/{namespace}/{resource}/{}",
            object.name
        );
        let mut invocation = self.build_call(["delete", "--raw", &path, "--filename", "-"]);
        // Without this policy, the server would leave the pods of a job behind.
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": { "uid": object.uid },
            "propagationPolicy": "Background",
        });
        invocation.stdin = Some(options.to_string());
        invocation.has_precondition = true;
        // The server answers with the whole object if a finalizer delays the deletion.
        invocation.sensitivity = Sensitivity::Stdout;
        invocation
    }

    /// Returns the path of the server's URL, which kubectl before 1.34 drops from `--raw`
    /// (kubernetes commit 5677f7ab0b1b).
    fn raw_base_path(&self) -> &str {
        let is_fixed = |version: &Version| *version >= RAW_BASE_PATH_VERSION;
        if self.tool.version.as_ref().is_some_and(is_fixed) {
            return "";
        }
        let server = self.global_flags.server.as_ref();
        server.map_or("", PinnedServer::base_path)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::kubectl::GlobalFlags;
    use crate::tool::{Tool, ToolName};

    fn delete_by_uid(version: [u64; 3], url: &str, kind: ObjectKind) -> String {
        let [major, minor, patch] = version;
        let kubectl = Kubectl {
            tool: Tool {
                name: ToolName::Kubectl,
                path: "/bin/kubectl".into(),
                found_at: "/bin/kubectl".into(),
                sha256: None,
                version: Some(Version::new(major, minor, patch)),
                kuberc: None,
            },
            global_flags: GlobalFlags {
                server: Some(PinnedServer {
                    url: url.to_owned(),
                    tls_server_name: None,
                    has_proxy: false,
                    skips_verification: false,
                }),
                ..GlobalFlags::default()
            },
        };
        let object = ObjectRef {
            kind,
            name: "x".to_owned(),
            uid: "u".to_owned(),
        };
        let argv = kubectl
            .delete_object("ns", object, DeletionMethod::ByUid)
            .argv(None);
        argv[3].clone()
    }

    #[test]
    fn raw_path_has_path_of_server_only_where_kubectl_drops_it() {
        let bare = "https://10.0.0.1:6443";
        let proxied = "https://rancher.example/k8s/clusters/c-1/";
        let (old, new) = ([1, 33, 9], [1, 34, 0]);
        let secret = "/api/v1/namespaces/ns/secrets/x";
        assert_eq!(delete_by_uid(old, bare, ObjectKind::Secret), secret);
        assert_eq!(delete_by_uid(new, proxied, ObjectKind::Secret), secret);
        assert_eq!(
            delete_by_uid(old, proxied, ObjectKind::Job),
            "/k8s/clusters/c-1/apis/batch/v1/namespaces/ns/jobs/x"
        );
    }
}
