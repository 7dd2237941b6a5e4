//! `doctor`: runs the checks of `enable` and of a revocation without changing anything.

pub(crate) mod cluster;
pub(crate) mod local;
mod role;
mod support;

use super::unfinished::UnfinishedNotice;
use crate::cli::DoctorArgs;
use crate::error::{CommandResult, Error, Result};
use crate::policy::ActivePolicy;
use crate::session::cluster::resolve_context;
use crate::session::guard::detect_production_name;
use crate::session::kuberc::describe_plugin_policy;
use crate::session::runner::{join_thread, spawn_task};
use crate::session::tools::{resolve_influxctl, resolve_kubectl};
use crate::session::{Session, missing_namespace_error};
use crate::tool::Tool;
use crate::tool::kubectl::Kubectl;
use crate::ui::{Check, CheckState, Ui};

/// Reports each check as soon as its result is known, so that an interrupt loses none. Writes the
/// support report even if a check failed.
pub(crate) fn run(session: &Session, args: &DoctorArgs) -> CommandResult {
    let namespace = session.require_namespace()?;
    let file = args.report.as_deref();
    let file = file
        .map(|file| support::resolve_report_file(session, file))
        .transpose()?;
    let mut report = DoctorReport::new(session);
    report.start_group("this machine");
    report.add(check_policy(session));
    let (kubectl, influxctl) = std::thread::scope(|scope| {
        let influxctl = spawn_task(scope, || resolve_influxctl(session));
        (resolve_kubectl(session), join_thread(influxctl))
    });
    let kubectl = session.propagate_fatal(kubectl)?;
    let kubectl_tool = kubectl.as_ref().ok().cloned();
    report.add(check_tool("kubectl", &kubectl));
    let plugin_policy = kubectl
        .as_ref()
        .ok()
        .and_then(|tool| describe_plugin_policy(session, tool));
    report.extend(plugin_policy.map(|policy| Check::ok("plugin policy", policy)));
    let influxctl = session.propagate_fatal(influxctl)?;
    report.add(check_tool("influxctl", &influxctl));
    report.extend(local::run_checks(session, influxctl.as_ref().ok())?);
    report.start_group("cluster");
    match kubectl {
        Ok(tool) => check_cluster(session, tool, namespace, &mut report)?,
        Err(_) => report.add(skip_cluster_checks("kubectl")),
    }
    report.extend(UnfinishedNotice::find(session)?.map(|notice| notice.to_check()));
    if let Some(file) = file {
        let tools = [kubectl_tool, influxctl.ok()];
        support::write_report(session, &file, &tools)?;
    }
    report.conclude()
}

/// Prints the Role, without a cluster and a run in the audit log.
pub(crate) fn print_role(namespace: Option<&str>, ui: &Ui) -> CommandResult {
    let namespace = namespace.ok_or_else(missing_namespace_error)?;
    let role = role::render_role(namespace);
    ui.print_document(&role);
    ui.update_fields(|fields| fields.role = Some(role));
    Ok(None)
}

/// Reports checks and counts the failed ones.
struct DoctorReport<'a> {
    session: &'a Session<'a>,
    failed: usize,
    warnings: usize,
    /// A check failed that `enable` needs.
    fails_enable: bool,
}

impl<'a> DoctorReport<'a> {
    fn new(session: &'a Session<'a>) -> Self {
        Self {
            session,
            failed: 0,
            warnings: 0,
            fails_enable: false,
        }
    }

    fn start_group(&self, name: &str) {
        self.session.ui.print_heading(name);
    }

    fn complete(&mut self, check: Check) -> Check {
        match check.state {
            CheckState::Ok => {}
            CheckState::Warning => self.warnings += 1,
            CheckState::Failed => {
                self.failed += 1;
                self.fails_enable |= !check.is_revocation_only;
            }
        }
        let hint = check.hint.map(|hint| self.session.insert_target(hint));
        Check { hint, ..check }
    }

    fn add(&mut self, check: Check) {
        let check = self.complete(check);
        self.session.ui.report_check(check);
    }

    fn extend(&mut self, checks: impl IntoIterator<Item = Check>) {
        checks.into_iter().for_each(|check| self.add(check));
    }

    /// Prints one line for several checks. The report has each of them.
    fn add_summary(&mut self, summary: Check, checks: Vec<Check>) {
        let summary = self.complete(summary);
        self.session.ui.print_check(&summary);
        for check in checks {
            let hint = check.hint.map(|hint| self.session.insert_target(hint));
            self.session.ui.record_check(Check { hint, ..check });
        }
    }

    fn conclude(self) -> CommandResult {
        if self.failed == 0 {
            let warnings = match self.warnings {
                0 => String::new(),
                1 => ", 1 with a warning".to_owned(),
                count => format!(", {count} with a warning"),
            };
            let text = format!("all checks succeeded{warnings}");
            self.session.ui.print_lines(&text);
            return Ok(None);
        }
        let (scope, hint) = if self.fails_enable {
            ("", "see the hint of each `failed` line")
        } else {
            (
                ", all for a revocation",
                "`enable` needs none of them: see the hint of each `failed` line",
            )
        };
        Err(Error::failure(format!("failed checks: {}{scope}", self.failed)).hint(hint))
    }
}

fn check_cluster(
    session: &Session,
    tool: Tool,
    namespace: &str,
    report: &mut DoctorReport,
) -> Result<()> {
    let kubectl = match session.propagate_fatal(resolve_context(session, tool))? {
        Ok(kubectl) => kubectl,
        Err(error) => {
            report.add(Check::from_error("context", &error));
            report.add(skip_cluster_checks("context"));
            return Ok(());
        }
    };
    report.add(check_context(session, &kubectl));
    let identity = cluster::check_identity(session, &kubectl, namespace)?;
    report.extend(check_production(session, &kubectl));
    report.extend(identity.checks);
    if !identity.is_usable {
        report.add(skip_cluster_checks("cluster"));
        return Ok(());
    }
    let checks = cluster::check_objects(session, &kubectl, namespace)?;
    report.extend(checks.cluster);
    report.start_group("enable");
    report.extend(checks.enable);
    report.start_group("revocation");
    if let Some(permissions) = checks.permissions {
        report.add_summary(permissions.summary, permissions.checks);
    }
    report.extend(checks.revocation);
    Ok(())
}

fn check_production(session: &Session, kubectl: &Kubectl) -> Option<Check> {
    let server = session.executor.target().server;
    let context = kubectl.global_flags.context.as_deref();
    let name = detect_production_name(session, context, server.as_deref())?;
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
    Some(Check::warning(
        "production",
        format!("`{name}` looks like production"),
        hint,
    ))
}

fn skip_cluster_checks(failed: &str) -> Check {
    Check::warning(
        "cluster",
        format!("all other checks in the cluster skipped, because the check `{failed}` failed"),
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
