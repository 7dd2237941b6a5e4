//! A plan carried out: step by step, those side by side at once; what must hold after each is looked at, not assumed.

use super::cluster_steps;
use super::config::MAX_CONFIG;
use super::probe::{self, join_thread};
use super::proof::{self, OldToken};
use super::session::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{FileAccess, FileWrite, read_file};
use crate::plan::{Action, ClusterTarget, Plan, Step};
use crate::profile::{self, ConfigEdit, Profile};
use crate::secret::Secret;
use crate::tool::influxctl::{self, TokenVerdict};
use crate::tool::invocation::Invocation;
use crate::tool::kubectl::{self, ClusterId, KubectlError, SecretUid, TokenError};
use crate::ui::RevocationVerification;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The largest token file that is looked at, in bytes.
pub(super) const MAX_TOKEN_FILE: u64 = 2 << 20;

/// What the steps so far have brought to light.
#[derive(Default)]
pub(super) struct RunState {
    token: OnceLock<Secret>,
    cluster: OnceLock<ClusterId>,
    /// Why the token could not be tried, where it could not.
    pub(super) inconclusive_reason: OnceLock<String>,
    /// The token that a revocation is to make worthless, where there is a copy.
    pub(super) old_token: OnceLock<OldToken>,
    /// What the proof of a revocation has shown.
    pub(super) verification: OnceLock<RevocationVerification>,
    /// Why the new token was refused by it, where it was.
    pub(super) new_token_rejection: OnceLock<String>,
    /// The secrets of the cluster, where nothing has been done since they were looked at.
    cached_secret_uids: Mutex<Option<Vec<SecretUid>>>,
    /// How far each step of the plan has come.
    step_statuses: Mutex<BTreeMap<usize, StepStatus>>,
}

/// How far a step has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StepStatus {
    /// It has not begun.
    Pending,
    /// It has begun, and what must hold after it has not been seen.
    Running,
    /// What must hold after it holds.
    Done,
}

fn lock_mutex<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunState {
    /// The token that the steps so far have read.
    pub(super) fn token(&self) -> Result<&Secret> {
        self.token.get().ok_or_else(|| {
            Error::failure("a step needs the token before any step has read it").into_internal_bug()
        })
    }

    /// The cluster that the plan is for, where that is known before.
    pub(super) fn expect_cluster(&self, cluster: ClusterId) {
        let _ = self.cluster.set(cluster);
    }

    /// How far the step of that place in the plan has come.
    pub(super) fn step_status(&self, index: usize) -> StepStatus {
        lock_mutex(&self.step_statuses)
            .get(&index)
            .copied()
            .unwrap_or(StepStatus::Pending)
    }

    /// Remembers the secrets as they were just seen, for the next step.
    pub(super) fn cache_secret_uids(&self, secrets: Vec<SecretUid>) {
        *lock_mutex(&self.cached_secret_uids) = Some(secrets);
    }

    /// The secrets as the step right before has seen them.
    pub(super) fn take_secret_uids(&self) -> Option<Vec<SecretUid>> {
        lock_mutex(&self.cached_secret_uids).take()
    }
}

/// Carries a plan out.
pub(super) fn execute_plan(session: &Session, plan: &Plan, known: &RunState) -> Result<()> {
    let steps: Vec<(usize, &Step)> = plan.steps.iter().enumerate().collect();
    for group in steps.chunk_by(|_, (_, next)| next.parallel) {
        let [first, beside @ ..] = group else {
            continue;
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = beside
                .iter()
                .map(|step| scope.spawn(|| execute_step(session, step, known)))
                .collect();
            let done = execute_step(session, first, known);
            others
                .into_iter()
                .map(join_thread)
                .fold(done, |all, one| all.and(one))
        })?;
    }
    Ok(())
}

fn execute_step(session: &Session, (index, step): &(usize, &Step), known: &RunState) -> Result<()> {
    lock_mutex(&known.step_statuses).insert(*index, StepStatus::Running);
    execute_action(session, step, known)?;
    lock_mutex(&known.step_statuses).insert(*index, StepStatus::Done);
    Ok(())
}

fn execute_action(session: &Session, step: &Step, known: &RunState) -> Result<()> {
    match &step.action {
        Action::ReadToken(command) => {
            let token = read_token(session, step.id, command)?;
            session.ui.report_step(
                step.id,
                "done",
                &format!(
                    "secret `admin-token` read, fingerprint {}",
                    token.fingerprint()
                ),
            );
            let _ = known.token.set(token);
            Ok(())
        }
        Action::RecordCluster(look) => record_cluster(session, step.id, look, known),
        Action::CheckCluster(look) => check_cluster(session, step.id, look, known),
        Action::ProbeToken {
            command,
            profile,
            required,
        } => {
            let verdict = probe_token(session, step.id, command, profile, known.token()?)?;
            handle_token_verdict(session, step.id, verdict, *required, profile, known)
        }
        Action::WriteToken { .. } | Action::EditConfig { .. }
            if known.new_token_rejection.get().is_some() =>
        {
            session.ui.report_step(
                step.id,
                "left",
                "the new token is refused: what the profile has stays",
            );
            Ok(())
        }
        Action::WriteToken { path } => write_token(session, step.id, path, known.token()?),
        Action::EditConfig {
            path,
            old_text: old,
            edit,
        } => edit_config(session, step.id, path, old.as_deref(), edit),
        Action::DeleteToken { path } => delete_token(session, step.id, path),
        Action::SameCluster(same) => {
            verify_cluster_id(session, step.id, &same.command, &same.expected)
        }
        Action::DeleteSecret(deletion) => {
            cluster_steps::delete_secret(session, step.id, deletion, known)
        }
        Action::RunJob(run) => cluster_steps::run_job(session, step.id, run),
        Action::VerifySecret(secret) => cluster_steps::verify_new_secret(session, step.id, secret),
        Action::RestartPods(restart) => cluster_steps::restart_pods(session, step.id, restart),
        Action::VerifyRevocation(prove) => proof::verify_revocation(session, step.id, prove, known),
    }
}

