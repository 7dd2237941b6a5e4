//! A plan as data: in JSON and in the file that is written down. `docs/PLAN.md` describes it.

use super::{Action, Plan, SecretName, Step, format_changed_lines};
use crate::profile::Tls;
use crate::tool::invocation::{Invocation, ObjectRef};
use serde::Serialize;
use std::path::PathBuf;

/// A step of a plan, as it is shown: never with a secret.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StepView {
    /// A stable name; unique in the plan, but for what is done for several profiles.
    id: &'static str,
    /// Why.
    reason: String,
    /// What must hold after it, or the run stops.
    postcondition: String,
    /// Whether it runs side by side with the step before it.
    parallel: bool,
    /// What is done.
    #[serde(flatten)]
    action: ActionView,
}

/// A command: exactly what is executed, each argument apart. `<…>` stands for what is known only then.
type Argv = Vec<String>;

/// The action of a step, with its fields.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "kebab-case")]
pub(super) enum ActionView {
    /// Reads the token.
    ReadToken {
        /// The command, each argument apart.
        argv: Argv,
    },
    /// Notes or checks the cluster.
    ClusterIdentity {
        /// Commands, of which the first that the account may run counts.
        first_allowed_of: [Argv; 3],
    },
    /// Tries the token.
    ProbeToken {
        /// The command, each argument apart.
        argv: Argv,
        /// Host and port that the token goes to.
        address: String,
        /// The profile's TLS settings.
        tls: Tls,
        /// Which step reads the token.
        token: String,
        /// Whether anything but acceptance stops the run.
        required: bool,
    },
    /// Writes the token file.
    WriteFile {
        /// The file.
        path: PathBuf,
        /// Its mode, octal.
        mode: &'static str,
        /// Which step reads the token.
        content: String,
    },
    /// Edits influxctl's configuration.
    EditFile {
        /// The file, symlinks resolved.
        path: PathBuf,
        /// The lines that change, each with sign and number.
        lines: Vec<String>,
    },
    /// Deletes a token file.
    DeleteFile {
        /// The file.
        path: PathBuf,
    },
    /// Looks whether the cluster is the one that was looked at.
    SameCluster {
        /// The command, each argument apart.
        argv: Argv,
        /// What it must print.
        expected: String,
    },
    /// Deletes a secret of the cluster.
    DeleteSecret {
        /// What shows which secrets are there, right before and right after.
        list_argv: Argv,
        /// The deletion.
        argv: Argv,
        /// The UID that the secret must still have.
        uid: String,
    },
    /// Has a job run again.
    RunJob {
        /// `clone`, `from-job`, `operator`, `await-existing` or `running`.
        strategy: &'static str,
        /// The job that is made or runs again; null where its name is not known.
        source: Option<ObjectRef>,
        /// The name of the job that runs; null where it is not known.
        job: Option<String>,
        /// The command; null where none is needed.
        argv: Option<Argv>,
        /// What the command reads; null where nothing.
        stdin: Option<StdinDigest>,
        /// What shows how it goes.
        watch_argv: Argv,
        /// The secret that the job makes.
        secret: SecretName,
        /// How long it may take, in seconds.
        timeout_seconds: u64,
    },
    /// Looks for a new secret.
    VerifySecret {
        /// What shows which secrets are there.
        argv: Argv,
        /// The secret.
        secret: SecretName,
        /// The UID that it had before; null where it is not known.
        previous_uid: Option<String>,
    },
    /// Restarts pods.
    RestartPods {
        /// What shows which pods there are, right before and when all seems done.
        list_argv: Argv,
        /// The deletion; null where it has been done.
        argv: Option<Argv>,
        /// What shows how it goes.
        watch_argv: Argv,
        /// How many must be ready afterwards.
        ready_pods: usize,
        /// How long it may take, in seconds.
        timeout_seconds: u64,
    },
    /// Proves that the old token is worthless.
    VerifyRevocation {
        /// What each token is tried with; null where none can be.
        argv: Option<Argv>,
        /// Host and port that the tokens go to.
        address: Option<String>,
        /// The profile's TLS settings.
        tls: Option<Tls>,
        /// Which tokens are tried.
        tokens: Vec<&'static str>,
        /// How long the old token may still be accepted, in seconds.
        timeout_seconds: u64,
    },
}

/// Bytes, by their digest.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct StdinDigest {
    /// Their SHA-256, lower-case hexadecimal.
    pub(super) sha256: String,
}

impl Plan {
    /// The plan as data.
    #[must_use]
    pub fn to_view(&self) -> Vec<StepView> {
        let view = |step: &Step| StepView {
            id: step.id,
            reason: step.reason.clone(),
            postcondition: step.postcondition.clone(),
            parallel: step.parallel,
            action: self.build_action_view(&step.action),
        };
        self.steps.iter().map(view).collect()
    }

    fn build_action_view(&self, action: &Action) -> ActionView {
        match action {
            Action::ReadToken(command) => ActionView::ReadToken {
                argv: to_argv(command),
            },
            Action::RecordCluster(look) | Action::CheckCluster(look) => {
                ActionView::ClusterIdentity {
                    first_allowed_of: look.identity_commands().map(|command| to_argv(&command)),
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
                lines: format_changed_lines(action),
            },
            Action::DeleteToken { path } => ActionView::DeleteFile { path: path.clone() },
            Action::SameCluster(same) => same.to_view(),
            Action::DeleteSecret(deletion) => deletion.to_view(),
            Action::RunJob(run) => run.to_view(),
            Action::VerifySecret(secret) => secret.to_view(),
            Action::RestartPods(restart) => restart.to_view(),
            Action::VerifyRevocation(prove) => prove.to_view(),
        }
    }
}

pub(super) fn to_argv(command: &Invocation) -> Argv {
    command.argv(None)
}
