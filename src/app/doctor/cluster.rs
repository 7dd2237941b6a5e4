//! What of the cluster `enable` and a revocation need.

use super::super::policy;
use super::super::probe::{self, joined};
use super::super::session::Session;
use crate::error::Result;
use crate::procedure::revoke::{self, Kind, Operator};
use crate::tool::invocation::{Invocation, Output};
use crate::tool::kubectl::{
    self, AppInstance, ClusterId, Deployment, Failure, Job, Kubectl, Pod, SecretUid,
};
use crate::tool::permission::Permission;
use crate::ui::Check;

/// All of them, asked side by side.
pub(super) fn checks(session: &Session, kubectl: &Kubectl, namespace: &str) -> Result<Vec<Check>> {
    let cluster = session.heeded(probe::cluster(session, kubectl, namespace))?;
    let reached = match &cluster {
        Ok(id) => identity(id),
        Err(error) => Check::from_error("cluster", error),
    };
    if cluster.as_ref().is_err_and(|error| {
        probe::is_out_of_reach(error) || error.kind == crate::error::Kind::Refused
    }) {
        return Ok(vec![reached]);
    }
    let mut checks = vec![reached];
    checks.extend(in_namespace(session, kubectl, namespace)?);
    Ok(checks)
}

fn in_namespace(session: &Session, kubectl: &Kubectl, namespace: &str) -> Result<Vec<Check>> {
    let asked = revoke::permissions(namespace);
    let selector = policy::selector(session, namespace);
    let [space, allowed, secrets, jobs, pods, deployments, instances] = side_by_side(
        session,
        &[
            ("namespace", kubectl.namespace_uid(namespace)),
            ("permissions", kubectl.permissions(&asked)),
            ("secrets", kubectl.secret_uids(namespace)),
            ("jobs", kubectl.jobs(namespace)),
            ("pods", kubectl.pods(namespace, selector)),
            ("operator", kubectl.operator()),
            ("app-instances", kubectl.app_instances(namespace)),
        ],
    );
    let (space, allowed, secrets, jobs) = (space?, allowed?, secrets?, jobs?);
    let (pods, deployments, instances) = (pods?, deployments?, instances?);
    let operator = deployments
        .as_ref()
        .map(|output| operator_of(output, instances.as_ref().ok()));
    let by_kubit = matches!(&operator, Ok(Ok(Operator::Running)));
    let mut checks = vec![look(&space, "namespace", |output| {
        namespace_there(kubectl::parse_uid(output), namespace)
    })];
    checks.extend(match &allowed {
        Ok(output) => rights(
            &asked,
            kubectl::parse_permissions(&asked, output),
            namespace,
            by_kubit,
        ),
        Err(error) => vec![Check::from_error("permissions", error)],
    });
    checks.push(look(&secrets, "secrets", |output| {
        secrets_there(kubectl::parse_secret_uids(output), namespace)
    }));
    let mut of_a_revocation = match &jobs {
        Ok(output) => jobs_there(kubectl::parse_list(output), namespace),
        Err(error) => vec![Check::from_error("jobs", error)],
    };
    of_a_revocation.push(look(&pods, "pods", |output| {
        pods_there(kubectl::parse_list(output), selector)
    }));
    of_a_revocation
        .push(operator.map_or_else(|error| Check::from_error("operator", error), operator_there));
    checks.extend(of_a_revocation.into_iter().map(Check::of_a_revocation));
    Ok(checks)
}

/// An answer for each command; what ends the command is in the outer result.
fn side_by_side<const N: usize>(
    session: &Session,
    commands: &[(&str, Invocation); N],
) -> [Result<Result<Output>>; N] {
    let outputs = std::thread::scope(|scope| {
        let running = commands
            .each_ref()
            .map(|(step, command)| scope.spawn(|| session.run(step, command)));
        running.map(joined)
    });
    outputs.map(|output| session.heeded(output))
}

fn look(output: &Result<Output>, name: &str, read: impl FnOnce(&Output) -> Check) -> Check {
    match output {
        Ok(output) => read(output),
        Err(error) => Check::from_error(name, error),
    }
}

fn identity(id: &ClusterId) -> Check {
    let text = probe::identity(id);
    match id {
        ClusterId::Server(_) => Check::warning(
            "cluster",
            text,
            "another cluster at the same address would not be noticed: `get` on namespace `kube-system` helps",
        ),
        _ => Check::ok("cluster", text),
    }
}

