//! Finds kubectl and influxctl and checks their versions.

use super::Session;
use super::runner::join_thread;
use crate::error::{Error, Result};
use crate::exec::ResolvedTool;
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::tool::{Tool, ToolName, influxctl, kubectl};
use semver::Version;
use std::path::PathBuf;

pub(crate) fn resolve_kubectl(session: &Session) -> Result<Tool> {
    let tool = ensure_allowed(session, inspect_tool(session, ToolName::Kubectl)?)?;
    if tool.version.is_none() {
        return Err(Error::failure("kubectl does not tell its version")
            .hint("is it kubectl? run `kubectl version --client --output json` by hand"));
    }
    accept_tool(session, tool)
}

pub(crate) fn resolve_influxctl(session: &Session) -> Result<Tool> {
    let tool = ensure_allowed(session, inspect_tool(session, ToolName::Influxctl)?)?;
    let tool = match (&tool.version, &session.common.assume_influxctl_version) {
        (Some(_), None) => tool,
        (Some(told), Some(assumed)) => {
            session.ui.warn(
                &format!(
                    "influxctl says that it is {told}; --assume-influxctl-version {assumed} is not needed and not used"
                ),
                "leave it out",
            );
            tool
        }
        (None, Some(assumed)) => {
            require_reported_version(session, &tool)?;
            Tool {
                version: Some(Version::new(assumed.major, assumed.minor, assumed.patch)),
                ..tool
            }
        }
        (None, None) => {
            let hint = "from 2.2.0 to 2.4.1 it cannot tell: if you know which it is, say so with --assume-influxctl-version X.Y.Z";
            return Err(Error::refusal("the version of influxctl cannot be found out").hint(hint));
        }
    };
    accept_tool(session, tool)
}

/// A tool as it was found: hashed, and, if it may run, asked for its version, which not each tells. Both at once unless
/// it is pinned.
pub(crate) fn inspect_tool(session: &Session, name: ToolName) -> Result<ResolvedTool> {
    type VersionQuery<'a> = (
        &'a Option<PathBuf>,
        fn(&Tool) -> Invocation,
        fn(&ToolOutput) -> Option<Version>,
    );
    let (named, question, parse): VersionQuery = match name {
        ToolName::Kubectl => (
            &session.common.kubectl,
            kubectl::get_version,
            kubectl::parse_version,
        ),
        ToolName::Influxctl => (
            &session.common.influxctl,
            influxctl::get_version,
            influxctl::parse_version,
        ),
    };
    let found = session.executor.resolve_tool(name, named.as_deref())?;
    if found.refusal.is_some() {
        return Ok(found);
    }
    let (digest, output) = std::thread::scope(|scope| {
        let digest = scope.spawn(|| session.executor.compute_tool_digest(&found.tool));
        let output = session.run(
            &format!("{}-version", name.as_str()),
            &question(&found.tool),
        );
        (join_thread(digest), output)
    });
    let (digest, output) = (digest?, output?);
    let tool = Tool {
        sha256: Some(digest),
        version: parse(&output),
        ..found.tool
    };
    let dispatches = name == ToolName::Kubectl && kubectl::is_dispatcher(&output);
    let starts_another = found
        .indirection
        .or_else(|| dispatches.then(|| DISPATCHER_MESSAGE.to_owned()));
    let pinned = session
        .executor
        .policy()
        .is_some_and(|policy| policy.requires_pin(name));
    let refused = (pinned && dispatches).then(|| dispatcher_error(&tool));
    Ok(ResolvedTool {
        tool,
        indirection: starts_another,
        refusal: refused,
        ..found
    })
}

const DISPATCHER_MESSAGE: &str =
    "it is a dispatcher: it starts the `kubectl.1.NN` beside it that fits the server";

fn dispatcher_error(tool: &Tool) -> Error {
    Error::refusal(format!(
        "`{}` is pinned, but {DISPATCHER_MESSAGE}, which is not",
        tool.path.display()
    ))
    .hint("pin that one: `path` in [tools.kubectl], or --kubectl PATH")
}

fn ensure_allowed(session: &Session, found: ResolvedTool) -> Result<Tool> {
    for warning in &found.warnings {
        let told = format!("{}: {warning}", found.tool.name.as_str());
        session
            .ui
            .warn(&told, "chmod go-w it, or name another tool");
    }
    found.refusal.map_or(Ok(found.tool), Err)
}

/// On record, and of a version that will do: new enough, and one that the policy has run.
pub(crate) fn accept_tool(session: &Session, tool: Tool) -> Result<Tool> {
    session.executor.record_tool(&tool)?;
    session.ui.report_tool(&tool);
    let (name, minimum) = (tool.name.as_str(), tool.name.min_version());
    match &tool.version {
        Some(version) if *version < minimum => Err(Error::refusal(format!(
            "{name} {version} is too old: {name} {minimum} or newer is needed"
        ))
        .hint(format!("update it, or name another: --{name} PATH"))),
        _ => check_policy_version(session, &tool).map(|()| tool),
    }
}

/// Fails where the policy wants a version that the tool does not tell: what is only assumed is nothing to it.
fn require_reported_version(session: &Session, tool: &Tool) -> Result<()> {
    let Some(policy) = session.executor.policy() else {
        return Ok(());
    };
    let Some(wanted) = &policy.policy.tools.pin(tool.name).version else {
        return Ok(());
    };
    let (name, file) = (tool.name.as_str(), policy.file.display());
    Err(Error::refusal(format!(
        "{name} does not tell its version, and the policy `{file}` has only {wanted} run"
    ))
    .hint("what is assumed does not count there: pin it by its digest alone, without `version`"))
}

/// Of a version that the policy has run.
fn check_policy_version(session: &Session, tool: &Tool) -> Result<()> {
    let Some(policy) = session.executor.policy() else {
        return Ok(());
    };
    let name = tool.name.as_str();
    match (&policy.policy.tools.pin(tool.name).version, &tool.version) {
        (Some(wanted), Some(version)) if !wanted.matches(version) => Err(Error::refusal(format!(
            "{name} {version} is not a version that the policy `{}` has run: {wanted}",
            policy.file.display()
        ))
        .hint(format!(
            "name another: --{name} PATH, or have the policy changed"
        ))),
        (Some(_), None) => require_reported_version(session, tool),
        _ => Ok(()),
    }
}
