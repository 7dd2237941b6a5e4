//! Finds the policy in force and checks who can change it.

use crate::cli::CommonArgs;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::exec::{Environment, Writer, find_writers, read_file};
use crate::policy::{ActivePolicy, FILE_NAME, MAX_POLICY, PathContext, parse_policy};
use crate::ui::Ui;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The policy in force: that of the system where it is locked; else the one that is named; else the one of the working
/// directory, or above it up to the root of its repository; else that of the system.
pub(crate) fn load_active_policy(
    common: &CommonArgs,
    environment: &Environment,
    ui: &Ui,
) -> Result<Option<ActivePolicy>> {
    let system = load_policy(&environment.system_config_dir.join(FILE_NAME), environment)?;
    let named = common
        .policy
        .as_ref()
        .map(|path| environment.cwd.join(path));
    if let Some(system) = system.as_ref().filter(|system| system.policy.locked) {
        enforce_locked_policy(
            system,
            named.as_deref(),
            discover_policy(&environment.cwd).ok().flatten().as_deref(),
            ui,
        )?;
    } else if let Some(path) = named {
        let policy = load_policy(&path, environment)?.ok_or_else(|| {
            Error::refusal(format!("there is no policy at `{}`", path.display()))
                .hint("it is named by --policy or BYPASSCTL_POLICY")
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

/// A locked policy of the system wins: another that was asked for is refused, one that only lies there is passed over.
fn enforce_locked_policy(
    system: &ActivePolicy,
    named: Option<&Path>,
    discovered: Option<&Path>,
    ui: &Ui,
) -> Result<()> {
    let file = system.file.display();
    if let Some(named) = named.filter(|named| *named != system.file) {
        return Err(Error::refusal(format!(
            "the policy `{file}` is locked, so `{}` cannot take its place",
            named.display()
        ))
        .hint("leave --policy and BYPASSCTL_POLICY out"));
    }
    if let Some(other) = discovered.filter(|other| *other != system.file) {
        let hint = "have what it says put into that one, or delete it";
        ui.warn(
            &format!(
                "`{}` is passed over: the policy `{file}` is locked",
                other.display()
            ),
            hint,
        );
    }
    Ok(())
}

/// In the working directory, or above it up to the root of its repository; without a repository no further.
fn discover_policy(cwd: &Path) -> Result<Option<PathBuf>> {
    if !cwd.is_absolute() {
        return Err(Error::refusal(
            "what the working directory is cannot be found out, and a policy may be in it",
        )
        .hint("run it from a directory that is there"));
    }
    let mut root = cwd;
    for directory in cwd.ancestors() {
        if try_exists(&directory.join(".git"))? {
            root = directory;
            break;
        }
    }
    for directory in cwd
        .ancestors()
        .take_while(|directory| directory.starts_with(root))
    {
        let path = directory.join(FILE_NAME);
        if try_exists(&path)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// What may not be looked at is not taken for absent.
fn try_exists(path: &Path) -> Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::refusal(format!(
            "whether there is a policy cannot be found out: `{}`: {error}",
            path.display()
        ))
        .hint("name the policy with --policy FILE, or run it from another directory")),
    }
}

fn load_policy(path: &Path, environment: &Environment) -> Result<Option<ActivePolicy>> {
    let unusable = |why: String| {
        Error::refusal(format!(
            "the policy `{}` cannot be used: {why}",
            path.display()
        ))
    };
    let look = "look at its owner and mode; nothing is run without it";
    let Some(file) =
        read_file(path, MAX_POLICY).map_err(|error| unusable(error.to_string()).hint(look))?
    else {
        // A mount that is missing must not be what takes a policy out of force.
        let dangles = |way: &Path| way.is_symlink() && !way.exists();
        return match path.ancestors().find(|way| dangles(way)) {
            Some(link) => Err(unusable(format!("`{}` leads to nothing", link.display()))
                .hint("is what it leads to mounted? nothing is run without it")),
            None => Ok(None),
        };
    };
    let text = std::str::from_utf8(&file.bytes)
        .map_err(|_| unusable("it is not UTF-8".to_owned()).hint("TOML is UTF-8: mend it"))?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let account_home = environment.account_home();
    let places = PathContext {
        directory,
        home: environment.home(),
        account_home: account_home.as_deref(),
    };
    let policy = parse_policy(text, &places)
        .map_err(|error| unusable(error.to_string()).hint(error.hint.clone()))?;
    Ok(Some(ActivePolicy {
        policy,
        file: path.to_owned(),
        sha256: Digest::compute(&file.bytes).to_string(),
    }))
}

/// A policy says which program runs: one that others can write to is theirs. One that was not named, but lies where this
/// is run, is taken only from root and from who runs this.
fn check_ownership(policy: ActivePolicy, found: bool, ui: &Ui) -> Result<ActivePolicy> {
    let others: BTreeSet<Writer> = find_writers(&policy.file)
        .into_iter()
        .filter(|writer| writer.is_untrusted())
        .collect();
    let is_theirs = found
        && others
            .iter()
            .any(|writer| matches!(writer, Writer::User(_)));
    let told = |told: &[String]| {
        format!(
            "the policy `{}` can be changed by others: {}",
            policy.file.display(),
            told.join(", ")
        )
    };
    let names: Vec<String> = others.iter().map(ToString::to_string).collect();
    if policy.policy.locked && !others.is_empty() {
        return Err(
            Error::refusal(format!("{}, which a locked one must not be", told(&names)))
                .hint("chown root and chmod go-w it, and the directories that lead to it"),
        );
    }
    if is_theirs {
        return Err(Error::refusal(told(&names)).hint("if you trust them, name it: --policy FILE"));
    }
    if others
        .iter()
        .any(|writer| !matches!(writer, Writer::User(_)))
    {
        ui.warn(
            &told(&names),
            "chmod go-w it, and the directories that lead to it",
        );
    }
    Ok(policy)
}

/// Fails where the record would be kept elsewhere than the policy has it.
pub(crate) fn enforce_log_path(audit_log: &Path, policy: Option<&ActivePolicy>) -> Result<()> {
    let Some(policy) = policy else { return Ok(()) };
    match &policy.policy.audit.file {
        Some(file)
            if (policy.policy.audit.enforce || policy.policy.locked) && file != audit_log =>
        {
            Err(Error::refusal(format!(
                "the record would be kept in `{}`, and the policy `{}` has it in `{}`",
                audit_log.display(),
                policy.file.display(),
                file.display()
            ))
            .hint("leave --audit-log and BYPASSCTL_AUDIT_LOG out"))
        }
        _ => Ok(()),
    }
}
