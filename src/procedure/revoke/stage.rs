//! The progress of a revocation, as the cluster and the audit log show it.
//!
//! Creation times have a resolution of one second (Kubernetes). Equal times show no order.

use super::jobs::JobKind;
use crate::plan::SecretName;
use crate::tool::invocation::ObjectRef;
use crate::tool::kubectl::{Job, Pod, SecretUid};
use jiff::{SignedDuration, Timestamp};

/// The API server creates secrets, and the controller manager completes jobs, on different hosts.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// Has to be created.
    Missing,
    /// Has to be deleted. Contains the UID.
    Old(String),
    /// Created since the revocation began.
    New,
}

/// The state of the pods that load the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodState {
    /// At least one pod can have the old keys.
    Old,
    /// No pod with the old keys stays, but their restart has not finished. Contains the UIDs of the
    /// old pods.
    Terminating(Vec<String>),
    /// All pods have the new keys.
    New,
}

/// The state of everything that a revocation replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Secret `rsa-keys`.
    pub keys: SecretState,
    /// Secret `admin-token`.
    pub token: SecretState,
    pub pods: PodState,
    /// A pod certainly has the old keys and is not being deleted.
    pub serves_old_keys: bool,
    /// Why this is not a fresh start, if it is not.
    pub resuming: Option<String>,
    /// The keys would count as new, but no key-gen job ran when they were created.
    pub are_keys_of_unknown_origin: bool,
}

impl Stage {
    pub(super) fn secret(&self, name: SecretName) -> &SecretState {
        match name {
            SecretName::RsaKeys => &self.keys,
            SecretName::AdminToken => &self.token,
        }
    }
}

/// The facts that show the progress.
pub struct Observation<'a> {
    /// The existing secrets.
    pub secrets: &'a [SecretUid],
    /// All jobs of the namespace.
    pub jobs: &'a [Job],
    /// The pods that load the keys.
    pub pods: &'a [Pod],
    /// Unfinished revocations in the audit log have started to change something.
    pub has_unfinished_changes: bool,
    /// The deletions that unfinished revocations in the audit log have started.
    pub started_deletions: &'a [ObjectRef],
    /// The secrets that jobs of unfinished revocations in the audit log have created.
    pub created_secrets: &'a [ObjectRef],
}

