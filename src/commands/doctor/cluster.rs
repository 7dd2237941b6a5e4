//! Checks in the cluster for `enable` and a revocation.

use crate::error::Result;
use crate::procedure::revoke::{self, JobKind, Operator, SigningKey};
use crate::session::Session;
use crate::session::cluster::{
    describe_cluster_id, identify_cluster, is_unreachable, record_account,
};
use crate::session::guard::{ignored_key_users, restart_selector};
use crate::session::kubit::{list_operator_deployments, read_app_instances};
use crate::session::runner::{join_thread, spawn_task};
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::tool::kubectl::{self, ClusterId, Job, Kubectl, KubectlError, Pod, SecretUid};
use crate::tool::permission::Permission;
use crate::ui::{Check, CheckState};

const ROLE_HINT: &str = "apply the role that `bypassctl doctor --role --namespace NS` prints, and \
    bind it to this account";

/// The checks of the connection.
pub(super) struct IdentityChecks {
    pub(super) checks: Vec<Check>,
    /// The account can ask this cluster for more.
    pub(super) is_usable: bool,
}

/// The checks in the namespace.
pub(super) struct ObjectChecks {
    pub(super) cluster: Vec<Check>,
    pub(super) enable: Vec<Check>,
    pub(super) permissions: Option<PermissionChecks>,
    pub(super) revocation: Vec<Check>,
}

/// The permissions of a revocation: one line for all, and one check for each.
pub(super) struct PermissionChecks {
    pub(super) summary: Check,
    pub(super) checks: Vec<Check>,
}

/// Identifies the cluster and the account.
pub(super) fn check_identity(
    session: &Session,
    kubectl: &Kubectl,
    namespace: &str,
) -> Result<IdentityChecks> {
    let (cluster, account) = std::thread::scope(|scope| {
        let account = spawn_task(scope, || record_account(&session.runner(), kubectl));
        let cluster = identify_cluster(&session.runner(), kubectl, namespace);
        (cluster, join_thread(account))
    });
    let (cluster, account) = (session.propagate_fatal(cluster)?, account?);
    let mut checks = vec![match &cluster {
        Ok(id) => check_cluster_identity(id),
        Err(error) => Check::from_error("cluster", error),
    }];
    checks.extend(account.map(|account| check_account(session, &account)));
    let is_usable = !cluster.is_err_and(|error| {
        is_unreachable(&error) || error.kind == crate::error::ErrorKind::Refused
    });
    Ok(IdentityChecks { checks, is_usable })
}

