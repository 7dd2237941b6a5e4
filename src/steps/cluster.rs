//! The steps that identify the cluster and change its secrets.

use super::state::RunState;
use crate::error::{Error, Result};
use crate::plan::{ClusterTarget, ExpectedSecret, SecretDeletion};
use crate::session::cluster::{describe_cluster_id, identify_cluster};
use crate::session::runner::Runner;
use crate::tool::invocation::Invocation;
use crate::tool::kubectl::{self, KubectlError, SecretUid};
use crate::ui::StepOutcome;

pub(super) fn record_cluster(
    runner: &Runner,
    step: &str,
    look: &ClusterTarget,
    known: &RunState,
) -> Result<()> {
    let cluster = identify_cluster(runner, &look.kubectl, &look.namespace)?;
    if known.cluster.get_or_init(|| cluster.clone()) != &cluster {
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
    look: &ClusterTarget,
    known: &RunState,
) -> Result<()> {
    let noted = known.cluster.get().ok_or_else(|| {
        Error::failure("a step needs the cluster before any step has noted it").into_internal_bug()
    })?;
    let Some((command, expected)) = noted.recheck(&look.kubectl, &look.namespace) else {
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
    let shown = kubectl::parse_server(&output).map_err(|failure| {
        failure.into_error("whether it is still the same cluster cannot be found out")
    })?;
    if shown == expected {
        runner.ui.report_step(
            step,
            StepOutcome::Done,
            "the context leads to the same cluster as before",
        );
        return Ok(());
    }
    Err(cluster_changed_error())
}

fn cluster_changed_error() -> Error {
    Error::refusal("the context leads to another cluster now than at the start of this run")
        .hint("the kubeconfig was changed meanwhile: look at it, then run again")
}

/// Deletes a secret, if it still is the one that was seen, and sees that it is gone.
pub(crate) fn delete_secret(
    runner: &Runner,
    step: &str,
    deletion: &SecretDeletion,
    known: &RunState,
) -> Result<()> {
    // What the step right before has seen after its own deletion is as fresh as another look.
    let secrets = match known.take_secret_uids() {
        Some(secrets) => secrets,
        None => list_secret_uids(runner, &format!("{step}-look"), &deletion.list_command())?,
    };
    match secrets
        .iter()
        .find(|secret| secret.name == deletion.name.as_str())
    {
        None => {
            runner.ui.report_step(
                step,
                StepOutcome::Unchanged,
                &format!("secret `{}` is gone already", deletion.name),
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
        Err(failure) => {
            return Err(
                failure.into_error(&format!("secret `{}` could not be deleted", deletion.name))
            );
        }
    }
    let secrets = list_secret_uids(runner, &format!("{step}-look"), &deletion.list_command())?;
    if secrets.iter().any(|secret| secret.uid == deletion.uid) {
        let (name, namespace) = (deletion.name, &deletion.target.namespace);
        return Err(Error::failure(format!("secret `{name}` is still there after its deletion"))
            .hint(format!("`kubectl describe secrets/{name} --namespace {namespace}`: a finalizer may hold it")));
    }
    runner.ui.report_step(
        step,
        StepOutcome::Done,
        &format!("secret `{}` of UID {} is gone", deletion.name, deletion.uid),
    );
    known.cache_secret_uids(secrets);
    Ok(())
}

fn list_secret_uids(runner: &Runner, step: &str, look: &Invocation) -> Result<Vec<SecretUid>> {
    let output = runner.run(step, look)?;
    kubectl::parse_secret_uids(&output)
        .map_err(|failure| failure.into_error("the secrets cannot be looked at"))
}

/// Sees that a job has made its secret.
pub(crate) fn verify_new_secret(
    runner: &Runner,
    step: &str,
    wanted: &ExpectedSecret,
) -> Result<()> {
    let secrets = list_secret_uids(runner, step, &wanted.list_command())?;
    let made = secrets.iter().find(|secret| {
        secret.name == wanted.name.as_str() && Some(&secret.uid) != wanted.previous_uid.as_ref()
    });
    let Some(made) = made else {
        let namespace = &wanted.target.namespace;
        let more = match &wanted.job {
            Some(job) => {
                format!("`kubectl logs job/{job} --namespace {namespace}` shows what its job did")
            }
            None => format!("`kubectl get jobs,pods --namespace {namespace}` shows what there is"),
        };
        return Err(Error::failure(format!(
            "its job has ended, and yet there is no new secret `{}`",
            wanted.name
        ))
        .hint(more));
    };
    runner.ui.report_step(
        step,
        StepOutcome::Done,
        &format!("secret `{}` has the new UID {}", wanted.name, made.uid),
    );
    Ok(())
}

pub(super) fn concurrent_change_error(what: &str) -> Error {
    Error::refusal(format!("{what} was made anew by someone else meanwhile"))
        .hint("find out by whom; the same command looks again and starts from what is there then")
}
