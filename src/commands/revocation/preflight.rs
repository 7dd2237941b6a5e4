//! Preflight checks of a revocation: permissions, dry runs of the jobs, a probe of the old token.

use crate::cli::RevocationArgs;
use crate::error::{Error, ErrorKind, Result};
use crate::plan::{Action, JobStrategy, Plan, TokenProbe};
use crate::procedure::revoke::{self as procedure, PreflightCheck, RevocationFacts};
use crate::session::Session;
use crate::session::runner::{join_thread, spawn_task};
use crate::steps::state::OldToken;
use crate::steps::token::{build_probe_subject, probe_token};
use crate::tool::influxctl::TokenVerdict;
use crate::tool::invocation::Invocation;
use crate::tool::kubectl::{self, JobManifest, KubectlError};
use crate::ui::StepOutcome;

/// The progress of earlier revocations.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PriorProgress {
    None,
    Unfinished,
    /// An earlier run created and verified the current keys.
    Verified,
}

impl PriorProgress {
    pub(super) fn new(is_verified: bool, is_resuming: bool) -> Self {
        match (is_verified, is_resuming) {
            (true, _) => Self::Verified,
            (false, true) => Self::Unfinished,
            (false, false) => Self::None,
        }
    }
}

/// Fails if the account lacks a permission that the plan needs.
pub(super) fn check_permissions(
    args: &RevocationArgs,
    plan: &Plan,
    namespace: &str,
    allowed: std::result::Result<Vec<bool>, KubectlError>,
) -> Result<()> {
    if args.skip_check.contains(&PreflightCheck::Permissions) {
        return Ok(());
    }
    let allowed = allowed.map_err(|failure| {
        let error = failure.into_error("cannot check the permissions of this account");
        Error {
            kind: to_refused_kind(error.kind),
            ..error.append_hint("pass `--skip-check permissions` to skip this check")
        }
    })?;
    let missing: Vec<String> = procedure::find_missing_permissions(plan, namespace, &allowed)
        .iter()
        .map(ToString::to_string)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(
        Error::refusal(format!("missing permissions: {}", missing.join(", "))).hint(format!(
            "request them in namespace `{namespace}`, or use another account (--context, --as): \
             `bypassctl doctor` prints a role for each"
        )),
    )
}

fn to_refused_kind(kind: ErrorKind) -> ErrorKind {
    if kind == ErrorKind::Failed {
        ErrorKind::Refused
    } else {
        kind
    }
}

/// Dry-runs the creation of the jobs, and probes the old token.
///
/// Returns the old token with the result of the probe.
pub(super) fn run_preflight(
    session: &Session,
    facts: &RevocationFacts,
    plan: &Plan,
    args: &RevocationArgs,
    old_token: Option<OldToken>,
    prior: PriorProgress,
) -> Result<Option<OldToken>> {
    let (jobs, old_token) = std::thread::scope(|scope| {
        let jobs = spawn_task(scope, || dry_run_jobs(session, facts, plan, args));
        let old_token = old_token
            .map(|old| probe_old_token(session, facts.token_probe.as_ref(), old, prior))
            .transpose();
        (join_thread(jobs), old_token)
    });
    jobs?;
    let old_token = old_token?;
    if old_token.is_none() && prior != PriorProgress::Verified {
        session.ui.warn(
            "no copy of the old token found, so the verification will be inconclusive",
            "pass `--old-token-file FILE`",
        );
    }
    Ok(old_token)
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
            JobStrategy::FromJob { source, name } => {
                documented.push(facts.target.kubectl.dry_run_job_from_job(
                    &facts.target.namespace,
                    &source.name,
                    name,
                ));
            }
            JobStrategy::Operator { .. }
            | JobStrategy::AwaitExisting { .. }
            | JobStrategy::Running { .. } => {}
        }
    }
    if !clones.is_empty() && !args.skip_check.contains(&PreflightCheck::DryRun) {
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
                "the server rejects the dry run of the cloned jobs",
                "pass `--skip-check dry-run` to skip this check, for example if a webhook does \
                 not support dry runs",
            )
        })?;
    }
    for command in documented {
        let output = session.run("dry-run-from-job", &command)?;
        kubectl::check_success(&output).map_err(|failure| {
            dry_run_error(
                failure,
                "this kubectl rejects the documented command",
                crate::tool::quirk::JOB_FROM_JOB_UNSUPPORTED,
            )
        })?;
    }
    Ok(())
}

fn dry_run_error(failure: KubectlError, message: &str, hint: &str) -> Error {
    let error = failure.into_error(message);
    Error {
        kind: to_refused_kind(error.kind),
        hint: hint.to_owned(),
        ..error
    }
}

fn probe_old_token(
    session: &Session,
    token_probe: Option<&TokenProbe>,
    old: OldToken,
    prior: PriorProgress,
) -> Result<OldToken> {
    let Some(TokenProbe { command, profile }) = token_probe else {
        return Ok(old);
    };
    let address = profile.address();
    let verdict = probe_token(
        &session.runner(),
        "probe-old-token",
        command,
        profile,
        &old.token,
    )?;
    let report = |detail: String| {
        session
            .ui
            .report_step("probe-old-token", StepOutcome::Verified, &detail);
    };
    match verdict {
        TokenVerdict::Accepted => {
            report(format!("{address} accepts the old token"));
            Ok(OldToken {
                was_accepted: true,
                ..old
            })
        }
        TokenVerdict::Rejected(_) if prior == PriorProgress::Verified => {
            report(format!("{address} already rejects the old token"));
            Ok(old)
        }
        TokenVerdict::Rejected(_)
            if prior == PriorProgress::Unfinished
                && session.executor.has_accepted_probe(&build_probe_subject(
                    &session.runner(),
                    profile,
                    &old.token,
                ))? =>
        {
            report(format!(
                "{address} already rejects the old token, which an earlier run saw accepted"
            ));
            Ok(OldToken {
                was_accepted: true,
                ..old
            })
        }
        TokenVerdict::Rejected(_) => {
            let hint = if prior == PriorProgress::Unfinished {
                "check in the audit log whether the earlier run saw the token accepted (step \
                 `probe-old-token`)"
            } else {
                "check that the host of the profile belongs to this namespace, or pass another: \
                 `--profile NAME`"
            };
            session.ui.warn(
                &format!(
                    "{address} already rejects the old token, so the verification will be \
                     inconclusive"
                ),
                hint,
            );
            Ok(old)
        }
        TokenVerdict::Inconclusive(reason) => {
            session.ui.warn(
                &format!(
                    "cannot probe the old token with {address} ({reason}), so the verification \
                     will be inconclusive"
                ),
                "check host, port and TLS settings of the profile",
            );
            Ok(old)
        }
    }
}
