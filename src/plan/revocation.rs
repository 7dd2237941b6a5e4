//! The steps of a revocation, and how they are shown.

use super::view::{ActionView, Digest, argv};
use super::{Place, shown};
use crate::profile::Profile;
use crate::secret::sha256_hex;
use crate::tool::invocation::{Invocation, Object};
use crate::tool::kubectl::JobManifest;
use std::time::Duration;

/// The cluster has to be the one that was looked at.
pub struct SameCluster {
    /// What shows which it is.
    pub command: Invocation,
    /// What that must print.
    pub expected: String,
}

impl SameCluster {
    pub(super) fn view(&self) -> ActionView {
        ActionView::SameCluster {
            argv: argv(&self.command),
            expected: self.expected.clone(),
        }
    }

    pub(super) fn text(&self) -> String {
        format!(
            "{}   must print {}\n",
            shown(&self.command, "$"),
            self.expected
        )
    }
}

/// A secret that has to go.
pub struct Deletion {
    /// Where it is.
    pub at: Place,
    /// Its name.
    pub name: &'static str,
    /// Its UID when it was seen: a secret that somebody else has made meanwhile stays.
    pub uid: String,
}

impl Deletion {
    /// What shows which secrets are there, right before and right after.
    pub fn look(&self) -> Invocation {
        self.at.kubectl.secret_uids(&self.at.namespace)
    }

    /// The deletion.
    pub fn command(&self) -> Invocation {
        self.at
            .kubectl
            .delete_secret(&self.at.namespace, self.name, &self.uid)
    }

    pub(super) fn view(&self) -> ActionView {
        ActionView::DeleteSecret {
            look: argv(&self.look()),
            argv: argv(&self.command()),
            uid: self.uid.clone(),
        }
    }

    pub(super) fn text(&self) -> String {
        format!(
            "{}   if its UID is still {}\n",
            shown(&self.command(), "$"),
            self.uid
        )
    }
}

/// A job that has to run again.
pub struct JobRun {
    /// Where it is.
    pub at: Place,
    /// How.
    pub way: Way,
    /// The secret that it makes where it is missing.
    pub secret: &'static str,
    /// How long it may take.
    pub limit: Duration,
}

/// How a job is made to run again.
pub enum Way {
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
        from: Object,
        /// The new one's name.
        name: String,
    },
    /// Deleted, so that kubit makes it again under the same name.
    Operator {
        /// The job.
        job: Object,
    },
    /// Deleted before: kubit makes it again.
    Awaited {
        /// How its name begins.
        kind: &'static str,
    },
    /// It is at work already.
    Running {
        /// The job.
        job: Object,
    },
}

impl JobRun {
    /// The command that has it run, where one is needed.
    pub fn command(&self) -> Option<Invocation> {
        let Place { kubectl, namespace } = &self.at;
        match &self.way {
            Way::Clone { manifest, .. } => Some(kubectl.create_job(namespace, manifest)),
            Way::FromJob { from, name } => {
                Some(kubectl.job_from_job(namespace, bare(&from.name), name))
            }
            Way::Operator { job } => Some(kubectl.delete_job(namespace, bare(&job.name), &job.uid)),
            Way::Awaited { .. } | Way::Running { .. } => None,
        }
    }

    /// What shows how it goes.
    pub fn watch(&self) -> Invocation {
        let Place { kubectl, namespace } = &self.at;
        match self.name() {
            Some(name) => kubectl.watch_job(namespace, name),
            None => kubectl.watch_jobs(namespace),
        }
    }

    /// The name of the job that runs, where it is known.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.way {
            Way::Clone { manifest, .. } => Some(&manifest.name),
            Way::FromJob { name, .. } => Some(name),
            Way::Operator { job } | Way::Running { job } => Some(bare(&job.name)),
            Way::Awaited { .. } => None,
        }
    }

    fn from(&self) -> Option<&Object> {
        match &self.way {
            Way::Clone { manifest, .. } => Some(&manifest.from),
            Way::FromJob { from, .. } => Some(from),
            Way::Operator { job } | Way::Running { job } => Some(job),
            Way::Awaited { .. } => None,
        }
    }

    pub(super) fn view(&self) -> ActionView {
        let command = self.command();
        let stdin = command.as_ref().and_then(Invocation::stdin);
        ActionView::RunJob {
            way: self.way.name(),
            from: self.from().cloned(),
            job: self.name().map(str::to_owned),
            argv: command.as_ref().map(argv),
            stdin: stdin.map(|text| Digest {
                sha256: sha256_hex(text.as_bytes()),
            }),
            watch: argv(&self.watch()),
            secret: self.secret,
            seconds: self.limit.as_secs(),
        }
    }

    pub(super) fn text(&self) -> String {
        let run = match (&self.way, self.command()) {
            (Way::Clone { manifest, .. }, Some(command)) => {
                let from = &manifest.from;
                format!(
                    "{}   reading job `{}`, made from {} (UID {})\n",
                    shown(&command, "$"),
                    manifest.name,
                    from.name,
                    from.uid
                )
            }
            (Way::Operator { job }, Some(command)) => {
                format!(
                    "{}   if its UID is still {}; kubit makes it again\n",
                    shown(&command, "$"),
                    job.uid
                )
            }
            (Way::Running { job }, _) => format!("   {} is at work already\n", job.name),
            (Way::Awaited { kind }, _) => format!("   kubit makes job {kind}-… again\n"),
            (_, command) => command
                .map(|command| shown(&command, "$"))
                .unwrap_or_default(),
        };
        run + &shown(&self.watch(), "$")
    }
}

