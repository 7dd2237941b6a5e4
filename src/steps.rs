//! Executes a plan step by step. Parallel steps run at once.
//!
//! Each step observes its postcondition instead of assuming it.

mod clones;
pub(crate) mod cluster;
mod delivery;
mod inventory;
pub(crate) mod job;
pub(crate) mod plan_mode;
pub(crate) mod pods;
pub(crate) mod state;
pub(crate) mod token;
pub(crate) mod verify;
pub(crate) mod watch;

use crate::error::Result;
use crate::plan::{Action, Plan, Step};
use crate::session::runner::{Runner, join_thread, spawn_task};
use crate::ui::StepOutcome;
use cluster::{check_cluster, record_cluster, verify_cluster_id};
use state::{RunState, StepStatus};
use token::{
    delete_token, edit_config, handle_token_verdict, probe_token, read_token, write_token,
};

pub(crate) fn execute_plan(runner: &Runner, plan: &Plan, state: &RunState) -> Result<()> {
    let steps: Vec<(usize, &Step)> = plan.steps.iter().enumerate().collect();
    let with_position = |index: usize| Runner {
        position: Some((index + 1, steps.len())),
        ..*runner
    };
    for group in steps.chunk_by(|_, (_, next)| next.parallel) {
        let [first, rest @ ..] = group else {
            continue;
        };
        // Before a parallel step starts, its peers must not look pending to it.
        group
            .iter()
            .for_each(|(index, _)| state.set_step_status(*index, StepStatus::Running));
        std::thread::scope(|scope| {
            let others: Vec<_> = rest
                .iter()
                .map(|step| {
                    spawn_task(scope, || {
                        execute_step(&with_position(step.0), step, Some(first.0), state)
                    })
                })
                .collect();
            let result = execute_step(&with_position(first.0), first, None, state);
            // Joins every thread, so that no step outlives the error of another one.
            others
                .into_iter()
                .map(join_thread)
                .fold(result, |all, one| all.and(one))
        })?;
    }
    Ok(())
}

/// Executes a step. `peer` is the index of the first step that runs in parallel.
fn execute_step(
    runner: &Runner,
    (index, step): &(usize, &Step),
    peer: Option<usize>,
    state: &RunState,
) -> Result<()> {
    let result = execute_action(runner, step, peer, state);
    match result {
        Ok(()) => state.set_step_status(*index, StepStatus::Done),
        Err(_) => state.set_failed(),
    }
    result
}

fn execute_action(
    runner: &Runner,
    step: &Step,
    peer: Option<usize>,
    state: &RunState,
) -> Result<()> {
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
            let _ = state.token.set(token);
            Ok(())
        }
        Action::RecordCluster(target) => record_cluster(runner, step.id, target, state),
        Action::CheckCluster(target) => check_cluster(runner, step.id, target, state),
        Action::ProbeToken {
            command,
            profile,
            required,
        } => {
            let verdict = probe_token(runner, step.id, command, profile, state.token()?)?;
            handle_token_verdict(runner, step.id, verdict, *required, profile, state)
        }
        Action::WriteToken { .. } | Action::EditConfig { .. }
            if state.new_token_rejection.get().is_some() =>
        {
            runner.ui.report_step(
                step.id,
                StepOutcome::Skipped,
                "the new token was rejected, so the profile is unchanged",
            );
            Ok(())
        }
        Action::WriteToken { path } => write_token(runner, step.id, path, state.token()?),
        Action::EditConfig {
            path,
            old_text,
            edit,
        } => edit_config(runner, step.id, path, old_text.as_deref(), edit),
        Action::DeleteToken { path } => delete_token(runner, step.id, path),
        Action::SameCluster(cluster) => {
            verify_cluster_id(runner, step.id, &cluster.command, &cluster.expected)
        }
        Action::DeleteSecret(deletion) => cluster::delete_secret(runner, step.id, deletion, state),
        Action::RunJob(run) => job::run_job(runner, step.id, run),
        Action::VerifySecret(secret) => cluster::verify_new_secret(runner, step.id, secret, state),
        Action::RestartPods(restart) => pods::restart_pods(runner, step.id, restart),
        Action::VerifyRejection(check) => {
            verify::verify_rejection(runner, step.id, check, peer, state)
        }
        Action::VerifyRevocation(verification) => {
            verify::verify_revocation(runner, step.id, verification, state)
        }
        Action::VerifyProfile(check) => verify::verify_profile(runner, step.id, check, state),
        Action::DeliverToken(command) => delivery::deliver_token(runner, step.id, command, state),
        Action::CountTokens(inventory) => {
            inventory::count_tokens(runner, step.id, inventory, state)
        }
        Action::DeleteClone(deletion) => clones::delete_clone(runner, step.id, deletion, state),
    }
}