fn namespace_there(uid: std::result::Result<String, Failure>, namespace: &str) -> Check {
    match uid {
        Ok(uid) => Check::ok("namespace", format!("`{namespace}` is there, UID {uid}")),
        Err(Failure::Forbidden(_)) => Check::warning(
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

fn rights(
    asked: &[Permission],
    answers: std::result::Result<Vec<bool>, Failure>,
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
        let failed = Check::failed(&name, format!("no; {purpose} needs it"), hint);
        if purpose == "enable" {
            failed
        } else {
            failed.of_a_revocation()
        }
    };
    asked.iter().zip(answers).map(check).collect()
}

fn secrets_there(secrets: std::result::Result<Vec<SecretUid>, Failure>, namespace: &str) -> Check {
    let secrets = match secrets {
        Ok(secrets) => secrets,
        Err(Failure::Forbidden(_)) => {
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
        let made = |secret: &SecretUid| format!("`{}` of {}", secret.name, secret.created);
        return Check::ok(
            "secrets",
            secrets.iter().map(made).collect::<Vec<_>>().join(", "),
        );
    }
    let hint = format!(
        "is it the right namespace? `kubectl get secrets,jobs --namespace {namespace}`; a revocation that was cut short leaves it so as well"
    );
    let are = if missing.len() > 1 { "are" } else { "is" };
    let failed = Check::failed(
        "secrets",
        format!("`{}` {are} not there", missing.join("` and `")),
        hint,
    );
    // `enable` needs the token, and not the keys.
    if missing == ["rsa-keys"] {
        failed.of_a_revocation()
    } else {
        failed
    }
}

fn jobs_there(jobs: std::result::Result<Vec<Job>, Failure>, namespace: &str) -> Vec<Check> {
    let jobs = match jobs {
        Ok(jobs) => jobs,
        Err(failure) => {
            return vec![Check::from_error(
                "jobs",
                &failure.into_error("the jobs cannot be listed"),
            )];
        }
    };
    [revoke::KEY_GEN, revoke::CREATE_ADMIN_TOKEN]
        .map(|kind| job_there(&jobs, &kind, namespace))
        .into()
}

fn job_there(jobs: &[Job], kind: &Kind, namespace: &str) -> Check {
    let found: Vec<&Job> = kind.among(jobs).collect();
    let names: Vec<&str> = found.iter().map(|job| job.metadata.name.as_str()).collect();
    let name = format!("job {}", kind.name);
    if found.is_empty() {
        return Check::failed(
            &name,
            "there is none: a revocation could not make new keys or tokens",
            format!("look at what there is: `kubectl get jobs --namespace {namespace}`"),
        );
    }
    if let Some(failed) = found.iter().find(|job| job.failed()) {
        let failed = &failed.metadata.name;
        return Check::warning(
            &name,
            format!("`{failed}` has failed"),
            format!("`kubectl describe job/{failed} --namespace {namespace}`"),
        );
    }
    Check::ok(&name, names.join(", "))
}

fn pods_there(pods: std::result::Result<Vec<Pod>, Failure>, selector: &str) -> Check {
    match pods {
        Ok(pods) if pods.is_empty() => {
            let hint = "since release 20241024 another pod may serve tokens: look at which pods mount secret `rsa-keys`";
            Check::failed(
                "pods",
                format!("none is labelled {selector}: the restart would restart nothing"),
                hint,
            )
        }
        Ok(pods) => {
            let ready = pods.iter().filter(|pod| pod.ready()).count();
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

fn operator_of(
    deployments: &Output,
    instances: Option<&Output>,
) -> std::result::Result<Operator, Failure> {
    Operator::of(
        kubectl::parse_list::<Deployment>(deployments),
        instances.map(kubectl::parse_list::<AppInstance>),
    )
}

fn operator_there(operator: std::result::Result<Operator, Failure>) -> Check {
    match operator {
        Ok(operator @ Operator::Unknown(_)) => Check::warning(
            "operator",
            operator.told(),
            "not needed: a revocation can make the jobs again by itself",
        ),
        Ok(operator) => Check::ok("operator", operator.told()),
        Err(failure) => Check::from_error(
            "operator",
            &failure.into_error("the operator cannot be looked for"),
        ),
    }
}
