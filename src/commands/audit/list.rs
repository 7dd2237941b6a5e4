//! `audit list`: prints a table of runs.

use super::describe::format_time;
use super::source::read_each;
use super::verify;
use crate::audit::{LogFile, Run, list_runs};
use crate::cli::AuditListArgs;
use crate::error::CommandResult;
use crate::text::sanitize;
use crate::ui::Ui;

const COLUMNS: [&str; 8] = [
    "STARTED", "RUN", "COMMAND", "OUTCOME", "TARGET", "USER", "COMMANDS", "REASON",
];

pub(super) fn run(
    logs: &[LogFile],
    args: &AuditListArgs,
    namespace: Option<&str>,
    ui: &Ui,
) -> CommandResult {
    let mut runs = read_each(logs, list_runs)?;
    let total = runs.len();
    runs.retain(|run| is_selected(run, args, namespace));
    let shown = runs.len();
    if shown > 0 {
        ui.print_lines(&format_table(&runs));
    }
    ui.update_fields(|fields| fields.runs = Some(runs));
    if shown < total {
        ui.warn(
            &format!("the filters hide {} of {total} runs", total - shown),
            "to list more, omit --since, --until, --user, --command, --outcome, --namespace, \
             or unset BYPASSCTL_NAMESPACE",
        );
    }
    verify::warn_unless_intact(logs, ui)?;
    Ok(None)
}

fn is_selected(run: &Run, args: &AuditListArgs, namespace: Option<&str>) -> bool {
    let matches = |wanted: Option<&str>, value: &str| wanted.is_none_or(|wanted| wanted == value);
    let started = run.started_at.parse::<jiff::Timestamp>().ok();
    matches(args.user.as_deref(), &run.user)
        && matches(args.command.as_deref(), &run.command)
        && matches(args.outcome.as_deref(), &run.outcome)
        && matches(
            namespace,
            run.target.namespace.as_deref().unwrap_or_default(),
        )
        && args
            .since
            .is_none_or(|since| started.is_some_and(|started| started >= since))
        && args
            .until
            .is_none_or(|until| started.is_some_and(|started| started <= until))
}

fn format_table(runs: &[Run]) -> String {
    let header = COLUMNS.map(str::to_owned);
    let rows: Vec<[String; COLUMNS.len()]> = [header]
        .into_iter()
        .chain(runs.iter().map(format_row))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..COLUMNS.len()).filter_map(width).collect();
    let line = |row: &[String; COLUMNS.len()]| {
        let cells = row.iter().zip(&widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:width$}  "))
            .collect();
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn format_row(run: &Run) -> [String; COLUMNS.len()] {
    let target = match (&run.target.context, &run.target.namespace) {
        (context, Some(namespace)) => {
            format!("{}/{namespace}", context.as_deref().unwrap_or("in-cluster"))
        }
        (Some(context), None) => context.clone(),
        (None, None) => "-".to_owned(),
    };
    let dry_run = if run.dry_run { " (dry run)" } else { "" };
    [
        format_time(&run.started_at),
        run.run.clone(),
        format!("{}{dry_run}", run.command),
        run.outcome.clone(),
        target,
        format!("{}@{}", run.user, run.host),
        run.command_count.to_string(),
        run.reason.clone().unwrap_or_default(),
    ]
    .map(|cell| sanitize(&cell))
}
