//! Finds kubectl and influxctl and checks their versions.

use super::Session;
use super::kuberc::apply_plugin_policy;
use super::runner::{join_thread, spawn_task};
use crate::error::{Error, Result};
use crate::exec::ResolvedTool;
use crate::plan::shell_quote;
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::tool::{Tool, ToolName, influxctl, kubectl};
use semver::Version;
use std::path::PathBuf;

pub(crate) fn resolve_kubectl(session: &Session) -> Result<Tool> {
    let tool = ensure_allowed(session, inspect_tool(session, ToolName::Kubectl)?)?;
    if tool.version.is_none() {
        let program = shell_quote(&tool.path.display().to_string());
        return Err(
            Error::failure("cannot read the version of kubectl").hint(format!(
                "check the program with `{program} version --client --output json`, \
                 or choose another one with --kubectl PATH"
            )),
        );
    }
    apply_plugin_policy(session, accept_tool(session, tool)?)
}

pub(crate) fn resolve_influxctl(session: &Session) -> Result<Tool> {
    let tool = ensure_allowed(session, inspect_tool(session, ToolName::Influxctl)?)?;
    let tool = match (&tool.version, &session.common.assume_influxctl_version) {
        (Some(_), None) => tool,
        (Some(reported), Some(assumed)) => {
            session.ui.warn(
                &format!(
                    "influxctl reports version {reported}, \
                     so --assume-influxctl-version {assumed} has no effect"
                ),
                "remove --assume-influxctl-version",
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
            return Err(Error::refusal("cannot read the version of influxctl").hint(
                "pass --assume-influxctl-version X.Y.Z: \
                 influxctl 2.2.0 to 2.4.1 does not report its version",
            ));
        }
    };
    accept_tool(session, tool)
}

/// Finds and hashes the program that receives the new token.
pub(crate) fn resolve_delivery_program(session: &Session, word: &str) -> Result<Tool> {
    let found = session.executor.resolve_delivery_program(word)?;
    let tool = ensure_allowed(session, found)?;
    let sha256 = Some(session.executor.compute_tool_digest(&tool)?);
    accept_tool(session, Tool { sha256, ..tool })
}

/// Finds a tool, hashes it and reads its version, in parallel unless it is pinned.
///
/// A tool that the policy refuses does not run, and not every version reports itself.
pub(crate) fn inspect_tool(session: &Session, name: ToolName) -> Result<ResolvedTool> {
    type VersionQuery<'a> = (
        &'a Option<PathBuf>,
        fn(&Tool) -> Invocation,
        fn(&ToolOutput) -> Option<Version>,
    );
    let (path, command, parse): VersionQuery = match name {
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
        ToolName::Delivery => {
            let error = Error::failure("the program of a delivery has no version");
            return Err(error.into_internal_bug());
        }
    };
    let found = session.executor.resolve_tool(name, path.as_deref())?;
    if found.refusal.is_some() {
        return Ok(found);
    }
    let (digest, output) = std::thread::scope(|scope| {
        let digest = spawn_task(scope, || session.executor.compute_tool_digest(&found.tool));
        let output = session.run(&format!("{}-version", name.as_str()), &command(&found.tool));
        (join_thread(digest), output)
    });
    let (digest, output) = (digest?, output?);
    let tool = Tool {
        sha256: Some(digest),
        version: parse(&output),
        ..found.tool
    };
    let is_dispatcher = name == ToolName::Kubectl && kubectl::is_dispatcher(&output);
    let indirection = found
        .indirection
        .or_else(|| is_dispatcher.then(|| DISPATCHER_MESSAGE.to_owned()));
    let is_pinned = session
        .executor
        .policy()
        .is_some_and(|policy| policy.requires_pin(name));
    let refusal = (is_pinned && is_dispatcher).then(|| dispatcher_error(&tool));
    Ok(ResolvedTool {
        tool,
        indirection,
        refusal,
        ..found
    })
}

const DISPATCHER_MESSAGE: &str =
    "it is a dispatcher that starts the `kubectl.1.NN` for the server's version";

fn dispatcher_error(tool: &Tool) -> Error {
    Error::refusal(format!(
        "`{}` is pinned, but {DISPATCHER_MESSAGE}, which is not",
        tool.path.display()
    ))
    .hint("pin that `kubectl.1.NN`: `path` in [tools.kubectl], or --kubectl PATH")
}

fn ensure_allowed(session: &Session, found: ResolvedTool) -> Result<Tool> {
    for warning in &found.warnings {
        let message = format!("{}: {warning}", found.tool.name.as_str());
        session
            .ui
            .warn(&message, "run `chmod go-w` on it, or choose another tool");
    }
    found.refusal.map_or(Ok(found.tool), Err)
}

/// Records a tool, and refuses a version that is too old or that the policy does not allow.
pub(crate) fn accept_tool(session: &Session, tool: Tool) -> Result<Tool> {
    session.executor.record_tool(&tool)?;
    session.ui.report_tool(&tool);
    let (name, minimum) = (tool.name.as_str(), tool.name.min_version());
    match &tool.version {
        Some(version) if *version < minimum => Err(Error::refusal(format!(
            "{name} {version} is too old: {minimum} or newer is required"
        ))
        .hint(format!(
            "update it, or choose another one with --{name} PATH"
        ))),
        _ => check_policy_version(session, &tool).map(|()| tool),
    }
}

/// Refuses a tool without a reported version if the policy requires a version.
fn require_reported_version(session: &Session, tool: &Tool) -> Result<()> {
    let Some(policy) = session.executor.policy() else {
        return Ok(());
    };
    let Some(required) = &policy.rules.tools.pin(tool.name).version else {
        return Ok(());
    };
    let (name, file) = (tool.name.as_str(), policy.file.display());
    Err(Error::refusal(format!(
        "cannot read the version of {name}, and the policy `{file}` allows only {required}"
    ))
    .hint("pin it by its digest alone, without `version`: a policy ignores an assumed version"))
}

fn check_policy_version(session: &Session, tool: &Tool) -> Result<()> {
    let Some(policy) = session.executor.policy() else {
        return Ok(());
    };
    let name = tool.name.as_str();
    match (&policy.rules.tools.pin(tool.name).version, &tool.version) {
        (Some(required), Some(version)) if !required.matches(version) => {
            Err(Error::refusal(format!(
                "the policy `{}` does not allow {name} {version}, only {required}",
                policy.file.display()
            ))
            .hint(format!(
                "choose another one with --{name} PATH, or have the policy changed"
            )))
        }
        (Some(_), None) => require_reported_version(session, tool),
        _ => Ok(()),
    }
}
