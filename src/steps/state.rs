//! The facts that the steps of one run share.

use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::tool::kubectl::{ClusterId, SecretUid};
use crate::ui::RevocationVerification;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What the steps so far have brought to light.
#[derive(Default)]
pub(crate) struct RunState {
    pub(super) token: OnceLock<Secret>,
    pub(super) cluster: OnceLock<ClusterId>,
    /// Why the token could not be tried, where it could not.
    pub(crate) inconclusive_reason: OnceLock<String>,
    /// The token that a revocation is to make worthless, where there is a copy.
    pub(crate) old_token: OnceLock<OldToken>,
    /// What the proof of a revocation has shown.
    pub(crate) verification: OnceLock<RevocationVerification>,
    /// Why the new token was refused by it, where it was.
    pub(crate) new_token_rejection: OnceLock<String>,
    /// The secrets of the cluster, where nothing has been done since they were looked at.
    cached_secret_uids: Mutex<Option<Vec<SecretUid>>>,
    /// How far each step of the plan has come.
    step_statuses: Mutex<BTreeMap<usize, StepStatus>>,
}

/// How far a step has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepStatus {
    /// It has not begun.
    Pending,
    /// It has begun, and what must hold after it has not been seen.
    Running,
    /// What must hold after it holds.
    Done,
}

fn lock_mutex<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunState {
    /// The token that the steps so far have read.
    pub(crate) fn token(&self) -> Result<&Secret> {
        self.token.get().ok_or_else(|| {
            Error::failure("a step needs the token before any step has read it").into_internal_bug()
        })
    }

    /// The cluster that the plan is for, where that is known before.
    pub(crate) fn expect_cluster(&self, cluster: ClusterId) {
        let _ = self.cluster.set(cluster);
    }

    /// How far the step of that place in the plan has come.
    pub(crate) fn step_status(&self, index: usize) -> StepStatus {
        lock_mutex(&self.step_statuses)
            .get(&index)
            .copied()
            .unwrap_or(StepStatus::Pending)
    }

    /// Sets how far the step at that index has come.
    pub(super) fn set_step_status(&self, index: usize, status: StepStatus) {
        lock_mutex(&self.step_statuses).insert(index, status);
    }

    /// Remembers the secrets as they were just seen, for the next step.
    pub(crate) fn cache_secret_uids(&self, secrets: Vec<SecretUid>) {
        *lock_mutex(&self.cached_secret_uids) = Some(secrets);
    }

    /// The secrets as the step right before has seen them.
    pub(crate) fn take_secret_uids(&self) -> Option<Vec<SecretUid>> {
        lock_mutex(&self.cached_secret_uids).take()
    }
}

/// A copy of the old token.
pub(crate) struct OldToken {
    /// The token.
    pub(crate) token: Secret,
    /// Whether it was accepted before anything was deleted.
    pub(crate) accepted: bool,
    /// Whether it is the one that the cluster's secret held, and so an admin token of this cluster for certain.
    pub(crate) is_from_cluster: bool,
}

impl OldToken {
    /// Whether its refusal says anything: a token that never was one is refused as well.
    pub(super) fn is_conclusive(&self) -> bool {
        self.accepted || self.is_from_cluster
    }
}
