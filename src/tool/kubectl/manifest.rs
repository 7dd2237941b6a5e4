//! The manifest of a clone: a job with the template of another job, under another name.

use super::objects::{CLONE_LABEL, CLONE_SOURCE_ANNOTATION, Job};
use super::pod_summary::PodSummary;
use crate::tool::invocation::ObjectRef;
use serde_json::{Map, Value, json};

/// The labels that the server generates for the pods of a job. The server rejects a new job with
/// them (recordings `create-clone-unstripped`).
const GENERATED_LABELS: &[&str] = &[
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
];

/// The label by which kubit finds its objects. It prunes those that it no longer renders.
const APPLYSET_LABEL: &str = "applyset.kubernetes.io/part-of";

/// The annotation of `kubectl apply`. It repeats every value of the manifest, even secret ones.
const LAST_APPLIED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields of a job's spec that a clone must not have. The server generates the selectors. With
/// `ttlSecondsAfterFinished` the server could delete the job before its end is observed.
const REMOVED_FIELDS: &[&str] = &[
    "selector",
    "manualSelector",
    "ttlSecondsAfterFinished",
    "suspend",
];

/// A new job and its source.
#[derive(Clone, Debug, PartialEq)]
pub struct JobManifest {
    pub name: String,
    /// The job that the manifest clones.
    pub source: ObjectRef,
    document: Value,
}

impl JobManifest {
    /// Clones a job without its metadata. By its labels, Argo CD, Helm or kubit would prune the
    /// clone. Owners and finalizers would tie it to other objects.
    #[must_use]
    pub fn from_job(job: &Job, namespace: &str, name: &str) -> Self {
        let source = job.to_object_ref();
        let document = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": { CLONE_LABEL: "true" },
                "annotations": {
                    CLONE_SOURCE_ANNOTATION: job.metadata.name,
                    "bypassctl/clone-of-uid": job.metadata.uid,
                },
            },
            "spec": comparable_spec(job),
        });
        Self {
            name: name.to_owned(),
            source,
            document,
        }
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        self.document.to_string()
    }

    /// Summarizes what the job runs.
    #[must_use]
    pub fn summarize_pod(&self) -> PodSummary {
        PodSummary::from_spec(&self.document["spec"]["template"]["spec"])
    }

    /// Formats several manifests as one list.
    #[must_use]
    pub fn to_list_json(manifests: &[Self]) -> String {
        let items: Vec<&Value> = manifests
            .iter()
            .map(|manifest| &manifest.document)
            .collect();
        json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
    }

    /// Formats the patch that turns the source job into this manifest, for a script that runs
    /// `kubectl patch --local --type=json`.
    #[must_use]
    pub fn to_json_patch(&self, job: &Job) -> String {
        let pod_metadata = &self.document["spec"]["template"]["metadata"];
        let removed = REMOVED_FIELDS
            .iter()
            .filter(|field| job.spec().get(**field).is_some());
        let mut patch = vec![
            json!({ "op": "replace", "path": "/metadata", "value": self.document["metadata"] }),
        ];
        patch.extend(
            removed.map(|field| json!({ "op": "remove", "path": format!("/spec/{field}") })),
        );
        patch
            .push(json!({ "op": "add", "path": "/spec/template/metadata", "value": pod_metadata }));
        // Removing a missing field is an error, and adding an existing one is not.
        patch.push(json!({ "op": "add", "path": "/status", "value": {} }));
        patch.push(json!({ "op": "remove", "path": "/status" }));
        Value::from(patch).to_string()
    }
}

/// Returns the spec of a job without the fields that differ between a job and its clone. Jobs with
/// equal specs do the same.
#[must_use]
pub fn comparable_spec(job: &Job) -> Value {
    let mut spec = job.spec().as_object().cloned().unwrap_or_default();
    for field in REMOVED_FIELDS {
        spec.remove(*field);
    }
    if let Some(template) = spec.get_mut("template").and_then(Value::as_object_mut) {
        let metadata = template
            .get("metadata")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        template.insert("metadata".to_owned(), filter_metadata(&metadata).into());
    }
    spec.into()
}

