//! `doctor`

mod cluster;
mod local;

use super::session::Session;
use super::{Outcome, policy, probe};
use crate::error::{Error, Result};
use crate::policy::InForce;
use crate::tool::Tool;
use crate::tool::kubectl::Kubectl;
use crate::ui::{Check, State};

pub(super) fn run(session: &Session) -> Outcome {
    let namespace = session.namespace()?;
    let (cluster, influxctl) = std::thread::scope(|scope| {
        let influxctl = scope.spawn(|| probe::influxctl_tool(session));
        (of_cluster(session, namespace), probe::joined(influxctl))
    });
    let mut checks = vec![of_policy(session)];
    checks.extend(cluster?);
    let influxctl = session.heeded(influxctl)?;
    checks.push(tool_check("influxctl", &influxctl));
    checks.extend(local::checks(session, influxctl.as_ref().ok())?);
    let is_failed = |check: &&Check| check.state == State::Failed;
    let failed = checks.iter().filter(is_failed).count();
    let of_enable = checks
        .iter()
        .filter(is_failed)
        .any(|check| !check.for_revocation);
    checks.into_iter().for_each(|check| session.ui.check(check));
    if failed == 0 {
        session.ui.say("every precondition holds");
        return Ok(None);
    }
    let (whose, hint) = match of_enable {
        true => ("", "each `failed` line says what mends it"),
        false => (
            ", all of them of a revocation",
            "`enable` needs none of these; each `failed` line says what mends it",
        ),
    };
    Err(Error::failed(format!("{failed} of the preconditions do not hold{whose}")).hint(hint))
}

fn of_cluster(session: &Session, namespace: &str) -> Result<Vec<Check>> {
    let tool = session.heeded(probe::kubectl_tool(session))?;
    let mut checks = vec![tool_check("kubectl", &tool)];
    let Ok(tool) = tool else { return Ok(checks) };
    let kubectl = match session.heeded(probe::with_context(session, tool))? {
        Ok(kubectl) => kubectl,
        Err(error) => {
            checks.push(Check::from_error("context", &error));
            return Ok(checks);
        }
    };
    checks.push(context_check(session, &kubectl));
    let server = session.exec.target().server;
    if let Some(name) =
        policy::production_name(session, kubectl.pins.context.as_deref(), server.as_deref())
    {
        let locked = session
            .exec
            .policy()
            .is_some_and(|policy| policy.policy.locked);
        let hint = if locked {
            "`enable` and `rotate` refuse; the policy is locked: have its patterns changed if it is not production"
        } else {
            "`enable` refuses; if it is not production, enable --allow-production"
        };
        checks.push(Check::warning(
            "production",
            format!("`{name}` looks like production"),
            hint,
        ));
    }
    checks.extend(cluster::checks(session, &kubectl, namespace)?);
    Ok(checks)
}

fn of_policy(session: &Session) -> Check {
    let policy = session.exec.policy();
    Check::ok(
        "policy",
        policy.map_or(
            "none in force, so no tool is pinned".to_owned(),
            InForce::told,
        ),
    )
}

fn context_check(session: &Session, kubectl: &Kubectl) -> Check {
    let server = session.exec.target().server.unwrap_or_default();
    let context = kubectl.pins.context.as_ref().map_or_else(
        || "none: in the cluster".to_owned(),
        |context| format!("`{context}`"),
    );
    Check::ok("context", format!("{context}, server {server}"))
}

fn tool_check(name: &str, tool: &Result<Tool>) -> Check {
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
