//! Checks in the cluster: what `enable` and a revocation need there.

use crate::error::Result;
use crate::procedure::revoke::{self, JobKind, Operator};
use crate::session::Session;
use crate::session::cluster::{describe_cluster_id, identify_cluster, is_unreachable};
use crate::session::guard::restart_selector;
use crate::session::runner::join_thread;
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::tool::kubectl::{
    self, AppInstance, ClusterId, Deployment, Job, Kubectl, KubectlError, Pod, SecretUid,
};
use crate::tool::permission::Permission;
use crate::ui::Check;

/// All of them, asked side by side.
pub(crate) fn run_checks(
    session: &Session,
    kubectl: &Kubectl,
    namespace: &str,
) -> Result<Vec<Check>> {
    let cluster =
        session.propagate_fatal(identify_cluster(&session.runner(), kubectl, namespace))?;
    let reached = match &cluster {
        Ok(id) => check_cluster_identity(id),
        Err(error) => Check::from_error("cluster", error),
    };
    if cluster
        .as_ref()
        .is_err_and(|error| is_unreachable(error) || error.kind == crate::error::ErrorKind::Refused)
    {
        return Ok(vec![reached]);
    }
    let mut checks = vec![reached];
    checks.extend(check_namespace_objects(session, kubectl, namespace)?);
    Ok(checks)
}

fn check_namespace_objects(
    session: &Session,
    kubectl: &Kubectl,
    namespace: &str,
) -> Result<Vec<Check>> {
    let asked = revoke::list_permissions(namespace);
    let selector = restart_selector(session, namespace);
    let [space, allowed, secrets, jobs, pods, deployments, instances] = run_concurrently(
        session,
        &[
            ("namespace", kubectl.get_namespace_uid(namespace)),
            ("permissions", kubectl.review_permissions(&asked)),
            ("secrets", kubectl.get_secret_uids(namespace)),
            ("jobs", kubectl.list_jobs(namespace)),
            ("pods", kubectl.list_pods(namespace, selector)),
            ("operator", kubectl.list_operators()),
            ("app-instances", kubectl.list_app_instances(namespace)),
        ],
    );
    let (space, allowed, secrets, jobs) = (space?, allowed?, secrets?, jobs?);
    let (pods, deployments, instances) = (pods?, deployments?, instances?);
    let operator = deployments
        .as_ref()
        .map(|output| parse_operator(output, instances.as_ref().ok()));
    let by_kubit = matches!(&operator, Ok(Ok(Operator::Running)));
    let mut checks = vec![parse_check(&space, "namespace", |output| {
        check_namespace(kubectl::parse_uid(output), namespace)
    })];
    checks.extend(match &allowed {
        Ok(output) => check_permissions(
            &asked,
            kubectl::parse_permissions(&asked, output),
            namespace,
            by_kubit,
        ),
        Err(error) => vec![Check::from_error("permissions", error)],
    });
    checks.push(parse_check(&secrets, "secrets", |output| {
        check_secrets(kubectl::parse_secret_uids(output), namespace)
    }));
    let mut of_a_revocation = match &jobs {
        Ok(output) => check_jobs(kubectl::parse_list(output), namespace),
        Err(error) => vec![Check::from_error("jobs", error)],
    };
    of_a_revocation.push(parse_check(&pods, "pods", |output| {
        check_pods(kubectl::parse_list(output), selector)
    }));
    of_a_revocation
        .push(operator.map_or_else(|error| Check::from_error("operator", error), check_operator));
    checks.extend(of_a_revocation.into_iter().map(Check::mark_revocation_only));
    Ok(checks)
}

