//! A plan as data: in JSON and in the file that is written down. `docs/PLAN.md` describes it.

use super::{Action, Plan, Step, changed_lines};
use crate::profile::Tls;
use crate::tool::invocation::{Invocation, Object};
use serde::Serialize;
use std::path::PathBuf;

/// A step of a plan, as it is shown: never with a secret.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StepView {
    /// A stable name; unique in the plan, but for what is done for several profiles.
    id: &'static str,
    /// Why.
    why: String,
    /// What must hold after it, or the run stops.
    holds: String,
    /// Whether it runs side by side with the step before it.
    beside_previous: bool,
    /// What is done.
    #[serde(flatten)]
    action: ActionView,
}

/// A command: exactly what is executed, each argument apart. `<…>` stands for what is known only then.
type Argv = Vec<String>;

/// What a step does. Which kind it is shows in which fields it has.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(super) enum ActionView {
    /// Reads the token.
    ReadToken {
        /// The command, each argument apart.
        argv: Argv,
    },
    /// Notes or checks the cluster.
    Cluster {
        /// Commands, of which the first that the account may run counts.
        first_allowed_of: [Argv; 3],
    },
    /// Tries the token.
    TryToken {
        /// The command, each argument apart.
        argv: Argv,
        /// Host and port that the token goes to.
        at: String,
        /// The profile's TLS settings.
        tls: Tls,
        /// Which step reads the token.
        token: String,
        /// Whether anything but acceptance stops the run.
        required: bool,
    },
    /// Writes the token file.
    WriteToken {
        /// The file.
        write: PathBuf,
        /// Its mode, octal.
        mode: &'static str,
        /// Which step reads the token.
        content: String,
    },
    /// Edits influxctl's configuration.
    EditConfig {
        /// The file, symlinks resolved.
        edit: PathBuf,
        /// The lines that change, each with sign and number.
        lines: Vec<String>,
    },
    /// Deletes a token file.
    DeleteToken {
        /// The file.
        delete: PathBuf,
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
        look: Argv,
        /// The deletion.
        argv: Argv,
        /// The UID that the secret must still have.
        uid: String,
    },
    /// Has a job run again.
    RunJob {
        /// How: `clone`, `from-job`, `operator`, `awaited`, `running`.
        way: &'static str,
        /// The job that is made or runs again; null where its name is not known.
        from: Option<Object>,
        /// The name of the job that runs; null where it is not known.
        job: Option<String>,
        /// The command; null where none is needed.
        argv: Option<Argv>,
        /// What the command reads; null where nothing.
        stdin: Option<Digest>,
        /// What shows how it goes.
        watch: Argv,
        /// The secret that the job makes.
        secret: &'static str,
        /// How long it may take, in seconds.
        seconds: u64,
    },
    /// Looks for a new secret.
    SeeSecret {
        /// What shows which secrets are there.
        argv: Argv,
        /// The secret.
        secret: &'static str,
        /// The UID that it had before; null where it is not known.
        not_uid: Option<String>,
    },
    /// Restarts pods.
    Restart {
        /// What shows which pods there are, right before and when all seems done.
        look: Argv,
        /// The deletion; null where it has been done.
        argv: Option<Argv>,
        /// What shows how it goes.
        watch: Argv,
        /// How many must be ready afterwards.
        ready: usize,
        /// How long it may take, in seconds.
        seconds: u64,
    },
    /// Proves that the old token is worthless.
    Prove {
        /// What each token is tried with; null where none can be.
        argv: Option<Argv>,
        /// Host and port that the tokens go to.
        at: Option<String>,
        /// The profile's TLS settings.
        tls: Option<Tls>,
        /// Which tokens are tried.
        tokens: Vec<&'static str>,
        /// How long the old token may still be accepted, in seconds.
        seconds: u64,
    },
}

/// Bytes, by their digest.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Digest {
    /// Their SHA-256, lower-case hexadecimal.
    pub(super) sha256: String,
}

impl Plan {
    /// The plan as data.
    #[must_use]
    pub fn view(&self) -> Vec<StepView> {
        let view = |step: &Step| StepView {
            id: step.id,
            why: step.why.clone(),
            holds: step.holds.clone(),
            beside_previous: step.beside,
            action: self.action_view(&step.action),
        };
        self.steps.iter().map(view).collect()
    }

    fn action_view(&self, action: &Action) -> ActionView {
        match action {
            Action::ReadToken(command) => ActionView::ReadToken {
                argv: argv(command),
            },
            Action::NoteCluster(look) | Action::CheckCluster(look) => ActionView::Cluster {
                first_allowed_of: look.commands().map(|command| argv(&command)),
            },
            Action::TryToken {
                command,
                required,
                profile,
            } => ActionView::TryToken {
                argv: argv(command),
                at: profile.address(),
                tls: profile.tls.clone(),
                token: self.token_slot(),
                required: *required,
            },
            Action::WriteToken { path } => ActionView::WriteToken {
                write: path.clone(),
                mode: "0600",
                content: self.token_slot(),
            },
            Action::EditConfig { path, .. } => ActionView::EditConfig {
                edit: path.clone(),
                lines: changed_lines(action),
            },
            Action::DeleteToken { path } => ActionView::DeleteToken {
                delete: path.clone(),
            },
            Action::SameCluster(same) => same.view(),
            Action::DeleteSecret(deletion) => deletion.view(),
            Action::RunJob(run) => run.view(),
            Action::SeeSecret(secret) => secret.view(),
            Action::Restart(restart) => restart.view(),
            Action::Prove(prove) => prove.view(),
        }
    }
}

pub(super) fn argv(command: &Invocation) -> Argv {
    command.argv(None)
}
