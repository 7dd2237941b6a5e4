//! The steps that read, probe, write and delete the token.

use super::state::RunState;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{FileAccess, FileWrite, read_file};
use crate::profile::{self, ConfigEdit, Profile};
use crate::secret::Secret;
use crate::session::influxctl_config::MAX_CONFIG;
use crate::session::runner::Runner;
use crate::session::token_file::{MAX_TOKEN_FILE, is_owner_only};
use crate::tool::influxctl::{self, TokenVerdict};
use crate::tool::invocation::Invocation;
use crate::tool::kubectl::{self, KubectlError, TokenError};
use crate::ui::StepOutcome;
use std::path::Path;

/// Reads the admin token; from then on no record and no message may hold it.
pub(crate) fn read_token(runner: &Runner, step: &str, command: &Invocation) -> Result<Secret> {
    let token = kubectl::parse_admin_token(&runner.run(step, command)?).map_err(token_error)?;
    runner.executor.register_secret(&token);
    Ok(token)
}

const NO_TOKEN_HINT: &str = "a revocation that was cut short, or with --no-new-token, leaves none: `bypassctl revoke` makes one";

fn token_error(why: TokenError) -> Error {
    let secret = "secret `admin-token`";
    let look = "look at its keys: `kubectl describe secrets/admin-token --namespace NS`";
    match why {
        TokenError::NoKey => Error::failure(format!("{secret} has no key `token`")).hint(look),
        TokenError::Empty => {
            Error::failure(format!("{secret} has an empty key `token`")).hint(look)
        }
        TokenError::NotBase64 => Error::failure(format!(
            "{secret}: what kubectl printed for its key `token` is not base64"
        ))
        .hint(look),
        TokenError::TooLarge => Error::failure(format!(
            "{secret}: its key `token` is over 1 MiB, and no token is"
        ))
        .hint(look),
        TokenError::Kubectl(failure) => {
            let is_gone =
                matches!(&failure, KubectlError::NotFound(said) if said.contains("admin-token"));
            let error = failure.into_error(&format!("{secret} cannot be read"));
            if is_gone {
                error.with_hint(NO_TOKEN_HINT)
            } else {
                error
            }
        }
    }
}

/// Tries a token with a throwaway configuration.
pub(crate) fn probe_token(
    runner: &Runner,
    step: &str,
    command: &Invocation,
    profile: &Profile,
    token: &Secret,
) -> Result<TokenVerdict> {
    if profile.host.is_none() {
        return Ok(TokenVerdict::Inconclusive(
            "the profile names no host".to_owned(),
        ));
    }
    runner.ui.print_command(&command.argv(None));
    match runner
        .executor
        .run_token_probe(step, command, token, |path| {
            profile::render_probe_config(profile, path)
        }) {
        Ok(output) => Ok(influxctl::parse_token_probe(&output)),
        Err(error) if matches!(error.kind, ErrorKind::TimedOut | ErrorKind::Failed) => {
            Ok(TokenVerdict::Inconclusive(error.message))
        }
        Err(error) => Err(error),
    }
}

pub(super) fn handle_token_verdict(
    runner: &Runner,
    step: &str,
    verdict: TokenVerdict,
    required: bool,
    profile: &Profile,
    known: &RunState,
) -> Result<()> {
    let at = profile.address();
    match verdict {
        TokenVerdict::Accepted => {
            runner.ui.report_step(step, StepOutcome::Done, &format!("the token was accepted by {at}"));
            Ok(())
        }
        TokenVerdict::Rejected(said) => Err(Error::failure(format!("the token was refused by {at}: {said}"))
            .hint("does the profile's host belong to this namespace? if it does, the token was revoked: `kubectl get secrets,jobs --namespace NS` shows what made it")),
        TokenVerdict::Inconclusive(said) if required => Err(Error::failure(format!("the token could not be tried with {at}: {said}"))
            .hint("look at host, port and TLS settings of the profile; --verify try goes on without this proof")),
        TokenVerdict::Inconclusive(said) => {
            let hint = "look at host, port and TLS settings of the profile; `bypassctl status` tries again";
            runner.ui.warn(&format!("the token could not be tried with {at}: {said}"), hint);
            let _ = known.inconclusive_reason.set(said);
            Ok(())
        }
    }
}

pub(super) fn write_token(runner: &Runner, step: &str, path: &Path, token: &Secret) -> Result<()> {
    let old = read_file(path, MAX_TOKEN_FILE).map_err(|error| {
        Error::failure(format!("`{}` cannot be looked at: {error}", path.display()))
            .hint("move it away, or name another: --token-file FILE")
    })?;
    let right = old
        .as_ref()
        .is_some_and(|old| *old.bytes == *token.expose_secret() && is_owner_only(&old.meta));
    if right {
        runner.ui.report_step(
            step,
            StepOutcome::Unchanged,
            &format!("{} holds this token already", path.display()),
        );
        return Ok(());
    }
    let write = FileWrite {
        path,
        bytes: token.expose_secret(),
        old_file: old.as_ref(),
        access: FileAccess::OwnerOnly,
        is_secret: true,
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
    old: Option<&str>,
    edit: &ConfigEdit,
) -> Result<()> {
    let now = read_file(path, MAX_CONFIG).map_err(|error| {
        Error::failure(format!("`{}` cannot be read: {error}", path.display()))
            .hint("look at its owner and mode")
    })?;
    if now.as_ref().map(|now| &now.bytes[..]) != old.map(str::as_bytes) {
        return Err(Error::refusal(format!(
            "`{}` was changed by someone else meanwhile",
            path.display()
        ))
        .hint("run again: the edit is worked out anew"));
    }
    let secret = profile::can_hold_secret(old.unwrap_or_default());
    let write = FileWrite {
        path,
        bytes: edit.text.as_bytes(),
        old_file: now.as_ref(),
        access: FileAccess::Preserve,
        is_secret: secret,
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
