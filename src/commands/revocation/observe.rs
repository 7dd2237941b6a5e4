//! Reads that a revocation needs, run in parallel.

use crate::cli::RevocationArgs;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::TargetLock;
use crate::plan::{ClusterTarget, TokenProbe};
use crate::procedure::revoke::{self, Operator, Rerun};
use crate::profile;
use crate::secret::Secret;
use crate::session::Session;
use crate::session::cluster::identify_cluster;
use crate::session::influxctl_config::{InfluxctlConfig, locate_config};
use crate::session::runner::join_thread;
use crate::session::token_file::read_token_file;
use crate::steps::state::OldToken;
use crate::tool::influxctl;
use crate::tool::invocation::ToolOutput;
use crate::tool::kubectl::{
    self, ClusterId, Job, Kubectl, KubectlError, Pod, SecretUid, TokenError,
};
use crate::tool::{Tool, ToolName};
use std::path::PathBuf;

/// What the cluster shows.
pub(crate) struct ClusterSnapshot {
    pub(crate) target: ClusterTarget,
    pub(crate) cluster_id: ClusterId,
    pub(crate) secrets: Vec<SecretUid>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) pods_match_selector: bool,
    pub(crate) operator: Operator,
    /// Whether each of `revoke::permissions` is given, or why that cannot be found out.
    pub(crate) permissions: std::result::Result<Vec<bool>, KubectlError>,
    /// The token that is in the cluster now.
    pub(crate) current_token: Option<Secret>,
    /// Keeps other revocations away from the same namespace.
    pub(crate) namespace_lock: Option<TargetLock>,
}

/// Looks at the namespace, and takes its lock unless this is a dry run.
pub(crate) fn observe_cluster(
    session: &Session,
    kubectl: Kubectl,
    namespace: &str,
    how: &RevocationArgs,
) -> Result<ClusterSnapshot> {
    let asked = revoke::list_permissions(namespace);
    let ask_operator = matches!(how.rerun(), Rerun::Auto | Rerun::Operator);
    let run = |step, command| session.run(step, &command);
    let outputs = std::thread::scope(|scope| {
        let (run, kubectl, asked) = (&run, &kubectl, &asked);
        let cluster = scope.spawn(|| identify_cluster(&session.runner(), kubectl, namespace));
        let secrets = scope.spawn(|| run("secrets", kubectl.get_secret_uids(namespace)));
        let jobs = scope.spawn(|| run("jobs", kubectl.list_jobs(namespace)));
        let pods = scope.spawn(|| list_pods(session, kubectl, namespace, how.selector()));
        let allowed = scope.spawn(|| run("permissions", kubectl.review_permissions(asked)));
        let operator =
            ask_operator.then(|| scope.spawn(|| detect_operator(session, kubectl, namespace)));
        // Once, for the proof: the data of the other secret is never read.
        let token = how
            .old_token_file
            .is_none()
            .then(|| scope.spawn(|| run("get-old-token", kubectl.get_admin_token(namespace))));
        RawOutputs {
            cluster_id: join_thread(cluster),
            secrets: join_thread(secrets),
            jobs: join_thread(jobs),
            pods: join_thread(pods),
            permissions: join_thread(allowed),
            operator: operator.map(join_thread),
            token: token.map(join_thread),
        }
    });
    outputs.into_snapshot(session, kubectl, namespace, how)
}

struct RawOutputs {
    cluster_id: Result<ClusterId>,
    secrets: Result<ToolOutput>,
    jobs: Result<ToolOutput>,
    pods: Result<(Vec<Pod>, bool)>,
    permissions: Result<ToolOutput>,
    operator: Option<Result<Operator>>,
    token: Option<Result<ToolOutput>>,
}

impl RawOutputs {
    fn into_snapshot(
        self,
        session: &Session,
        kubectl: Kubectl,
        namespace: &str,
        how: &RevocationArgs,
    ) -> Result<ClusterSnapshot> {
        let token = self
            .token
            .transpose()?
            .map(|output| parse_old_token(session, &output))
            .transpose()?
            .flatten();
        let id = self.cluster_id?;
        let lock = how
            .dry_run
            .is_none()
            .then(|| lock_namespace(session, &id, namespace))
            .transpose()?;
        let secrets = self.secrets?;
        let failed = |what: &'static str| move |failure: KubectlError| failure.into_error(what);
        let secrets = kubectl::parse_secret_uids(&secrets)
            .map_err(failed("the secrets cannot be looked at"))?;
        let jobs = kubectl::parse_list(&self.jobs?).map_err(failed("the jobs cannot be listed"))?;
        let (pods, pods_matched) = self.pods?;
        let allowed =
            kubectl::parse_permissions(&revoke::list_permissions(namespace), &self.permissions?);
        let operator = self
            .operator
            .transpose()?
            .unwrap_or(Operator::Unknown("not asked for"));
        let at = ClusterTarget {
            kubectl,
            namespace: namespace.to_owned(),
        };
        Ok(ClusterSnapshot {
            target: at,
            cluster_id: id,
            secrets,
            jobs,
            pods,
            pods_match_selector: pods_matched,
            operator,
            permissions: allowed,
            current_token: token,
            namespace_lock: lock,
        })
    }
}

/// One revocation at a time for a namespace of a cluster, whatever the context is called.
fn lock_namespace(session: &Session, id: &ClusterId, namespace: &str) -> Result<TargetLock> {
    let cluster = match id {
        ClusterId::KubeSystem(uid) | ClusterId::Namespace(uid) => uid.clone(),
        ClusterId::Server(server) => server.clone(),
        ClusterId::InCluster => "in-cluster".to_owned(),
    };
    let name = format!(
        "namespace-{}",
        &Digest::compute(format!("{cluster}/{namespace}").as_bytes()).to_string()[..16]
    );
    session
        .executor
        .lock_target(&name, &format!("namespace `{namespace}`"))
}

