//! `policy trust`: accepts a discovered policy whole, by its digest.

use crate::cli::PolicyCommand;
use crate::error::{CommandResult, Error};
use crate::policy::{PolicySource, Redirection};
use crate::session::Session;
use crate::session::policy_file::{check_ownership, discover_policy, load_policy};
use crate::session::trust::trust_policy;
use std::path::{Path, PathBuf};

pub(crate) fn run(session: &Session, command: &PolicyCommand) -> CommandResult {
    let PolicyCommand::Trust { file } = command;
    run_trust(session, file.as_deref())
}

fn run_trust(session: &Session, file: Option<&Path>) -> CommandResult {
    let environment = session.executor.environment();
    let path = match file {
        Some(file) => Some(normalize_directory(&environment.cwd.join(file))),
        None => discover_policy(&environment.cwd)?,
    };
    let policy = match &path {
        Some(path) => load_policy(path, PolicySource::Discovered, environment)?,
        None => None,
    };
    let Some(policy) = policy else {
        let message = path.map_or_else(
            || "no policy in this directory or its repository".to_owned(),
            |path| format!("policy `{}` not found", path.display()),
        );
        return Err(Error::refusal(message).hint("run `bypassctl policy trust FILE`"));
    };
    let policy = check_ownership(policy, session.ui)?;
    let file = policy.file.display().to_string();
    if let Some(locked) = session
        .executor
        .policy()
        .filter(|active| active.rules.locked && active.file != policy.file)
    {
        return Err(Error::refusal(format!(
            "the policy `{}` is locked, so `{file}` cannot replace it",
            locked.file.display()
        ))
        .hint("have its rules moved into the locked policy"));
    }
    trust_policy(session, &policy.file, &policy.sha256)?;
    let redirections: Vec<String> = policy
        .redirections
        .iter()
        .map(Redirection::describe)
        .collect();
    session.ui.print_lines(&format!(
        "trusted: {file}, sha256 {}, until its content changes",
        policy.sha256
    ));
    for line in redirections {
        session.ui.print_lines(&format!("  it sets {line}"));
    }
    session.ui.update_fields(|fields| fields.file = Some(file));
    Ok(None)
}

/// Resolves the directory, as the search for a policy sees it. A symlink to the policy itself stays.
fn normalize_directory(path: &Path) -> PathBuf {
    let directory = path.parent().and_then(|parent| parent.canonicalize().ok());
    directory
        .zip(path.file_name())
        .map_or_else(|| path.to_owned(), |(directory, name)| directory.join(name))
}
