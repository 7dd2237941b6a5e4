//! A plan as JSON, for reports and saved plans. `docs/PLAN.md` describes it.

use super::revocation::{
    CloneDeletion, ExpectedCluster, ExpectedSecret, JobRun, JobStrategy, PodRestart,
    RejectionCheck, SecretDeletion, TokenInventory, TokenProbe, VerificationStep,
};
use super::secret_name::SecretName;
use super::step::{Action, Plan, Step};
use crate::digest::Digest;
use crate::profile::Tls;
use crate::tool::invocation::{Invocation, ObjectRef};
use crate::tool::kubectl::PodSummary;
use serde::Serialize;
use std::path::PathBuf;

/// A step of a plan. It never contains a secret.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StepView {
    /// Stable ID. Only the same step for several profiles or clones repeats it.
    id: &'static str,
    /// Reason for the step.
    reason: String,
    /// Condition after the step. The run stops if it is false.
    postcondition: String,
    /// True if the step runs in parallel with the previous one.
    parallel: bool,
    /// The action with its fields.
    #[serde(flatten)]
    action: ActionView,
}

/// A command exactly as it runs, each argument apart. `<…>` stands for a value that is unknown
/// until then.
type Argv = Vec<String>;

/// The action of a step, with its fields.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "kebab-case")]
enum ActionView {
    /// Reads the token.
    ReadToken {
        /// The command, each argument apart.
        argv: Argv,
    },
    /// Records or checks the cluster.
    ClusterIdentity {
        /// Commands. The first one that the account is allowed to run counts.
        first_allowed_of: [Argv; 2],
    },
    /// Probes the token.
    ProbeToken {
        /// The command, each argument apart.
        argv: Argv,
        /// Host and port of the probe.
        address: String,
        /// TLS settings of the profile.
        tls: Tls,
        /// The step that reads the token.
        token: String,
        /// True if anything but acceptance stops the run.
        required: bool,
    },
    /// Writes the token file.
    WriteFile {
        /// The file.
        path: PathBuf,
        /// Octal mode.
        mode: &'static str,
        /// The step that reads the token.
        content: String,
    },
    /// Edits the configuration of influxctl.
    EditFile {
        /// The file, symlinks resolved.
        path: PathBuf,
        /// The changed lines, each with sign and number.
        lines: Vec<String>,
    },
    /// Deletes a token file.
    DeleteFile {
        /// The file.
        path: PathBuf,
    },
    /// Checks that the cluster is the one of the preflight checks.
    SameCluster {
        /// The command, each argument apart.
        argv: Argv,
        /// Its required output.
        expected: String,
    },
    /// Deletes a secret of the cluster.
    DeleteSecret {
        /// The secret.
        secret: SecretName,
        /// Lists the secrets right before and right after.
        list_argv: Argv,
        /// The deletion.
        argv: Argv,
        /// The input of the deletion, null without input.
        stdin: Option<StdinDigest>,
        /// The required UID of the secret.
        uid: String,
    },
    /// Reruns a job.
    RunJob {
        /// `clone`, `from-job`, `operator`, `await-existing` or `running`.
        strategy: &'static str,
        /// The original job, null if it is unknown.
        source: Option<ObjectRef>,
        /// Name of the job that runs, null if it is unknown.
        job: Option<String>,
        /// The command, null if none is needed.
        argv: Option<Argv>,
        /// The input of the command, null without input.
        stdin: Option<StdinDigest>,
        /// What a clone runs, null for another strategy.
        pod: Option<PodSummary>,
        /// Watches the progress.
        watch_argv: Argv,
        /// The secret that the job creates.
        secret: SecretName,
        /// Time limit in seconds.
        timeout_seconds: u64,
    },
    /// Checks that a secret is new.
    VerifySecret {
        /// Lists the secrets.
        argv: Argv,
        /// The secret.
        secret: SecretName,
        /// The UID before the deletion, null if it is unknown.
        previous_uid: Option<String>,
    },
    /// Restarts pods.
    RestartPods {
        /// Selects the pods.
        selector: String,
        /// Lists the pods right before the deletion and at the end of the watch.
        list_argv: Argv,
        /// The deletion, null if an earlier run has done it.
        argv: Option<Argv>,
        /// Watches the progress.
        watch_argv: Argv,
        /// The number of pods that must be ready afterwards.
        ready_pods: usize,
        /// Labels of pods that use the keys and do not restart.
        other_key_users: Vec<String>,
        /// Time limit in seconds.
        timeout_seconds: u64,
    },
    /// Waits until the old token is rejected. Without a new token, until every backend rejects it.
    VerifyRejection {
        /// Probes the old token.
        argv: Argv,
        /// Host and port of the probes.
        address: String,
        /// TLS settings of the profile.
        tls: Tls,
        /// How many rejections in a row are required.
        min_rejections: usize,
        /// How long the old token can still be accepted, in seconds.
        timeout_seconds: u64,
    },
    /// Verifies that the new token is accepted and that every backend rejects the old one, and
    /// reports the outcome.
    VerifyRevocation {
        /// Probes the new token, then the old one. Null if it is impossible or the plan creates no
        /// token.
        argv: Option<Argv>,
        /// Host and port of the probes.
        address: Option<String>,
        /// TLS settings of the profile.
        tls: Option<Tls>,
        /// How many rejections of the old token in a row are required. Null without probes.
        min_rejections: Option<usize>,
        /// How long the new token can still be rejected, and then the old one accepted, in seconds.
        timeout_seconds: u64,
    },
    /// Verifies both tokens at the address of a further profile.
    VerifyProfile {
        /// Probes a token.
        argv: Argv,
        /// Name of the profile.
        profile: String,
        /// Host and port of the probes.
        address: String,
        /// TLS settings of the profile.
        tls: Tls,
        /// How many rejections of the old token in a row are required.
        min_rejections: usize,
        /// How long the old token can still be accepted, in seconds.
        timeout_seconds: u64,
    },
    /// Hands the new token to a program.
    DeliverToken {
        /// The command, each argument apart.
        argv: Argv,
        /// Its standard input: the step that reads the token.
        token: String,
    },
    /// Counts the tokens that the revocation does not revoke. A failure is only a note.
    CountTokens {
        /// Lists the database tokens.
        database_argv: Argv,
        /// Lists the management tokens.
        management_argv: Argv,
        /// Host and port of the server.
        address: String,
        /// TLS settings of the profile.
        tls: Tls,
    },
    /// Deletes a clone of an earlier revocation, if this one is verified.
    DeleteClone {
        /// Name of the job.
        clone: String,
        /// Lists the jobs right before and right after.
        list_argv: Argv,
        /// The deletion.
        argv: Argv,
        /// The input of the deletion.
        stdin: Option<StdinDigest>,
        /// The required UID of the job.
        uid: String,
    },
}

