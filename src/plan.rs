//! What is going to be done: ordered steps, shown before anything happens.

mod checksum;
mod revocation;
pub mod script;
mod view;

pub use revocation::{Deletion, JobRun, NewSecret, Prove, Restart, SameCluster, Trial, Way};
pub use view::StepView;

use crate::profile::{Edit, Profile};
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
    pub why: String,
    /// What is done.
    pub action: Action,
    /// What holds after it, or the run stops.
    pub holds: String,
    /// Whether it runs side by side with the step before it.
    pub beside: bool,
}

/// What a step does.
pub enum Action {
    /// Reads the admin token: later steps refer to it as the token from this step.
    ReadToken(Invocation),
    /// Notes which cluster the context leads to.
    NoteCluster(Place),
    /// Looks whether the context still leads to the cluster that was noted.
    CheckCluster(Place),
    /// Tries the token with a throwaway configuration.
    TryToken {
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
        old: Option<String>,
        /// The change.
        edit: Edit,
    },
    /// Deletes a token file.
    DeleteToken {
        /// The file.
        path: PathBuf,
    },
    /// Looks whether the context leads to the cluster that was looked at before anything was planned.
    SameCluster(SameCluster),
    /// Deletes a secret of the cluster, if it still is the one that was seen.
    DeleteSecret(Deletion),
    /// Has a job run again, and waits for it.
    RunJob(Box<JobRun>),
    /// Looks whether a secret has been made.
    SeeSecret(NewSecret),
    /// Restarts pods, and waits for their successors.
    Restart(Restart),
    /// Tries the old token, and beside it the new one.
    Prove(Prove),
}

/// Where a step looks or acts.
#[derive(Clone, Debug)]
pub struct Place {
    /// kubectl, pinned.
    pub kubectl: Kubectl,
    /// The namespace, for an account that may not read `kube-system`.
    pub namespace: String,
}

impl Place {
    /// `CONTEXT/NAMESPACE`: what has to be typed to confirm. In a cluster there is no context.
    #[must_use]
    pub fn phrase(&self) -> String {
        format!(
            "{}/{}",
            self.kubectl.pins.context.as_deref().unwrap_or("in-cluster"),
            self.namespace
        )
    }

    /// What tells the cluster from another: the first of these that the account may run counts.
    fn commands(&self) -> [Invocation; 3] {
        [
            self.kubectl.cluster_uid(),
            self.kubectl.namespace_uid(&self.namespace),
            self.kubectl.server(),
        ]
    }
}

impl Plan {
    /// The number of the step that reads the token, counted from 1.
    fn token_step(&self) -> usize {
        self.steps
            .iter()
            .position(|step| matches!(step.action, Action::ReadToken(_)))
            .map_or(0, |index| index + 1)
    }

    fn token_slot(&self) -> String {
        format!("<token from step {}>", self.token_step())
    }

    /// The plan for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("plan: {} {}\n", self.command, self.about);
        for (step, number) in self.steps.iter().zip(1..) {
            let beside = if step.beside {
                format!(" (side by side with {})", number - 1)
            } else {
                String::new()
            };
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "{number}. {}{beside}: {}\n{}   then: {}\n",
                step.id,
                step.why,
                self.action_text(&step.action),
                step.holds
            );
        }
        if self.steps.is_empty() {
            text.push_str("nothing to do\n");
        }
        text
    }

    fn action_text(&self, action: &Action) -> String {
        match action {
            Action::ReadToken(command) | Action::TryToken { command, .. } => shown(command, "$"),
            Action::NoteCluster(look) => {
                let [first, rest @ ..] = look.commands();
                shown(&first, "$")
                    + &rest
                        .map(|command| shown(&command, "or, where that is forbidden, $"))
                        .concat()
            }
            Action::CheckCluster(look) => {
                let [first, ..] = look.commands();
                shown(&first, "$") + "   or whichever answered before\n"
            }
            Action::WriteToken { path } => format!(
                "   write {}, mode 0600: {}\n",
                path.display(),
                self.token_slot()
            ),
            Action::EditConfig { path, .. } => {
                let lines: String = changed_lines(action)
                    .iter()
                    .map(|line| format!("     {line}\n"))
                    .collect();
                format!("   edit {}\n{lines}", path.display())
            }
            Action::DeleteToken { path } => format!("   delete {}\n", path.display()),
            Action::SameCluster(same) => same.text(),
            Action::DeleteSecret(deletion) => deletion.text(),
            Action::RunJob(run) => run.text(),
            Action::SeeSecret(secret) => secret.text(),
            Action::Restart(restart) => restart.text(),
            Action::Prove(prove) => prove.text(),
        }
    }
}

fn shown(command: &Invocation, prompt: &str) -> String {
    format!("   {prompt} {}\n", shell_line(&command.argv(None)))
}

/// Only the lines that change: their neighbours may hold `client_secret` or `mgmt_token`.
fn changed_lines(action: &Action) -> Vec<String> {
    let Action::EditConfig { old, edit, .. } = action else {
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
pub fn shell_line(argv: &[String]) -> String {
    let word = |arg: &String| {
        if arg.starts_with('<') {
            arg.clone()
        } else {
            script::quoted(arg)
        }
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}