/// Runs all checks in the namespace, with the commands in parallel.
pub(super) fn check_objects(
    session: &Session,
    kubectl: &Kubectl,
    namespace: &str,
) -> Result<ObjectChecks> {
    let permissions = revoke::list_permissions(namespace);
    let selector = restart_selector(session, namespace);
    let commands = [
        ("namespace", kubectl.get_namespace_uid(namespace)),
        ("permissions", kubectl.review_permissions(&permissions)),
        ("secrets", kubectl.get_secret_uids(namespace)),
        ("jobs", kubectl.list_jobs(namespace)),
        ("pods", kubectl.list_pods(namespace, selector)),
        ("all-pods", kubectl.list_all_pods(namespace)),
    ];
    let (outputs, deployments, instances) = std::thread::scope(|scope| {
        let deployments = spawn_task(scope, || {
            list_operator_deployments(session, kubectl, namespace)
        });
        let instances = spawn_task(scope, || read_app_instances(session, kubectl, namespace));
        let outputs = run_concurrently(session, &commands);
        (outputs, join_thread(deployments), join_thread(instances))
    });
    let [uid, answers, secrets, jobs, pods, all_pods] = outputs;
    let (uid, answers, secrets, jobs) = (uid?, answers?, secrets?, jobs?);
    let (pods, all_pods) = (pods?, all_pods?);
    let deployments = session.propagate_fatal(deployments)?;
    let instances = session.propagate_fatal(instances)?;
    let operator = match (deployments, &instances) {
        (Ok(deployments), Ok(instances)) => Ok(Operator::from_deployments(
            deployments.as_deref(),
            instances,
        )),
        (Err(error), _) => Err(Check::from_error("operator", &error)),
        (Ok(_), Err(error)) => Err(Check::from_error("operator", error)),
    };
    let has_kubit = matches!(&operator, Ok(Operator::Running));
    let cluster = vec![
        parse_check(&uid, "namespace", |output| {
            check_namespace(kubectl::parse_uid(output), namespace)
        }),
        parse_check(&secrets, "secrets", |output| {
            check_secrets(kubectl::parse_secret_uids(output), namespace)
        }),
    ];
    let answers = answers.and_then(|output| {
        kubectl::parse_permissions(&permissions, &output)
            .map_err(|failure| failure.into_error("cannot check the permissions of this account"))
    });
    let (enable, permissions) = match answers {
        Ok(answers) => {
            let policy = session.executor.policy();
            let deletes_jobs =
                has_kubit || policy.is_some_and(|policy| policy.rules.guard.prune_clones);
            check_permissions(&permissions, &answers, has_kubit, deletes_jobs)
        }
        Err(error) => (vec![Check::from_error("permissions", &error)], None),
    };
    let mut revocation = match &jobs {
        Ok(output) => check_jobs(kubectl::parse_list(output), namespace),
        Err(error) => vec![Check::from_error("jobs", error)],
    };
    if let Ok(secrets) = &secrets {
        revocation.extend(check_finalizers(secrets));
    }
    revocation.push(parse_check(&pods, "pods", |output| {
        check_pods(kubectl::parse_list(output), selector)
    }));
    if let (Ok(pods), Ok(all_pods)) = (&pods, &all_pods) {
        let ignored = ignored_key_users(session, namespace);
        revocation.extend(check_other_key_users(pods, all_pods, ignored));
    }
    revocation.push(operator.map_or_else(|failure| failure, check_operator));
    if let Ok(instances) = &instances {
        revocation.push(check_signing_key(instances.signing_key()));
    }
    let revocation = revocation.into_iter().map(Check::mark_revocation_only);
    Ok(ObjectChecks {
        cluster,
        enable,
        permissions,
        revocation: revocation.collect(),
    })
}

/// Returns the output of each command. An outer error ends `doctor`, an inner one is a finding.
fn run_concurrently<const N: usize>(
    session: &Session,
    commands: &[(&str, Invocation); N],
) -> [Result<Result<ToolOutput>>; N] {
    let outputs = std::thread::scope(|scope| {
        let running = commands
            .each_ref()
            .map(|(step, command)| spawn_task(scope, || session.run(step, command)));
        running.map(join_thread)
    });
    outputs.map(|output| session.propagate_fatal(output))
}

fn parse_check(
    output: &Result<ToolOutput>,
    name: &str,
    read: impl FnOnce(&ToolOutput) -> Check,
) -> Check {
    match output {
        Ok(output) => read(output),
        Err(error) => Check::from_error(name, error),
    }
}

fn check_account(session: &Session, account: &str) -> Check {
    let user = session.executor.target().user;
    let user = user.map_or_else(String::new, |user| {
        format!(", user `{user}` of the kubeconfig")
    });
    Check::ok("account", format!("the cluster sees `{account}`{user}"))
}

fn check_cluster_identity(id: &ClusterId) -> Check {
    let text = describe_cluster_id(id);
    match id {
        ClusterId::Server(_) => Check::warning(
            "cluster",
            text,
            "grant `get` on namespace `kube-system`: its UID identifies the cluster, an address \
             does not",
        ),
        _ => Check::ok("cluster", text),
    }
}

fn check_namespace(uid: std::result::Result<String, KubectlError>, namespace: &str) -> Check {
    match uid {
        Ok(uid) => Check::ok("namespace", format!("`{namespace}` exists, UID {uid}")),
        Err(KubectlError::Forbidden(_)) => Check::warning(
            "namespace",
            format!("not allowed to read namespace `{namespace}`"),
            "see the check of its secrets",
        ),
        Err(failure) => Check::from_error(
            "namespace",
            &failure.into_error(&format!("namespace `{namespace}`")),
        ),
    }
}

