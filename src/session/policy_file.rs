//! The files of policies: search, content, owners.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::exec::{Environment, Writer, find_writers, read_file};
use crate::policy::{
    ActivePolicy, FILE_NAME, MAX_POLICY, PathContext, PolicySource, find_redirections, parse_policy,
};
use crate::ui::Ui;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Searches the working directory, and inside a repository its parents up to the root.
pub(crate) fn discover_policy(cwd: &Path) -> Result<Option<PathBuf>> {
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

pub(crate) fn load_policy(
    path: &Path,
    source: PolicySource,
    environment: &Environment,
) -> Result<Option<ActivePolicy>> {
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
    let table = toml::from_str(text)
        .map_err(|error| unusable(error.message().to_owned()).hint("fix that key"))?;
    Ok(Some(ActivePolicy {
        rules,
        file: path.to_owned(),
        sha256: Digest::compute(&file.bytes).to_string(),
        source,
        redirections: find_redirections(&table),
    }))
}

/// Refuses a policy that others can change, or warns about it.
///
/// A policy chooses the programs that run. Only root and the current user may own a policy that the
/// command line does not name.
pub(crate) fn check_ownership(policy: ActivePolicy, ui: &Ui) -> Result<ActivePolicy> {
    let others: BTreeSet<Writer> = find_writers(&policy.file)
        .into_iter()
        .filter(|writer| writer.is_untrusted())
        .collect();
    let is_foreign = policy.source != PolicySource::Named
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
