//! Facts that the steps of one run share.

use crate::audit::{RecordedVerification, SecretVersion};
use crate::error::{Error, Result};
use crate::exec::lock_mutex;
use crate::secret::Secret;
use crate::tool::kubectl::{ClusterId, Job, SecretUid};
use crate::ui::RevocationVerification;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(crate) struct RunState {
    pub(super) token: OnceLock<Secret>,
    pub(super) cluster: OnceLock<ClusterId>,
    /// The reason why the token probe was inconclusive, if it was.
    pub(crate) inconclusive_reason: OnceLock<String>,
    /// A copy of the token that a revocation invalidates, if one was found.
    pub(crate) old_token: OnceLock<OldToken>,
    /// The entry of an earlier run that verified the current keys.
    pub(crate) verified_by: OnceLock<RecordedVerification>,
    /// How the server answered the old token after the restart.
    pub(crate) rejection: OnceLock<RejectionOutcome>,
    /// When the server first rejected the old token.
    pub(super) first_rejection: OnceLock<Instant>,
    /// When the server first accepted the new token.
    pub(super) first_acceptance: OnceLock<Instant>,
    pub(crate) verification: OnceLock<RevocationVerification>,
    /// The tokens that the revocation does not revoke, if the run has looked.
    pub(crate) token_counts: OnceLock<TokenCounts>,
    /// The reason why the server rejected the new token, if it did.
    pub(crate) new_token_rejection: OnceLock<String>,
    /// The further profiles that are not verified, with the reason.
    unverified_profiles: Mutex<Vec<(String, String)>>,
    /// The secrets of the cluster.
    secrets: Mutex<SeenSecrets>,
    /// The secrets of the cluster, until a later step can change them.
    cached_secret_uids: Mutex<Option<Vec<SecretUid>>>,
    /// The jobs of the namespace, until a later step can change them.
    cached_jobs: Mutex<Option<Vec<Job>>>,
    /// How many earlier clones this run has deleted, or has found deleted or changed.
    settled_clones: AtomicUsize,
    /// The status of each step by its index in the plan.
    step_statuses: Mutex<BTreeMap<usize, StepStatus>>,
    has_failed: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepStatus {
    Pending,
    /// Started, but its postcondition is not observed yet.
    Running,
    /// Its postcondition is observed.
    Done,
}

impl RunState {
    /// Returns the token that an earlier step has read.
    pub(crate) fn token(&self) -> Result<&Secret> {
        self.token.get().ok_or_else(|| {
            Error::failure("a step needs the token before any step has read it").into_internal_bug()
        })
    }

    /// Sets the cluster of the plan, if it is known before the first step.
    pub(crate) fn expect_cluster(&self, cluster: ClusterId) {
        let _ = self.cluster.set(cluster);
    }

    pub(crate) fn step_status(&self, index: usize) -> StepStatus {
        lock_mutex(&self.step_statuses)
            .get(&index)
            .copied()
            .unwrap_or(StepStatus::Pending)
    }

    pub(super) fn set_step_status(&self, index: usize, status: StepStatus) {
        lock_mutex(&self.step_statuses).insert(index, status);
    }

    /// Returns whether a step has failed. Parallel steps then stop their waits.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    pub(super) fn set_failed(&self) {
        self.has_failed.store(true, Ordering::Relaxed);
    }

    /// Returns the time from the first rejection of the old token to the first acceptance of the
    /// new one, if this run observed both.
    pub(crate) fn token_gap(&self) -> Option<Duration> {
        let (rejection, acceptance) = self
            .first_rejection
            .get()
            .zip(self.first_acceptance.get())?;
        Some(acceptance.saturating_duration_since(*rejection))
    }

    /// Returns whether the revocation is verified, also at the address of each further profile.
    pub(crate) fn is_verified(&self) -> bool {
        self.verification.get() == Some(&RevocationVerification::Verified)
            && lock_mutex(&self.unverified_profiles).is_empty()
    }

    pub(super) fn add_unverified_profile(&self, profile: &str, reason: String) {
        lock_mutex(&self.unverified_profiles).push((profile.to_owned(), reason));
    }

    /// Returns the further profiles that are not verified, each with the reason.
    pub(crate) fn unverified_profiles(&self) -> Vec<(String, String)> {
        lock_mutex(&self.unverified_profiles).clone()
    }

    /// Remembers the secrets of the cluster, as a step or the preflight checks have just seen them.
    pub(crate) fn set_secrets(&self, secrets: &[SecretUid]) {
        let secrets = secrets.iter().map(SecretVersion::from).collect();
        lock_mutex(&self.secrets).update(secrets);
    }

    /// Returns the secrets of the cluster, as last seen.
    pub(crate) fn secrets(&self) -> Vec<SecretVersion> {
        lock_mutex(&self.secrets).last.clone()
    }

    /// Returns the secrets of the cluster, each in the version in which this run first saw it.
    ///
    /// For keys that this run creates, that precedes the restart of the pods. If a later run sees
    /// the same version, nobody replaced the keys in between. So the pods loaded these keys, and
    /// the probes verified them.
    pub(crate) fn first_secret_versions(&self) -> Vec<SecretVersion> {
        lock_mutex(&self.secrets).first.clone()
    }

    /// Keeps a fresh list of the secrets for the next step.
    pub(crate) fn cache_secret_uids(&self, secrets: Vec<SecretUid>) {
        *lock_mutex(&self.cached_secret_uids) = Some(secrets);
    }

    /// Takes the list of the secrets from the previous step.
    pub(crate) fn take_secret_uids(&self) -> Option<Vec<SecretUid>> {
        lock_mutex(&self.cached_secret_uids).take()
    }

    /// Counts an earlier clone that needs no deletion any more.
    pub(super) fn add_settled_clone(&self) {
        self.settled_clones.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn settled_clones(&self) -> usize {
        self.settled_clones.load(Ordering::Relaxed)
    }

    /// Keeps a fresh list of the jobs for the next step.
    pub(super) fn cache_jobs(&self, jobs: Vec<Job>) {
        *lock_mutex(&self.cached_jobs) = Some(jobs);
    }

    /// Takes the list of the jobs from the previous step.
    pub(super) fn take_jobs(&self) -> Option<Vec<Job>> {
        lock_mutex(&self.cached_jobs).take()
    }
}

/// The existing secrets, as the lists of a run show them.
#[derive(Default)]
struct SeenSecrets {
    /// As last seen.
    last: Vec<SecretVersion>,
    /// The same secrets, as first seen.
    first: Vec<SecretVersion>,
}

impl SeenSecrets {
    /// Adds a list of all existing secrets.
    fn update(&mut self, secrets: Vec<SecretVersion>) {
        let find_first = |secret: &SecretVersion| {
            let first = self.first.iter().find(|first| first.is_same_secret(secret));
            first.unwrap_or(secret).clone()
        };
        self.first = secrets.iter().map(find_first).collect();
        self.last = secrets;
    }
}

/// The numbers of valid tokens that are no admin tokens, as far as they are known.
#[derive(Default)]
pub(crate) struct TokenCounts {
    pub(crate) database: Option<u64>,
    pub(crate) management: Option<u64>,
    /// Why a number is unknown.
    pub(crate) problem: Option<String>,
}

/// How the server answered the old token after the restart.
pub(crate) enum RejectionOutcome {
    /// Rejected this many times in a row.
    Rejected {
        count: usize,
    },
    StillAccepted,
    /// The last probe was neither accepted nor rejected, for this reason.
    Inconclusive(String),
}

/// A copy of the token that a revocation invalidates.
pub(crate) struct OldToken {
    pub(crate) token: Secret,
    /// The server accepted it before the first deletion. Otherwise its rejection shows nothing: the
    /// server rejects any other text, too.
    pub(crate) was_accepted: bool,
}

impl OldToken {
    /// Creates one that nobody has seen accepted.
    pub(crate) fn new(token: Secret) -> Self {
        Self {
            token,
            was_accepted: false,
        }
    }
}
