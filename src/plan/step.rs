//! Ordered steps as data.

use super::revocation::{
    CloneDeletion, ExpectedCluster, ExpectedSecret, JobRun, PodRestart, RejectionCheck,
    SecretDeletion, TokenInventory, VerificationStep,
};
use super::secret_name::SecretName;
use super::target::ClusterTarget;
use crate::profile::{ConfigEdit, Profile};
use crate::tool::invocation::Invocation;
use std::path::PathBuf;

pub struct Plan {
    /// The command that created the plan.
    pub command: &'static str,
    /// The subject for people: profile, namespace, cluster.
    pub description: String,
    /// Steps in the order of execution. Empty if nothing has to change.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Returns whether a step deletes secret `rsa-keys`. A resumed revocation can have none.
    #[must_use]
    pub fn deletes_keys(&self) -> bool {
        self.steps.iter().any(|step| match &step.action {
            Action::DeleteSecret(deletion) => deletion.name == SecretName::RsaKeys,
            _ => false,
        })
    }

    /// Returns the text that stands for the token of the step that reads it.
    pub(super) fn token_placeholder(&self) -> String {
        let reads_token = |step: &Step| matches!(step.action, Action::ReadToken(_));
        let index = self.steps.iter().position(reads_token);
        let number = index.map_or(0, |index| index + 1);
        format!("<token from step {number}>")
    }
}

pub struct Step {
    /// A stable ID. Only the same step for several profiles or clones repeats it.
    pub id: &'static str,
    pub reason: String,
    pub action: Action,
    /// The condition after the step. The run stops if it is false.
    pub postcondition: String,
    /// Runs in parallel with the previous step.
    pub parallel: bool,
}

pub enum Action {
    /// Reads the admin token for later steps.
    ReadToken(Invocation),
    /// Records the cluster that the context points to.
    RecordCluster(ClusterTarget),
    /// Checks that the context still points to the recorded cluster.
    CheckCluster(ClusterTarget),
    /// Probes the token with a throwaway configuration.
    ProbeToken {
        command: Invocation,
        /// Supplies host, port and TLS settings.
        profile: Profile,
        /// Anything but acceptance stops the run.
        required: bool,
    },
    /// Writes the token, mode 0600.
    WriteToken { path: PathBuf },
    /// Edits the configuration of influxctl.
    EditConfig {
        /// The file, symlinks resolved.
        path: PathBuf,
        /// The text before the edit, `None` for a new file.
        old_text: Option<String>,
        edit: ConfigEdit,
    },
    /// Deletes a token file.
    DeleteToken { path: PathBuf },
    /// Checks that the cluster is the one of the preflight checks.
    SameCluster(ExpectedCluster),
    /// Deletes a secret of the cluster, if its UID is still the same.
    DeleteSecret(SecretDeletion),
    /// Reruns a job, and waits for it.
    RunJob(Box<JobRun>),
    /// Checks that a secret is new.
    VerifySecret(ExpectedSecret),
    /// Restarts pods, and waits for the new ones.
    RestartPods(PodRestart),
    /// Probes the old token until every backend rejects it.
    VerifyRejection(RejectionCheck),
    /// Probes the new token, if the plan creates one, and reports the outcome.
    VerifyRevocation(VerificationStep),
    /// Probes both tokens at the address of a further profile.
    VerifyProfile(RejectionCheck),
    /// Hands the new token to a program on standard input.
    DeliverToken(Invocation),
    /// Counts the tokens that the revocation does not revoke. A failure is only a note.
    CountTokens(Box<TokenInventory>),
    /// Deletes a clone of an earlier revocation, if this one is verified.
    DeleteClone(CloneDeletion),
}

impl Action {
    /// Formats the lines that an edit changes, each with sign and number.
    ///
    /// Other lines are left out, because they can contain `client_secret` or `mgmt_token`.
    pub(super) fn changed_lines(&self) -> Vec<String> {
        let Self::EditConfig { old_text, edit, .. } = self else {
            return Vec::new();
        };
        let lines = edit.changed_lines(old_text.as_deref().unwrap_or_default());
        lines
            .iter()
            .map(|line| {
                format!("{}{:>4} {}", line.sign, line.number, line.text)
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }
}
