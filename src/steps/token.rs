//! Steps that read, probe, write and delete the token.

use super::state::RunState;
use crate::audit::{ProbeSubject, ProbeTls};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{FileAccess, FileWrite, read_file};
use crate::profile::{self, ConfigEdit, Profile};
use crate::secret::Secret;
use crate::session::influxctl_config::MAX_CONFIG;
use crate::session::runner::Runner;
use crate::session::token_file::{MAX_TOKEN_FILE, is_owner_only};
use crate::tool::influxctl::{self, TokenVerdict};
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::tool::kubectl::{self, KubectlError, TokenError};
use crate::ui::StepOutcome;
use std::path::Path;

/// Reads the admin token, and redacts it from every later audit record and message.
pub(crate) fn read_token(runner: &Runner, step: &str, command: &Invocation) -> Result<Secret> {
    let token = kubectl::parse_admin_token(&runner.run(step, command)?).map_err(token_error)?;
    runner.executor.register_secret(&token);
    Ok(token)
}

const NO_TOKEN_HINT: &str = "run `bypassctl revoke` to create a token: \
    an interrupted revocation leaves none, and neither does --no-new-token";

fn token_error(error: TokenError) -> Error {
    let secret = "secret `admin-token`";
    let hint = "check its keys: `kubectl describe secrets/admin-token --namespace NS`";
    match error {
        TokenError::NoKey => Error::failure(format!("{secret} has no key `token`")).hint(hint),
        TokenError::Empty => {
            Error::failure(format!("{secret} has an empty key `token`")).hint(hint)
        }
        TokenError::NotBase64 => {
            Error::failure(format!("key `token` of {secret} is not base64")).hint(hint)
        }
        TokenError::TooLarge => {
            Error::failure(format!("key `token` of {secret} is larger than 1 MiB")).hint(hint)
        }
        TokenError::Kubectl(failure) => {
            // Otherwise the namespace is missing, and a revocation cannot help.
            let is_secret_missing =
                matches!(&failure, KubectlError::NotFound(text) if text.contains("admin-token"));
            let error = failure.into_error("cannot read secret `admin-token`");
            if is_secret_missing {
                error.append_hint(NO_TOKEN_HINT)
            } else {
                error
            }
        }
    }
}

/// Probes a token with a throwaway configuration.
pub(crate) fn probe_token(
    runner: &Runner,
    step: &str,
    command: &Invocation,
    profile: &Profile,
    token: &Secret,
) -> Result<TokenVerdict> {
    if profile.host.is_none() {
        return Ok(TokenVerdict::Inconclusive(
            "the profile has no host".to_owned(),
        ));
    }
    let subject = build_probe_subject(runner, profile, token);
    match run_with_token(runner, step, command, profile, token, Some(subject)) {
        Ok(output) => Ok(influxctl::parse_token_probe(&output)),
        Err(error) if matches!(error.kind, ErrorKind::TimedOut | ErrorKind::Failed) => {
            Ok(TokenVerdict::Inconclusive(error.message))
        }
        Err(error) => Err(error),
    }
}

/// Runs a command of influxctl with a throwaway configuration. A token probe has a subject.
pub(super) fn run_with_token(
    runner: &Runner,
    step: &str,
    command: &Invocation,
    profile: &Profile,
    token: &Secret,
    subject: Option<ProbeSubject>,
) -> Result<ToolOutput> {
    runner.ui.print_command(&command.argv(None));
    runner
        .executor
        .run_with_token(step, command, subject, token, |path| {
            profile::render_probe_config(profile, path)
        })
}

/// Builds the audit log's view of a token probe.
pub(crate) fn build_probe_subject(
    runner: &Runner,
    profile: &Profile,
    token: &Secret,
) -> ProbeSubject {
    ProbeSubject {
        address: profile.address(),
        tls: match (profile.tls.disable, profile.tls.insecure) {
            (Some(true), _) => ProbeTls::Disabled,
            (_, Some(true)) => ProbeTls::Insecure,
            _ => ProbeTls::Verified,
        },
        token_hmac: runner.executor.compute_token_hmac(token),
    }
}

