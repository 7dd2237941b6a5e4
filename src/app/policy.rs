//! Finds the active policy and checks who can change it.

use crate::cli::CommonArgs;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::exec::{Environment, Writer, find_writers, read_file};
use crate::policy::{ActivePolicy, FILE_NAME, MAX_POLICY, PathContext, parse_policy};
use crate::ui::Ui;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Loads the active policy, the first of these:
///
/// 1. The policy of the system, if it is locked.
/// 2. The policy from `--policy` or `BYPASSCTL_POLICY`.
/// 3. The policy in the working directory or above it, up to the root of its repository.
/// 4. The policy of the system.
pub(crate) fn load_active_policy(
    common: &CommonArgs,
    environment: &Environment,
    ui: &Ui,
) -> Result<Option<ActivePolicy>> {
    let system = load_policy(&environment.system_config_dir.join(FILE_NAME), environment)?;
    let explicit = common
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
        let policy = load_policy(&path, environment)?.ok_or_else(|| {
            Error::refusal(format!("policy `{}` not found", path.display()))
                .hint("correct --policy or BYPASSCTL_POLICY")
        })?;
        return check_ownership(policy, false, ui).map(Some);
    } else if let Some(path) = discover_policy(&environment.cwd)? {
        let policy = load_policy(&path, environment)?;
        return policy
            .map(|policy| check_ownership(policy, true, ui))
            .transpose();
    }
    system
        .map(|policy| check_ownership(policy, true, ui))
        .transpose()
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

/// Searches the working directory, and inside a repository its parents up to the root.
fn discover_policy(cwd: &Path) -> Result<Option<PathBuf>> {
    if !cwd.is_absolute() {
        return Err(Error::refusal(
            "cannot find the working directory, which can contain a policy",
        )
        .hint("run the command from an existing directory"));
    }
    let mut root = cwd;
    for directory in cwd.ancestors() {
        if entry_exists(&directory.join(".git"))? {
            root = directory;
            break;
        }
    }
    for directory in cwd
        .ancestors()
        .take_while(|directory| directory.starts_with(root))
    {
        let path = directory.join(FILE_NAME);
        if entry_exists(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Fails where a file can exist but the account is forbidden to check.
fn entry_exists(path: &Path) -> Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::refusal(format!(
            "cannot search for a policy: `{}`: {error}",
            path.display()
        ))
        .hint("pass --policy FILE, or run the command from another directory")),
    }
}

fn load_policy(path: &Path, environment: &Environment) -> Result<Option<ActivePolicy>> {
    let unusable = |reason: String| {
        Error::refusal(format!(
            "cannot use the policy `{}`: {reason}",
            path.display()
        ))
    };
    let file = read_file(path, MAX_POLICY).map_err(|error| {
        unusable(error.to_string()).hint("check its owner and mode: nothing runs without it")
    })?;
    let Some(file) = file else {
        // A missing mount must not disable a policy.
        let is_dangling = |path: &Path| path.is_symlink() && !path.exists();
        return match path.ancestors().find(|path| is_dangling(path)) {
            Some(link) => Err(
                unusable(format!("`{}` is a dangling symlink", link.display()))
                    .hint("mount or restore its target: nothing runs without the policy"),
            ),
            None => Ok(None),
        };
    };
    let text = std::str::from_utf8(&file.bytes)
        .map_err(|_| unusable("not UTF-8".to_owned()).hint("convert it to UTF-8"))?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let account_home = environment.account_home();
    let context = PathContext {
        directory,
        home: environment.home(),
        account_home: account_home.as_deref(),
    };
    let rules = parse_policy(text, &context)
        .map_err(|error| unusable(error.to_string()).hint(error.hint.clone()))?;
    Ok(Some(ActivePolicy {
        rules,
        file: path.to_owned(),
        sha256: Digest::compute(&file.bytes).to_string(),
    }))
}

/// Refuses a policy that others can change, or warns about it.
///
/// A policy chooses the programs that run. Only root and the current user may own a policy that the
/// command line does not name (`is_discovered`).
fn check_ownership(policy: ActivePolicy, is_discovered: bool, ui: &Ui) -> Result<ActivePolicy> {
    let others: BTreeSet<Writer> = find_writers(&policy.file)
        .into_iter()
        .filter(|writer| writer.is_untrusted())
        .collect();
    let is_foreign = is_discovered
        && others
            .iter()
            .any(|writer| matches!(writer, Writer::User(_)));
    let names: Vec<String> = others.iter().map(ToString::to_string).collect();
    let (file, names) = (policy.file.display(), names.join(", "));
    if policy.rules.locked && !others.is_empty() {
        return Err(Error::refusal(format!(
            "others can change the locked policy `{file}`: {names}"
        ))
        .hint("run `chown root` and `chmod go-w` on it and on its parent directories"));
    }
    let message = format!("others can change the policy `{file}`: {names}");
    if is_foreign {
        return Err(Error::refusal(message).hint("pass --policy FILE if you trust them"));
    }
    if others
        .iter()
        .any(|writer| !matches!(writer, Writer::User(_)))
    {
        ui.warn(
            &message,
            "run `chmod go-w` on it and on its parent directories",
        );
    }
    Ok(policy)
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
