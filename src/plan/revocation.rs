//! The steps of a revocation, with their commands.

use super::secret_name::SecretName;
use super::target::ClusterTarget;
use crate::profile::Profile;
use crate::tool::invocation::{Invocation, ObjectKind, ObjectRef};
use crate::tool::kubectl::{DeletionMethod, JobManifest};
use std::time::Duration;

/// The cluster of the preflight checks.
pub struct ExpectedCluster {
    /// Prints the identity of the cluster.
    pub command: Invocation,
    /// The required output.
    pub expected: String,
}

pub struct SecretDeletion {
    pub target: ClusterTarget,
    pub name: SecretName,
    /// The observed UID. A secret with another UID stays, because somebody else created it.
    pub uid: String,
    pub method: DeletionMethod,
}

impl SecretDeletion {
    /// Lists the secrets right before and right after the deletion.
    pub fn list_command(&self) -> Invocation {
        self.target.kubectl.get_secret_uids(&self.target.namespace)
    }

    pub fn command(&self) -> Invocation {
        let ClusterTarget { kubectl, namespace } = &self.target;
        let object = ObjectRef {
            kind: ObjectKind::Secret,
            name: self.name.to_string(),
            uid: self.uid.clone(),
        };
        kubectl.delete_object(namespace, object, self.method)
    }
}

/// The deletion of an earlier clone.
pub struct CloneDeletion {
    pub target: ClusterTarget,
    /// The observed clone.
    pub clone: ObjectRef,
}

impl CloneDeletion {
    /// Lists the jobs right before and right after the deletion.
    pub fn list_command(&self) -> Invocation {
        self.target.kubectl.list_jobs(&self.target.namespace)
    }

    /// Returns the deletion. No documented command has to be followed here, so the server always
    /// checks the UID.
    pub fn command(&self) -> Invocation {
        let ClusterTarget { kubectl, namespace } = &self.target;
        kubectl.delete_object(namespace, self.clone.clone(), DeletionMethod::ByUid)
    }
}

/// The rerun of a job.
pub struct JobRun {
    pub target: ClusterTarget,
    pub strategy: JobStrategy,
    /// The secret that the job creates if it is missing.
    pub secret: SecretName,
    pub timeout: Duration,
}

/// The strategy to rerun a job.
pub enum JobStrategy {
    /// Creates a clone under another name.
    Clone {
        manifest: JobManifest,
        /// Derives the clone from the original in a script.
        patch: String,
    },
    /// Creates a job with the documented command.
    FromJob {
        source: ObjectRef,
        /// The name of the new job.
        name: String,
    },
    /// Deletes the job, so that kubit recreates it under the same name.
    Operator {
        job: ObjectRef,
        method: DeletionMethod,
    },
    /// Waits for a job that kubit recreates after an earlier deletion.
    AwaitExisting {
        /// The beginning of its name.
        name_prefix: &'static str,
    },
    /// Waits for a job that already runs.
    Running { job: ObjectRef },
}

impl JobRun {
    /// Returns the command that starts the job, if it needs one.
    pub fn command(&self) -> Option<Invocation> {
        let ClusterTarget { kubectl, namespace } = &self.target;
        match &self.strategy {
            JobStrategy::Clone { manifest, .. } => Some(kubectl.create_job(namespace, manifest)),
            JobStrategy::FromJob { source, name } => {
                Some(kubectl.create_job_from_job(namespace, &source.name, name))
            }
            JobStrategy::Operator { job, method } => {
                Some(kubectl.delete_object(namespace, job.clone(), *method))
            }
            JobStrategy::AwaitExisting { .. } | JobStrategy::Running { .. } => None,
        }
    }

    pub fn watch_command(&self) -> Invocation {
        let ClusterTarget { kubectl, namespace } = &self.target;
        match self.job_name() {
            Some(name) => kubectl.watch_job(namespace, name),
            None => kubectl.watch_jobs(namespace),
        }
    }

