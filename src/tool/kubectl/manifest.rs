//! A job made again under another name.

use super::super::invocation::{ObjectKind, ObjectRef};
use super::Job;
use serde_json::{Map, Value, json};

/// The labels that the server generates for a job's pods: sent back, they are refused (recordings
/// `create-clone-unstripped`).
const GENERATED_LABELS: &[&str] = &[
    "controller-uid",
    "job-name",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
];

/// By this label kubit finds what it has rendered, and prunes what it has not.
const APPLYSET_LABEL: &str = "applyset.kubernetes.io/part-of";

/// What `kubectl apply` leaves: it may hold any value of the manifest once more.
const LAST_APPLIED_ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Our own marker: `kubectl delete jobs --selector bypassctl/clone=true` clears them away.
pub(super) const CLONE_LABEL: &str = "bypassctl/clone";

/// A job that is to be made, and the one it is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct JobManifest {
    /// Its name.
    pub name: String,
    /// The job that it does the work of.
    pub source: ObjectRef,
    document: Value,
}

impl JobManifest {
    /// The same work under another name. None of the job's own metadata comes along: labels that Argo CD, Helm or
    /// kubit track by would make them prune it, owners and finalizers would tie it to others. It has no
    /// `ttlSecondsAfterFinished`, so that its end can be seen, and is not suspended.
    #[must_use]
    pub fn from_job(job: &Job, namespace: &str, name: &str) -> Self {
        let object = ObjectRef {
            kind: ObjectKind::Job,
            name: job.metadata.name.clone(),
            uid: job.metadata.uid.clone(),
        };
        let document = json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": { CLONE_LABEL: "true" },
                "annotations": { "bypassctl/clone-of": job.metadata.name, "bypassctl/clone-of-uid": job.metadata.uid },
            },
            "spec": comparable_spec(job),
        });
        Self {
            name: name.to_owned(),
            source: object,
            document,
        }
    }

    /// As kubectl reads it.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.document.to_string()
    }

    /// Several at once.
    #[must_use]
    pub fn to_list_json(manifests: &[Self]) -> String {
        let items: Vec<&Value> = manifests
            .iter()
            .map(|manifest| &manifest.document)
            .collect();
        json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
    }

    /// What makes it out of the job with `kubectl patch --local --type=json`, for a script that holds no manifest.
    #[must_use]
    pub fn to_json_patch(&self, job: &Job) -> String {
        let of = |field: &str| &self.document["spec"]["template"][field];
        let removed = [
            "selector",
            "manualSelector",
            "ttlSecondsAfterFinished",
            "suspend",
        ];
        let removed = removed
            .iter()
            .filter(|field| job.spec().get(**field).is_some());
        let mut patch = vec![
            json!({ "op": "replace", "path": "/metadata", "value": self.document["metadata"] }),
        ];
        patch.extend(
            removed.map(|field| json!({ "op": "remove", "path": format!("/spec/{field}") })),
        );
        patch.push(
            json!({ "op": "add", "path": "/spec/template/metadata", "value": of("metadata") }),
        );
        // Removing what may not be there is an error; adding it is not.
        patch.push(json!({ "op": "add", "path": "/status", "value": {} }));
        patch.push(json!({ "op": "remove", "path": "/status" }));
        Value::from(patch).to_string()
    }
}

/// What a job does, without what the server generated: two jobs with the same work can stand for each other.
#[must_use]
pub fn comparable_spec(job: &Job) -> Value {
    let mut spec = job.spec().as_object().cloned().unwrap_or_default();
    for generated in [
        "selector",
        "manualSelector",
        "ttlSecondsAfterFinished",
        "suspend",
    ] {
        spec.remove(generated);
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

/// The pod template's labels and annotations: they decide how its pods run (sidecars, network policies).
fn filter_metadata(metadata: &Map<String, Value>) -> Map<String, Value> {
    let of = |field: &str, dropped: &dyn Fn(&str) -> bool| {
        let entries = metadata
            .get(field)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let entries: Map<String, Value> = entries
            .into_iter()
            .filter(|(name, _)| !dropped(name))
            .collect();
        (!entries.is_empty()).then(|| (field.to_owned(), Value::from(entries)))
    };
    let labels = of("labels", &|name| {
        GENERATED_LABELS.contains(&name) || name == APPLYSET_LABEL
    });
    let annotations = of("annotations", &|name| name == LAST_APPLIED_ANNOTATION);
    labels.into_iter().chain(annotations).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build_job(extra: Value) -> Job {
        let mut document = json!({
            "metadata": {
                "name": "key-gen-7c9d2b41", "namespace": "influxdb", "uid": "u1", "finalizers": ["f"],
                "ownerReferences": [{"kind": "X"}], "labels": {"app": "key-gen", APPLYSET_LABEL: "a", "argocd.argoproj.io/instance": "i"},
                "annotations": {LAST_APPLIED_ANNOTATION: "{}", "other": "x"},
            },
            "spec": {
                "backoffLimit": 6, "selector": {"matchLabels": {"controller-uid": "u1"}}, "manualSelector": false,
                "ttlSecondsAfterFinished": 5, "suspend": true,
                "template": {
                    "metadata": {
                        "creationTimestamp": null,
                        "labels": {"app": "key-gen", "controller-uid": "u1", "job-name": "key-gen-7c9d2b41", APPLYSET_LABEL: "a"},
                        "annotations": {"sidecar.istio.io/inject": "false", LAST_APPLIED_ANNOTATION: "{}"},
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
                "apiVersion": "batch/v1", "kind": "Job",
                "metadata": {
                    "name": "key-gen-001", "namespace": "influxdb", "labels": {"bypassctl/clone": "true"},
                    "annotations": {"bypassctl/clone-of": "key-gen-7c9d2b41", "bypassctl/clone-of-uid": "u1"},
                },
                "spec": {
                    "backoffLimit": 6,
                    "template": {
                        "metadata": {"labels": {"app": "key-gen"}, "annotations": {"sidecar.istio.io/inject": "false"}},
                        "spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": "x"}]}]},
                    },
                },
            })
        );
        assert_eq!(
            manifest.source,
            ObjectRef {
                kind: ObjectKind::Job,
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
