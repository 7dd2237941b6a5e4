//! What every command has to know first: the tools, the context. What does not depend on each other is
//! found out side by side.

use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::exec::{Found, without_credentials};
use crate::tool::invocation::{Invocation, Output};
use crate::tool::kubectl::{self, ClusterId, Failure, Kubectl, Pins};
use crate::tool::{Tool, ToolName, influxctl};
use semver::Version;
use std::path::PathBuf;

/// Tools and context.
pub(super) struct Look {
    pub(super) kubectl: Kubectl,
    pub(super) influxctl: Tool,
}

/// All of it, or the first failure. influxctl is asked beside the context, not beside kubectl's version: that one is
/// hashed meanwhile, and a third program at once makes two cores slower than one after another.
pub(super) fn look(session: &Session) -> Result<Look> {
    let kubectl = kubectl_tool(session)?;
    std::thread::scope(|scope| {
        let influxctl = scope.spawn(|| influxctl_tool(session));
        let kubectl = with_context(session, kubectl);
        let influxctl = joined(influxctl);
        Ok(Look {
            kubectl: kubectl?,
            influxctl: influxctl?,
        })
    })
}

/// A thread's result. One that panicked has already ended the program.
pub(super) fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(super) fn kubectl_tool(session: &Session) -> Result<Tool> {
    let tool = usable(session, sight(session, ToolName::Kubectl)?)?;
    if tool.version.is_none() {
        return Err(Error::failed("kubectl does not tell its version")
            .hint("is it kubectl? run `kubectl version --client --output json` by hand"));
    }
    accepted(session, tool)
}

pub(super) fn influxctl_tool(session: &Session) -> Result<Tool> {
    let tool = usable(session, sight(session, ToolName::Influxctl)?)?;
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
            told_for_the_policy(session, &tool)?;
            Tool {
                version: Some(Version::new(assumed.major, assumed.minor, assumed.patch)),
                ..tool
            }
        }
        (None, None) => {
            let hint = "from 2.2.0 to 2.4.1 it cannot tell: if you know which it is, say so with --assume-influxctl-version X.Y.Z";
            return Err(Error::refused("the version of influxctl cannot be found out").hint(hint));
        }
    };
    accepted(session, tool)
}

/// A tool as it was found: hashed, and, if it may run, asked for its version, which not each tells. Both at once unless
/// it is pinned.
pub(super) fn sight(session: &Session, name: ToolName) -> Result<Found> {
    type Asked<'a> = (
        &'a Option<PathBuf>,
        fn(&Tool) -> Invocation,
        fn(&Output) -> Option<Version>,
    );
    let (named, question, parse): Asked = match name {
        ToolName::Kubectl => (
            &session.common.kubectl,
            kubectl::version,
            kubectl::parse_version,
        ),
        ToolName::Influxctl => (
            &session.common.influxctl,
            influxctl::version,
            influxctl::parse_version,
        ),
    };
    let found = session.exec.find(name, named.as_deref())?;
    if found.refused.is_some() {
        return Ok(found);
    }
    let (digest, output) = std::thread::scope(|scope| {
        let digest = scope.spawn(|| session.exec.digest(&found.tool));
        let output = session.run(
            &format!("{}-version", name.as_str()),
            &question(&found.tool),
        );
        (joined(digest), output)
    });
    let (digest, output) = (digest?, output?);
    let tool = Tool {
        sha256: Some(digest),
        version: parse(&output),
        ..found.tool
    };
    let dispatches = name == ToolName::Kubectl && kubectl::is_dispatcher(&output);
    let starts_another = found
        .starts_another
        .or_else(|| dispatches.then(|| DISPATCHER.to_owned()));
    let pinned = session
        .exec
        .policy()
        .is_some_and(|policy| policy.pins(name));
    let refused = (pinned && dispatches).then(|| dispatcher(&tool));
    Ok(Found {
        tool,
        starts_another,
        refused,
        ..found
    })
}

const DISPATCHER: &str =
    "it is a dispatcher: it starts the `kubectl.1.NN` beside it that fits the server";

fn dispatcher(tool: &Tool) -> Error {
    Error::refused(format!(
        "`{}` is pinned, but {DISPATCHER}, which is not",
        tool.path.display()
    ))
    .hint("pin that one: `path` in [tools.kubectl], or --kubectl PATH")
}

fn usable(session: &Session, found: Found) -> Result<Tool> {
    for warning in &found.warnings {
        let told = format!("{}: {warning}", found.tool.name.as_str());
        session
            .ui
            .warn(&told, "chmod go-w it, or name another tool");
    }
    found.refused.map_or(Ok(found.tool), Err)
}

/// On record, and of a version that will do: new enough, and one that the policy has run.
pub(super) fn accepted(session: &Session, tool: Tool) -> Result<Tool> {
    session.exec.record_tool(&tool)?;
    session.ui.tool(&tool);
    let (name, minimum) = (tool.name.as_str(), tool.name.minimum());
    match &tool.version {
        Some(version) if *version < minimum => Err(Error::refused(format!(
            "{name} {version} is too old: {name} {minimum} or newer is needed"
        ))
        .hint(format!("update it, or name another: --{name} PATH"))),
        _ => of_the_policy(session, &tool).map(|()| tool),
    }
}