    /// Returns the name of the job that runs, if it is known.
    pub fn job_name(&self) -> Option<&str> {
        match &self.strategy {
            JobStrategy::Clone { manifest, .. } => Some(&manifest.name),
            JobStrategy::FromJob { name, .. } => Some(name),
            JobStrategy::Operator { job, .. } | JobStrategy::Running { job } => Some(&job.name),
            JobStrategy::AwaitExisting { .. } => None,
        }
    }

    /// Returns the original job, if it is known.
    pub(super) fn source(&self) -> Option<&ObjectRef> {
        match &self.strategy {
            JobStrategy::Clone { manifest, .. } => Some(&manifest.source),
            JobStrategy::FromJob { source, .. } => Some(source),
            JobStrategy::Operator { job, .. } | JobStrategy::Running { job } => Some(job),
            JobStrategy::AwaitExisting { .. } => None,
        }
    }
}

impl JobStrategy {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Clone { .. } => "clone",
            Self::FromJob { .. } => "from-job",
            Self::Operator { .. } => "operator",
            Self::AwaitExisting { .. } => "await-existing",
            Self::Running { .. } => "running",
        }
    }
}

/// A secret that must exist with a new UID.
pub struct ExpectedSecret {
    pub target: ClusterTarget,
    pub name: SecretName,
    /// The UID before the deletion, if it is known.
    pub previous_uid: Option<String>,
    /// The name of the job that creates it, if it is known.
    pub job: Option<String>,
}

impl ExpectedSecret {
    pub fn list_command(&self) -> Invocation {
        self.target.kubectl.get_secret_uids(&self.target.namespace)
    }
}

/// The restart of the pods that load the keys.
pub struct PodRestart {
    pub target: ClusterTarget,
    pub selector: String,
    /// The number of pods that must be ready afterwards.
    pub ready_pods: usize,
    /// Pods that use the keys and do not restart.
    pub other_key_users: Vec<String>,
    /// The UIDs of the pods that an earlier run has deleted. `None` before the deletion.
    pub terminating: Option<Vec<String>>,
    pub timeout: Duration,
}

impl PodRestart {
    /// Lists the pods right before the deletion and at the end of the watch.
    pub fn list_command(&self) -> Invocation {
        let ClusterTarget { kubectl, namespace } = &self.target;
        kubectl.list_pods(namespace, &self.selector)
    }

    /// Returns the deletion, unless an earlier run has done it.
    pub fn command(&self) -> Option<Invocation> {
        let ClusterTarget { kubectl, namespace } = &self.target;
        let is_pending = self.terminating.is_none();
        is_pending.then(|| kubectl.delete_pods(namespace, &self.selector))
    }

    pub fn watch_command(&self) -> Invocation {
        let ClusterTarget { kubectl, namespace } = &self.target;
        kubectl.watch_pods(namespace, &self.selector)
    }
}

#[derive(Clone, Debug)]
pub struct TokenProbe {
    pub command: Invocation,
    /// Supplies host, port and TLS settings of the throwaway configuration.
    pub profile: Profile,
}

/// The commands that count the tokens that a revocation does not revoke.
pub struct TokenInventory {
    /// Lists the database tokens.
    pub database: Invocation,
    /// Lists the management tokens.
    pub management: Invocation,
    /// Supplies host, port and TLS settings of the throwaway configuration.
    pub profile: Profile,
}

/// The check that every backend of the token service rejects the old token.
pub struct RejectionCheck {
    pub token_probe: TokenProbe,
    /// How many rejections in a row are required.
    pub min_rejections: usize,
    /// How long the old token can still be accepted.
    pub grace_period: Duration,
}

/// The verification of a revocation.
pub struct VerificationStep {
    /// Without a token probe, the verification is inconclusive.
    pub token_probe: Option<TokenProbe>,
    /// Probes the new token as well, then the old one again.
    pub creates_new_token: bool,
    /// How many rejections of the old token in a row are required, once the new one is accepted.
    pub min_rejections: usize,
    /// The time in which the server can still accept the old token.
    pub grace_period: Duration,
}
