//! `audit list`: runs, one a line.

use super::{CommandResult, format_time, read_each, verify};
use crate::audit::{LogFile, Run, list_runs};
use crate::cli::AuditListArgs;
use crate::text::sanitize;
use crate::ui::Ui;

pub(super) fn run(
    logs: &[LogFile],
    args: &AuditListArgs,
    namespace: Option<&str>,
    ui: &Ui,
) -> CommandResult {
    let all = read_each(logs, list_runs)?;
    let on_record = all.len();
    let wanted: Vec<Run> = all
        .into_iter()
        .filter(|run| is_selected(run, args, namespace))
        .collect();
    wanted
        .iter()
        .for_each(|run| ui.print_lines(&format_run(run)));
    let shown = wanted.len();
    ui.update_fields(|fields| fields.runs = Some(wanted));
    if shown < on_record {
        let hint = "each filter hides some: --since, --until, --user, --command, --outcome, --namespace (also BYPASSCTL_NAMESPACE)";
        ui.warn(
            &format!("{shown} of {on_record} runs on record are shown"),
            hint,
        );
    }
    verify::warn_if_broken(logs, ui)?;
    Ok(None)
}

fn is_selected(run: &Run, args: &AuditListArgs, namespace: Option<&str>) -> bool {
    let is = |wanted: Option<&str>, what: &str| wanted.is_none_or(|wanted| wanted == what);
    let begun = run.started_at.parse::<jiff::Timestamp>().ok();
    is(args.user.as_deref(), &run.user)
        && is(args.command.as_deref(), &run.command)
        && is(args.outcome.as_deref(), &run.outcome)
        && is(
            namespace,
            run.target.namespace.as_deref().unwrap_or_default(),
        )
        && args
            .since
            .is_none_or(|since| begun.is_some_and(|begun| begun >= since))
        && args
            .until
            .is_none_or(|until| begun.is_some_and(|begun| begun <= until))
}

fn format_run(run: &Run) -> String {
    let place = match (&run.target.context, &run.target.namespace) {
        (context, Some(namespace)) => {
            format!("{}/{namespace}", context.as_deref().unwrap_or("in-cluster"))
        }
        (Some(context), None) => context.clone(),
        (None, None) => "-".to_owned(),
    };
    let dry = if run.dry_run { " (dry run)" } else { "" };
    let reason = run
        .reason
        .as_ref()
        .map(|reason| format!(", {reason}"))
        .unwrap_or_default();
    sanitize(&format!(
        "{}  {}  {}{dry}: {}, {place}, {}@{}, {} commands{reason}",
        format_time(&run.started_at),
        run.run,
        run.command,
        run.outcome,
        run.user,
        run.host,
        run.command_count
    ))
}