/// Returns the checks for `enable`, and those for a revocation.
fn check_permissions(
    permissions: &[Permission],
    answers: &[bool],
    has_kubit: bool,
    deletes_jobs: bool,
) -> (Vec<Check>, Option<PermissionChecks>) {
    let checks = permissions
        .iter()
        .zip(answers)
        .map(|(permission, allowed)| {
            let is_needed = match (&*permission.resource, &*permission.verb) {
                ("jobs", "get") => has_kubit,
                ("jobs", "delete") => deletes_jobs,
                _ => true,
            };
            check_permission(permission, *allowed, is_needed)
        });
    let (enable, revocation): (Vec<_>, Vec<_>) =
        checks.partition(|check| !check.is_revocation_only);
    let missing: Vec<&str> = revocation
        .iter()
        .filter(|check| check.state == CheckState::Failed)
        .filter_map(|check| check.name.strip_prefix("may "))
        .collect();
    let summary = if missing.is_empty() {
        Check::ok("permissions", "the account has all that a revocation needs")
    } else {
        let detail = format!("a revocation also needs: {}", missing.join(", "));
        Check::failure("permissions", detail, ROLE_HINT)
    };
    let permissions = PermissionChecks {
        summary: summary.mark_revocation_only(),
        checks: revocation,
    };
    (enable, Some(permissions))
}

fn check_permission(permission: &Permission, allowed: bool, is_needed: bool) -> Check {
    let name = format!("may {permission}");
    let is_for_enable = permission.verb == "get" && permission.name == "admin-token";
    let purpose = if is_for_enable {
        "enable"
    } else {
        "a revocation"
    };
    let check = if allowed {
        Check::ok(&name, format!("yes, for {purpose}"))
    } else if is_needed {
        Check::failure(&name, format!("no, but {purpose} needs it"), ROLE_HINT)
    } else {
        let detail = match &*permission.verb {
            "delete" => "no, but not needed without `--prune-clones`",
            _ => "no, but not needed: kubit does not recreate jobs here",
        };
        Check::ok(&name, detail)
    };
    if is_for_enable {
        check
    } else {
        check.mark_revocation_only()
    }
}

fn check_secrets(
    secrets: std::result::Result<Vec<SecretUid>, KubectlError>,
    namespace: &str,
) -> Check {
    let secrets = match secrets {
        Ok(secrets) => secrets,
        Err(KubectlError::Forbidden(_)) => {
            return Check::warning(
                "secrets",
                "not allowed to read both `rsa-keys` and `admin-token`",
                "grant `get` on both: a revocation reads their UIDs",
            );
        }
        Err(failure) => {
            return Check::from_error("secrets", &failure.into_error("cannot list the secrets"));
        }
    };
    let missing: Vec<&str> = ["rsa-keys", "admin-token"]
        .into_iter()
        .filter(|name| secrets.iter().all(|secret| secret.name != *name))
        .collect();
    if missing.is_empty() {
        let describe =
            |secret: &SecretUid| format!("`{}`, created at {}", secret.name, secret.created_at);
        return Check::ok(
            "secrets",
            secrets.iter().map(describe).collect::<Vec<_>>().join(", "),
        );
    }
    let hint = format!(
        "check the namespace with `kubectl get secrets,jobs --namespace {namespace}`: an \
         interrupted revocation also leaves secrets missing"
    );
    let failed = Check::failure(
        "secrets",
        format!("`{}` not found", missing.join("` and `")),
        hint,
    );
    // `enable` needs the token but not the keys.
    if missing == ["rsa-keys"] {
        failed.mark_revocation_only()
    } else {
        failed
    }
}

/// Reports finalizers, which would block the deletion of a secret.
fn check_finalizers(output: &ToolOutput) -> Option<Check> {
    // `check_secrets` reports this error.
    let secrets = kubectl::parse_secret_uids(output).ok()?;
    let blocked: Vec<_> = secrets
        .iter()
        .filter(|secret| !secret.finalizers.is_empty())
        .collect();
    let first = blocked.first()?;
    Some(Check::failure(
        "finalizers",
        revoke::describe_blocked_deletion(&blocked),
        revoke::suggest_finalizer_removal(first),
    ))
}

fn check_jobs(jobs: std::result::Result<Vec<Job>, KubectlError>, namespace: &str) -> Vec<Check> {
    let jobs = match jobs {
        Ok(jobs) => jobs,
        Err(failure) => {
            return vec![Check::from_error(
                "jobs",
                &failure.into_error("cannot list the jobs"),
            )];
        }
    };
    JobKind::ALL
        .map(|kind| check_job(&jobs, kind, namespace))
        .into()
}