/// Reads the admin token; from then on no record and no message may hold it.
pub(super) fn read_token(session: &Session, step: &str, command: &Invocation) -> Result<Secret> {
    let token = kubectl::parse_admin_token(&session.run(step, command)?).map_err(token_error)?;
    session.exec.register_secret(&token);
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

fn record_cluster(
    session: &Session,
    step: &str,
    look: &ClusterTarget,
    known: &RunState,
) -> Result<()> {
    let cluster = probe::identify_cluster(session, &look.kubectl, &look.namespace)?;
    if known.cluster.get_or_init(|| cluster.clone()) != &cluster {
        return Err(cluster_changed_error());
    }
    session
        .ui
        .report_step(step, "done", &probe::describe_cluster_id(&cluster));
    Ok(())
}

fn check_cluster(
    session: &Session,
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
    verify_cluster_id(session, step, &command, expected)
}

fn verify_cluster_id(
    session: &Session,
    step: &str,
    command: &Invocation,
    expected: &str,
) -> Result<()> {
    let output = session.run(step, command)?;
    let shown = kubectl::parse_server(&output).map_err(|failure| {
        failure.into_error("whether it is still the same cluster cannot be found out")
    })?;
    if shown == expected {
        session.ui.report_step(
            step,
            "done",
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

/// Tries a token with a throwaway configuration.
pub(super) fn probe_token(
    session: &Session,
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
    session.ui.print_command(&command.argv(None));
    match session.exec.run_token_probe(step, command, token, |path| {
        profile::render_probe_config(profile, path)
    }) {
        Ok(output) => Ok(influxctl::parse_token_probe(&output)),
        Err(error) if matches!(error.kind, ErrorKind::TimedOut | ErrorKind::Failed) => {
            Ok(TokenVerdict::Inconclusive(error.message))
        }
        Err(error) => Err(error),
    }
}

fn handle_token_verdict(
    session: &Session,
    step: &str,
    verdict: TokenVerdict,
    required: bool,
    profile: &Profile,
    known: &RunState,
) -> Result<()> {
    let at = profile.address();
    match verdict {
        TokenVerdict::Accepted => {
            session.ui.report_step(step, "done", &format!("the token was accepted by {at}"));
            Ok(())
        }
        TokenVerdict::Rejected(said) => Err(Error::failure(format!("the token was refused by {at}: {said}"))
            .hint("does the profile's host belong to this namespace? if it does, the token was revoked: `kubectl get secrets,jobs --namespace NS` shows what made it")),
        TokenVerdict::Inconclusive(said) if required => Err(Error::failure(format!("the token could not be tried with {at}: {said}"))
            .hint("look at host, port and TLS settings of the profile; --verify try goes on without this proof")),
        TokenVerdict::Inconclusive(said) => {
            let hint = "look at host, port and TLS settings of the profile; `bypassctl status` tries again";
            session.ui.warn(&format!("the token could not be tried with {at}: {said}"), hint);
            let _ = known.inconclusive_reason.set(said);
            Ok(())
        }
    }
}

/// Whether only its owner can read a file, and nobody can execute it.
pub(super) fn is_owner_only(meta: &Metadata) -> bool {
    meta.mode() & 0o7177 == 0
}

fn write_token(session: &Session, step: &str, path: &Path, token: &Secret) -> Result<()> {
    let old = read_file(path, MAX_TOKEN_FILE).map_err(|error| {
        Error::failure(format!("`{}` cannot be looked at: {error}", path.display()))
            .hint("move it away, or name another: --token-file FILE")
    })?;
    let right = old
        .as_ref()
        .is_some_and(|old| *old.bytes == *token.expose_secret() && is_owner_only(&old.meta));
    if right {
        session.ui.report_step(
            step,
            "unchanged",
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
    session.exec.write_file(step, &write)?;
    session.ui.report_step(
        step,
        "done",
        &format!("{} written, mode 0600", path.display()),
    );
    Ok(())
}

fn edit_config(
    session: &Session,
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
    session.exec.write_file(step, &write)?;
    session
        .ui
        .report_step(step, "done", &format!("{} edited", path.display()));
    Ok(())
}

fn delete_token(session: &Session, step: &str, path: &Path) -> Result<()> {
    session.exec.delete_file(step, path)?;
    session
        .ui
        .report_step(step, "done", &format!("{} deleted", path.display()));
    Ok(())
}