impl Way {
    /// In one word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Clone { .. } => "clone",
            Self::FromJob { .. } => "from-job",
            Self::Operator { .. } => "operator",
            Self::Awaited { .. } => "awaited",
            Self::Running { .. } => "running",
        }
    }
}

/// A secret that has to be there, and not to be the one that was there before.
pub struct NewSecret {
    /// Where it is.
    pub at: Place,
    /// Its name.
    pub name: &'static str,
    /// The UID that it had before.
    pub old: Option<String>,
    /// The job that makes it, where its name is known.
    pub job: Option<String>,
}

impl NewSecret {
    /// What shows which secrets are there.
    pub fn look(&self) -> Invocation {
        self.at.kubectl.secret_uids(&self.at.namespace)
    }

    pub(super) fn view(&self) -> ActionView {
        ActionView::SeeSecret {
            argv: argv(&self.look()),
            secret: self.name,
            not_uid: self.old.clone(),
        }
    }

    pub(super) fn text(&self) -> String {
        shown(&self.look(), "$")
    }
}

/// Pods that have to load the new keys.
pub struct Restart {
    /// Where they are.
    pub at: Place,
    /// Which.
    pub selector: String,
    /// How many must be ready afterwards.
    pub ready: usize,
    /// The UIDs of those that are on their way out already; `None` when none is.
    pub going: Option<Vec<String>>,
    /// How long it may take.
    pub limit: Duration,
}

impl Restart {
    /// What shows which pods there are, right before and when all seems done.
    pub fn look(&self) -> Invocation {
        self.at.kubectl.pods(&self.at.namespace, &self.selector)
    }

    /// The deletion, where it has not been done.
    pub fn command(&self) -> Option<Invocation> {
        self.going.is_none().then(|| {
            self.at
                .kubectl
                .delete_pods(&self.at.namespace, &self.selector)
        })
    }

    /// What shows how it goes.
    pub fn watch(&self) -> Invocation {
        self.at
            .kubectl
            .watch_pods(&self.at.namespace, &self.selector)
    }

    pub(super) fn view(&self) -> ActionView {
        ActionView::Restart {
            look: argv(&self.look()),
            argv: self.command().as_ref().map(argv),
            watch: argv(&self.watch()),
            ready: self.ready,
            seconds: self.limit.as_secs(),
        }
    }

    pub(super) fn text(&self) -> String {
        let command = self
            .command()
            .map(|command| shown(&command, "$"))
            .unwrap_or_default();
        command + &shown(&self.watch(), "$")
    }
}

/// How a token is tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The command.
    pub command: Invocation,
    /// Whose host, port and TLS settings the throwaway configuration takes.
    pub profile: Profile,
}

/// What the revocation is proven with.
pub struct Prove {
    /// `None` where there is no way to try a token: then the proof is inconclusive.
    pub trial: Option<Trial>,
    /// Whether the new token is tried beside the old one.
    pub new_token: bool,
    /// How long the old token may still be accepted.
    pub grace: Duration,
}

impl Prove {
    pub(super) fn view(&self) -> ActionView {
        let trial = self.trial.as_ref();
        ActionView::Prove {
            argv: trial.map(|trial| argv(&trial.command)),
            at: trial.map(|trial| trial.profile.address()),
            tls: trial.map(|trial| trial.profile.tls.clone()),
            tokens: if self.new_token {
                vec!["<old token>", "<new token>"]
            } else {
                vec!["<old token>"]
            },
            seconds: self.grace.as_secs(),
        }
    }

    pub(super) fn text(&self) -> String {
        match &self.trial {
            Some(trial) if self.new_token => {
                shown(&trial.command, "with the old token and with the new one: $")
            }
            Some(trial) => shown(&trial.command, "with the old token: $"),
            None => "   (no token can be tried: the proof will be inconclusive)\n".to_owned(),
        }
    }
}

/// A name without its kind.
fn bare(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, name)| name)
}