/// The pods that the selector matches; where it matches none, all of them, to name those that load the keys.
fn list_pods(
    session: &Session,
    kubectl: &Kubectl,
    namespace: &str,
    selector: &str,
) -> Result<(Vec<Pod>, bool)> {
    let list = |step: &str, command| {
        let output = session.run(step, &command)?;
        kubectl::parse_list::<Pod>(&output)
            .map_err(|failure| failure.into_error("the pods cannot be listed"))
    };
    let pods = list("pods", kubectl.list_pods(namespace, selector))?;
    if pods.iter().any(|pod| !pod.is_finished()) {
        return Ok((pods, true));
    }
    Ok((list("all-pods", kubectl.list_all_pods(namespace))?, false))
}

/// Whether kubit makes jobs again. Its AppInstances are asked for only where it is there.
fn detect_operator(session: &Session, kubectl: &Kubectl, namespace: &str) -> Result<Operator> {
    let deployments = kubectl::parse_list::<kubectl::Deployment>(
        &session.run("operator", &kubectl.list_operators())?,
    );
    let there = deployments
        .as_ref()
        .is_ok_and(|deployments| !deployments.is_empty());
    let instances = there
        .then(|| session.run("app-instances", &kubectl.list_app_instances(namespace)))
        .transpose()?;
    let instances = instances
        .as_ref()
        .map(kubectl::parse_list::<kubectl::AppInstance>);
    Operator::from_deployments(deployments, instances)
        .map_err(|failure| failure.into_error("kubit cannot be looked for"))
}

/// The token in the cluster, where there is one: a revocation that was cut short may have left none.
fn parse_old_token(session: &Session, output: &ToolOutput) -> Result<Option<Secret>> {
    match kubectl::parse_admin_token(output) {
        Ok(token) => {
            session.executor.register_secret(&token);
            Ok(Some(token))
        }
        Err(TokenError::Kubectl(
            failure @ (KubectlError::Unreachable(_)
            | KubectlError::Unauthorized(_)
            | KubectlError::Credentials(_)),
        )) => Err(failure.into_error("secret `admin-token` cannot be read")),
        // Not there, not allowed, no token in it: what follows from that is told with the proof.
        Err(_) => Ok(None),
    }
}

/// What is needed to try a token; what stands in the way is a warning, for a revocation goes on without.
pub(crate) fn prepare_token_probe(
    session: &Session,
    influxctl: Result<Tool>,
) -> Result<Option<TokenProbe>> {
    let found = influxctl.and_then(|tool| {
        let named = locate_config(session, tool.version.as_ref())?;
        let config = InfluxctlConfig::read(&named)?;
        let profile = profile::find_profile(config.require_text()?, session.profile)
            .map_err(|error| config.to_error(&error))?;
        Ok(TokenProbe {
            command: influxctl::probe_token(&tool),
            profile,
        })
    });
    match found {
        Ok(trial) => Ok(Some(trial)),
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::Unrecorded | ErrorKind::Interrupted | ErrorKind::Terminated
            ) =>
        {
            Err(error)
        }
        // Another influxctl than the policy's is no reason to do without: somebody has put it there.
        Err(error)
            if error.kind == ErrorKind::Refused
                && session
                    .executor
                    .is_constrained_by_policy(ToolName::Influxctl) =>
        {
            Err(error)
        }
        // What was named and is not there is a mistake; what was not named may do without.
        Err(error)
            if session.common.influxctl.is_some() || session.common.profiles != ["default"] =>
        {
            Err(error)
        }
        Err(error) => {
            let text = format!(
                "no token can be tried, so the proof will be inconclusive: {}",
                error.message
            );
            session.ui.warn(&text, &error.hint);
            Ok(None)
        }
    }
}

/// The old token: the file named, else the cluster's, else the profile's unless that is the new one.
pub(crate) fn resolve_old_token(
    session: &Session,
    how: &RevocationArgs,
    cluster: Option<Secret>,
    new: Option<&Secret>,
    trial: Option<&TokenProbe>,
) -> Result<Option<OldToken>> {
    if let Some(file) = &how.old_token_file {
        let path = session.executor.environment().cwd.join(file);
        if !path.exists() {
            return Err(Error::failure(format!("`{}` is not there", path.display()))
                .hint("--old-token-file names a file that holds the token as `enable` writes it"));
        }
        let token = read_token_file(session, &path)?.ok_or_else(|| {
            Error::failure(format!("`{}` holds no token", path.display()))
                .hint("--old-token-file names a file that holds the token as `enable` writes it")
        })?;
        return Ok(Some(OldToken {
            token,
            accepted: false,
            is_from_cluster: false,
        }));
    }
    match cluster {
        Some(token) => Ok(Some(OldToken {
            token,
            accepted: false,
            is_from_cluster: true,
        })),
        None => read_profile_token(session, trial, new),
    }
}

fn read_profile_token(
    session: &Session,
    trial: Option<&TokenProbe>,
    other_than: Option<&Secret>,
) -> Result<Option<OldToken>> {
    let file = trial
        .and_then(|trial| trial.profile.token_file.as_ref())
        .map(PathBuf::from)
        .filter(|file| file.is_absolute());
    let Some(file) = file else { return Ok(None) };
    // A file that cannot be read is no copy at hand: which is what is told then.
    let token = read_token_file(session, &file).unwrap_or_default();
    Ok(token
        .filter(|token| Some(token) != other_than)
        .map(|token| OldToken {
            token,
            accepted: false,
            is_from_cluster: false,
        }))
}
