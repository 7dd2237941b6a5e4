//! A plan carried out: step by step, those side by side at once; what must hold after each is looked at, not assumed.

use super::cluster_steps;
use super::config::MAX_CONFIG;
use super::probe::{self, joined};
use super::proof::{self, Old};
use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::exec::{FileWrite, Readers, read};
use crate::plan::{Action, Place, Plan, Step};
use crate::profile::{self, Edit, Profile};
use crate::secret::Secret;
use crate::tool::influxctl::{self, Verdict};
use crate::tool::invocation::Invocation;
use crate::tool::kubectl::{self, ClusterId, Failure, NoToken, SecretUid};
use crate::ui::Shown;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The largest token file that is looked at, in bytes.
pub(super) const MAX_TOKEN_FILE: u64 = 2 << 20;

/// What the steps so far have brought to light.
#[derive(Default)]
pub(super) struct Known {
    token: OnceLock<Secret>,
    cluster: OnceLock<ClusterId>,
    /// Why the token could not be tried, where it could not.
    pub(super) inconclusive: OnceLock<String>,
    /// The token that a revocation is to make worthless, where there is a copy.
    pub(super) old: OnceLock<Old>,
    /// What the proof of a revocation has shown.
    pub(super) shown: OnceLock<Shown>,
    /// Why the new token was refused by it, where it was.
    pub(super) new_refused: OnceLock<String>,
    /// The secrets of the cluster, where nothing has been done since they were looked at.
    secrets: Mutex<Option<Vec<SecretUid>>>,
    /// How far each step of the plan has come.
    stands: Mutex<BTreeMap<usize, Stand>>,
}

/// How far a step has come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// It has not begun.
    Left,
    /// It has begun, and what must hold after it has not been seen.
    Begun,
    /// What must hold after it holds.
    Done,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Known {
    /// The token that the steps so far have read.
    pub(super) fn token(&self) -> Result<&Secret> {
        self.token.get().ok_or_else(|| {
            Error::failed("a step needs the token before any step has read it").own_mistake()
        })
    }

    /// The cluster that the plan is for, where that is known before.
    pub(super) fn expect_cluster(&self, cluster: ClusterId) {
        let _ = self.cluster.set(cluster);
    }

    /// How far the step of that place in the plan has come.
    pub(super) fn stand(&self, index: usize) -> Stand {
        held(&self.stands)
            .get(&index)
            .copied()
            .unwrap_or(Stand::Left)
    }

    /// Remembers the secrets as they were just seen, for the next step.
    pub(super) fn keep_secrets(&self, secrets: Vec<SecretUid>) {
        *held(&self.secrets) = Some(secrets);
    }

    /// The secrets as the step right before has seen them.
    pub(super) fn take_secrets(&self) -> Option<Vec<SecretUid>> {
        held(&self.secrets).take()
    }
}

/// Carries a plan out.
pub(super) fn carry_out(session: &Session, plan: &Plan, known: &Known) -> Result<()> {
    let steps: Vec<(usize, &Step)> = plan.steps.iter().enumerate().collect();
    for group in steps.chunk_by(|_, (_, next)| next.beside) {
        let [first, beside @ ..] = group else {
            continue;
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = beside
                .iter()
                .map(|step| scope.spawn(|| carry_out_step(session, step, known)))
                .collect();
            let done = carry_out_step(session, first, known);
            others
                .into_iter()
                .map(joined)
                .fold(done, |all, one| all.and(one))
        })?;
    }
    Ok(())
}

fn carry_out_step(session: &Session, (index, step): &(usize, &Step), known: &Known) -> Result<()> {
    held(&known.stands).insert(*index, Stand::Begun);
    act(session, step, known)?;
    held(&known.stands).insert(*index, Stand::Done);
    Ok(())
}

