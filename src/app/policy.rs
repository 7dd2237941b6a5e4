//! Finds the active policy, and decides how much of it counts.

use crate::cli::{Cli, Command};
use crate::error::{Error, Result};
use crate::exec::Environment;
use crate::policy::{ActivePolicy, FILE_NAME, PolicySource};
use crate::session::policy_file::{check_ownership, discover_policy, load_policy};
use crate::session::trust::TrustStore;
use crate::ui::Ui;
use std::path::Path;

/// Loads the active policy, the first of these:
///
/// 1. The policy of the system, if it is locked.
/// 2. The policy from `--policy` or `BYPASSCTL_POLICY`.
/// 3. The policy in the working directory or above it, up to the root of its repository. `policy
///    trust` skips it, because nobody has trusted it yet.
/// 4. The policy of the system.
pub(crate) fn load_active_policy(
    cli: &Cli,
    environment: &Environment,
    ui: &Ui,
) -> Result<Option<ActivePolicy>> {
    let system_file = environment.system_config_dir.join(FILE_NAME);
    let system = load_policy(&system_file, PolicySource::System, environment)?;
    let explicit = cli
        .common
        .policy
        .as_ref()
        .map(|path| environment.cwd.join(path));
    if let Some(system) = system.as_ref().filter(|system| system.rules.locked) {
        enforce_locked_policy(
            system,
            explicit.as_deref(),
            discover_policy(&environment.cwd).ok().flatten().as_deref(),
            ui,
        )?;
    } else if let Some(path) = explicit {
        let policy = load_policy(&path, PolicySource::Named, environment)?.ok_or_else(|| {
            Error::refusal(format!("policy `{}` not found", path.display()))
                .hint("correct --policy or BYPASSCTL_POLICY")
        })?;
        return check_ownership(policy, ui).map(Some);
    } else if !matches!(cli.command, Command::Policy(_))
        && let Some(path) = discover_policy(&environment.cwd)?.filter(|path| *path != system_file)
        && let Some(policy) = load_policy(&path, PolicySource::Discovered, environment)?
    {
        let policy = check_ownership(policy, ui)?;
        return judge_discovered_policy(policy, system.as_ref(), environment).map(Some);
    }
    system.map(|policy| check_ownership(policy, ui)).transpose()
}

/// Accepts a discovered policy whole if the user has trusted it. Otherwise it may only tighten: a
/// clone of a repository belongs to whoever cloned it, so its owner says nothing about its author.
fn judge_discovered_policy(
    policy: ActivePolicy,
    system: Option<&ActivePolicy>,
    environment: &Environment,
) -> Result<ActivePolicy> {
    if TrustStore::read(environment)?.contains(&policy) {
        return Ok(ActivePolicy {
            source: PolicySource::Trusted,
            ..policy
        });
    }
    let file = policy.file.display();
    let hint = "read the policy, then run `bypassctl policy trust` to trust this content of it, \
                or name it with --policy FILE";
    if !policy.redirections.is_empty() {
        let keys: Vec<_> = policy
            .redirections
            .iter()
            .map(|redirection| redirection.key.as_str())
            .collect();
        return Err(Error::refusal(format!(
            "the discovered policy `{file}` is not trusted, so it cannot set {}",
            keys.join(", ")
        ))
        .hint(hint));
    }
    // Policies are not merged, so a clone could remove the rules of the system.
    if let Some(system) = system {
        return Err(Error::refusal(format!(
            "the discovered policy `{file}` is not trusted, so it cannot replace `{}`",
            system.file.display()
        ))
        .hint(hint));
    }
    Ok(policy.into_discovered())
}

/// Refuses another explicit policy than the locked one, and ignores another one that it finds.
fn enforce_locked_policy(
    system: &ActivePolicy,
    explicit: Option<&Path>,
    discovered: Option<&Path>,
    ui: &Ui,
) -> Result<()> {
    let file = system.file.display();
    if let Some(explicit) = explicit.filter(|explicit| *explicit != system.file) {
        return Err(Error::refusal(format!(
            "the policy `{file}` is locked, so `{}` cannot replace it",
            explicit.display()
        ))
        .hint("omit --policy and unset BYPASSCTL_POLICY"));
    }
    if let Some(other) = discovered.filter(|other| *other != system.file) {
        ui.warn(
            &format!(
                "`{}` is ignored: the policy `{file}` is locked",
                other.display()
            ),
            "have its rules moved into the locked policy, or delete it",
        );
    }
    Ok(())
}

/// Refuses another audit log than the one that the policy requires.
pub(crate) fn enforce_log_path(audit_log: &Path, policy: Option<&ActivePolicy>) -> Result<()> {
    let Some(policy) = policy else { return Ok(()) };
    match &policy.rules.audit.file {
        Some(file) if (policy.rules.audit.enforce || policy.rules.locked) && file != audit_log => {
            Err(Error::refusal(format!(
                "the policy `{}` requires the audit log `{}`, not `{}`",
                policy.file.display(),
                file.display(),
                audit_log.display()
            ))
            .hint("omit --audit-log and unset BYPASSCTL_AUDIT_LOG"))
        }
        _ => Ok(()),
    }
}
