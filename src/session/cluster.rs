//! Pins the context and identifies the cluster.

use super::Session;
use super::runner::{Runner, join_thread};
use super::tools::{resolve_influxctl, resolve_kubectl};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::strip_credentials;
use crate::tool::Tool;
use crate::tool::invocation::Invocation;
use crate::tool::kubectl::{self, ClusterId, GlobalFlags, Kubectl, KubectlError};

/// Tools and context.
pub(crate) struct ResolvedTools {
    pub(crate) kubectl: Kubectl,
    pub(crate) influxctl: Tool,
}

/// All of it, or the first failure. influxctl is asked beside the context, not beside kubectl's version: that one is
/// hashed meanwhile, and a third program at once makes two cores slower than one after another.
pub(crate) fn resolve_tools(session: &Session) -> Result<ResolvedTools> {
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

/// kubectl with the context in force pinned into every later call. In a cluster there is none.
pub(crate) fn resolve_context(session: &Session, tool: Tool) -> Result<Kubectl> {
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
    session.executor.update_target(|target| {
        target.context.clone_from(&context);
        target.server = Some(strip_credentials(&server));
        target.namespace.clone_from(&common.namespace);
    });
    kubectl.global_flags.context = context;
    Ok(kubectl)
}

/// The server as a pod is told; kubectl goes by the same variables.
fn resolve_in_cluster_server(session: &Session) -> Result<String> {
    let var = |name| session.executor.environment().utf8_var(name);
    let address = var("KUBERNETES_SERVICE_HOST").zip(var("KUBERNETES_SERVICE_PORT"));
    let none_named = session.common.context.is_none()
        && session.common.kubeconfig.is_none()
        && var("KUBECONFIG").is_none();
    if let Some(file) = &session.common.kubeconfig
        && !session.executor.environment().cwd.join(file).exists()
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
pub(crate) fn identify_cluster(
    runner: &Runner,
    kubectl: &Kubectl,
    namespace: &str,
) -> Result<ClusterId> {
    let uid = |step: &str, command: Invocation| {
        Ok::<_, Error>(kubectl::parse_uid(&runner.run(step, &command)?))
    };
    let what = "the cluster cannot be told from another";
    match uid("cluster-uid", kubectl.get_cluster_uid())? {
        Ok(uid) => {
            runner
                .executor
                .update_target(|target| target.cluster_uid = Some(uid.clone()));
            Ok(ClusterId::KubeSystem(uid))
        }
        Err(KubectlError::Forbidden(_)) => {
            match uid("namespace-uid", kubectl.get_namespace_uid(namespace))? {
                Ok(uid) => Ok(ClusterId::Namespace(uid)),
                Err(KubectlError::Forbidden(_)) => identify_server(runner, kubectl),
                Err(failure) => Err(failure.into_error(what)),
            }
        }
        Err(failure) => Err(failure.into_error(what)),
    }
}

/// What is left to tell a cluster by. A pod has no kubeconfig that could change under it.
fn identify_server(runner: &Runner, kubectl: &Kubectl) -> Result<ClusterId> {
    if kubectl.global_flags.context.is_none() {
        return Ok(ClusterId::InCluster);
    }
    let output = runner.run("server", &kubectl.get_server())?;
    match kubectl::parse_server(&output) {
        Ok(server) => Ok(ClusterId::Server(server)),
        Err(failure) => Err(failure.into_error("the server's address cannot be found out")),
    }
}

/// As people are told what a plan is about.
pub(crate) fn describe_profile_and_target(session: &Session) -> String {
    format!(
        "profile `{}`, {}",
        session.profile,
        describe_target(session)
    )
}

/// As people are told where.
pub(crate) fn describe_target(session: &Session) -> String {
    let target = session.executor.target();
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
pub(crate) fn is_unreachable(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Unreachable | ErrorKind::TimedOut)
}

/// What tells the cluster from another, for people.
pub(crate) fn describe_cluster_id(id: &ClusterId) -> String {
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
