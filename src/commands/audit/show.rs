//! `audit show`: one run, as it went.

use super::{
    CommandOutcomes, CommandResult, format_time, format_words, read_each, select_run, verify,
};
use crate::audit::{Body, LogFile, Operation, Record, RunBegin, Text, read_records};
use crate::plan::format_shell_line;
use crate::text::sanitize;
use crate::ui::{RecordView, Ui};

pub(super) fn run(logs: &[LogFile], wanted: &str, ui: &Ui) -> CommandResult {
    let found = read_each(logs, |log| read_records(log, wanted))?;
    let (id, records) = select_run(&found, wanted)?;
    let ends = CommandOutcomes::from_records(records);
    ui.print_lines(&format!("run {}", sanitize(id)));
    records
        .iter()
        .filter_map(|record| describe_record(record, &ends))
        .for_each(|line| ui.print_lines(&line));
    ui.update_fields(|fields| {
        fields.shown_run = Some(id.clone());
        fields.records = Some(
            records
                .iter()
                .map(|record| RecordView::new(record.seq, &record.ts, &record.body))
                .collect(),
        );
    });
    verify::warn_if_broken(logs, ui)?;
    Ok(None)
}

/// One record for people; a result is told with its intent.
fn describe_record(record: &Record, ends: &CommandOutcomes) -> Option<String> {
    let text = match &record.body {
        Body::RunBegin(begin) => describe_start(begin),
        Body::Tool { name, exe, .. } => {
            let version = exe.version.as_deref().unwrap_or("of unknown version");
            let digest = exe.sha256.as_deref().unwrap_or("unknown");
            format!(
                "{name} {version} at {}, sha256 {digest}",
                format_path(&exe.path)
            )
        }
        Body::Intent(intent) => {
            format!(
                "{}: {}: {}",
                intent.step,
                describe_action(&intent.operation),
                ends.describe_outcome(record.seq)
            )
        }
        Body::RunEnd {
            exit_code: code,
            outcome,
            changed,
            ..
        } => {
            let changed = if *changed {
                "something was changed"
            } else {
                "nothing was changed"
            };
            format!("ended with {code} ({outcome}), {changed}")
        }
        Body::Result(_)
        | Body::LogOpen { .. }
        | Body::LogRecover { .. }
        | Body::LogRotate { .. } => return None,
    };
    Some(format!("{}  {}", format_time(&record.ts), sanitize(&text)))
}

fn format_path(path: &Text) -> String {
    format_words(std::slice::from_ref(path)).concat()
}

fn describe_start(begin: &RunBegin) -> String {
    let who = &begin.actor;
    let user = who
        .user
        .clone()
        .unwrap_or_else(|| "a user without a name".to_owned());
    let more = [
        ("by sudo of", &who.sudo_user),
        ("in", &who.ci),
        ("because of", &begin.reason),
    ];
    let more: String = more
        .iter()
        .filter_map(|(word, what)| Some(format!(", {word} {}", what.as_ref()?)))
        .collect();
    format!(
        "begun by {user} (uid {}) on {}{more}: {}",
        who.uid,
        who.host,
        format_shell_line(&format_words(&begin.argv))
    )
}

fn describe_action(act: &Operation) -> String {
    match act {
        Operation::Process { argv, .. } => format!("$ {}", format_shell_line(&format_words(argv))),
        Operation::File { file } => {
            format!("{} {}", file.op.as_str(), format_path(&file.path))
        }
    }
}
