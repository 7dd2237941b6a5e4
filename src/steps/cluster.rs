//! Steps that identify the cluster and change its secrets.

use super::state::RunState;
use crate::error::{Error, Result};
use crate::plan::{ClusterTarget, ExpectedSecret, SecretDeletion};
use crate::procedure::revoke::{list_finalizers, suggest_finalizer_removal};
use crate::session::cluster::{describe_cluster_id, identify_cluster};
use crate::session::runner::Runner;
use crate::tool::invocation::Invocation;
use crate::tool::kubectl::{self, DeletionMethod, KubectlError, SecretUid};
use crate::ui::StepOutcome;

pub(super) fn record_cluster(
    runner: &Runner,
    step: &str,
    target: &ClusterTarget,
    state: &RunState,
) -> Result<()> {
    let cluster = identify_cluster(runner, &target.kubectl, &target.namespace)?;
    if state.cluster.get_or_init(|| cluster.clone()) != &cluster {
        return Err(cluster_changed_error());
    }
    runner
        .ui
        .report_step(step, StepOutcome::Done, &describe_cluster_id(&cluster));
    Ok(())
}

pub(super) fn check_cluster(
    runner: &Runner,
    step: &str,
    target: &ClusterTarget,
    state: &RunState,
) -> Result<()> {
    let recorded = state.cluster.get().ok_or_else(|| {
        Error::failure("a step needs the cluster before any step has recorded it")
            .into_internal_bug()
    })?;
    let Some((command, expected)) = recorded.recheck(&target.kubectl, &target.namespace) else {
        return Ok(());
    };
    verify_cluster_id(runner, step, &command, expected)
}

pub(super) fn verify_cluster_id(
    runner: &Runner,
    step: &str,
    command: &Invocation,
    expected: &str,
) -> Result<()> {
    let output = runner.run(step, command)?;
    let current = kubectl::parse_uid(&output)
        .map_err(|failure| failure.into_error("cannot check that the cluster is the same"))?;
    if current == expected {
        runner.ui.report_step(
            step,
            StepOutcome::Verified,
            "the context still points to the same cluster",
        );
        return Ok(());
    }
    Err(cluster_changed_error())
}

fn cluster_changed_error() -> Error {
    Error::refusal("the context points to another cluster than at the start of this run")
        .hint("the kubeconfig changed during the run: check it, then run the same command again")
}

/// Deletes a secret if it still has the UID of the plan, then checks that it is gone.
pub(crate) fn delete_secret(
    runner: &Runner,
    step: &str,
    deletion: &SecretDeletion,
    state: &RunState,
) -> Result<()> {
    // The previous step listed the secrets after its own deletion, so another list is redundant.
    let secrets = match state.take_secret_uids() {
        Some(secrets) => secrets,
        None => list_secret_uids(
            runner,
            &format!("{step}-list"),
            &deletion.list_command(),
            state,
        )?,
    };
    match secrets
        .iter()
        .find(|secret| secret.name == deletion.name.as_str())
    {
        None => {
            runner.ui.report_step(
                step,
                StepOutcome::Unchanged,
                &format!("secret `{}` is already deleted", deletion.name),
            );
            return Ok(());
        }
        Some(secret) if secret.uid != deletion.uid => {
            return Err(concurrent_change_error(&format!(
                "secret `{}`",
                deletion.name
            )));
        }
        Some(_) => {}
    }
    match kubectl::check_success(&runner.run(step, &deletion.command())?) {
        Ok(()) | Err(KubectlError::NotFound(_)) => {}
        Err(KubectlError::Conflict(_)) => {
            let object = format!("secret `{}`", deletion.name);
            return Err(refused_deletion_error(runner, &object));
        }
        Err(failure) => {
            return Err(failure.into_error(&format!("cannot delete secret `{}`", deletion.name)));
        }
    }
    let secrets = list_secret_uids(
        runner,
        &format!("{step}-list"),
        &deletion.list_command(),
        state,
    )?;
    if let Some(secret) = secrets.iter().find(|secret| secret.uid == deletion.uid) {
        return Err(remaining_secret_error(secret));
    }
    let SecretDeletion { name, uid, .. } = deletion;
    let detail = match deletion.method {
        DeletionMethod::ByUid => format!("secret `{name}` with UID {uid} is deleted"),
        // The command deletes whatever has the name.
        DeletionMethod::Documented => {
            format!("secret `{name}` is deleted, last seen with UID {uid}")
        }
    };
    runner.ui.report_step(step, StepOutcome::Done, &detail);
    state.cache_secret_uids(secrets);
    Ok(())
}

fn remaining_secret_error(secret: &SecretUid) -> Error {
    let name = &secret.name;
    match list_finalizers(secret) {
        Some(finalizers) => Error::failure(format!(
            "secret `{name}` still exists after its deletion: it has {finalizers}"
        ))
        .hint(suggest_finalizer_removal(secret)),
        None => Error::failure(format!("secret `{name}` still exists after its deletion")).hint(
            format!(
                "run the deletion by hand to see what prevents it: \
                 `kubectl delete secrets/{name} --namespace NS`"
            ),
        ),
    }
}

fn list_secret_uids(
    runner: &Runner,
    step: &str,
    command: &Invocation,
    state: &RunState,
) -> Result<Vec<SecretUid>> {
    let output = runner.run(step, command)?;
    let secrets = kubectl::parse_secret_uids(&output)
        .map_err(|failure| failure.into_error("cannot list the secrets"))?;
    state.set_secrets(&secrets);
    Ok(secrets)
}

/// Checks that a job has created its secret.
pub(crate) fn verify_new_secret(
    runner: &Runner,
    step: &str,
    expected: &ExpectedSecret,
    state: &RunState,
) -> Result<()> {
    let secrets = list_secret_uids(runner, step, &expected.list_command(), state)?;
    let new_secret = secrets.iter().find(|secret| {
        secret.name == expected.name.as_str() && Some(&secret.uid) != expected.previous_uid.as_ref()
    });
    let Some(new_secret) = new_secret else {
        let namespace = &expected.target.namespace;
        let hint = match &expected.job {
            Some(job) => {
                format!("read the log of the job: `kubectl logs job/{job} --namespace {namespace}`")
            }
            None => {
                format!("check the jobs and pods: `kubectl get jobs,pods --namespace {namespace}`")
            }
        };
        return Err(Error::failure(format!(
            "the job ended without creating secret `{}`",
            expected.name
        ))
        .hint(hint));
    };
    // The job can be gone when a later run resumes, and then nothing else shows that it ran.
    runner
        .executor
        .record_creation(step, new_secret.to_object_ref())?;
    runner.ui.report_step(
        step,
        StepOutcome::Verified,
        &format!(
            "secret `{}` has the new UID {}",
            expected.name, new_secret.uid
        ),
    );
    Ok(())
}

pub(super) fn concurrent_change_error(object: &str) -> Error {
    Error::refusal(format!(
        "{object} was recreated by someone else during this run"
    ))
    .hint("find out who recreated it, then run the same command again to plan from the new state")
}

/// Reports that the server kept an object, because it has another UID than observed.
pub(super) fn refused_deletion_error(runner: &Runner, object: &str) -> Error {
    let error = concurrent_change_error(object);
    if runner.executor.has_changed() {
        return error;
    }
    Error {
        hint: format!(
            "the server refused the deletion, so this run changed nothing: {}",
            error.hint
        ),
        ..error
    }
}
