//! What every command has to know first: the tools, the context. What does not depend on each other is
//! found out side by side.

use super::session::Session;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{ResolvedTool, strip_credentials};
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::tool::kubectl::{self, ClusterId, GlobalFlags, Kubectl, KubectlError};
use crate::tool::{Tool, ToolName, influxctl};
use semver::Version;
use std::path::PathBuf;

/// Tools and context.
pub(super) struct ResolvedTools {
    pub(super) kubectl: Kubectl,
    pub(super) influxctl: Tool,
}

/// All of it, or the first failure. influxctl is asked beside the context, not beside kubectl's version: that one is
/// hashed meanwhile, and a third program at once makes two cores slower than one after another.
pub(super) fn resolve_tools(session: &Session) -> Result<ResolvedTools> {
    let kubectl = resolve_kubectl(session)?;
    std::thread::scope(|scope| {
        let influxctl = scope.spawn(|| resolve_influxctl(session));
        let kubectl = resolve_context(session, kubectl);
        let influxctl = join_thread(influxctl);
        Ok(ResolvedTools {
            kubectl: kubectl?,
            influxctl: influxctl?,
        })
    })
}

/// A thread's result. One that panicked has already ended the program.
pub(super) fn join_thread<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(super) fn resolve_kubectl(session: &Session) -> Result<Tool> {
    let tool = ensure_allowed(session, inspect_tool(session, ToolName::Kubectl)?)?;
    if tool.version.is_none() {
        return Err(Error::failure("kubectl does not tell its version")
            .hint("is it kubectl? run `kubectl version --client --output json` by hand"));
    }
    accept_tool(session, tool)
}

pub(super) fn resolve_influxctl(session: &Session) -> Result<Tool> {
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
pub(super) fn inspect_tool(session: &Session, name: ToolName) -> Result<ResolvedTool> {
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
    let found = session.exec.resolve_tool(name, named.as_deref())?;
    if found.refusal.is_some() {
        return Ok(found);
    }
    let (digest, output) = std::thread::scope(|scope| {
        let digest = scope.spawn(|| session.exec.compute_tool_digest(&found.tool));
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
        .exec
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
pub(super) fn accept_tool(session: &Session, tool: Tool) -> Result<Tool> {
    session.exec.record_tool(&tool)?;
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
    let Some(policy) = session.exec.policy() else {
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
    let Some(policy) = session.exec.policy() else {
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

/// kubectl with the context in force pinned into every later call. In a cluster there is none.
pub(super) fn resolve_context(session: &Session, tool: Tool) -> Result<Kubectl> {
    let common = session.common;
    let pins = GlobalFlags {
        kubeconfig: common.kubeconfig.clone(),
        context: common.context.clone(),
        as_user: common.as_user.clone(),
        as_groups: common.as_groups.clone(),
    };
    let mut kubectl = Kubectl {
        tool,
        global_flags: pins,
    };
    let output = session.run("context", &kubectl.get_context())?;
    let (context, server) = match kubectl::parse_context(&output) {
        Ok((context, server)) => (Some(context), server),
        Err(KubectlError::NoContext) => (None, resolve_in_cluster_server(session)?),
        Err(failure) => return Err(failure.into_error("the context in force cannot be found out")),
    };
    session.exec.update_target(|target| {
        target.context.clone_from(&context);
        target.server = Some(strip_credentials(&server));
        target.namespace.clone_from(&common.namespace);
    });
    kubectl.global_flags.context = context;
    Ok(kubectl)
}

/// The server as a pod is told; kubectl goes by the same variables.
fn resolve_in_cluster_server(session: &Session) -> Result<String> {
    let var = |name| session.exec.environment().utf8_var(name);
    let address = var("KUBERNETES_SERVICE_HOST").zip(var("KUBERNETES_SERVICE_PORT"));
    let none_named = session.common.context.is_none()
        && session.common.kubeconfig.is_none()
        && var("KUBECONFIG").is_none();
    if let Some(file) = &session.common.kubeconfig
        && !session.exec.environment().cwd.join(file).exists()
    {
        return Err(
            Error::failure(format!("no cluster is named: `{file}` is not there"))
                .hint("name one that is there: --kubeconfig FILE"),
        );
    }
    let (host, port) = address
        .filter(|_| none_named)
        .ok_or_else(|| KubectlError::NoContext.into_error("no cluster is named"))?;
    Ok(format!("https://{host}:{port}"))
}

/// What tells this cluster from another. An account of one namespace may not read `kube-system`.
pub(super) fn identify_cluster(
    session: &Session,
    kubectl: &Kubectl,
    namespace: &str,
) -> Result<ClusterId> {
    let uid = |step: &str, command: Invocation| {
        Ok::<_, Error>(kubectl::parse_uid(&session.run(step, &command)?))
    };
    let what = "the cluster cannot be told from another";
    match uid("cluster-uid", kubectl.get_cluster_uid())? {
        Ok(uid) => {
            session
                .exec
                .update_target(|target| target.cluster_uid = Some(uid.clone()));
            Ok(ClusterId::KubeSystem(uid))
        }
        Err(KubectlError::Forbidden(_)) => {
            match uid("namespace-uid", kubectl.get_namespace_uid(namespace))? {
                Ok(uid) => Ok(ClusterId::Namespace(uid)),
                Err(KubectlError::Forbidden(_)) => identify_server(session, kubectl),
                Err(failure) => Err(failure.into_error(what)),
            }
        }
        Err(failure) => Err(failure.into_error(what)),
    }
}

/// What is left to tell a cluster by. A pod has no kubeconfig that could change under it.
fn identify_server(session: &Session, kubectl: &Kubectl) -> Result<ClusterId> {
    if kubectl.global_flags.context.is_none() {
        return Ok(ClusterId::InCluster);
    }
    let output = session.run("server", &kubectl.get_server())?;
    match kubectl::parse_server(&output) {
        Ok(server) => Ok(ClusterId::Server(server)),
        Err(failure) => Err(failure.into_error("the server's address cannot be found out")),
    }
}

/// As people are told what a plan is about.
pub(super) fn describe_profile_and_target(session: &Session) -> String {
    format!(
        "profile `{}`, {}",
        session.profile,
        describe_target(session)
    )
}

/// As people are told where.
pub(super) fn describe_target(session: &Session) -> String {
    let target = session.exec.target();
    let context = target.context.map_or_else(
        || "in the cluster".to_owned(),
        |context| format!("context `{context}`"),
    );
    format!(
        "namespace `{}`, {context} ({})",
        target.namespace.unwrap_or_default(),
        target.server.unwrap_or_default()
    )
}

/// Whether a failure means that nothing more can be asked of the cluster.
pub(super) fn is_unreachable(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Unreachable | ErrorKind::TimedOut)
}

/// What tells the cluster from another, for people.
pub(super) fn describe_cluster_id(id: &ClusterId) -> String {
    match id {
        ClusterId::KubeSystem(uid) => format!("the cluster answers, UID {uid}"),
        ClusterId::Namespace(uid) => {
            format!("the cluster answers; it is told from others by the namespace's UID {uid}")
        }
        ClusterId::Server(server) => format!(
            "the cluster answers; it can be told from others by its address only, {}",
            strip_credentials(server)
        ),
        ClusterId::InCluster => "the cluster answers; this is one of its own pods".to_owned(),
    }
}
