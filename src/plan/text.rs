//! A plan as text for people.

use super::revocation::{
    CloneDeletion, ExpectedCluster, JobRun, JobStrategy, PodRestart, RejectionCheck,
    SecretDeletion, TokenInventory, TokenProbe, VerificationStep,
};
use super::shell::format_shell_line;
use super::step::{Action, Plan};
use super::target::ClusterTarget;
use crate::profile::Profile;
use crate::tool::invocation::Invocation;
use std::fmt::Write as _;

impl Plan {
    /// Formats the steps with their commands.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (step, number) in self.steps.iter().zip(1..) {
            let parallel = if step.parallel {
                format!(" (in parallel with {})", number - 1)
            } else {
                String::new()
            };
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "{number}. {}{parallel}: {}\n{}   then: {}\n",
                step.id,
                step.reason,
                self.format_action(&step.action),
                step.postcondition
            );
        }
        text
    }

    fn format_action(&self, action: &Action) -> String {
        match action {
            Action::ReadToken(command) => format_command(command, "$"),
            Action::ProbeToken {
                command, profile, ..
            } => format_command(command, "$") + &format_probe_profile(profile),
            Action::RecordCluster(target) => format_identity_commands(target),
            Action::CheckCluster(target) => {
                let [first, ..] = target.identity_commands();
                format_command(&first, "$")
                    + "   or the other command that step record-cluster used\n"
            }
            Action::WriteToken { path } => format!(
                "   write {}, mode 0600: {}\n",
                path.display(),
                self.token_placeholder()
            ),
            Action::EditConfig { path, .. } => {
                let lines = action.changed_lines();
                let lines: String = lines.iter().map(|line| format!("     {line}\n")).collect();
                format!("   edit {}\n{lines}", path.display())
            }
            Action::DeleteToken { path } => format!("   delete {}\n", path.display()),
            Action::SameCluster(cluster) => format_expected_cluster(cluster),
            Action::DeleteSecret(deletion) => format_secret_deletion(deletion),
            Action::RunJob(run) => format_job_run(run),
            Action::VerifySecret(secret) => format_command(&secret.list_command(), "$"),
            Action::RestartPods(restart) => format_pod_restart(restart),
            Action::VerifyRejection(check) => format_rejection_check(check),
            Action::VerifyRevocation(verification) => format_verification(verification),
            Action::VerifyProfile(check) => {
                let command = format_shell_line(&check.token_probe.command.argv(None));
                format!("   with the new token, then the old one: $ {command}\n")
                    + &format_probe_profile(&check.token_probe.profile)
            }
            Action::DeliverToken(command) => {
                let prompt = format!("with {} on standard input: $", self.token_placeholder());
                format_command(command, &prompt)
            }
            Action::CountTokens(inventory) => format_token_inventory(inventory),
            Action::DeleteClone(deletion) => format_clone_deletion(deletion),
        }
    }
}

fn format_command(command: &Invocation, prompt: &str) -> String {
    format!("   {prompt} {}\n", format_shell_line(&command.argv(None)))
}

/// Explains `--profile default` in the command of a token probe, if the profile has another name.
fn format_probe_profile(profile: &Profile) -> String {
    if profile.name == "default" {
        return String::new();
    }
    format!(
        "   profile `default` of this throwaway configuration has host, port and TLS settings of \
         profile `{}`\n",
        profile.name
    )
}

fn format_identity_commands(target: &ClusterTarget) -> String {
    let [first, rest @ ..] = target.identity_commands();
    let rest = rest.map(|command| format_command(&command, "or, if that is forbidden, $"));
    format_command(&first, "$") + &rest.concat()
}

fn format_expected_cluster(cluster: &ExpectedCluster) -> String {
    let command = format_command(&cluster.command, "$");
    format!("{command}   must print {}\n", cluster.expected)
}

fn format_secret_deletion(deletion: &SecretDeletion) -> String {
    format_deletion(&deletion.command()) + &format!("   {}\n", format_uid_check(&deletion.uid))
}

fn format_clone_deletion(deletion: &CloneDeletion) -> String {
    format_deletion(&deletion.command())
        + "   only if the revocation is verified, and this job is still a finished clone\n"
}

/// Formats a deletion, with its input if it has one.
fn format_deletion(command: &Invocation) -> String {
    let input = command
        .stdin()
        .map(|text| format!("   its input: {text}\n"));
    format_command(command, "$") + &input.unwrap_or_default()
}

fn format_uid_check(uid: &str) -> String {
    format!("right before, bypassctl checks that its UID is still {uid}")
}

fn format_job_run(run: &JobRun) -> String {
    let command = run.command();
    let command = match (&run.strategy, &command) {
        (JobStrategy::Operator { .. }, Some(command)) => format_deletion(command),
        (_, Some(command)) => format_command(command, "$"),
        (_, None) => String::new(),
    };
    let details = match &run.strategy {
        JobStrategy::Clone { manifest, .. } => {
            let pod = manifest.summarize_pod().to_lines();
            let pod: String = pod.iter().map(|line| format!("     {line}\n")).collect();
            format!(
                "   reads job `{}`, a clone of {} (UID {})\n{pod}",
                manifest.name, manifest.source, manifest.source.uid
            )
        }
        JobStrategy::FromJob { .. } => String::new(),
        JobStrategy::Operator { job, .. } => {
            format!(
                "   {}, afterwards kubit recreates it\n",
                format_uid_check(&job.uid)
            )
        }
        JobStrategy::Running { job } => format!("   {job} already runs\n"),
        JobStrategy::AwaitExisting { name_prefix } => {
            format!("   kubit recreates job {name_prefix}-…\n")
        }
    };
    command + &details + &format_command(&run.watch_command(), "$")
}

fn format_pod_restart(restart: &PodRestart) -> String {
    let command = restart
        .command()
        .map(|command| format_command(&command, "$"))
        .unwrap_or_default();
    let others = if restart.other_key_users.is_empty() {
        String::new()
    } else {
        let users = restart.other_key_users.join(", ");
        format!("   without these pods, which use `rsa-keys` too: {users}\n")
    };
    command + &others + &format_command(&restart.watch_command(), "$")
}

fn format_rejection_check(check: &RejectionCheck) -> String {
    let prompt = format!(
        "with the old token, until {}: $",
        format_streak(check.min_rejections)
    );
    let TokenProbe { command, profile } = &check.token_probe;
    format_command(command, &prompt) + &format_probe_profile(profile)
}

fn format_streak(min_rejections: usize) -> String {
    match min_rejections {
        1 => "rejected".to_owned(),
        count => format!("rejected {count} times in a row"),
    }
}

fn format_token_inventory(inventory: &TokenInventory) -> String {
    [&inventory.database, &inventory.management]
        .map(|command| format_command(command, "with the new token: $"))
        .concat()
        + &format_probe_profile(&inventory.profile)
}

fn format_verification(verification: &VerificationStep) -> String {
    match &verification.token_probe {
        Some(probe) if verification.creates_new_token => {
            let streak = format_streak(verification.min_rejections);
            let prompt = format!("then with the old token, until {streak}: $");
            format_command(&probe.command, "with the new token: $")
                + &format_command(&probe.command, &prompt)
                + &format_probe_profile(&probe.profile)
        }
        Some(_) => String::new(),
        None => "   (without a token probe, the verification is inconclusive)\n".to_owned(),
    }
}
