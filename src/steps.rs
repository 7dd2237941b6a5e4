//! Executes a plan step by step. Parallel steps run at once.
//!
//! Each step observes its postcondition instead of assuming it.

pub(crate) mod cluster;
pub(crate) mod gate;
pub(crate) mod job;
pub(crate) mod pods;
pub(crate) mod state;
pub(crate) mod token;
pub(crate) mod verify;
pub(crate) mod watch;

use crate::error::Result;
use crate::plan::{Action, Plan, Step};
use crate::session::runner::{Runner, join_thread};
use crate::ui::StepOutcome;
use cluster::{check_cluster, record_cluster, verify_cluster_id};
use state::{RunState, StepStatus};
use token::{
    delete_token, edit_config, handle_token_verdict, probe_token, read_token, write_token,
};

/// Carries a plan out.
pub(crate) fn execute_plan(runner: &Runner, plan: &Plan, known: &RunState) -> Result<()> {
    let steps: Vec<(usize, &Step)> = plan.steps.iter().enumerate().collect();
    for group in steps.chunk_by(|_, (_, next)| next.parallel) {
        let [first, beside @ ..] = group else {
            continue;
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = beside
                .iter()
                .map(|step| scope.spawn(|| execute_step(runner, step, known)))
                .collect();
            let done = execute_step(runner, first, known);
            others
                .into_iter()
                .map(join_thread)
                .fold(done, |all, one| all.and(one))
        })?;
    }
    Ok(())
}

fn execute_step(runner: &Runner, (index, step): &(usize, &Step), known: &RunState) -> Result<()> {
    known.set_step_status(*index, StepStatus::Running);
    execute_action(runner, step, known)?;
    known.set_step_status(*index, StepStatus::Done);
    Ok(())
}

fn execute_action(runner: &Runner, step: &Step, known: &RunState) -> Result<()> {
    match &step.action {
        Action::ReadToken(command) => {
            let token = read_token(runner, step.id, command)?;
            runner.ui.report_step(
                step.id,
                StepOutcome::Done,
                &format!(
                    "secret `admin-token` read, fingerprint {}",
                    token.fingerprint()
                ),
            );
            let _ = known.token.set(token);
            Ok(())
        }
        Action::RecordCluster(look) => record_cluster(runner, step.id, look, known),
        Action::CheckCluster(look) => check_cluster(runner, step.id, look, known),
        Action::ProbeToken {
            command,
            profile,
            required,
        } => {
            let verdict = probe_token(runner, step.id, command, profile, known.token()?)?;
            handle_token_verdict(runner, step.id, verdict, *required, profile, known)
        }
        Action::WriteToken { .. } | Action::EditConfig { .. }
            if known.new_token_rejection.get().is_some() =>
        {
            runner.ui.report_step(
                step.id,
                StepOutcome::Skipped,
                "the new token is refused: what the profile has stays",
            );
            Ok(())
        }
        Action::WriteToken { path } => write_token(runner, step.id, path, known.token()?),
        Action::EditConfig {
            path,
            old_text: old,
            edit,
        } => edit_config(runner, step.id, path, old.as_deref(), edit),
        Action::DeleteToken { path } => delete_token(runner, step.id, path),
        Action::SameCluster(same) => {
            verify_cluster_id(runner, step.id, &same.command, &same.expected)
        }
        Action::DeleteSecret(deletion) => cluster::delete_secret(runner, step.id, deletion, known),
        Action::RunJob(run) => job::run_job(runner, step.id, run),
        Action::VerifySecret(secret) => cluster::verify_new_secret(runner, step.id, secret),
        Action::RestartPods(restart) => pods::restart_pods(runner, step.id, restart),
        Action::VerifyRevocation(prove) => verify::verify_revocation(runner, step.id, prove, known),
    }
}
