//! Pins the context and identifies the cluster.

use super::Session;
use super::runner::{Runner, join_thread, spawn_task};
use super::tools::{resolve_influxctl, resolve_kubectl};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::strip_credentials;
use crate::tool::Tool;
use crate::tool::invocation::Invocation;
use crate::tool::kubectl::{self, ClusterId, ContextInfo, GlobalFlags, Kubectl, KubectlError};

pub(crate) struct ResolvedTools {
    pub(crate) kubectl: Kubectl,
    pub(crate) influxctl: Tool,
}

/// Finds both tools, and pins the context.
pub(crate) fn resolve_tools(session: &Session) -> Result<ResolvedTools> {
    // kubectl's version and digest come first: a third parallel program slows two cores down.
    let kubectl = resolve_kubectl(session)?;
    std::thread::scope(|scope| {
        let influxctl = spawn_task(scope, || resolve_influxctl(session));
        let kubectl = resolve_context(session, kubectl);
        let influxctl = join_thread(influxctl);
        Ok(ResolvedTools {
            kubectl: kubectl?,
            influxctl: influxctl?,
        })
    })
}

/// Pins the current context and its server into every later call of kubectl. Inside a cluster, no
/// context exists, and kubectl takes the server from the variables of the pod.
pub(crate) fn resolve_context(session: &Session, tool: Tool) -> Result<Kubectl> {
    let common = session.common;
    let global_flags = GlobalFlags {
        kubeconfig: common.kubeconfig.clone(),
        context: common.context.clone(),
        server: None,
        as_user: common.as_user.clone(),
        as_groups: common.as_groups.clone(),
    };
    let mut kubectl = Kubectl { tool, global_flags };
    let output = session.run("context", &kubectl.get_context())?;
    let (address, user) = match kubectl::parse_context(&output) {
        Ok(found) => {
            refuse_credentials(&found)?;
            let address = found.server.url.clone();
            kubectl.global_flags.context = Some(found.context);
            kubectl.global_flags.server = Some(found.server);
            (address, found.user)
        }
        Err(KubectlError::NoContext) => (resolve_in_cluster_server(session)?, None),
        Err(KubectlError::UnknownContext(message)) => {
            return Err(unknown_context_error(session, &message));
        }
        Err(failure) => return Err(failure.into_error("cannot read the current context")),
    };
    session.executor.update_target(|target| {
        target.context.clone_from(&kubectl.global_flags.context);
        target.server = Some(address);
        target.namespace.clone_from(&common.namespace);
        target.user = user;
    });
    Ok(kubectl)
}

/// Refuses a server with a user or a password in its URL: every command line would contain it.
fn refuse_credentials(found: &ContextInfo) -> Result<()> {
    if strip_credentials(&found.server.url) == found.server.url {
        return Ok(());
    }
    Err(Error::refusal(format!(
        "the server of context `{}` has credentials in its URL, which other users of this host \
         could read in the command line",
        found.context
    ))
    .hint("move them from `server` to the user of the context, for example as a token"))
}

/// Names the missing context: the one of `--context`, otherwise the one of the kubeconfig.
fn unknown_context_error(session: &Session, message: &str) -> Error {
    let error = match &session.common.context {
        Some(context) => Error::failure(format!("context `{context}` not found in the kubeconfig")),
        None => Error::failure(format!("cannot read the current context: {message}")),
    };
    error.hint("choose a context that `kubectl config get-contexts --output name` lists")
}

/// Returns the server from the variables of a pod, which kubectl uses as well.
fn resolve_in_cluster_server(session: &Session) -> Result<String> {
    let var = |name| session.executor.environment().utf8_var(name);
    let address = var("KUBERNETES_SERVICE_HOST").zip(var("KUBERNETES_SERVICE_PORT"));
    let is_unspecified = session.common.context.is_none()
        && session.common.kubeconfig.is_none()
        && var("KUBECONFIG").is_none();
    if let Some(file) = &session.common.kubeconfig
        && !session.executor.environment().cwd.join(file).exists()
    {
        // kubectl treats a missing file as an empty one.
        return Err(Error::failure(format!("kubeconfig `{file}` not found"))
            .hint("pass an existing file with --kubeconfig"));
    }
    let (host, port) = address
        .filter(|_| is_unspecified)
        .ok_or_else(|| KubectlError::NoContext.into_error("cannot choose a cluster"))?;
    Ok(format!("https://{host}:{port}"))
}