fn check_job(jobs: &[Job], kind: JobKind, namespace: &str) -> Check {
    let found: Vec<&Job> = kind.filter_jobs(jobs).collect();
    let names: Vec<&str> = found.iter().map(|job| job.metadata.name.as_str()).collect();
    let name = format!("job {}", kind.name_prefix());
    if found.is_empty() {
        return Check::failure(
            &name,
            "not found: a revocation could not create new keys or tokens",
            format!("check the jobs with `kubectl get jobs --namespace {namespace}`"),
        );
    }
    if let Some(failed) = found.iter().find(|job| job.is_failed()) {
        let failed = &failed.metadata.name;
        return Check::warning(
            &name,
            format!("`{failed}` failed"),
            format!("run `kubectl describe job/{failed} --namespace {namespace}`"),
        );
    }
    Check::ok(&name, names.join(", "))
}

fn check_pods(pods: std::result::Result<Vec<Pod>, KubectlError>, selector: &str) -> Check {
    match pods {
        Ok(pods) if pods.is_empty() => Check::failure(
            "pods",
            format!("no pod with label {selector}: a revocation would restart nothing"),
            "find the pods that mount secret `rsa-keys`: since release 20241024 they can have \
                 another label",
        ),
        Ok(pods) => {
            let ready = pods.iter().filter(|pod| pod.is_ready()).count();
            let text = format!(
                "{ready} of {} pods with label {selector} are ready",
                pods.len()
            );
            if ready == pods.len() {
                Check::ok("pods", text)
            } else {
                Check::warning(
                    "pods",
                    text,
                    format!("run `kubectl describe pods --selector '{selector}'`"),
                )
            }
        }
        Err(failure) => Check::from_error("pods", &failure.into_error("cannot list the pods")),
    }
}

/// Warns about pods outside the selector that use the keys.
fn check_other_key_users(
    pods: &ToolOutput,
    all_pods: &ToolOutput,
    ignored: &[String],
) -> Option<Check> {
    // `check_pods` reports this error.
    let selected: Vec<Pod> = kubectl::parse_list(pods).ok()?;
    let users = match kubectl::parse_list(all_pods) {
        Ok(all_pods) => revoke::find_key_users(&all_pods, &selected, ignored),
        Err(failure) => {
            let error = failure.into_error("cannot list the pods");
            return Some(Check::from_error("pods", &error));
        }
    };
    (!users.is_empty()).then(|| {
        Check::warning(
            "pods",
            format!(
                "other pods mount or read secret `rsa-keys` and would not restart: {}",
                users.join(", ")
            ),
            "select those that check tokens with `--restart-selector`. List the others as \
             `ignored_key_users` in the policy",
        )
    })
}

fn check_operator(operator: Operator) -> Check {
    let text = operator.describe_effect();
    match operator {
        Operator::Unknown(_) => Check::warning(
            "operator",
            text,
            "no action needed: a revocation can rerun the jobs as clones",
        ),
        Operator::Paused => Check::warning(
            "operator",
            text,
            "find out who paused it: a backup or a restore can be in progress",
        ),
        _ => Check::ok("operator", text),
    }
}

fn check_signing_key(key: SigningKey) -> Check {
    match key {
        SigningKey::Generated => Check::ok(
            "signing key",
            "the AppInstance sets none, so secret `rsa-keys` signs tokens",
        ),
        SigningKey::SetBySite => Check::failure(
            "signing key",
            "the AppInstance sets its own: new `rsa-keys` would revoke no token",
            "replace `spec.package.spec.admin.internalSigningKey` in the AppInstance instead",
        ),
        SigningKey::NoAppInstance => Check::warning(
            "signing key",
            "not checked: the cluster has no AppInstance",
            "look for `internalSigningKey` in the file that `kubit local apply` applied",
        ),
        SigningKey::Unknown(reason) => Check::warning(
            "signing key",
            format!("not checked: {reason}"),
            "grant `list` on `appinstances.kubecfg.dev` and `get` on ConfigMap `app-instance`",
        ),
    }
}
