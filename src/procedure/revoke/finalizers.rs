//! Finalizers, which block the deletion of a secret until their controllers remove them.

use super::facts::RevocationFacts;
use super::options::PreflightCheck;
use super::stage::{SecretState, Stage};
use crate::error::{Error, Result};
use crate::plan::SecretName;
use crate::tool::kubectl::{DeletionMethod, SecretUid};

/// Refuses if a secret would only be marked for deletion. The server cannot take the mark back.
pub(super) fn ensure_no_finalizers(facts: &RevocationFacts, stage: &Stage) -> Result<()> {
    if facts
        .options
        .skip_checks
        .contains(&PreflightCheck::Finalizers)
    {
        return Ok(());
    }
    let is_new = |secret: &SecretUid| {
        SecretName::ALL
            .into_iter()
            .any(|name| name.as_str() == secret.name && *stage.secret(name) == SecretState::New)
    };
    // A new secret stays, unless somebody else has deleted it.
    let blocked: Vec<&SecretUid> = facts
        .secrets
        .iter()
        .filter(|secret| secret.deleted_at.is_some() || !is_new(secret))
        .filter(|secret| !secret.finalizers.is_empty())
        .collect();
    let Some(first) = blocked.first() else {
        return Ok(());
    };
    let skip_hint = match facts.options.deletion_method {
        DeletionMethod::Documented => {
            "if the controller removes it during a deletion, pass `--skip-check finalizers`"
        }
        DeletionMethod::ByUid => {
            "if the controller removes it during a deletion, omit `--delete-by-uid`, which does \
             not wait, and pass `--skip-check finalizers`"
        }
    };
    Err(Error::refusal(describe_blocked_deletion(&blocked))
        .hint(suggest_finalizer_removal(first))
        .append_hint(skip_hint))
}

/// Describes the secrets that have finalizers, and what they prevent.
#[must_use]
pub fn describe_blocked_deletion(secrets: &[&SecretUid]) -> String {
    let secrets = secrets.iter().copied();
    let described: Vec<String> = secrets.filter_map(describe_finalizers).collect();
    format!(
        "{}: its deletion would not finish",
        described.join(", and ")
    )
}

fn describe_finalizers(secret: &SecretUid) -> Option<String> {
    let finalizers = list_finalizers(secret)?;
    let SecretUid {
        name, deleted_at, ..
    } = secret;
    let deleted_at = deleted_at.as_ref().map_or_else(String::new, |time| {
        format!(", marked for deletion at {time},")
    });
    Some(format!("secret `{name}`{deleted_at} has {finalizers}"))
}

/// Lists the finalizers of a secret, if it has any.
#[must_use]
pub fn list_finalizers(secret: &SecretUid) -> Option<String> {
    let noun = match secret.finalizers.len() {
        0 => return None,
        1 => "finalizer",
        _ => "finalizers",
    };
    Some(format!("{noun} `{}`", secret.finalizers.join("`, `")))
}

/// Returns the instruction to remove the finalizers of a secret.
#[must_use]
pub fn suggest_finalizer_removal(secret: &SecretUid) -> String {
    let name = &secret.name;
    let consequence = if secret.deleted_at.is_some() {
        ". The secret then disappears"
    } else {
        ""
    };
    format!(
        "let the controller that set the finalizer remove it{consequence}. If that controller no longer \
         exists, run `kubectl patch secrets/{name} --namespace NS --type merge --patch \
         '{{\"metadata\":{{\"finalizers\":null}}}}'`"
    )
}