impl Observation<'_> {
    fn find_secret(&self, name: SecretName) -> Option<&SecretUid> {
        self.secrets
            .iter()
            .find(|secret| secret.name == name.as_str())
    }

    fn is_deletion_started(&self, secret: &SecretUid) -> bool {
        self.started_deletions
            .iter()
            .any(|object| object.uid == secret.uid)
    }

    /// Determines the stage. With `start_over`, nothing counts as new.
    pub fn determine_stage(&self, start_over: bool) -> Stage {
        let keys = self.find_secret(SecretName::RsaKeys);
        let token = self.find_secret(SecretName::AdminToken);
        let resuming = if start_over {
            None
        } else {
            self.find_resume_reason(keys, token)
        };
        let remaining_keys =
            keys.filter(|keys| resuming.is_some() && !self.is_deletion_started(keys));
        let are_keys_new = remaining_keys.is_some_and(|keys| self.has_created_keys(keys));
        let is_token_new = are_keys_new
            && token
                .is_some_and(|token| !self.is_deletion_started(token) && !is_older(token, keys));
        let secret_state = |secret: Option<&SecretUid>, is_new: bool| match secret {
            None => SecretState::Missing,
            Some(_) if is_new => SecretState::New,
            Some(secret) => SecretState::Old(secret.uid.clone()),
        };
        let keys_time = keys
            .filter(|_| are_keys_new)
            .and_then(SecretUid::creation_time);
        Stage {
            keys: secret_state(keys, are_keys_new),
            token: secret_state(token, is_token_new),
            pods: self.determine_pod_state(keys_time),
            serves_old_keys: self.has_pod_with_old_keys(keys_time),
            resuming,
            are_keys_of_unknown_origin: remaining_keys.is_some() && !are_keys_new,
        }
    }

    fn find_resume_reason(
        &self,
        keys: Option<&SecretUid>,
        token: Option<&SecretUid>,
    ) -> Option<String> {
        let is_logged =
            self.has_unfinished_changes && keys.is_none_or(|keys| !self.is_deletion_started(keys));
        let reason = match (keys, token) {
            _ if is_logged => "the audit log has an unfinished revocation of these keys",
            (None, _) => "secret `rsa-keys` is missing",
            (Some(keys), Some(token)) if is_older(token, Some(keys)) => {
                "secret `admin-token` is older than secret `rsa-keys`"
            }
            (Some(keys), None) if !self.has_issued_token(keys) => {
                "secret `admin-token` is missing, and no job has created one since `rsa-keys`"
            }
            _ => return None,
        };
        Some(reason.to_owned())
    }

    /// Returns whether a key-gen job ran when these keys were created. An unfinished revocation can
    /// have recorded that, before the job was deleted.
    ///
    /// Keys that somebody restored from a backup are young, but can have signed the old token.
    fn has_created_keys(&self, keys: &SecretUid) -> bool {
        if self.created_secrets.contains(&keys.to_object_ref()) {
            return true;
        }
        let ran_then = |job: &Job, keys_time: Timestamp| {
            let started = job.metadata.creation_time();
            let is_started = started.is_some_and(|started| started <= keys_time + CLOCK_SKEW);
            let is_ended_before = job
                .completion_time()
                .is_some_and(|completed| completed + CLOCK_SKEW < keys_time);
            is_started && !is_ended_before && (job.is_active() || job.completion_time().is_some())
        };
        let mut jobs = JobKind::KeyGen.filter_jobs(self.jobs);
        keys.creation_time()
            .is_some_and(|keys_time| jobs.any(|job| ran_then(job, keys_time)))
    }

    /// Returns whether a job has created a token with these keys.
    ///
    /// Then somebody has deleted only the token. Keys that count as new in this case would leave
    /// all issued tokens valid.
    fn has_issued_token(&self, keys: &SecretUid) -> bool {
        let has_issued = |job: &Job| {
            job.completion_time()
                .zip(keys.creation_time())
                .is_some_and(|(completed, created)| completed >= created)
        };
        JobKind::CreateAdminToken
            .filter_jobs(self.jobs)
            .any(has_issued)
    }

    fn has_pod_with_old_keys(&self, keys_time: Option<Timestamp>) -> bool {
        let is_older = |pod: &Pod| {
            keys_time.is_none_or(|keys_time| {
                pod.metadata
                    .creation_time()
                    .is_some_and(|created| created < keys_time)
            })
        };
        self.pods.iter().any(|pod| {
            !pod.is_finished() && pod.metadata.deletion_timestamp.is_none() && is_older(pod)
        })
    }

    /// `keys_time` is the creation time of new keys. A pod of the same second can have old ones.
    fn determine_pod_state(&self, keys_time: Option<Timestamp>) -> PodState {
        let Some(keys_time) = keys_time else {
            return PodState::Old;
        };
        let is_younger = |pod: &&Pod| {
            pod.metadata
                .creation_time()
                .is_some_and(|created| created > keys_time)
        };
        let (young, old): (Vec<&Pod>, Vec<&Pod>) = self
            .pods
            .iter()
            .filter(|pod| !pod.is_finished())
            .partition(is_younger);
        if old
            .iter()
            .any(|pod| pod.metadata.deletion_timestamp.is_none())
        {
            return PodState::Old;
        }
        if old.is_empty() && !young.is_empty() && young.iter().all(|pod| pod.is_ready()) {
            return PodState::New;
        }
        PodState::Terminating(old.iter().map(|pod| pod.metadata.uid.clone()).collect())
    }
}

/// Returns whether `secret` is older than `other`. Unknown times show no order.
fn is_older(secret: &SecretUid, other: Option<&SecretUid>) -> bool {
    let times = secret
        .creation_time()
        .zip(other.and_then(SecretUid::creation_time));
    times.is_some_and(|(one, other)| one < other)
}
