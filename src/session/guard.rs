//! Enforces the policy's guard and the production patterns.

use super::Session;
use crate::cli::Command;
use crate::error::{Error, Result};
use crate::procedure::revoke::DOCUMENTED_SELECTOR;
use crate::procedure::{PRODUCTION_PATTERNS, find_production_name};
use crate::text::sanitize_truncated;

/// The pods that load the keys, where the command line does not name them.
pub(crate) fn restart_selector<'a>(session: &'a Session, namespace: &str) -> &'a str {
    let defaults = session
        .executor
        .policy()
        .and_then(|policy| policy.policy.namespaces.get(namespace));
    defaults
        .and_then(|defaults| defaults.restart_selector.as_deref())
        .unwrap_or(DOCUMENTED_SELECTOR)
}

/// Fails where the policy asks for more before this command changes something.
pub(crate) fn enforce_guard(session: &Session, command: &Command) -> Result<()> {
    let Some(policy) = session
        .executor
        .policy()
        .filter(|_| session.can_change(command))
    else {
        return Ok(());
    };
    let (guard, name) = (&policy.policy.guard, command.name());
    let file = policy.file.display();
    if guard.require_plan.iter().any(|guarded| guarded == name)
        && session.mode.plan_digest().is_none()
    {
        return Err(Error::refusal(format!("the policy `{file}` has `{name}` carried out from a plan only")).hint(
            format!("bypassctl plan {name} … --out FILE, have it approved, then bypassctl apply FILE --expect SHA256"),
        ));
    }
    let Some(pattern) = &guard.require_reason else {
        return Ok(());
    };
    match &session.common.reason {
        Some(reason) if pattern.is_match(reason) => Ok(()),
        given => {
            let given = given.as_ref().map_or_else(
                || "none is given".to_owned(),
                |given| format!("`{}` does not", sanitize_truncated(given, 200)),
            );
            Err(Error::refusal(format!(
                "the policy `{file}` wants a reason that matches `{pattern}`, and {given}"
            ))
            .hint("say why: --reason TEXT"))
        }
    }
}

/// Fails where context, namespace or server looks like production, unless that was allowed.
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
    let refused = Error::refusal(format!(
        "`{name}` looks like production, where the admin token must not be used"
    ));
    match policy.filter(|policy| policy.policy.locked) {
        None if allowed => Ok(()),
        None => Err(refused.hint("if it is not production, say so with --allow-production")),
        Some(locked) => Err(refused.hint(format!(
            "the policy `{}` is locked, so --allow-production is not taken: have its patterns changed if it is not production",
            locked.file.display()
        ))),
    }
}

/// The first of context, namespace and server that looks like production.
pub(crate) fn detect_production_name(
    session: &Session,
    context: Option<&str>,
    server: Option<&str>,
) -> Option<String> {
    let production = session
        .executor
        .policy()
        .map(|policy| policy.policy.guard.production.clone())
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