/// An input by its digest.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct StdinDigest {
    /// SHA-256 in lower-case hexadecimal.
    #[cfg_attr(test, schemars(with = "String"))]
    sha256: Digest,
}

impl Plan {
    pub fn to_view(&self) -> Vec<StepView> {
        let view = |step: &Step| StepView {
            id: step.id,
            reason: step.reason.clone(),
            postcondition: step.postcondition.clone(),
            parallel: step.parallel,
            action: self.action_view(&step.action),
        };
        self.steps.iter().map(view).collect()
    }

    fn action_view(&self, action: &Action) -> ActionView {
        match action {
            Action::ReadToken(command) => ActionView::ReadToken {
                argv: to_argv(command),
            },
            Action::RecordCluster(target) | Action::CheckCluster(target) => {
                let commands = target.identity_commands();
                ActionView::ClusterIdentity {
                    first_allowed_of: commands.map(|command| to_argv(&command)),
                }
            }
            Action::ProbeToken {
                command,
                required,
                profile,
            } => ActionView::ProbeToken {
                argv: to_argv(command),
                address: profile.address(),
                tls: profile.tls.clone(),
                token: self.token_placeholder(),
                required: *required,
            },
            Action::WriteToken { path } => ActionView::WriteFile {
                path: path.clone(),
                mode: "0600",
                content: self.token_placeholder(),
            },
            Action::EditConfig { path, .. } => ActionView::EditFile {
                path: path.clone(),
                lines: action.changed_lines(),
            },
            Action::DeleteToken { path } => ActionView::DeleteFile { path: path.clone() },
            Action::SameCluster(cluster) => cluster.into(),
            Action::DeleteSecret(deletion) => deletion.into(),
            Action::RunJob(run) => run.as_ref().into(),
            Action::VerifySecret(secret) => secret.into(),
            Action::RestartPods(restart) => restart.into(),
            Action::VerifyRejection(check) => check.into(),
            Action::VerifyRevocation(verification) => verification.into(),
            Action::VerifyProfile(check) => ActionView::VerifyProfile {
                argv: to_argv(&check.token_probe.command),
                profile: check.token_probe.profile.name.clone(),
                address: check.token_probe.profile.address(),
                tls: check.token_probe.profile.tls.clone(),
                min_rejections: check.min_rejections,
                timeout_seconds: check.grace_period.as_secs(),
            },
            Action::DeliverToken(command) => ActionView::DeliverToken {
                argv: to_argv(command),
                token: self.token_placeholder(),
            },
            Action::CountTokens(inventory) => inventory.as_ref().into(),
            Action::DeleteClone(deletion) => deletion.into(),
        }
    }
}

