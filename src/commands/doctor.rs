//! `doctor`: runs the checks of `enable` and of a revocation without changing anything.

pub(crate) mod cluster;
pub(crate) mod local;

use super::unfinished::UnfinishedNotice;
use crate::error::{CommandResult, Error, Result};
use crate::policy::ActivePolicy;
use crate::session::Session;
use crate::session::cluster::resolve_context;
use crate::session::guard::detect_production_name;
use crate::session::kuberc::describe_plugin_policy;
use crate::session::runner::{join_thread, spawn_task};
use crate::session::tools::{resolve_influxctl, resolve_kubectl};
use crate::tool::Tool;
use crate::tool::kubectl::Kubectl;
use crate::ui::{Check, CheckState};

pub(crate) fn run(session: &Session) -> CommandResult {
    let namespace = session.require_namespace()?;
    let (cluster, influxctl) = std::thread::scope(|scope| {
        let influxctl = spawn_task(scope, || resolve_influxctl(session));
        (check_cluster(session, namespace), join_thread(influxctl))
    });
    let mut checks = vec![check_policy(session)];
    checks.extend(cluster?);
    checks.extend(UnfinishedNotice::find(session)?.map(|notice| notice.to_check()));
    let influxctl = session.propagate_fatal(influxctl)?;
    checks.push(check_tool("influxctl", &influxctl));
    checks.extend(local::run_checks(session, influxctl.as_ref().ok())?);
    let is_failed = |check: &&Check| check.state == CheckState::Failed;
    let failed = checks.iter().filter(is_failed).count();
    let is_revocation_only = checks
        .iter()
        .filter(is_failed)
        .all(|check| check.is_revocation_only);
    for check in checks {
        let hint = check.hint.map(|hint| session.insert_target(hint));
        session.ui.report_check(Check { hint, ..check });
    }
    if failed == 0 {
        session.ui.print_lines("all checks succeeded");
        return Ok(None);
    }
    let (scope, hint) = if is_revocation_only {
        (
            ", all for a revocation",
            "`enable` needs none of them: see the hint of each `failed` line",
        )
    } else {
        ("", "see the hint of each `failed` line")
    };
    Err(Error::failure(format!("failed checks: {failed}{scope}")).hint(hint))
}

fn check_cluster(session: &Session, namespace: &str) -> Result<Vec<Check>> {
    let tool = session.propagate_fatal(resolve_kubectl(session))?;
    let mut checks = vec![check_tool("kubectl", &tool)];
    let Ok(tool) = tool else {
        checks.push(skip_cluster_checks("kubectl"));
        return Ok(checks);
    };
    checks.extend(
        describe_plugin_policy(session, &tool).map(|policy| Check::ok("plugin policy", policy)),
    );
    let kubectl = match session.propagate_fatal(resolve_context(session, tool))? {
        Ok(kubectl) => kubectl,
        Err(error) => {
            checks.push(Check::from_error("context", &error));
            checks.push(skip_cluster_checks("context"));
            return Ok(checks);
        }
    };
    checks.push(check_context(session, &kubectl));
    let cluster_checks = cluster::run_checks(session, &kubectl, namespace)?;
    let server = session.executor.target().server;
    if let Some(name) = detect_production_name(
        session,
        kubectl.global_flags.context.as_deref(),
        server.as_deref(),
    ) {
        let locked = session
            .executor
            .policy()
            .is_some_and(|policy| policy.rules.locked);
        let hint = if locked {
            "`enable` and `rotate` refuse it: if it is not production, change the patterns of the \
             locked policy"
        } else {
            "`enable` and `rotate` refuse it: if it is not production, pass `--allow-production`"
        };
        checks.push(Check::warning(
            "production",
            format!("`{name}` looks like production"),
            hint,
        ));
    }
    checks.extend(cluster_checks);
    Ok(checks)
}

fn skip_cluster_checks(failed: &str) -> Check {
    Check::warning(
        "cluster",
        format!("all checks in the cluster skipped, because the check `{failed}` failed"),
        format!("fix `{failed}`, then rerun `bypassctl doctor`"),
    )
}

fn check_policy(session: &Session) -> Check {
    let policy = session.executor.policy();
    Check::ok(
        "policy",
        policy.map_or(
            "none, so no tool is pinned".to_owned(),
            ActivePolicy::describe,
        ),
    )
}

fn check_context(session: &Session, kubectl: &Kubectl) -> Check {
    let server = session.executor.target().server.unwrap_or_default();
    let context = kubectl.global_flags.context.as_ref().map_or_else(
        || "none (in-cluster)".to_owned(),
        |context| format!("`{context}`"),
    );
    Check::ok("context", format!("{context}, server {server}"))
}

fn check_tool(name: &str, tool: &Result<Tool>) -> Check {
    match tool {
        Ok(tool) => {
            let version = tool
                .version
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            Check::ok(name, format!("{version} at {}", tool.path.display()))
        }
        Err(error) => Check::from_error(name, error),
    }
}
