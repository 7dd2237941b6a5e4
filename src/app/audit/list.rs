//! `audit list`: runs, one a line.

use super::{Outcome, moment, of_each, plain, verify};
use crate::audit::{Run, Source, runs};
use crate::cli::AuditList;
use crate::ui::Ui;

pub(super) fn run(logs: &[Source], args: &AuditList, namespace: Option<&str>, ui: &Ui) -> Outcome {
    let all = of_each(logs, runs)?;
    let on_record = all.len();
    let wanted: Vec<Run> = all
        .into_iter()
        .filter(|run| is_wanted(run, args, namespace))
        .collect();
    wanted.iter().for_each(|run| ui.say(&line(run)));
    let shown = wanted.len();
    ui.fields(|fields| fields.runs = Some(wanted));
    if shown < on_record {
        let hint = "each filter hides some: --since, --until, --user, --command, --outcome, --namespace (also BYPASSCTL_NAMESPACE)";
        ui.warn(
            &format!("{shown} of {on_record} runs on record are shown"),
            hint,
        );
    }
    verify::warn(logs, ui)?;
    Ok(None)
}

fn is_wanted(run: &Run, args: &AuditList, namespace: Option<&str>) -> bool {
    let is = |wanted: Option<&str>, what: &str| wanted.is_none_or(|wanted| wanted == what);
    let begun = run.begun.parse::<jiff::Timestamp>().ok();
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

fn line(run: &Run) -> String {
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
    plain(&format!(
        "{}  {}  {}{dry}: {}, {place}, {}@{}, {} commands{reason}",
        moment(&run.begun),
        run.run,
        run.command,
        run.outcome,
        run.user,
        run.host,
        run.commands
    ))
}