/// An answer for each command; what ends the command is in the outer result.
fn run_concurrently<const N: usize>(
    session: &Session,
    commands: &[(&str, Invocation); N],
) -> [Result<Result<ToolOutput>>; N] {
    let outputs = std::thread::scope(|scope| {
        let running = commands
            .each_ref()
            .map(|(step, command)| scope.spawn(|| session.run(step, command)));
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

fn check_cluster_identity(id: &ClusterId) -> Check {
    let text = describe_cluster_id(id);
    match id {
        ClusterId::Server(_) => Check::warning(
            "cluster",
            text,
            "another cluster at the same address would not be noticed: `get` on namespace `kube-system` helps",
        ),
        _ => Check::ok("cluster", text),
    }
}

fn check_namespace(uid: std::result::Result<String, KubectlError>, namespace: &str) -> Check {
    match uid {
        Ok(uid) => Check::ok("namespace", format!("`{namespace}` is there, UID {uid}")),
        Err(KubectlError::Forbidden(_)) => Check::warning(
            "namespace",
            format!("whether `{namespace}` is there may not be looked at"),
            "it shows when a secret is read",
        ),
        Err(failure) => Check::from_error(
            "namespace",
            &failure.into_error(&format!("namespace `{namespace}`")),
        ),
    }
}

fn check_permissions(
    asked: &[Permission],
    answers: std::result::Result<Vec<bool>, KubectlError>,
    namespace: &str,
    by_kubit: bool,
) -> Vec<Check> {
    let answers = match answers {
        Ok(answers) => answers,
        Err(failure) => {
            return vec![Check::from_error(
                "permissions",
                &failure.into_error("what this account may do cannot be found out"),
            )];
        }
    };
    let check = |(permission, allowed): (&Permission, bool)| {
        let name = format!("may {permission}");
        let purpose = if permission.verb == "get" && permission.name == "admin-token" {
            "enable"
        } else {
            "a revocation"
        };
        if allowed {
            return Check::ok(&name, format!("yes, for {purpose}"));
        }
        if permission.resource == "jobs"
            && ["get", "delete"].contains(&permission.verb.as_str())
            && !by_kubit
        {
            return Check::ok(
                &name,
                "no, and not needed: kubit does not make the jobs again here",
            );
        }
        let resource = if permission.group.is_empty() {
            permission.resource.clone()
        } else {
            format!("{}.{}", permission.resource, permission.group)
        };
        let one = if permission.name.is_empty() {
            String::new()
        } else {
            format!(" --resource-name={}", permission.name)
        };
        let hint = format!(
            "kubectl create role NAME --verb={} --resource={resource}{one} --namespace {namespace}, and bind it to this account",
            permission.verb
        );
        let failed = Check::failure(&name, format!("no; {purpose} needs it"), hint);
        if purpose == "enable" {
            failed
        } else {
            failed.mark_revocation_only()
        }
    };
    asked.iter().zip(answers).map(check).collect()
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
                "`rsa-keys` and `admin-token` may not both be looked at",
                "a revocation looks at their UIDs: it needs `get` on both",
            );
        }
        Err(failure) => {
            return Check::from_error(
                "secrets",
                &failure.into_error("the secrets cannot be looked at"),
            );
        }
    };
    let missing: Vec<&str> = ["rsa-keys", "admin-token"]
        .into_iter()
        .filter(|name| secrets.iter().all(|secret| secret.name != *name))
        .collect();
    if missing.is_empty() {
        let made = |secret: &SecretUid| format!("`{}` of {}", secret.name, secret.created_at);
        return Check::ok(
            "secrets",
            secrets.iter().map(made).collect::<Vec<_>>().join(", "),
        );
    }
    let hint = format!(
        "is it the right namespace? `kubectl get secrets,jobs --namespace {namespace}`; a revocation that was cut short leaves it so as well"
    );
    let are = if missing.len() > 1 { "are" } else { "is" };
    let failed = Check::failure(
        "secrets",
        format!("`{}` {are} not there", missing.join("` and `")),
        hint,
    );
    // `enable` needs the token, and not the keys.
    if missing == ["rsa-keys"] {
        failed.mark_revocation_only()
    } else {
        failed
    }
}

fn check_jobs(jobs: std::result::Result<Vec<Job>, KubectlError>, namespace: &str) -> Vec<Check> {
    let jobs = match jobs {
        Ok(jobs) => jobs,
        Err(failure) => {
            return vec![Check::from_error(
                "jobs",
                &failure.into_error("the jobs cannot be listed"),
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
            "there is none: a revocation could not make new keys or tokens",
            format!("look at what there is: `kubectl get jobs --namespace {namespace}`"),
        );
    }
    if let Some(failed) = found.iter().find(|job| job.is_failed()) {
        let failed = &failed.metadata.name;
        return Check::warning(
            &name,
            format!("`{failed}` has failed"),
            format!("`kubectl describe job/{failed} --namespace {namespace}`"),
        );
    }
    Check::ok(&name, names.join(", "))
}

fn check_pods(pods: std::result::Result<Vec<Pod>, KubectlError>, selector: &str) -> Check {
    match pods {
        Ok(pods) if pods.is_empty() => {
            let hint = "since release 20241024 another pod may serve tokens: look at which pods mount secret `rsa-keys`";
            Check::failure(
                "pods",
                format!("none is labelled {selector}: the restart would restart nothing"),
                hint,
            )
        }
        Ok(pods) => {
            let ready = pods.iter().filter(|pod| pod.is_ready()).count();
            let text = format!("{ready} of {} labelled {selector} are ready", pods.len());
            if ready == pods.len() {
                Check::ok("pods", text)
            } else {
                Check::warning(
                    "pods",
                    text,
                    format!("`kubectl describe pods --selector '{selector}'`"),
                )
            }
        }
        Err(failure) => Check::from_error("pods", &failure.into_error("the pods cannot be listed")),
    }
}

fn parse_operator(
    deployments: &ToolOutput,
    instances: Option<&ToolOutput>,
) -> std::result::Result<Operator, KubectlError> {
    Operator::from_deployments(
        kubectl::parse_list::<Deployment>(deployments),
        instances.map(kubectl::parse_list::<AppInstance>),
    )
}

fn check_operator(operator: std::result::Result<Operator, KubectlError>) -> Check {
    match operator {
        Ok(operator @ Operator::Unknown(_)) => Check::warning(
            "operator",
            operator.describe_effect(),
            "not needed: a revocation can make the jobs again by itself",
        ),
        Ok(operator) => Check::ok("operator", operator.describe_effect()),
        Err(failure) => Check::from_error(
            "operator",
            &failure.into_error("the operator cannot be looked for"),
        ),
    }
}
