//! Reads that a revocation needs, run in parallel.

use crate::cli::RevocationArgs;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::TargetLock;
use crate::plan::{ClusterTarget, SecretName, TokenProbe};
use crate::procedure::revoke::{self, AppInstances, Operator, Rerun};
use crate::profile;
use crate::secret::Secret;
use crate::session::Session;
use crate::session::cluster::{identify_namespace, record_account};
use crate::session::guard::ignored_key_users;
use crate::session::influxctl_config::{InfluxctlConfig, locate_config};
use crate::session::kubit::{list_operator_deployments, read_app_instances};
use crate::session::ownership;
use crate::session::runner::{join_thread, spawn_task};
use crate::session::token_file::read_token_file;
use crate::steps::state::OldToken;
use crate::tool::influxctl;
use crate::tool::invocation::ToolOutput;
use crate::tool::kubectl::{
    self, ClusterId, Deployment, Job, Kubectl, KubectlError, Pod, SecretUid, TokenError,
};
use crate::tool::{Tool, ToolName};
use std::path::PathBuf;

/// The state of the cluster.
pub(crate) struct ClusterSnapshot {
    pub(crate) target: ClusterTarget,
    pub(crate) cluster_id: ClusterId,
    pub(crate) secrets: Vec<SecretUid>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) pods_match_selector: bool,
    /// Pods outside the selector that use the keys.
    pub(crate) other_key_users: Vec<String>,
    pub(crate) operator: Operator,
    pub(crate) app_instances: AppInstances,
    /// An answer for each of `revoke::list_permissions`.
    pub(crate) permissions: std::result::Result<Vec<bool>, KubectlError>,
    /// The token that is in the cluster now.
    pub(crate) current_token: Option<Secret>,
    /// Excludes other revocations from the same namespace.
    pub(crate) namespace_lock: Option<TargetLock>,
}

/// Reads the state of the namespace, and locks it unless this is a dry run.
pub(crate) fn observe_cluster(
    session: &Session,
    kubectl: Kubectl,
    namespace: &str,
    args: &RevocationArgs,
) -> Result<ClusterSnapshot> {
    let permissions = revoke::list_permissions(namespace);
    let needs_operator = matches!(args.rerun(), Rerun::Auto | Rerun::Operator);
    let run = |step, command| session.run(step, &command);
    let outputs = std::thread::scope(|scope| {
        let (run, kubectl, permissions) = (&run, &kubectl, &permissions);
        let cluster = spawn_task(scope, || {
            identify_namespace(&session.runner(), kubectl, namespace)
        });
        let account = spawn_task(scope, || record_account(&session.runner(), kubectl));
        let secrets = spawn_task(scope, || run("secrets", kubectl.get_secret_uids(namespace)));
        let jobs = spawn_task(scope, || run("jobs", kubectl.list_jobs(namespace)));
        let pods = spawn_task(scope, || {
            run("pods", kubectl.list_pods(namespace, args.selector()))
        });
        let all_pods = spawn_task(scope, || run("all-pods", kubectl.list_all_pods(namespace)));
        let allowed = spawn_task(scope, || {
            run("permissions", kubectl.review_permissions(permissions))
        });
        let instances = spawn_task(scope, || read_app_instances(session, kubectl, namespace));
        let deployments = needs_operator.then(|| {
            spawn_task(scope, || {
                list_operator_deployments(session, kubectl, namespace)
            })
        });
        // The verification needs the old token. The data of `rsa-keys` is never read.
        let token = args.old_token_file.is_none().then(|| {
            spawn_task(scope, || {
                run("get-old-token", kubectl.get_admin_token(namespace))
            })
        });
        RawOutputs {
            cluster_id: join_thread(account).and_then(|_| join_thread(cluster)),
            secrets: join_thread(secrets),
            jobs: join_thread(jobs),
            pods: join_thread(pods),
            all_pods: join_thread(all_pods),
            permissions: join_thread(allowed),
            app_instances: join_thread(instances),
            deployments: deployments.map(join_thread),
            token: token.map(join_thread),
        }
    });
    outputs.into_snapshot(session, kubectl, namespace, args)
}

