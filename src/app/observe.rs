//! What a revocation has to know first: reads only, side by side.

use super::carry_out::MAX_TOKEN_FILE;
use super::config::{self, Config};
use super::probe::{self, joined};
use super::proof::Old;
use super::session::Session;
use crate::cli::Revocation;
use crate::error::{Error, Kind, Result};
use crate::exec::{TargetLock, read};
use crate::plan::{Place, Trial};
use crate::procedure::revoke::{self, Operator, Rerun};
use crate::profile;
use crate::secret::{Secret, looks_like_token, sha256_hex};
use crate::tool::influxctl;
use crate::tool::invocation::Output;
use crate::tool::kubectl::{self, ClusterId, Failure, Job, Kubectl, NoToken, Pod, SecretUid};
use crate::tool::{Tool, ToolName};
use std::path::{Path, PathBuf};

/// What the cluster shows.
pub(super) struct Observed {
    pub(super) at: Place,
    pub(super) cluster: ClusterId,
    pub(super) secrets: Vec<SecretUid>,
    pub(super) jobs: Vec<Job>,
    pub(super) pods: Vec<Pod>,
    pub(super) pods_matched: bool,
    pub(super) operator: Operator,
    /// Whether each of `revoke::permissions` is given, or why that cannot be found out.
    pub(super) allowed: std::result::Result<Vec<bool>, Failure>,
    /// The token that is in the cluster now.
    pub(super) token: Option<Secret>,
    /// Keeps other revocations away from the same namespace.
    pub(super) lock: Option<TargetLock>,
}

/// Looks at the namespace, and takes its lock unless this is a dry run.
pub(super) fn cluster(
    session: &Session,
    kubectl: Kubectl,
    namespace: &str,
    how: &Revocation,
) -> Result<Observed> {
    let asked = revoke::permissions(namespace);
    let ask_operator = matches!(how.way(), Rerun::Auto | Rerun::Operator);
    let run = |step, command| session.run(step, &command);
    let outputs = std::thread::scope(|scope| {
        let (run, kubectl, asked) = (&run, &kubectl, &asked);
        let cluster = scope.spawn(|| probe::cluster(session, kubectl, namespace));
        let secrets = scope.spawn(|| run("secrets", kubectl.secret_uids(namespace)));
        let jobs = scope.spawn(|| run("jobs", kubectl.jobs(namespace)));
        let pods = scope.spawn(|| pods(session, kubectl, namespace, how.selector()));
        let allowed = scope.spawn(|| run("permissions", kubectl.permissions(asked)));
        let operator = ask_operator.then(|| scope.spawn(|| operator(session, kubectl, namespace)));
        // Once, for the proof: the data of the other secret is never read.
        let token = how
            .old_token_file
            .is_none()
            .then(|| scope.spawn(|| run("get-old-token", kubectl.admin_token(namespace))));
        Outputs {
            cluster: joined(cluster),
            secrets: joined(secrets),
            jobs: joined(jobs),
            pods: joined(pods),
            allowed: joined(allowed),
            operator: operator.map(joined),
            token: token.map(joined),
        }
    });
    outputs.read(session, kubectl, namespace, how)
}

struct Outputs {
    cluster: Result<ClusterId>,
    secrets: Result<Output>,
    jobs: Result<Output>,
    pods: Result<(Vec<Pod>, bool)>,
    allowed: Result<Output>,
    operator: Option<Result<Operator>>,
    token: Option<Result<Output>>,
}

impl Outputs {
    fn read(
        self,
        session: &Session,
        kubectl: Kubectl,
        namespace: &str,
        how: &Revocation,
    ) -> Result<Observed> {
        let token = self
            .token
            .transpose()?
            .map(|output| old_token(session, &output))
            .transpose()?
            .flatten();
        let id = self.cluster?;
        let lock = how
            .dry_run
            .is_none()
            .then(|| lock(session, &id, namespace))
            .transpose()?;
        let secrets = self.secrets?;
        let failed = |what: &'static str| move |failure: Failure| failure.into_error(what);
        let secrets = kubectl::parse_secret_uids(&secrets)
            .map_err(failed("the secrets cannot be looked at"))?;
        let jobs = kubectl::parse_list(&self.jobs?).map_err(failed("the jobs cannot be listed"))?;
        let (pods, pods_matched) = self.pods?;
        let allowed = kubectl::parse_permissions(&revoke::permissions(namespace), &self.allowed?);
        let operator = self
            .operator
            .transpose()?
            .unwrap_or(Operator::Unknown("not asked for"));
        let at = Place {
            kubectl,
            namespace: namespace.to_owned(),
        };
        Ok(Observed {
            at,
            cluster: id,
            secrets,
            jobs,
            pods,
            pods_matched,
            operator,
            allowed,
            token,
            lock,
        })
    }
}

/// One revocation at a time for a namespace of a cluster, whatever the context is called.
fn lock(session: &Session, id: &ClusterId, namespace: &str) -> Result<TargetLock> {
    let cluster = match id {
        ClusterId::Cluster(uid) | ClusterId::Namespace(uid) => uid.clone(),
        ClusterId::Server(server) => server.clone(),
        ClusterId::Pods => "in-cluster".to_owned(),
    };
    let name = format!(
        "namespace-{}",
        &sha256_hex(format!("{cluster}/{namespace}").as_bytes())[..16]
    );
    session
        .exec
        .lock(&name, &format!("namespace `{namespace}`"))
}