pub(super) fn handle_token_verdict(
    runner: &Runner,
    step: &str,
    verdict: TokenVerdict,
    required: bool,
    profile: &Profile,
    state: &RunState,
) -> Result<()> {
    let address = profile.address();
    match verdict {
        TokenVerdict::Accepted => {
            runner.ui.report_step(
                step,
                StepOutcome::Verified,
                &format!("token accepted by {address}"),
            );
            Ok(())
        }
        TokenVerdict::Rejected(reason) => Err(Error::failure(format!(
            "token rejected by {address}: {reason}"
        ))
        .hint(
            "check that the profile's host belongs to this namespace. If it does, the token was \
             revoked: `kubectl get secrets,jobs --namespace NS` shows the job that created it",
        )),
        TokenVerdict::Inconclusive(reason) if required => Err(Error::failure(format!(
            "cannot probe the token with {address}: {reason}"
        ))
        .hint(
            "check host, port and TLS settings of the profile, \
             or pass --verify try to continue without verification",
        )),
        TokenVerdict::Inconclusive(reason) => {
            runner.ui.warn(
                &format!("cannot probe the token with {address}: {reason}"),
                "check host, port and TLS settings of the profile, then run `bypassctl status`",
            );
            let _ = state.inconclusive_reason.set(reason);
            Ok(())
        }
    }
}

pub(super) fn write_token(runner: &Runner, step: &str, path: &Path, token: &Secret) -> Result<()> {
    let old_file = read_file(path, MAX_TOKEN_FILE).map_err(|error| {
        Error::failure(format!("cannot read `{}`: {error}", path.display()))
            .hint("move it away, or choose another file with --token-file FILE")
    })?;
    let is_current = old_file
        .as_ref()
        .is_some_and(|old| *old.bytes == *token.expose_secret() && is_owner_only(&old.meta));
    if is_current {
        runner.ui.report_step(
            step,
            StepOutcome::Unchanged,
            &format!("{} already contains this token", path.display()),
        );
        return Ok(());
    }
    let write = FileWrite {
        path,
        bytes: token.expose_secret(),
        old_file: old_file.as_ref(),
        access: FileAccess::OwnerOnly,
        is_secret: true,
        token_file: None,
    };
    runner.executor.write_file(step, &write)?;
    runner.ui.report_step(
        step,
        StepOutcome::Done,
        &format!("{} written, mode 0600", path.display()),
    );
    Ok(())
}

pub(super) fn edit_config(
    runner: &Runner,
    step: &str,
    path: &Path,
    old_text: Option<&str>,
    edit: &ConfigEdit,
) -> Result<()> {
    let current = read_file(path, MAX_CONFIG).map_err(|error| {
        Error::failure(format!("cannot read `{}`: {error}", path.display()))
            .hint("check its owner and mode")
    })?;
    if current.as_ref().map(|file| &file.bytes[..]) != old_text.map(str::as_bytes) {
        return Err(Error::refusal(format!(
            "`{}` was changed by someone else during this run",
            path.display()
        ))
        .hint("run the same command again to edit the current file"));
    }
    let write = FileWrite {
        path,
        bytes: edit.text.as_bytes(),
        old_file: current.as_ref(),
        access: FileAccess::Preserve,
        is_secret: profile::can_hold_secret(old_text.unwrap_or_default()),
        token_file: edit.token_file.as_ref(),
    };
    runner.executor.write_file(step, &write)?;
    runner.ui.report_step(
        step,
        StepOutcome::Done,
        &format!("{} edited", path.display()),
    );
    Ok(())
}

pub(super) fn delete_token(runner: &Runner, step: &str, path: &Path) -> Result<()> {
    runner.executor.delete_file(step, path)?;
    runner.ui.report_step(
        step,
        StepOutcome::Done,
        &format!("{} deleted", path.display()),
    );
    Ok(())
}
