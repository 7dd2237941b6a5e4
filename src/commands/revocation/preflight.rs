//! Preflight checks of a revocation: permissions, dry runs of the jobs, a probe of the old token.

use crate::cli::RevocationArgs;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Action, JobStrategy, Plan, TokenProbe};
use crate::procedure::revoke::{self as procedure, PreflightCheck, RevocationFacts};
use crate::session::Session;
use crate::session::runner::join_thread;
use crate::steps::state::OldToken;
use crate::steps::token::probe_token;
use crate::tool::influxctl::TokenVerdict;
use crate::tool::invocation::Invocation;
use crate::tool::kubectl::{self, JobManifest, KubectlError};
use crate::ui::StepOutcome;

/// Fails where the account may not do what the plan needs.
pub(super) fn check_permissions(
    args: &RevocationArgs,
    plan: &Plan,
    namespace: &str,
    allowed: std::result::Result<Vec<bool>, KubectlError>,
) -> Result<()> {
    if args.skip_check == Some(PreflightCheck::Permissions) {
        return Ok(());
    }
    let waive = "--skip-check permissions goes on without this proof";
    let allowed = allowed.map_err(|failure| {
        let error = failure.into_error("what this account may do cannot be found out");
        Error {
            kind: to_refused_kind(error.kind),
            ..error.with_hint(waive)
        }
    })?;
    let missing: Vec<String> = procedure::find_missing_permissions(plan, namespace, &allowed)
        .iter()
        .map(ToString::to_string)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::refusal(format!("this account may not: {}", missing.join(", ")))
        .hint(format!("nothing was changed; ask for these rights in namespace `{namespace}`, or use another account (--context, --as): `bypassctl doctor` shows each with its remedy")))
}

fn to_refused_kind(kind: ErrorKind) -> ErrorKind {
    if kind == ErrorKind::Failed {
        ErrorKind::Refused
    } else {
        kind
    }
}

/// What is left to show: that the jobs could be made, and that the old token is accepted now.
pub(super) fn run_preflight(
    session: &Session,
    facts: &RevocationFacts,
    plan: &Plan,
    args: &RevocationArgs,
    old: Option<OldToken>,
    half_done: bool,
) -> Result<Option<OldToken>> {
    let (jobs, old) = std::thread::scope(|scope| {
        let jobs = scope.spawn(|| dry_run_jobs(session, facts, plan, args));
        let old = old
            .map(|old| probe_old_token(session, facts.token_probe.as_ref(), old, half_done))
            .transpose();
        (join_thread(jobs), old)
    });
    jobs?;
    let old = old?;
    if old.is_none() {
        session.ui.warn(
            "no copy of the old token is at hand, so the proof will be inconclusive",
            "name one: --old-token-file FILE",
        );
    }
    Ok(old)
}

fn dry_run_jobs(
    session: &Session,
    facts: &RevocationFacts,
    plan: &Plan,
    args: &RevocationArgs,
) -> Result<()> {
    let runs = plan.steps.iter().filter_map(|step| match &step.action {
        Action::RunJob(run) => Some(run),
        _ => None,
    });
    let (mut clones, mut documented) = (Vec::<JobManifest>::new(), Vec::<Invocation>::new());
    for run in runs {
        match &run.strategy {
            JobStrategy::Clone { manifest, .. } => clones.push(manifest.clone()),
            JobStrategy::FromJob { source: from, name } => {
                documented.push(facts.target.kubectl.dry_run_job_from_job(
                    &facts.target.namespace,
                    &from.name,
                    name,
                ));
            }
            JobStrategy::Operator { .. }
            | JobStrategy::AwaitExisting { .. }
            | JobStrategy::Running { .. } => {}
        }
    }
    if !clones.is_empty() && args.skip_check != Some(PreflightCheck::DryRun) {
        let output = session.run(
            "dry-run-jobs",
            &facts
                .target
                .kubectl
                .dry_run_jobs(&facts.target.namespace, &clones),
        )?;
        kubectl::check_jobs_dry_run(&clones, &output).map_err(|failure| {
            dry_run_error(
                failure,
                "the server would not make the clones of the jobs",
                "--skip-check dry-run goes on without this proof: a webhook that knows no dry run refuses it for that alone",
            )
        })?;
    }
    for command in documented {
        let output = session.run("dry-run-from-job", &command)?;
        kubectl::check_success(&output).map_err(|failure| {
            dry_run_error(
                failure,
                "this kubectl does not accept the documented command",
                crate::tool::quirk::JOB_FROM_JOB_UNSUPPORTED,
            )
        })?;
    }
    Ok(())
}

fn dry_run_error(failure: KubectlError, what: &str, hint: &str) -> Error {
    let error = failure.into_error(what);
    Error {
        kind: to_refused_kind(error.kind),
        hint: hint.to_owned(),
        ..error
    }
}

fn probe_old_token(
    session: &Session,
    trial: Option<&TokenProbe>,
    old: OldToken,
    half_done: bool,
) -> Result<OldToken> {
    let Some(TokenProbe { command, profile }) = trial else {
        return Ok(old);
    };
    let at = profile.address();
    let inconclusive = |why: &str, hint: &str| {
        session
            .ui
            .warn(&format!("{why}, so the proof will be inconclusive"), hint);
    };
    match probe_token(
        &session.runner(),
        "probe-old-token",
        command,
        profile,
        &old.token,
    )? {
        TokenVerdict::Accepted => {
            session.ui.report_step(
                "probe-old-token",
                StepOutcome::Verified,
                &format!("the old token is accepted by {at} now"),
            );
            Ok(OldToken {
                accepted: true,
                ..old
            })
        }
        TokenVerdict::Rejected(_) if half_done && old.is_from_cluster => {
            session.ui.report_step(
                "probe-old-token",
                StepOutcome::Verified,
                &format!("the old token is refused by {at} already"),
            );
            Ok(old)
        }
        TokenVerdict::Rejected(_) => {
            let hint = if half_done {
                "the revocation that had begun may have made it so: the record of that run shows whether it was accepted then (step `probe-old-token`)"
            } else {
                "does the profile's host belong to this namespace? name another: --profile NAME"
            };
            inconclusive(&format!("the old token is refused by {at} already"), hint);
            // Refused before, refused after: that would show nothing.
            Ok(OldToken {
                is_from_cluster: false,
                ..old
            })
        }
        TokenVerdict::Inconclusive(why) => {
            inconclusive(
                &format!("the old token could not be tried with {at}: {why}"),
                "look at host, port and TLS settings of the profile",
            );
            Ok(old)
        }
    }
}
