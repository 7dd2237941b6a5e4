//! `audit list`: prints a table of runs.

use super::describe::format_time;
use super::source::read_each;
use super::verify;
use crate::audit::{LogFile, Run, list_runs};
use crate::cli::AuditListArgs;
use crate::error::CommandResult;
use crate::text::sanitize;
use crate::ui::{Ui, find_short_id_length};

const COLUMNS: [&str; 7] = ["WHEN", "RUN", "COMMAND", "TARGET", "OUTCOME", "WHO", "WHY"];

/// The columns whose cells wrap: COMMAND, TARGET and WHY.
const FLEXIBLE_COLUMNS: &[usize] = &[2, 3, 6];

/// The maximum number of rows without `--limit` and `--all`.
const DEFAULT_LIMIT: usize = 20;

pub(super) fn run(
    logs: &[LogFile],
    args: &AuditListArgs,
    namespace: Option<&str>,
    ui: &Ui,
) -> CommandResult {
    let mut runs = read_each(logs, list_runs)?;
    let total = runs.len();
    let id_length = find_short_id_length(runs.iter().map(|run| run.run.as_str()));
    runs.retain(|run| is_selected(run, args, namespace));
    let includes_reads = args.include_reads || args.command.is_some() || args.outcome.is_some();
    let listed: Vec<&Run> = runs
        .iter()
        .filter(|run| includes_reads || may_have_changed(run))
        .collect();
    let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
    let limit = if args.all { listed.len() } else { limit };
    let shown = &listed[listed.len().saturating_sub(limit)..];
    if !shown.is_empty() {
        print_table(shown, id_length, ui);
    }
    if shown.len() < total {
        let flags = list_widening_flags(shown.len() < listed.len(), listed.len() < runs.len());
        ui.print_note(&format!("{} of {total} runs{flags}", shown.len()));
    }
    if let Some(limit) = args.limit {
        runs.drain(..runs.len().saturating_sub(limit));
    }
    ui.update_fields(|fields| {
        fields.runs = Some(runs);
        fields.run_count = Some(total);
    });
    verify::warn_unless_intact(logs, ui)?;
    Ok(None)
}

/// Names the flags that show more runs.
fn list_widening_flags(has_older: bool, has_reads: bool) -> &'static str {
    match (has_older, has_reads) {
        (true, true) => " (--all and --include-reads show more)",
        (true, false) => " (--all shows more)",
        (false, true) => " (--include-reads shows those that changed nothing)",
        (false, false) => "",
    }
}

/// Returns whether a run changed something, or was killed while it could.
fn may_have_changed(run: &Run) -> bool {
    let can_change =
        !["status", "doctor", "tools list", "tools verify"].contains(&run.command.as_str());
    run.changed.unwrap_or(can_change && !run.dry_run)
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

/// Prints the runs: short for a person, exact for a program.
fn print_table(runs: &[&Run], id_length: usize, ui: &Ui) {
    let is_one_host = runs.iter().all(|run| run.host == runs[0].host);
    let is_short = ui.is_terminal();
    let format_row = |run: &&Run| {
        let started = run.started_at.parse().ok().filter(|_| is_short);
        let id_length = if is_short { id_length } else { usize::MAX };
        let dry_run = if run.dry_run { " (dry run)" } else { "" };
        let who = if is_short && is_one_host {
            run.user.clone()
        } else {
            format!("{}@{}", run.user, run.host)
        };
        [
            started.map_or_else(
                || format_time(&run.started_at),
                |time| ui.format_relative_time(time),
            ),
            run.run.chars().take(id_length).collect(),
            format!("{}{dry_run}", run.command),
            format_target(run),
            run.outcome.clone(),
            who,
            run.reason.clone().unwrap_or_default(),
        ]
        .map(|cell| sanitize(&cell))
    };
    let rows: Vec<_> = runs.iter().map(format_row).collect();
    ui.print_table(COLUMNS, FLEXIBLE_COLUMNS, &rows);
}

fn format_target(run: &Run) -> String {
    match (&run.target.context, &run.target.namespace) {
        (context, Some(namespace)) => {
            format!("{}/{namespace}", context.as_deref().unwrap_or("in-cluster"))
        }
        (Some(context), None) => context.clone(),
        (None, None) => "-".to_owned(),
    }
}
