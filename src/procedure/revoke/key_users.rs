//! Pods that use the keys.

use crate::plan::SecretName;
use crate::tool::kubectl::Pod;

/// Describes the pods that mount or read `rsa-keys`, except selected pods and pods with an ignored
/// label.
#[must_use]
pub fn find_key_users(pods: &[Pod], selected: &[Pod], ignored: &[String]) -> Vec<String> {
    let is_selected = |pod: &Pod| {
        selected
            .iter()
            .any(|other| other.metadata.uid == pod.metadata.uid)
    };
    let is_ignored = |pod: &Pod| {
        pod.labels().any(|(name, value)| {
            ignored
                .iter()
                .any(|label| *label == format!("{name}={value}"))
        })
    };
    let is_user = |pod: &&Pod| {
        !pod.is_finished()
            && pod.uses_secret(SecretName::RsaKeys.as_str())
            && !is_selected(pod)
            && !is_ignored(pod)
    };
    let mut workloads: Vec<String> = pods.iter().filter(is_user).map(describe_workload).collect();
    workloads.sort();
    workloads.dedup();
    workloads
}

/// Names the label that a person would select the pod by.
fn describe_workload(pod: &Pod) -> String {
    let label = |wanted: &str| {
        pod.labels()
            .find(|(name, _)| *name == wanted)
            .map(|(name, value)| format!("`{name}={value}`"))
    };
    label("app")
        .or_else(|| label("app.kubernetes.io/name"))
        .unwrap_or_else(|| format!("pod `{}`", pod.metadata.name))
}
