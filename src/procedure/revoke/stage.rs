//! How far a revocation has come, from what the cluster holds: helped by the record where there is one.
//!
//! Creation times have a resolution of one second (Kubernetes), so two that are equal say nothing of their order.

use super::jobs::CREATE_ADMIN_TOKEN;
use crate::tool::invocation::{ObjectKind, ObjectRef};
use crate::tool::kubectl::{Job, Pod, SecretUid};
use jiff::Timestamp;

/// Where a secret stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// It is not there, and has to be made.
    Missing,
    /// It is there, and has to go: its UID.
    Old(String),
    /// It was made since the revocation began.
    New,
}

/// Where the pods that load the keys stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// Some may have loaded the old keys.
    Old,
    /// Those that had are on their way out, or their successors are not ready yet: the UIDs of the former.
    Terminating(Vec<String>),
    /// All have loaded the new ones.
    New,
}

/// Where all stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Secret `rsa-keys`.
    pub keys: SecretState,
    /// Secret `admin-token`.
    pub token: SecretState,
    /// The pods.
    pub pods: PodState,
    /// Whether a pod has loaded the old keys for certain, and is no more than about to go.
    pub serves_old_keys: bool,
    /// Why this is no fresh start, where it is none.
    pub resuming: Option<String>,
}

/// What is looked at.
pub struct Observation<'a> {
    /// The secrets that are there.
    pub secrets: &'a [SecretUid],
    /// All jobs of the namespace.
    pub jobs: &'a [Job],
    /// The pods that load the keys.
    pub pods: &'a [Pod],
    /// What unfinished revocations on record have begun to delete.
    pub begun_deletions: &'a [ObjectRef],
}

impl Observation<'_> {
    fn find_secret(&self, name: &str) -> Option<&SecretUid> {
        self.secrets.iter().find(|secret| secret.name == name)
    }

    fn has_begun_deletion(&self, name: &str) -> bool {
        self.begun_deletions
            .iter()
            .any(|object| object.kind == ObjectKind::Secret && object.name == name)
    }

    fn is_deletion_begun(&self, secret: &SecretUid) -> bool {
        self.begun_deletions
            .iter()
            .any(|object| object.uid == secret.uid)
    }

    /// Finds out how far it has come; `again` starts over, whatever there is.
    #[must_use]
    pub fn determine_stage(&self, again: bool) -> Stage {
        let (keys, token) = (
            self.find_secret("rsa-keys"),
            self.find_secret("admin-token"),
        );
        let half_done = if again {
            None
        } else {
            self.find_resume_reason(keys, token)
        };
        let keys_new =
            half_done.is_some() && keys.is_some_and(|keys| !self.is_deletion_begun(keys));
        let token_new = keys_new
            && token.is_some_and(|token| !self.is_deletion_begun(token) && !is_older(token, keys));
        let stands = |secret: Option<&SecretUid>, new: bool| match secret {
            None => SecretState::Missing,
            Some(_) if new => SecretState::New,
            Some(secret) => SecretState::Old(secret.uid.clone()),
        };
        let since = keys.filter(|_| keys_new).and_then(SecretUid::creation_time);
        Stage {
            keys: stands(keys, keys_new),
            token: stands(token, token_new),
            pods: self.determine_pod_state(since),
            serves_old_keys: self.has_pod_with_old_keys(since),
            resuming: half_done,
        }
    }

    fn find_resume_reason(
        &self,
        keys: Option<&SecretUid>,
        token: Option<&SecretUid>,
    ) -> Option<String> {
        let recorded = self.has_begun_deletion("rsa-keys")
            && keys.is_none_or(|keys| !self.is_deletion_begun(keys));
        match (keys, token) {
            _ if recorded => Some(
                "the record holds a revocation of these keys that did not come to its end"
                    .to_owned(),
            ),
            (None, _) => Some("secret `rsa-keys` is missing".to_owned()),
            (Some(keys), Some(token)) if is_older(token, Some(keys)) => {
                Some("secret `admin-token` is older than secret `rsa-keys`".to_owned())
            }
            (Some(keys), None) if !self.has_issued_token(keys) => Some(
                "secret `admin-token` is missing, and none was made since `rsa-keys` was"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// Whether a job made a token with these keys: then somebody has taken the token alone away, and the keys are as old
    /// as any. To take them for new would leave every token that was issued valid.
    fn has_issued_token(&self, keys: &SecretUid) -> bool {
        let made = |job: &Job| {
            job.completion_time()
                .zip(keys.creation_time())
                .is_some_and(|(done, made)| done >= made)
        };
        CREATE_ADMIN_TOKEN.filter_jobs(self.jobs).any(made)
    }

    fn has_pod_with_old_keys(&self, since: Option<Timestamp>) -> bool {
        let is_older = |pod: &Pod| {
            since.is_none_or(|since| {
                pod.metadata
                    .creation_time()
                    .is_some_and(|created| created < since)
            })
        };
        self.pods.iter().any(|pod| {
            !pod.is_finished() && pod.metadata.deletion_timestamp.is_none() && is_older(pod)
        })
    }

    /// `since` is when the new keys were made, where there are any. A pod that is not strictly younger may have loaded
    /// the old ones.
    fn determine_pod_state(&self, since: Option<Timestamp>) -> PodState {
        let Some(since) = since else {
            return PodState::Old;
        };
        let is_younger = |pod: &Pod| {
            pod.metadata
                .creation_time()
                .is_some_and(|created| created > since)
        };
        let old: Vec<&Pod> = self
            .pods
            .iter()
            .filter(|pod| !pod.is_finished() && !is_younger(pod))
            .collect();
        if old
            .iter()
            .any(|pod| pod.metadata.deletion_timestamp.is_none())
        {
            return PodState::Old;
        }
        let mut young = self
            .pods
            .iter()
            .filter(|pod| !pod.is_finished() && is_younger(pod))
            .peekable();
        if old.is_empty() && young.peek().is_some() && young.all(Pod::is_ready) {
            return PodState::New;
        }
        PodState::Terminating(old.iter().map(|pod| pod.metadata.uid.clone()).collect())
    }
}

fn is_older(secret: &SecretUid, than: Option<&SecretUid>) -> bool {
    let times = secret
        .creation_time()
        .zip(than.and_then(SecretUid::creation_time));
    times.is_some_and(|(one, other)| one < other)
}
