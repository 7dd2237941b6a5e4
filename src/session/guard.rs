//! Enforces the policy's guard and the production patterns.

use super::cluster::identify_cluster;
use super::{Session, ownership};
use crate::cli::{Command, RevocationArgs};
use crate::error::{Error, Result};
use crate::policy::NamespaceDefaults;
use crate::procedure::revoke::DOCUMENTED_SELECTOR;
use crate::procedure::{PRODUCTION_PATTERNS, find_production_name};
use crate::text::sanitize_truncated;
use crate::tool::kubectl::Kubectl;
use std::net::{IpAddr, Ipv6Addr};
use uuid::Uuid;

fn find_defaults<'a>(session: &'a Session, namespace: &str) -> Option<&'a NamespaceDefaults> {
    let policy = session.executor.policy()?;
    policy.find_defaults(Some(namespace), session.common.target.as_deref())
}

/// Returns the default selector of the pods that load the keys.
pub(crate) fn restart_selector<'a>(session: &'a Session, namespace: &str) -> &'a str {
    find_defaults(session, namespace)
        .and_then(|defaults| defaults.restart_selector.as_deref())
        .unwrap_or(DOCUMENTED_SELECTOR)
}

/// Returns the labels of pods that use the keys and need no restart, according to the policy.
pub(crate) fn ignored_key_users<'a>(session: &'a Session, namespace: &str) -> &'a [String] {
    find_defaults(session, namespace)
        .and_then(|defaults| defaults.ignored_key_users.as_deref())
        .unwrap_or_default()
}

/// Refuses a command if others can change the files that it relies on. Refuses a change if the
/// policy requires a saved plan or a reason for it.
pub(crate) fn enforce_guard(session: &Session, command: &Command) -> Result<()> {
    ownership::enforce_ownership(session, command)?;
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
    // Only the options of a saved plan can lack it: the policy sets it for any other command.
    let is_documented = |args: &RevocationArgs| guard.delete_by_uid && !args.delete_by_uid;
    if command.revocation().is_some_and(is_documented) {
        return Err(Error::refusal(format!(
            "the policy `{file}` requires deletions by UID, and the plan has others"
        ))
        .hint(format!(
            "create another plan: run `bypassctl plan {name} … --out FILE`"
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

/// Refuses a cluster whose UID is a production pattern, unless `allowed`.
///
/// Only such a pattern needs the UID before the first step. Without the permission to read the UID,
/// nothing shows that the cluster is another one.
pub(crate) fn refuse_production_cluster(
    session: &Session,
    allowed: bool,
    kubectl: &Kubectl,
) -> Result<()> {
    let policy = session.executor.policy();
    let Some(policy) = policy.filter(|policy| {
        let patterns = policy.rules.guard.production.server.iter().flatten();
        patterns.into_iter().any(|pattern| is_cluster_uid(pattern))
    }) else {
        return Ok(());
    };
    if allowed && !policy.rules.locked {
        return Ok(());
    }
    identify_cluster(&session.runner(), kubectl, session.require_namespace()?)?;
    if session.executor.target().cluster_uid.is_none() {
        return Err(Error::refusal(format!(
            "the policy `{}` names production clusters by UID, and this account cannot read the \
             UID of namespace `kube-system`",
            policy.file.display()
        ))
        .hint("ask for the permission to get namespace `kube-system`"));
    }
    refuse_production(session, allowed, kubectl.global_flags.context.as_deref())
}

fn is_cluster_uid(pattern: &str) -> bool {
    Uuid::try_parse(pattern).is_ok()
}

/// Refuses a context, namespace, server or cluster UID that looks like production, unless
/// `allowed`.
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
    let cluster_uid = session.executor.target().cluster_uid;
    let server_patterns = production.server.unwrap_or_default();
    let one = |name: Option<&str>| name.into_iter().map(str::to_owned).collect();
    [
        (
            context,
            one(context),
            production.context.unwrap_or_else(built_in),
        ),
        (
            session.common.namespace.as_deref(),
            one(session.common.namespace.as_deref()),
            production.namespace.unwrap_or_else(built_in),
        ),
        (
            server,
            server.map(list_server_names).unwrap_or_default(),
            server_patterns.clone(),
        ),
        (
            cluster_uid.as_deref(),
            one(cluster_uid.as_deref()),
            server_patterns,
        ),
    ]
    .into_iter()
    .find_map(|(shown, names, patterns)| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        find_production_name(&names, &patterns)?;
        shown.map(str::to_owned)
    })
}

/// Lists the forms of a server's address that a pattern can match: as it is, as a URL with a bare
/// host, the host with its port, and the host.
///
/// A user name, capital letters, a trailing dot or an IPv4 address in the form of IPv6 lead to the
/// same server.
fn list_server_names(server: &str) -> Vec<String> {
    let (scheme, rest) = server.split_once("://").unwrap_or(("https", server));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let path = &rest[authority.len()..];
    let address = authority
        .rsplit_once('@')
        .map_or(authority, |(_, address)| address);
    let (host, port) = split_port(address);
    let host = normalize_host(host);
    let in_url = if host.contains(':') {
        format!("[{host}]{port}")
    } else {
        format!("{host}{port}")
    };
    vec![
        server.to_owned(),
        format!("{scheme}://{in_url}{path}"),
        in_url,
        host,
    ]
}

/// Splits off the port with its colon.
fn split_port(address: &str) -> (&str, &str) {
    let end_of_host = address.rfind(']').unwrap_or_default();
    match address.rfind(':').filter(|colon| *colon > end_of_host) {
        Some(colon) => address.split_at(colon),
        None => (address, ""),
    }
}

fn normalize_host(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let without_zone = host.split('%').next().unwrap_or_default();
    match without_zone.parse::<Ipv6Addr>() {
        Ok(address) => IpAddr::V6(address).to_canonical().to_string(),
        Err(_) => host.trim_end_matches('.').to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_server_names_finds_bare_host() {
        for (server, url, address, host) in [
            (
                "https://10.1.2.3:6443",
                "https://10.1.2.3:6443",
                "10.1.2.3:6443",
                "10.1.2.3",
            ),
            (
                "https://[credentials]@10.1.2.3",
                "https://10.1.2.3",
                "10.1.2.3",
                "10.1.2.3",
            ),
            (
                "https://ann:pw@[::ffff:10.1.2.3]:6443/x@y",
                "https://10.1.2.3:6443/x@y",
                "10.1.2.3:6443",
                "10.1.2.3",
            ),
            (
                "https://[::FFFF:0a01:0203]",
                "https://10.1.2.3",
                "10.1.2.3",
                "10.1.2.3",
            ),
            (
                "https://[FD00:0::1%25eth0]:1",
                "https://[fd00::1]:1",
                "[fd00::1]:1",
                "fd00::1",
            ),
            (
                "HTTPS://Api.Example.COM.:443/",
                "HTTPS://api.example.com:443/",
                "api.example.com:443",
                "api.example.com",
            ),
            ("api:443", "https://api:443", "api:443", "api"),
        ] {
            assert_eq!(list_server_names(server), [server, url, address, host]);
        }
    }
}