struct RawOutputs {
    cluster_id: Result<ClusterId>,
    secrets: Result<ToolOutput>,
    jobs: Result<ToolOutput>,
    pods: Result<ToolOutput>,
    all_pods: Result<ToolOutput>,
    permissions: Result<ToolOutput>,
    app_instances: Result<AppInstances>,
    /// `None` if the strategy does not depend on kubit.
    deployments: Option<Result<Option<Vec<Deployment>>>>,
    token: Option<Result<ToolOutput>>,
}

impl RawOutputs {
    fn into_snapshot(
        self,
        session: &Session,
        kubectl: Kubectl,
        namespace: &str,
        args: &RevocationArgs,
    ) -> Result<ClusterSnapshot> {
        let token = self
            .token
            .transpose()?
            .map(|output| parse_old_token(session, &output))
            .transpose()?
            .flatten();
        let cluster_id = self.cluster_id?;
        let namespace_lock = args
            .dry_run
            .format
            .is_none()
            .then(|| lock_namespace(session, &cluster_id, namespace))
            .transpose()?;
        let add_context =
            |message: &'static str| move |failure: KubectlError| failure.into_error(message);
        let secrets = self.secrets?;
        let secrets =
            kubectl::parse_secret_uids(&secrets).map_err(add_context("cannot list the secrets"))?;
        let jobs = kubectl::parse_list(&self.jobs?).map_err(add_context("cannot list the jobs"))?;
        // The job of an interrupted run can create the secret between the two reads.
        let token = token.filter(|_| {
            secrets
                .iter()
                .any(|secret| secret.name == SecretName::AdminToken.as_str())
        });
        let parse_pods = |output: &ToolOutput| {
            kubectl::parse_list::<Pod>(output).map_err(add_context("cannot list the pods"))
        };
        let (selected, all_pods) = (parse_pods(&self.pods?)?, parse_pods(&self.all_pods?)?);
        let ignored = ignored_key_users(session, namespace);
        let other_key_users = revoke::find_key_users(&all_pods, &selected, ignored);
        let pods_match_selector = selected.iter().any(|pod| !pod.is_finished());
        // Without a match, the error names the pods that load the keys.
        let pods = if pods_match_selector {
            selected
        } else {
            all_pods
        };
        let permissions =
            kubectl::parse_permissions(&revoke::list_permissions(namespace), &self.permissions?);
        let app_instances = self.app_instances?;
        let operator = match self.deployments.transpose()? {
            Some(deployments) => Operator::from_deployments(deployments.as_deref(), &app_instances),
            None => Operator::Unknown("not checked"),
        };
        Ok(ClusterSnapshot {
            target: ClusterTarget {
                kubectl,
                namespace: namespace.to_owned(),
            },
            cluster_id,
            secrets,
            jobs,
            pods,
            pods_match_selector,
            other_key_users,
            operator,
            app_instances,
            permissions,
            current_token: token,
            namespace_lock,
        })
    }
}

/// Allows one revocation at a time for a namespace, whatever the name of the context.
fn lock_namespace(session: &Session, id: &ClusterId, namespace: &str) -> Result<TargetLock> {
    let name = format!("namespace-{}", compute_namespace_id(id, namespace));
    session
        .executor
        .lock_target(&name, &format!("namespace `{namespace}`"))
}

/// Returns the name of the file that keeps the old token until its rejection is verified.
pub(super) fn old_token_file_name(id: &ClusterId, namespace: &str) -> String {
    format!("old-token-{}", compute_namespace_id(id, namespace))
}

/// Computes an ID for the names of files, which is the same for all contexts of the cluster.
fn compute_namespace_id(id: &ClusterId, namespace: &str) -> String {
    let cluster = match id {
        ClusterId::KubeSystem(uid) | ClusterId::Namespace(uid) => uid,
        ClusterId::Server(server) => server,
        ClusterId::InCluster => "in-cluster",
    };
    Digest::compute(format!("{cluster}/{namespace}").as_bytes()).to_string()[..16].to_owned()
}