/// The pods that the selector matches; where it matches none, all of them, to name those that load the keys.
fn pods(
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
    let pods = list("pods", kubectl.pods(namespace, selector))?;
    if pods.iter().any(|pod| !pod.ended()) {
        return Ok((pods, true));
    }
    Ok((list("all-pods", kubectl.all_pods(namespace))?, false))
}

/// Whether kubit makes jobs again. Its AppInstances are asked for only where it is there.
fn operator(session: &Session, kubectl: &Kubectl, namespace: &str) -> Result<Operator> {
    let deployments =
        kubectl::parse_list::<kubectl::Deployment>(&session.run("operator", &kubectl.operator())?);
    let there = deployments
        .as_ref()
        .is_ok_and(|deployments| !deployments.is_empty());
    let instances = there
        .then(|| session.run("app-instances", &kubectl.app_instances(namespace)))
        .transpose()?;
    let instances = instances
        .as_ref()
        .map(kubectl::parse_list::<kubectl::AppInstance>);
    Operator::of(deployments, instances)
        .map_err(|failure| failure.into_error("kubit cannot be looked for"))
}

/// The token in the cluster, where there is one: a revocation that was cut short may have left none.
fn old_token(session: &Session, output: &Output) -> Result<Option<Secret>> {
    match kubectl::parse_admin_token(output) {
        Ok(token) => {
            session.exec.learn_secret(&token);
            Ok(Some(token))
        }
        Err(NoToken::Kubectl(
            failure
            @ (Failure::Unreachable(_) | Failure::Unauthorized(_) | Failure::Credentials(_)),
        )) => Err(failure.into_error("secret `admin-token` cannot be read")),
        // Not there, not allowed, no token in it: what follows from that is told with the proof.
        Err(_) => Ok(None),
    }
}

/// What is needed to try a token; what stands in the way is a warning, for a revocation goes on without.
pub(super) fn trial(session: &Session, influxctl: Result<Tool>) -> Result<Option<Trial>> {
    let found = influxctl.and_then(|tool| {
        let named = config::locate(session, tool.version.as_ref())?;
        let config = Config::read(&named)?;
        let profile = profile::find(config.required()?, session.profile)
            .map_err(|error| config.told(&error))?;
        Ok(Trial {
            command: influxctl::try_token(&tool),
            profile,
        })
    });
    match found {
        Ok(trial) => Ok(Some(trial)),
        Err(error)
            if matches!(
                error.kind,
                Kind::Unrecorded | Kind::Interrupted | Kind::Terminated
            ) =>
        {
            Err(error)
        }
        // Another influxctl than the policy's is no reason to do without: somebody has put it there.
        Err(error)
            if error.kind == Kind::Refused && session.exec.speaks_of(ToolName::Influxctl) =>
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

/// A token in a file: a copy of the old one.
pub(super) fn token_in(session: &Session, path: &Path) -> Result<Option<Secret>> {
    let told = |why: String| {
        Error::failed(format!("`{}` {why}", path.display()))
            .hint("name a file that holds the token as `enable` writes it")
    };
    let found =
        read(path, MAX_TOKEN_FILE).map_err(|error| told(format!("cannot be read: {error}")))?;
    let token = found
        .filter(|file| looks_like_token(&file.bytes))
        .map(|file| Secret::new(file.bytes));
    token
        .iter()
        .for_each(|token| session.exec.learn_secret(token));
    Ok(token)
}

/// The old token: the file named, else the cluster's, else the profile's unless that is the new one.
pub(super) fn old(
    session: &Session,
    how: &Revocation,
    cluster: Option<Secret>,
    new: Option<&Secret>,
    trial: Option<&Trial>,
) -> Result<Option<Old>> {
    if let Some(file) = &how.old_token_file {
        let path = session.exec.surroundings().cwd.join(file);
        if !path.exists() {
            return Err(Error::failed(format!("`{}` is not there", path.display()))
                .hint("--old-token-file names a file that holds the token as `enable` writes it"));
        }
        let token = token_in(session, &path)?.ok_or_else(|| {
            Error::failed(format!("`{}` holds no token", path.display()))
                .hint("--old-token-file names a file that holds the token as `enable` writes it")
        })?;
        return Ok(Some(Old {
            token,
            accepted: false,
            from_cluster: false,
        }));
    }
    match cluster {
        Some(token) => Ok(Some(Old {
            token,
            accepted: false,
            from_cluster: true,
        })),
        None => of_profile(session, trial, new),
    }
}

fn of_profile(
    session: &Session,
    trial: Option<&Trial>,
    other_than: Option<&Secret>,
) -> Result<Option<Old>> {
    let file = trial
        .and_then(|trial| trial.profile.token_file.as_ref())
        .map(PathBuf::from)
        .filter(|file| file.is_absolute());
    let Some(file) = file else { return Ok(None) };
    // A file that cannot be read is no copy at hand: which is what is told then.
    let token = token_in(session, &file).unwrap_or_default();
    Ok(token
        .filter(|token| Some(token) != other_than)
        .map(|token| Old {
            token,
            accepted: false,
            from_cluster: false,
        }))
}
