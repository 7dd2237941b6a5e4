//! `audit show`: prints the entries of one run.

use super::describe::{
    Results, describe_executable, describe_policy, format_text, format_time, format_words,
};
use super::source::{read_each, select_run};
use super::verify;
use crate::audit::{
    ActionResult, Body, Intent, LogFile, Operation, RunBegin, RunEntry, read_entries,
};
use crate::error::CommandResult;
use crate::plan::format_shell_line;
use crate::text::sanitize;
use crate::tool::invocation::{Effect, ObjectRef};
use crate::ui::{EntryView, Ui};

pub(super) fn run(logs: &[LogFile], id_prefix: &str, ui: &Ui) -> CommandResult {
    let runs = read_each(logs, |log| read_entries(log, id_prefix))?;
    let (id, entries) = select_run(&runs, id_prefix)?;
    let results = Results::from_entries(entries);
    ui.print_lines(&format!("run {}", sanitize(id)));
    entries
        .iter()
        .filter_map(|entry| describe_entry(entry, &results))
        .for_each(|line| ui.print_lines(&line));
    ui.update_fields(|fields| {
        fields.shown_run = Some(id.clone());
        fields.entries = Some(
            entries
                .iter()
                .map(|entry| EntryView::new(entry.seq, &entry.ts, &entry.body))
                .collect(),
        );
    });
    verify::warn_unless_intact(logs, ui)?;
    Ok(None)
}

fn format_secrets(secrets: &[ObjectRef]) -> String {
    let format_secret = |secret: &ObjectRef| format!("{} {}", secret.name, secret.uid);
    let secrets: Vec<String> = secrets.iter().map(format_secret).collect();
    secrets.join(", ")
}

/// Describes an entry in one line. A result is part of the line of its intent.
fn describe_entry(entry: &RunEntry, results: &Results) -> Option<String> {
    let text = match &entry.body {
        Body::RunBegin(begin) => describe_start(begin),
        Body::Tool { name, exe, .. } => format!("{name} {}", describe_executable(exe)),
        Body::Intent(intent) => format!(
            "{}: {}: {}{}",
            intent.step,
            describe_operation(&intent.operation),
            results.describe(entry.seq),
            note_on_miss(intent, results.get(entry.seq))
        ),
        Body::Verification(verification) => format!(
            "{}: verified for {}",
            verification.step,
            format_secrets(&verification.secrets)
        ),
        Body::RunEnd {
            exit_code,
            outcome,
            changed,
            ..
        } => {
            let changes = if *changed { "with" } else { "without" };
            format!("{outcome} (exit {exit_code}), {changes} changes")
        }
        Body::Result(_)
        | Body::LogOpen { .. }
        | Body::LogRecover { .. }
        | Body::LogRotate { .. } => return None,
    };
    Some(format!("{}  {}", format_time(&entry.ts), sanitize(&text)))
}

/// Explains exit code 1 of `kubectl get`, which a revocation expects between its steps.
fn note_on_miss(intent: &Intent, result: Option<&ActionResult>) -> &'static str {
    let Operation::Process { argv, .. } = &intent.operation else {
        return "";
    };
    let is_get = format_words(argv).iter().any(|word| word == "get");
    let code = result.and_then(|result| result.exit.as_ref()?.code);
    if intent.effect == Effect::Reads && is_get && code == Some(1) {
        ", as for a missing object"
    } else {
        ""
    }
}

fn describe_start(begin: &RunBegin) -> String {
    let actor = &begin.actor;
    let user = actor.user.as_deref().unwrap_or("an unnamed user");
    let policy = describe_policy(begin);
    let details = [
        ("sudo by", &actor.sudo_user),
        ("CI", &actor.ci),
        ("reason", &begin.reason),
        ("policy", &policy),
    ];
    let details: String = details
        .iter()
        .filter_map(|(label, value)| Some(format!(", {label} {}", value.as_ref()?)))
        .collect();
    format!(
        "started by {user} (uid {}) on {}{details}: {}",
        actor.uid,
        actor.host,
        format_shell_line(&format_words(&begin.argv))
    )
}

fn describe_operation(operation: &Operation) -> String {
    match operation {
        Operation::Process { argv, .. } => format!("$ {}", format_shell_line(&format_words(argv))),
        Operation::File { file } => {
            format!("{} {}", file.op.as_str(), format_text(&file.path))
        }
    }
}