/// Parses the token in the cluster. An interrupted revocation can have left none.
fn parse_old_token(session: &Session, output: &ToolOutput) -> Result<Option<Secret>> {
    match kubectl::parse_admin_token(output) {
        Ok(token) => {
            session.executor.register_secret(&token);
            Ok(Some(token))
        }
        Err(TokenError::Kubectl(
            failure @ (KubectlError::Unreachable(_)
            | KubectlError::Unauthorized(_)
            | KubectlError::Credentials(_)
            | KubectlError::PluginDenied(_)),
        )) => Err(failure.into_error("cannot read secret `admin-token`")),
        // Missing, forbidden or empty: a warning of the preflight check reports the consequence.
        Err(_) => Ok(None),
    }
}

/// Prepares token probes. A failure is a warning, because a revocation can do without probes.
pub(crate) fn prepare_token_probe(
    session: &Session,
    influxctl: Result<Tool>,
) -> Result<Option<TokenProbe>> {
    let token_probe = influxctl.and_then(|tool| {
        let path = locate_config(session, tool.version.as_ref())?;
        let config = InfluxctlConfig::read(session, &path)?;
        let profile = profile::find_profile(config.require_text()?, session.profile)
            .map_err(|error| config.to_error(&error))?;
        let command = influxctl::probe_token(&tool);
        Ok((TokenProbe { command, profile }, config))
    });
    let token_probe = match token_probe {
        // Others must not choose where the token goes.
        Ok((probe, config)) => ownership::check_config(session, &config).map(|()| Ok(probe))?,
        Err(error) => Err(error),
    };
    match token_probe {
        Ok(probe) => Ok(Some(probe)),
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::Unrecorded | ErrorKind::Interrupted | ErrorKind::Terminated
            ) =>
        {
            Err(error)
        }
        // An influxctl that violates the policy stops the run: somebody has installed it.
        Err(error)
            if error.kind == ErrorKind::Refused
                && session
                    .executor
                    .is_constrained_by_policy(ToolName::Influxctl) =>
        {
            Err(error)
        }
        // A failure of something that the user named is a mistake of the user.
        Err(error)
            if session.common.influxctl.is_some() || session.common.profiles != ["default"] =>
        {
            Err(error)
        }
        Err(error) => {
            session.ui.warn(
                &format!(
                    "cannot probe tokens, so the verification will be inconclusive: {}",
                    error.message
                ),
                &error.hint,
            );
            Ok(None)
        }
    }
}

/// Returns the old token from `--old-token-file`, or else the copy of the interrupted run that this
/// one resumes, or else the cluster, or else the profile.
///
/// The token of the profile does not count if it is the new one.
pub(crate) fn resolve_old_token(
    session: &Session,
    args: &RevocationArgs,
    current_token: Option<Secret>,
    kept_token: Option<Secret>,
    new_token: Option<&Secret>,
    token_probe: Option<&TokenProbe>,
) -> Result<Option<OldToken>> {
    if let Some(file) = &args.old_token_file {
        let path = session.executor.environment().cwd.join(file);
        let hint = "pass a file with a token as `enable` writes it";
        if !path.exists() {
            return Err(
                Error::failure(format!("token file `{}` not found", path.display())).hint(hint),
            );
        }
        let token = read_token_file(session, &path)?.ok_or_else(|| {
            Error::failure(format!("`{}` contains no token", path.display())).hint(hint)
        })?;
        return Ok(Some(OldToken::new(token)));
    }
    match (current_token, kept_token) {
        // A resumed run verifies the token that the interrupted run was to revoke.
        (Some(token), Some(kept)) if token != kept && !args.start_over => {
            Ok(Some(OldToken::new(kept)))
        }
        (Some(token), _) => Ok(Some(OldToken::new(token))),
        (None, Some(kept)) => Ok(Some(OldToken::new(kept))),
        (None, None) => read_profile_token(session, token_probe, new_token),
    }
}

fn read_profile_token(
    session: &Session,
    token_probe: Option<&TokenProbe>,
    new_token: Option<&Secret>,
) -> Result<Option<OldToken>> {
    let file = token_probe
        .and_then(|probe| probe.profile.token_file.as_ref())
        .map(PathBuf::from)
        .filter(|file| file.is_absolute());
    let Some(file) = file else { return Ok(None) };
    // An unreadable file is no copy of the token, and the preflight check warns about that.
    let token = read_token_file(session, &file).unwrap_or_default();
    Ok(token
        .filter(|token| Some(token) != new_token)
        .map(OldToken::new))
}