fn to_argv(command: &Invocation) -> Argv {
    command.argv(None)
}

fn compute_stdin_digest(command: &Invocation) -> Option<StdinDigest> {
    command.stdin().map(|text| StdinDigest {
        sha256: Digest::compute(text.as_bytes()),
    })
}

impl From<&ExpectedCluster> for ActionView {
    fn from(cluster: &ExpectedCluster) -> Self {
        Self::SameCluster {
            argv: to_argv(&cluster.command),
            expected: cluster.expected.clone(),
        }
    }
}

impl From<&SecretDeletion> for ActionView {
    fn from(deletion: &SecretDeletion) -> Self {
        let command = deletion.command();
        Self::DeleteSecret {
            secret: deletion.name,
            list_argv: to_argv(&deletion.list_command()),
            argv: to_argv(&command),
            stdin: compute_stdin_digest(&command),
            uid: deletion.uid.clone(),
        }
    }
}

impl From<&TokenInventory> for ActionView {
    fn from(inventory: &TokenInventory) -> Self {
        Self::CountTokens {
            database_argv: to_argv(&inventory.database),
            management_argv: to_argv(&inventory.management),
            address: inventory.profile.address(),
            tls: inventory.profile.tls.clone(),
        }
    }
}

impl From<&CloneDeletion> for ActionView {
    fn from(deletion: &CloneDeletion) -> Self {
        let command = deletion.command();
        Self::DeleteClone {
            clone: deletion.clone.name.clone(),
            list_argv: to_argv(&deletion.list_command()),
            argv: to_argv(&command),
            stdin: compute_stdin_digest(&command),
            uid: deletion.clone.uid.clone(),
        }
    }
}

impl From<&JobRun> for ActionView {
    fn from(run: &JobRun) -> Self {
        let command = run.command();
        Self::RunJob {
            strategy: run.strategy.as_str(),
            source: run.source().cloned(),
            job: run.job_name().map(str::to_owned),
            argv: command.as_ref().map(to_argv),
            stdin: command.as_ref().and_then(compute_stdin_digest),
            pod: match &run.strategy {
                JobStrategy::Clone { manifest, .. } => Some(manifest.summarize_pod()),
                _ => None,
            },
            watch_argv: to_argv(&run.watch_command()),
            secret: run.secret,
            timeout_seconds: run.timeout.as_secs(),
        }
    }
}

impl From<&ExpectedSecret> for ActionView {
    fn from(secret: &ExpectedSecret) -> Self {
        Self::VerifySecret {
            argv: to_argv(&secret.list_command()),
            secret: secret.name,
            previous_uid: secret.previous_uid.clone(),
        }
    }
}

impl From<&PodRestart> for ActionView {
    fn from(restart: &PodRestart) -> Self {
        Self::RestartPods {
            selector: restart.selector.clone(),
            list_argv: to_argv(&restart.list_command()),
            argv: restart.command().as_ref().map(to_argv),
            watch_argv: to_argv(&restart.watch_command()),
            ready_pods: restart.ready_pods,
            other_key_users: restart.other_key_users.clone(),
            timeout_seconds: restart.timeout.as_secs(),
        }
    }
}

impl From<&RejectionCheck> for ActionView {
    fn from(check: &RejectionCheck) -> Self {
        let TokenProbe { command, profile } = &check.token_probe;
        Self::VerifyRejection {
            argv: to_argv(command),
            address: profile.address(),
            tls: profile.tls.clone(),
            min_rejections: check.min_rejections,
            timeout_seconds: check.grace_period.as_secs(),
        }
    }
}

impl From<&VerificationStep> for ActionView {
    fn from(verification: &VerificationStep) -> Self {
        let probe = verification
            .token_probe
            .as_ref()
            .filter(|_| verification.creates_new_token);
        Self::VerifyRevocation {
            argv: probe.map(|probe| to_argv(&probe.command)),
            address: probe.map(|probe| probe.profile.address()),
            tls: probe.map(|probe| probe.profile.tls.clone()),
            min_rejections: probe.map(|_| verification.min_rejections),
            timeout_seconds: verification.grace_period.as_secs(),
        }
    }
}