/// Keeps labels and annotations of the pod template, which sidecars and network policies depend on.
/// Removes those of the server, kubit and `kubectl apply`.
fn filter_metadata(metadata: &Map<String, Value>) -> Map<String, Value> {
    let filter = |field: &str, is_removed: &dyn Fn(&str) -> bool| {
        let entries = metadata
            .get(field)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let entries: Map<String, Value> = entries
            .into_iter()
            .filter(|(name, _)| !is_removed(name))
            .collect();
        (!entries.is_empty()).then(|| (field.to_owned(), Value::from(entries)))
    };
    let labels = filter("labels", &|name| {
        GENERATED_LABELS.contains(&name) || name == APPLYSET_LABEL
    });
    let annotations = filter("annotations", &|name| name == LAST_APPLIED_ANNOTATION);
    labels.into_iter().chain(annotations).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build_job(extra: Value) -> Job {
        let mut document = json!({
            "metadata": {
                "name": "key-gen-7c9d2b41",
                "namespace": "influxdb",
                "uid": "u1",
                "finalizers": ["f"],
                "ownerReferences": [{"kind": "X"}],
                "labels": {
                    "app": "key-gen",
                    APPLYSET_LABEL: "a",
                    "argocd.argoproj.io/instance": "i",
                },
                "annotations": {LAST_APPLIED_ANNOTATION: "{}", "other": "x"},
            },
            "spec": {
                "backoffLimit": 6,
                "selector": {"matchLabels": {"controller-uid": "u1"}},
                "manualSelector": false,
                "ttlSecondsAfterFinished": 5,
                "suspend": true,
                "template": {
                    "metadata": {
                        "creationTimestamp": null,
                        "labels": {
                            "app": "key-gen",
                            "controller-uid": "u1",
                            "job-name": "key-gen-7c9d2b41",
                            APPLYSET_LABEL: "a",
                        },
                        "annotations": {
                            "sidecar.istio.io/inject": "false",
                            LAST_APPLIED_ANNOTATION: "{}",
                        },
                    },
                    "spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "x"}]}]},
                },
            },
            "status": {"succeeded": 1},
        });
        for (name, value) in extra.as_object().into_iter().flatten() {
            document["spec"][name] = value.clone();
        }
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn clone_keeps_only_job_spec_and_clone_label() {
        let manifest = JobManifest::from_job(&build_job(json!({})), "influxdb", "key-gen-001");
        assert_eq!(
            manifest.document,
            json!({
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {
                    "name": "key-gen-001",
                    "namespace": "influxdb",
                    "labels": {"bypassctl/clone": "true"},
                    "annotations": {
                        "bypassctl/clone-of": "key-gen-7c9d2b41",
                        "bypassctl/clone-of-uid": "u1",
                    },
                },
                "spec": {
                    "backoffLimit": 6,
                    "template": {
                        "metadata": {
                            "labels": {"app": "key-gen"},
                            "annotations": {"sidecar.istio.io/inject": "false"},
                        },
                        "spec": {
                            "containers": [{"name": "c", "env": [{"name": "A", "value": "x"}]}],
                        },
                    },
                },
            })
        );
        assert_eq!(
            manifest.source,
            ObjectRef {
                kind: crate::tool::invocation::ObjectKind::Job,
                name: "key-gen-7c9d2b41".to_owned(),
                uid: "u1".to_owned()
            }
        );
    }

    #[test]
    fn comparable_spec_ignores_server_generated_fields() {
        let suspended =
            build_job(json!({"suspend": false, "ttlSecondsAfterFinished": 9, "selector": {}}));
        assert_eq!(
            comparable_spec(&build_job(json!({}))),
            comparable_spec(&suspended)
        );
        assert_ne!(
            comparable_spec(&build_job(json!({}))),
            comparable_spec(&build_job(json!({"backoffLimit": 1})))
        );
    }
}