/// Fails where the policy wants a version that the tool does not tell: what is only assumed is nothing to it.
fn told_for_the_policy(session: &Session, tool: &Tool) -> Result<()> {
    let Some(policy) = session.exec.policy() else {
        return Ok(());
    };
    let Some(wanted) = &policy.policy.tools.pin(tool.name).version else {
        return Ok(());
    };
    let (name, file) = (tool.name.as_str(), policy.file.display());
    Err(Error::refused(format!(
        "{name} does not tell its version, and the policy `{file}` has only {wanted} run"
    ))
    .hint("what is assumed does not count there: pin it by its digest alone, without `version`"))
}

/// Of a version that the policy has run.
fn of_the_policy(session: &Session, tool: &Tool) -> Result<()> {
    let Some(policy) = session.exec.policy() else {
        return Ok(());
    };
    let name = tool.name.as_str();
    match (&policy.policy.tools.pin(tool.name).version, &tool.version) {
        (Some(wanted), Some(version)) if !wanted.matches(version) => Err(Error::refused(format!(
            "{name} {version} is not a version that the policy `{}` has run: {wanted}",
            policy.file.display()
        ))
        .hint(format!(
            "name another: --{name} PATH, or have the policy changed"
        ))),
        (Some(_), None) => told_for_the_policy(session, tool),
        _ => Ok(()),
    }
}

/// kubectl with the context in force pinned into every later call. In a cluster there is none.
pub(super) fn with_context(session: &Session, tool: Tool) -> Result<Kubectl> {
    let common = session.common;
    let pins = Pins {
        kubeconfig: common.kubeconfig.clone(),
        context: common.context.clone(),
        as_user: common.as_user.clone(),
        as_groups: common.as_groups.clone(),
    };
    let mut kubectl = Kubectl { tool, pins };
    let output = session.run("context", &kubectl.context())?;
    let (context, server) = match kubectl::parse_context(&output) {
        Ok((context, server)) => (Some(context), server),
        Err(Failure::NoContext) => (None, in_cluster(session)?),
        Err(failure) => return Err(failure.into_error("the context in force cannot be found out")),
    };
    session.exec.learn_target(|target| {
        target.context.clone_from(&context);
        target.server = Some(without_credentials(&server));
        target.namespace.clone_from(&common.namespace);
    });
    kubectl.pins.context = context;
    Ok(kubectl)
}

/// The server as a pod is told; kubectl goes by the same variables.
fn in_cluster(session: &Session) -> Result<String> {
    let var = |name| session.exec.surroundings().text(name);
    let address = var("KUBERNETES_SERVICE_HOST").zip(var("KUBERNETES_SERVICE_PORT"));
    let none_named = session.common.context.is_none()
        && session.common.kubeconfig.is_none()
        && var("KUBECONFIG").is_none();
    if let Some(file) = &session.common.kubeconfig
        && !session.exec.surroundings().cwd.join(file).exists()
    {
        return Err(
            Error::failed(format!("no cluster is named: `{file}` is not there"))
                .hint("name one that is there: --kubeconfig FILE"),
        );
    }
    let (host, port) = address
        .filter(|_| none_named)
        .ok_or_else(|| Failure::NoContext.into_error("no cluster is named"))?;
    Ok(format!("https://{host}:{port}"))
}

/// What tells this cluster from another. An account of one namespace may not read `kube-system`.
pub(super) fn cluster(session: &Session, kubectl: &Kubectl, namespace: &str) -> Result<ClusterId> {
    let uid = |step: &str, command: Invocation| {
        Ok::<_, Error>(kubectl::parse_uid(&session.run(step, &command)?))
    };
    let what = "the cluster cannot be told from another";
    match uid("cluster-uid", kubectl.cluster_uid())? {
        Ok(uid) => {
            session
                .exec
                .learn_target(|target| target.cluster_uid = Some(uid.clone()));
            Ok(ClusterId::Cluster(uid))
        }
        Err(Failure::Forbidden(_)) => match uid("namespace-uid", kubectl.namespace_uid(namespace))?
        {
            Ok(uid) => Ok(ClusterId::Namespace(uid)),
            Err(Failure::Forbidden(_)) => server(session, kubectl),
            Err(failure) => Err(failure.into_error(what)),
        },
        Err(failure) => Err(failure.into_error(what)),
    }
}

/// What is left to tell a cluster by. A pod has no kubeconfig that could change under it.
fn server(session: &Session, kubectl: &Kubectl) -> Result<ClusterId> {
    if kubectl.pins.context.is_none() {
        return Ok(ClusterId::Pods);
    }
    let output = session.run("server", &kubectl.server())?;
    match kubectl::parse_server(&output) {
        Ok(server) => Ok(ClusterId::Server(server)),
        Err(failure) => Err(failure.into_error("the server's address cannot be found out")),
    }
}

/// As people are told what a plan is about.
pub(super) fn about(session: &Session) -> String {
    format!("profile `{}`, {}", session.profile, place(session))
}

/// As people are told where.
pub(super) fn place(session: &Session) -> String {
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
pub(super) fn is_out_of_reach(error: &Error) -> bool {
    matches!(error.kind, Kind::Unreachable | Kind::TimedOut)
}

/// What tells the cluster from another, for people.
pub(super) fn identity(id: &ClusterId) -> String {
    match id {
        ClusterId::Cluster(uid) => format!("the cluster answers, UID {uid}"),
        ClusterId::Namespace(uid) => {
            format!("the cluster answers; it is told from others by the namespace's UID {uid}")
        }
        ClusterId::Server(server) => format!(
            "the cluster answers; it can be told from others by its address only, {}",
            without_credentials(server)
        ),
        ClusterId::Pods => "the cluster answers; this is one of its own pods".to_owned(),
    }
}