fn act(session: &Session, step: &Step, known: &Known) -> Result<()> {
    match &step.action {
        Action::ReadToken(command) => {
            let token = read_token(session, step.id, command)?;
            session.ui.step(
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
        Action::NoteCluster(look) => note_cluster(session, step.id, look, known),
        Action::CheckCluster(look) => check_cluster(session, step.id, look, known),
        Action::TryToken {
            command,
            profile,
            required,
        } => {
            let verdict = try_token(session, step.id, command, profile, known.token()?)?;
            judge(session, step.id, verdict, *required, profile, known)
        }
        Action::WriteToken { .. } | Action::EditConfig { .. }
            if known.new_refused.get().is_some() =>
        {
            session.ui.step(
                step.id,
                "left",
                "the new token is refused: what the profile has stays",
            );
            Ok(())
        }
        Action::WriteToken { path } => write_token(session, step.id, path, known.token()?),
        Action::EditConfig { path, old, edit } => {
            edit_config(session, step.id, path, old.as_deref(), edit)
        }
        Action::DeleteToken { path } => delete_token(session, step.id, path),
        Action::SameCluster(same) => same_cluster(session, step.id, &same.command, &same.expected),
        Action::DeleteSecret(deletion) => {
            cluster_steps::delete_secret(session, step.id, deletion, known)
        }
        Action::RunJob(run) => cluster_steps::run_job(session, step.id, run),
        Action::SeeSecret(secret) => cluster_steps::see_secret(session, step.id, secret),
        Action::Restart(restart) => cluster_steps::restart(session, step.id, restart),
        Action::Prove(prove) => proof::prove(session, step.id, prove, known),
    }
}

/// Reads the admin token; from then on no record and no message may hold it.
pub(super) fn read_token(session: &Session, step: &str, command: &Invocation) -> Result<Secret> {
    let token = kubectl::parse_admin_token(&session.run(step, command)?).map_err(no_token)?;
    session.exec.learn_secret(&token);
    Ok(token)
}

const LEFT_NONE: &str = "a revocation that was cut short, or with --no-new-token, leaves none: `bypassctl revoke` makes one";

fn no_token(why: NoToken) -> Error {
    let secret = "secret `admin-token`";
    let look = "look at its keys: `kubectl describe secrets/admin-token --namespace NS`";
    match why {
        NoToken::NoKey => Error::failed(format!("{secret} has no key `token`")).hint(look),
        NoToken::Empty => Error::failed(format!("{secret} has an empty key `token`")).hint(look),
        NoToken::NotBase64 => Error::failed(format!(
            "{secret}: what kubectl printed for its key `token` is not base64"
        ))
        .hint(look),
        NoToken::TooLarge => Error::failed(format!(
            "{secret}: its key `token` is over 1 MiB, and no token is"
        ))
        .hint(look),
        NoToken::Kubectl(failure) => {
            let is_gone =
                matches!(&failure, Failure::NotFound(said) if said.contains("admin-token"));
            let error = failure.into_error(&format!("{secret} cannot be read"));
            if is_gone { error.and(LEFT_NONE) } else { error }
        }
    }
}

fn note_cluster(session: &Session, step: &str, look: &Place, known: &Known) -> Result<()> {
    let cluster = probe::cluster(session, &look.kubectl, &look.namespace)?;
    if known.cluster.get_or_init(|| cluster.clone()) != &cluster {
        return Err(another_cluster());
    }
    session.ui.step(step, "done", &probe::identity(&cluster));
    Ok(())
}

fn check_cluster(session: &Session, step: &str, look: &Place, known: &Known) -> Result<()> {
    let noted = known.cluster.get().ok_or_else(|| {
        Error::failed("a step needs the cluster before any step has noted it").own_mistake()
    })?;
    let Some((command, expected)) = noted.again(&look.kubectl, &look.namespace) else {
        return Ok(());
    };
    same_cluster(session, step, &command, expected)
}

fn same_cluster(session: &Session, step: &str, command: &Invocation, expected: &str) -> Result<()> {
    let output = session.run(step, command)?;
    let shown = kubectl::parse_server(&output).map_err(|failure| {
        failure.into_error("whether it is still the same cluster cannot be found out")
    })?;
    if shown == expected {
        session.ui.step(
            step,
            "done",
            "the context leads to the same cluster as before",
        );
        return Ok(());
    }
    Err(another_cluster())
}

fn another_cluster() -> Error {
    Error::refused("the context leads to another cluster now than at the start of this run")
        .hint("the kubeconfig was changed meanwhile: look at it, then run again")
}

/// Tries a token with a throwaway configuration.
pub(super) fn try_token(
    session: &Session,
    step: &str,
    command: &Invocation,
    profile: &Profile,
    token: &Secret,
) -> Result<Verdict> {
    if profile.host.is_none() {
        return Ok(Verdict::Inconclusive(
            "the profile names no host".to_owned(),
        ));
    }
    session.ui.command(&command.argv(None));
    match session
        .exec
        .trial(step, command, token, |path| profile::trial(profile, path))
    {
        Ok(output) => Ok(influxctl::parse_trial(&output)),
        Err(error) if matches!(error.kind, Kind::TimedOut | Kind::Failed) => {
            Ok(Verdict::Inconclusive(error.message))
        }
        Err(error) => Err(error),
    }
}

fn judge(
    session: &Session,
    step: &str,
    verdict: Verdict,
    required: bool,
    profile: &Profile,
    known: &Known,
) -> Result<()> {
    let at = profile.address();
    match verdict {
        Verdict::Accepted => {
            session.ui.step(step, "done", &format!("the token was accepted by {at}"));
            Ok(())
        }
        Verdict::Refused(said) => Err(Error::failed(format!("the token was refused by {at}: {said}"))
            .hint("does the profile's host belong to this namespace? if it does, the token was revoked: `kubectl get secrets,jobs --namespace NS` shows what made it")),
        Verdict::Inconclusive(said) if required => Err(Error::failed(format!("the token could not be tried with {at}: {said}"))
            .hint("look at host, port and TLS settings of the profile; --verify try goes on without this proof")),
        Verdict::Inconclusive(said) => {
            let hint = "look at host, port and TLS settings of the profile; `bypassctl status` tries again";
            session.ui.warn(&format!("the token could not be tried with {at}: {said}"), hint);
            let _ = known.inconclusive.set(said);
            Ok(())
        }
    }
}

/// Whether only its owner can read a file, and nobody can execute it.
pub(super) fn is_private(meta: &Metadata) -> bool {
    meta.mode() & 0o7177 == 0
}

fn write_token(session: &Session, step: &str, path: &Path, token: &Secret) -> Result<()> {
    let old = read(path, MAX_TOKEN_FILE).map_err(|error| {
        Error::failed(format!("`{}` cannot be looked at: {error}", path.display()))
            .hint("move it away, or name another: --token-file FILE")
    })?;
    let right = old
        .as_ref()
        .is_some_and(|old| *old.bytes == *token.expose() && is_private(&old.meta));
    if right {
        session.ui.step(
            step,
            "unchanged",
            &format!("{} holds this token already", path.display()),
        );
        return Ok(());
    }
    let write = FileWrite {
        path,
        bytes: token.expose(),
        old: old.as_ref(),
        readers: Readers::Private,
        secret: true,
    };
    session.exec.write_file(step, &write)?;
    session.ui.step(
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
    edit: &Edit,
) -> Result<()> {
    let now = read(path, MAX_CONFIG).map_err(|error| {
        Error::failed(format!("`{}` cannot be read: {error}", path.display()))
            .hint("look at its owner and mode")
    })?;
    if now.as_ref().map(|now| &now.bytes[..]) != old.map(str::as_bytes) {
        return Err(Error::refused(format!(
            "`{}` was changed by someone else meanwhile",
            path.display()
        ))
        .hint("run again: the edit is worked out anew"));
    }
    let secret = profile::may_hold_secret(old.unwrap_or_default());
    let write = FileWrite {
        path,
        bytes: edit.text.as_bytes(),
        old: now.as_ref(),
        readers: Readers::Kept,
        secret,
    };
    session.exec.write_file(step, &write)?;
    session
        .ui
        .step(step, "done", &format!("{} edited", path.display()));
    Ok(())
}

fn delete_token(session: &Session, step: &str, path: &Path) -> Result<()> {
    session.exec.delete_file(step, path)?;
    session
        .ui
        .step(step, "done", &format!("{} deleted", path.display()));
    Ok(())
}
