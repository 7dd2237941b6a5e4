//! Enforces the policy's guard and the production patterns.

use super::Session;
use crate::cli::Command;
use crate::error::{Error, Result};
use crate::policy::NamespaceDefaults;
use crate::procedure::revoke::DOCUMENTED_SELECTOR;
use crate::procedure::{PRODUCTION_PATTERNS, find_production_name};
use crate::text::sanitize_truncated;

fn namespace_defaults<'a>(session: &'a Session, namespace: &str) -> Option<&'a NamespaceDefaults> {
    let policy = session.executor.policy()?;
    policy.rules.namespaces.get(namespace)
}

/// Returns the default selector of the pods that load the keys.
pub(crate) fn restart_selector<'a>(session: &'a Session, namespace: &str) -> &'a str {
    namespace_defaults(session, namespace)
        .and_then(|defaults| defaults.restart_selector.as_deref())
        .unwrap_or(DOCUMENTED_SELECTOR)
}

/// Returns the labels of pods that use the keys and need no restart, according to the policy.
pub(crate) fn ignored_key_users<'a>(session: &'a Session, namespace: &str) -> &'a [String] {
    namespace_defaults(session, namespace)
        .map_or(&[], |defaults| defaults.ignored_key_users.as_slice())
}

/// Refuses a change if the policy requires a saved plan or a reason for it.
pub(crate) fn enforce_guard(session: &Session, command: &Command) -> Result<()> {
    let Some(policy) = session
        .executor
        .policy()
        .filter(|_| session.can_change(command))
    else {
        return Ok(());
    };
    let (guard, name) = (&policy.rules.guard, command.name());
    let file = policy.file.display();
    if guard.require_plan.iter().any(|guarded| guarded == name)
        && session.mode.plan_digest().is_none()
    {
        return Err(Error::refusal(format!(
            "the policy `{file}` requires a saved plan for `{name}`"
        ))
        .hint(format!(
            "run `bypassctl plan {name} … --out FILE`, have the plan approved, \
             then run `bypassctl apply FILE --expect SHA256`"
        )));
    }
    let Some(pattern) = &guard.require_reason else {
        return Ok(());
    };
    match &session.common.reason {
        Some(reason) if pattern.is_match(reason) => Ok(()),
        given => {
            let problem = given.as_ref().map_or_else(
                || "no reason given".to_owned(),
                |given| format!("`{}` does not match", sanitize_truncated(given, 200)),
            );
            Err(Error::refusal(format!(
                "the policy `{file}` requires a reason that matches `{pattern}`: {problem}"
            ))
            .hint("pass --reason TEXT"))
        }
    }
}

/// Refuses a context, namespace or server that looks like production, unless `allowed`.
pub(crate) fn refuse_production(
    session: &Session,
    allowed: bool,
    context: Option<&str>,
) -> Result<()> {
    let policy = session.executor.policy();
    let server = session.executor.target().server;
    let Some(name) = detect_production_name(session, context, server.as_deref()) else {
        return Ok(());
    };
    let error = Error::refusal(format!(
        "`{name}` looks like production, where the admin token must not be used"
    ));
    match policy.filter(|policy| policy.rules.locked) {
        None if allowed => Ok(()),
        None => Err(error.hint("pass --allow-production if it is not production")),
        Some(locked) => Err(error.hint(format!(
            "change the patterns of the locked policy `{}` if it is not production: \
             --allow-production has no effect",
            locked.file.display()
        ))),
    }
}

/// Returns the first of context, namespace and server that looks like production.
pub(crate) fn detect_production_name(
    session: &Session,
    context: Option<&str>,
    server: Option<&str>,
) -> Option<String> {
    let production = session
        .executor
        .policy()
        .map(|policy| policy.rules.guard.production.clone())
        .unwrap_or_default();
    let built_in = || {
        PRODUCTION_PATTERNS
            .iter()
            .map(|pattern| (*pattern).to_owned())
            .collect()
    };
    [
        (context, production.context.unwrap_or_else(built_in)),
        (
            session.common.namespace.as_deref(),
            production.namespace.unwrap_or_else(built_in),
        ),
        (server, production.server.unwrap_or_default()),
    ]
    .into_iter()
    .find_map(|(name, patterns)| {
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        find_production_name(&[name?], &patterns).map(str::to_owned)
    })
}