/// Identifies the cluster. An account of one namespace is often forbidden to read `kube-system`.
pub(crate) fn identify_cluster(
    runner: &Runner,
    kubectl: &Kubectl,
    namespace: &str,
) -> Result<ClusterId> {
    match read_cluster_uid(runner, kubectl)? {
        Some(id) => Ok(id),
        None => Ok(identify_by_namespace(
            kubectl,
            read_namespace_uid(runner, kubectl, namespace)?,
        )),
    }
}

/// Identifies the cluster and records the UID of the namespace, which differs after the namespace
/// was recreated.
pub(crate) fn identify_namespace(
    runner: &Runner,
    kubectl: &Kubectl,
    namespace: &str,
) -> Result<ClusterId> {
    let (cluster, namespace) = std::thread::scope(|scope| {
        let namespace = spawn_task(scope, || read_namespace_uid(runner, kubectl, namespace));
        (read_cluster_uid(runner, kubectl), join_thread(namespace))
    });
    match cluster? {
        Some(id) => namespace.map(|_| id),
        None => namespace.map(|uid| identify_by_namespace(kubectl, uid)),
    }
}

fn read_cluster_uid(runner: &Runner, kubectl: &Kubectl) -> Result<Option<ClusterId>> {
    let command = kubectl.get_cluster_uid();
    let uid = read_uid(
        runner,
        "cluster-uid",
        &command,
        "cannot identify the cluster",
    )?;
    runner
        .executor
        .update_target(|target| target.cluster_uid.clone_from(&uid));
    Ok(uid.map(ClusterId::KubeSystem))
}

fn read_namespace_uid(
    runner: &Runner,
    kubectl: &Kubectl,
    namespace: &str,
) -> Result<Option<String>> {
    let command = kubectl.get_namespace_uid(namespace);
    let uid = read_uid(
        runner,
        "namespace-uid",
        &command,
        &format!("namespace `{namespace}`"),
    )?;
    runner
        .executor
        .update_target(|target| target.namespace_uid.clone_from(&uid));
    Ok(uid)
}

/// Identifies the cluster by the UID of the namespace, or else by its server.
fn identify_by_namespace(kubectl: &Kubectl, uid: Option<String>) -> ClusterId {
    match (uid, &kubectl.global_flags.server) {
        (Some(uid), _) => ClusterId::Namespace(uid),
        (None, Some(server)) => ClusterId::Server(server.url.clone()),
        (None, None) => ClusterId::InCluster,
    }
}

/// Records the account that the cluster sees, if kubectl and the server support that.
pub(crate) fn record_account(runner: &Runner, kubectl: &Kubectl) -> Result<Option<String>> {
    let Some(command) = kubectl.get_account() else {
        return Ok(None);
    };
    // A server before 1.28, or an error that other commands report as well.
    let output = runner.propagate_fatal(runner.run("account", &command))?;
    let account = output
        .ok()
        .and_then(|output| kubectl::parse_account(&output).ok());
    runner
        .executor
        .update_target(|target| target.account.clone_from(&account));
    Ok(account)
}

/// Reads a UID. Returns `None` if the account is forbidden to read it.
fn read_uid(
    runner: &Runner,
    step: &str,
    command: &Invocation,
    what: &str,
) -> Result<Option<String>> {
    match kubectl::parse_uid(&runner.run(step, command)?) {
        Ok(uid) => Ok(Some(uid)),
        Err(KubectlError::Forbidden(_)) => Ok(None),
        Err(failure) => Err(failure.into_error(what)),
    }
}

pub(crate) fn describe_profile_and_target(session: &Session) -> String {
    format!(
        "profile `{}`, {}",
        session.profile,
        describe_target(session)
    )
}

/// Describes namespace, context and server for people.
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

/// Returns whether an error makes further commands to the cluster pointless.
pub(crate) fn is_unreachable(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Unreachable | ErrorKind::TimedOut)
}

pub(crate) fn describe_cluster_id(id: &ClusterId) -> String {
    match id {
        ClusterId::KubeSystem(uid) => format!("the cluster is reachable, UID {uid}"),
        ClusterId::Namespace(uid) => {
            format!("the cluster is reachable, identified by the namespace's UID {uid}")
        }
        ClusterId::Server(server) => {
            format!("the cluster is reachable, identified only by its address {server}")
        }
        ClusterId::InCluster => "the cluster is reachable, and this is one of its pods".to_owned(),
    }
}
