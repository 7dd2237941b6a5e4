//! What is going to be done: ordered steps, shown before anything happens.

mod checksum;
mod revocation;
pub mod script;
mod secret_name;
mod view;

pub use revocation::{
    ExpectedCluster, ExpectedSecret, JobRun, JobStrategy, PodRestart, SecretDeletion, TokenProbe,
    VerificationStep,
};
pub use secret_name::SecretName;
pub use view::StepView;

use crate::profile::{ConfigEdit, Profile};
use crate::tool::invocation::Invocation;
use crate::tool::kubectl::Kubectl;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Ordered steps, and what they are about.
pub struct Plan {
    /// The command that made it.
    pub command: &'static str,
    /// What it is about, for people: profile, namespace, cluster.
    pub about: String,
    /// In the order in which they run; empty when all is as it should be.
    pub steps: Vec<Step>,
}

/// One step.
pub struct Step {
    /// A stable name; unique in the plan, but for what is done for several profiles.
    pub id: &'static str,
    /// Why.
    pub reason: String,
    /// What is done.
    pub action: Action,
    /// What holds after it, or the run stops.
    pub postcondition: String,
    /// Whether it runs side by side with the step before it.
    pub parallel: bool,
}

/// What a step does.
pub enum Action {
    /// Reads the admin token: later steps refer to it as the token from this step.
    ReadToken(Invocation),
    /// Notes which cluster the context leads to.
    RecordCluster(ClusterTarget),
    /// Looks whether the context still leads to the cluster that was noted.
    CheckCluster(ClusterTarget),
    /// Tries the token with a throwaway configuration.
    ProbeToken {
        /// The command.
        command: Invocation,
        /// Whose host, port and TLS settings the configuration takes.
        profile: Profile,
        /// Whether anything but acceptance stops the run.
        required: bool,
    },
    /// Writes the token, mode 0600.
    WriteToken {
        /// The token file.
        path: PathBuf,
    },
    /// Changes influxctl's configuration.
    EditConfig {
        /// The file, symlinks resolved.
        path: PathBuf,
        /// The text that the edit is of; `None` for a new file.
        old_text: Option<String>,
        /// The change.
        edit: ConfigEdit,
    },
    /// Deletes a token file.
    DeleteToken {
        /// The file.
        path: PathBuf,
    },
    /// Looks whether the context leads to the cluster that was looked at before anything was planned.
    SameCluster(ExpectedCluster),
    /// Deletes a secret of the cluster, if it still is the one that was seen.
    DeleteSecret(SecretDeletion),
    /// Has a job run again, and waits for it.
    RunJob(Box<JobRun>),
    /// Looks whether a secret has been made.
    VerifySecret(ExpectedSecret),
    /// Restarts pods, and waits for their successors.
    RestartPods(PodRestart),
    /// Tries the old token, and beside it the new one.
    VerifyRevocation(VerificationStep),
}

/// Where a step looks or acts.
#[derive(Clone, Debug)]
pub struct ClusterTarget {
    /// kubectl, pinned.
    pub kubectl: Kubectl,
    /// The namespace, for an account that may not read `kube-system`.
    pub namespace: String,
}

impl ClusterTarget {
    /// `CONTEXT/NAMESPACE`: what has to be typed to confirm. In a cluster there is no context.
    #[must_use]
    pub fn confirmation_phrase(&self) -> String {
        format!(
            "{}/{}",
            self.kubectl
                .global_flags
                .context
                .as_deref()
                .unwrap_or("in-cluster"),
            self.namespace
        )
    }

    /// What tells the cluster from another: the first of these that the account may run counts.
    fn identity_commands(&self) -> [Invocation; 3] {
        [
            self.kubectl.get_cluster_uid(),
            self.kubectl.get_namespace_uid(&self.namespace),
            self.kubectl.get_server(),
        ]
    }
}

impl Plan {
    /// The number of the step that reads the token, counted from 1.
    fn token_step_number(&self) -> usize {
        self.steps
            .iter()
            .position(|step| matches!(step.action, Action::ReadToken(_)))
            .map_or(0, |index| index + 1)
    }

    fn token_placeholder(&self) -> String {
        format!("<token from step {}>", self.token_step_number())
    }

    /// The plan for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("plan: {} {}\n", self.command, self.about);
        for (step, number) in self.steps.iter().zip(1..) {
            let beside = if step.parallel {
                format!(" (side by side with {})", number - 1)
            } else {
                String::new()
            };
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "{number}. {}{beside}: {}\n{}   then: {}\n",
                step.id,
                step.reason,
                self.format_action(&step.action),
                step.postcondition
            );
        }
        if self.steps.is_empty() {
            text.push_str("nothing to do\n");
        }
        text
    }

    fn format_action(&self, action: &Action) -> String {
        match action {
            Action::ReadToken(command) | Action::ProbeToken { command, .. } => {
                format_command(command, "$")
            }
            Action::RecordCluster(look) => {
                let [first, rest @ ..] = look.identity_commands();
                format_command(&first, "$")
                    + &rest
                        .map(|command| format_command(&command, "or, where that is forbidden, $"))
                        .concat()
            }
            Action::CheckCluster(look) => {
                let [first, ..] = look.identity_commands();
                format_command(&first, "$") + "   or whichever answered before\n"
            }
            Action::WriteToken { path } => format!(
                "   write {}, mode 0600: {}\n",
                path.display(),
                self.token_placeholder()
            ),
            Action::EditConfig { path, .. } => {
                let lines: String = format_changed_lines(action)
                    .iter()
                    .map(|line| format!("     {line}\n"))
                    .collect();
                format!("   edit {}\n{lines}", path.display())
            }
            Action::DeleteToken { path } => format!("   delete {}\n", path.display()),
            Action::SameCluster(same) => same.to_text(),
            Action::DeleteSecret(deletion) => deletion.to_text(),
            Action::RunJob(run) => run.to_text(),
            Action::VerifySecret(secret) => secret.to_text(),
            Action::RestartPods(restart) => restart.to_text(),
            Action::VerifyRevocation(prove) => prove.to_text(),
        }
    }
}

fn format_command(command: &Invocation, prompt: &str) -> String {
    format!("   {prompt} {}\n", format_shell_line(&command.argv(None)))
}

/// Only the lines that change: their neighbours may hold `client_secret` or `mgmt_token`.
fn format_changed_lines(action: &Action) -> Vec<String> {
    let Action::EditConfig {
        old_text: old,
        edit,
        ..
    } = action
    else {
        return Vec::new();
    };
    let lines = edit.changed_lines(old.as_deref().unwrap_or_default());
    lines
        .iter()
        .map(|line| {
            format!("{}{:>4} {}", line.sign, line.number, line.text)
                .trim_end()
                .to_owned()
        })
        .collect()
}

/// A command as a shell takes it; what is not yet known (`<…>`) is shown as it is.
#[must_use]
pub fn format_shell_line(argv: &[String]) -> String {
    let word = |arg: &String| {
        if arg.starts_with('<') {
            arg.clone()
        } else {
            script::shell_quote(arg)
        }
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}
