//! The steps of a revocation, and how they are shown.

use super::view::{ActionView, StdinDigest, to_argv};
use super::{ClusterTarget, SecretName, format_command};
use crate::digest::Digest;
use crate::profile::Profile;
use crate::tool::invocation::{Invocation, ObjectRef};
use crate::tool::kubectl::JobManifest;
use std::time::Duration;

/// The cluster has to be the one that was looked at.
pub struct ExpectedCluster {
    /// What shows which it is.
    pub command: Invocation,
    /// What that must print.
    pub expected: String,
}

impl ExpectedCluster {
    pub(super) fn to_view(&self) -> ActionView {
        ActionView::SameCluster {
            argv: to_argv(&self.command),
            expected: self.expected.clone(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        format!(
            "{}   must print {}\n",
            format_command(&self.command, "$"),
            self.expected
        )
    }
}

/// A secret that has to go.
pub struct SecretDeletion {
    /// Where it is.
    pub target: ClusterTarget,
    pub name: SecretName,
    /// Its UID when it was seen: a secret that somebody else has made meanwhile stays.
    pub uid: String,
}

impl SecretDeletion {
    /// What shows which secrets are there, right before and right after.
    pub fn list_command(&self) -> Invocation {
        self.target.kubectl.get_secret_uids(&self.target.namespace)
    }

    /// The deletion.
    pub fn command(&self) -> Invocation {
        self.target
            .kubectl
            .delete_secret(&self.target.namespace, self.name.as_str(), &self.uid)
    }

    pub(super) fn to_view(&self) -> ActionView {
        ActionView::DeleteSecret {
            list_argv: to_argv(&self.list_command()),
            argv: to_argv(&self.command()),
            uid: self.uid.clone(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        format!(
            "{}   if its UID is still {}\n",
            format_command(&self.command(), "$"),
            self.uid
        )
    }
}

/// A job that has to run again.
pub struct JobRun {
    /// Where it is.
    pub target: ClusterTarget,
    /// How.
    pub strategy: JobStrategy,
    /// The secret that the job creates if it is missing.
    pub secret: SecretName,
    /// How long it may take.
    pub timeout: Duration,
}

/// How a job is made to run again.
pub enum JobStrategy {
    /// Made again under another name.
    Clone {
        /// The job to make.
        manifest: JobManifest,
        /// What makes it out of the other, for a script.
        patch: String,
    },
    /// Made again by the documented command.
    FromJob {
        /// The job that is made again.
        source: ObjectRef,
        /// The new one's name.
        name: String,
    },
    /// Deleted, so that kubit makes it again under the same name.
    Operator {
        /// The job.
        job: ObjectRef,
    },
    /// Deleted before: kubit makes it again.
    AwaitExisting {
        /// How its name begins.
        name_prefix: &'static str,
    },
    /// It is at work already.
    Running {
        /// The job.
        job: ObjectRef,
    },
}

impl JobRun {
    /// The command that has it run, where one is needed.
    pub fn command(&self) -> Option<Invocation> {
        let ClusterTarget { kubectl, namespace } = &self.target;
        match &self.strategy {
            JobStrategy::Clone { manifest, .. } => Some(kubectl.create_job(namespace, manifest)),
            JobStrategy::FromJob { source: from, name } => {
                Some(kubectl.create_job_from_job(namespace, &from.name, name))
            }
            JobStrategy::Operator { job } => {
                Some(kubectl.delete_job(namespace, &job.name, &job.uid))
            }
            JobStrategy::AwaitExisting { .. } | JobStrategy::Running { .. } => None,
        }
    }

    /// What shows how it goes.
    pub fn watch_command(&self) -> Invocation {
        let ClusterTarget { kubectl, namespace } = &self.target;
        match self.job_name() {
            Some(name) => kubectl.watch_job(namespace, name),
            None => kubectl.watch_jobs(namespace),
        }
    }

    /// The name of the job that runs, where it is known.
    #[must_use]
    pub fn job_name(&self) -> Option<&str> {
        match &self.strategy {
            JobStrategy::Clone { manifest, .. } => Some(&manifest.name),
            JobStrategy::FromJob { name, .. } => Some(name),
            JobStrategy::Operator { job } | JobStrategy::Running { job } => Some(&job.name),
            JobStrategy::AwaitExisting { .. } => None,
        }
    }

    fn source(&self) -> Option<&ObjectRef> {
        match &self.strategy {
            JobStrategy::Clone { manifest, .. } => Some(&manifest.source),
            JobStrategy::FromJob { source: from, .. } => Some(from),
            JobStrategy::Operator { job } | JobStrategy::Running { job } => Some(job),
            JobStrategy::AwaitExisting { .. } => None,
        }
    }

    pub(super) fn to_view(&self) -> ActionView {
        let command = self.command();
        let stdin = command.as_ref().and_then(Invocation::stdin);
        ActionView::RunJob {
            strategy: self.strategy.as_str(),
            source: self.source().cloned(),
            job: self.job_name().map(str::to_owned),
            argv: command.as_ref().map(to_argv),
            stdin: stdin.map(|text| StdinDigest {
                sha256: Digest::compute(text.as_bytes()).to_string(),
            }),
            watch_argv: to_argv(&self.watch_command()),
            secret: self.secret,
            timeout_seconds: self.timeout.as_secs(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        let run = match (&self.strategy, self.command()) {
            (JobStrategy::Clone { manifest, .. }, Some(command)) => {
                let from = &manifest.source;
                format!(
                    "{}   reading job `{}`, made from {} (UID {})\n",
                    format_command(&command, "$"),
                    manifest.name,
                    from,
                    from.uid
                )
            }
            (JobStrategy::Operator { job }, Some(command)) => {
                format!(
                    "{}   if its UID is still {}; kubit makes it again\n",
                    format_command(&command, "$"),
                    job.uid
                )
            }
            (JobStrategy::Running { job }, _) => format!("   {job} is at work already\n"),
            (JobStrategy::AwaitExisting { name_prefix: kind }, _) => {
                format!("   kubit makes job {kind}-… again\n")
            }
            (_, command) => command
                .map(|command| format_command(&command, "$"))
                .unwrap_or_default(),
        };
        run + &format_command(&self.watch_command(), "$")
    }
}

impl JobStrategy {
    /// In one word.
    #[must_use]
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

/// A secret that has to be there, and not to be the one that was there before.
pub struct ExpectedSecret {
    /// Where it is.
    pub target: ClusterTarget,
    pub name: SecretName,
    /// The UID that it had before.
    pub previous_uid: Option<String>,
    /// The job that makes it, where its name is known.
    pub job: Option<String>,
}

impl ExpectedSecret {
    /// What shows which secrets are there.
    pub fn list_command(&self) -> Invocation {
        self.target.kubectl.get_secret_uids(&self.target.namespace)
    }

    pub(super) fn to_view(&self) -> ActionView {
        ActionView::VerifySecret {
            argv: to_argv(&self.list_command()),
            secret: self.name,
            previous_uid: self.previous_uid.clone(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        format_command(&self.list_command(), "$")
    }
}

/// Pods that have to load the new keys.
pub struct PodRestart {
    /// Where they are.
    pub target: ClusterTarget,
    /// Which.
    pub selector: String,
    /// How many must be ready afterwards.
    pub ready_pods: usize,
    /// The UIDs of those that are on their way out already; `None` when none is.
    pub terminating: Option<Vec<String>>,
    /// How long it may take.
    pub timeout: Duration,
}

impl PodRestart {
    /// What shows which pods there are, right before and when all seems done.
    pub fn list_command(&self) -> Invocation {
        self.target
            .kubectl
            .list_pods(&self.target.namespace, &self.selector)
    }

    /// The deletion, where it has not been done.
    pub fn command(&self) -> Option<Invocation> {
        self.terminating.is_none().then(|| {
            self.target
                .kubectl
                .delete_pods(&self.target.namespace, &self.selector)
        })
    }

    /// What shows how it goes.
    pub fn watch_command(&self) -> Invocation {
        self.target
            .kubectl
            .watch_pods(&self.target.namespace, &self.selector)
    }

    pub(super) fn to_view(&self) -> ActionView {
        ActionView::RestartPods {
            list_argv: to_argv(&self.list_command()),
            argv: self.command().as_ref().map(to_argv),
            watch_argv: to_argv(&self.watch_command()),
            ready_pods: self.ready_pods,
            timeout_seconds: self.timeout.as_secs(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        let command = self
            .command()
            .map(|command| format_command(&command, "$"))
            .unwrap_or_default();
        command + &format_command(&self.watch_command(), "$")
    }
}

/// How a token is tried.
#[derive(Clone, Debug)]
pub struct TokenProbe {
    /// The command.
    pub command: Invocation,
    /// Whose host, port and TLS settings the throwaway configuration takes.
    pub profile: Profile,
}

/// What the revocation is proven with.
pub struct VerificationStep {
    /// `None` where there is no way to try a token: then the proof is inconclusive.
    pub token_probe: Option<TokenProbe>,
    /// Whether the new token is tried beside the old one.
    pub new_token: bool,
    /// How long the old token may still be accepted.
    pub grace_period: Duration,
}

impl VerificationStep {
    pub(super) fn to_view(&self) -> ActionView {
        let trial = self.token_probe.as_ref();
        ActionView::VerifyRevocation {
            argv: trial.map(|trial| to_argv(&trial.command)),
            address: trial.map(|trial| trial.profile.address()),
            tls: trial.map(|trial| trial.profile.tls.clone()),
            tokens: if self.new_token {
                vec!["<old token>", "<new token>"]
            } else {
                vec!["<old token>"]
            },
            timeout_seconds: self.grace_period.as_secs(),
        }
    }

    pub(super) fn to_text(&self) -> String {
        match &self.token_probe {
            Some(trial) if self.new_token => {
                format_command(&trial.command, "with the old token and with the new one: $")
            }
            Some(trial) => format_command(&trial.command, "with the old token: $"),
            None => "   (no token can be tried: the proof will be inconclusive)\n".to_owned(),
        }
    }
}
