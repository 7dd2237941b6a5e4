//! `audit show`: prints the entries of one run.

use super::describe::{
    Results, describe_executable, describe_policy, format_text, format_time, format_words,
};
use super::missing::find_missing_objects;
use super::source::{NO_RUN_HINT, read_each, select_run};
use super::verify;
use crate::audit::{
    ActionResult, Body, FileOp, Intent, LogFile, Operation, ProbeVerdict, RunBegin, RunEntry,
    SecretVersion, list_runs, read_entries,
};
use crate::error::{CommandResult, Error, Result};
use crate::plan::format_shell_line;
use crate::text::sanitize;
use crate::tool::invocation::ObjectRef;
use crate::ui::{EntryView, Ui};
use std::collections::BTreeMap;

/// Shows the run with this prefix of its ID, or the last run.
pub(super) fn run(logs: &[LogFile], id_prefix: Option<&str>, ui: &Ui) -> CommandResult {
    let id_prefix = match id_prefix {
        Some(prefix) => prefix.to_owned(),
        None => find_last_run(logs)?,
    };
    let runs = read_each(logs, |log| read_entries(log, &id_prefix))?;
    let (id, entries) = select_run(&runs, &id_prefix)?;
    let results = Results::from_entries(entries);
    let is_completed = entries.iter().any(|entry| is_completion(&entry.body));
    let end = entries
        .iter()
        .find_map(|entry| describe_end(&entry.body))
        .unwrap_or_else(|| "has not ended".to_owned());
    let day = entries.first().and_then(|entry| entry.ts.get(..10));
    let day = day.filter(|_| ui.is_terminal());
    let day = day.map_or_else(String::new, |day| format!(" on {}", sanitize(day)));
    ui.print_lines(&format!("run {}{day}: {end}", sanitize(id)));
    let shown = if ui.is_terminal() {
        fold_probes(entries, &results)
    } else {
        entries.iter().map(|entry| (entry, 1)).collect()
    };
    for (entry, count) in &shown {
        if let Some(text) = describe_entry(entry, &results, is_completed) {
            // The first line at a terminal has the day.
            let time = entry.ts.get(11..19).filter(|_| ui.is_terminal());
            let time = time.map_or_else(|| format_time(&entry.ts), |time| format!("{time}Z"));
            let head = format!("{}  ", sanitize(&time));
            let repetition = match count {
                1 => String::new(),
                count => format!(" ({count} times in a row)"),
            };
            ui.print_wrapped(
                &head,
                &format!("{}{repetition}", sanitize(&text)),
                head.len(),
            );
        }
    }
    if shown.len() < entries.len() {
        ui.print_note(
            "repeated probes and temporary directories are folded: a pipe gets all entries",
        );
    }
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

/// Leaves out temporary directories, and all but the first of several token probes of a step with
/// the same verdict in a row. Returns each entry with the number of probes that it stands for.
fn fold_probes<'a>(entries: &'a [RunEntry], results: &Results) -> Vec<(&'a RunEntry, usize)> {
    let mut shown: Vec<(&RunEntry, usize)> = Vec::new();
    let mut latest: BTreeMap<&str, (usize, Option<ProbeVerdict>)> = BTreeMap::new();
    for entry in entries {
        if let Body::Intent(intent) = &entry.body {
            match &intent.operation {
                Operation::File { file } if file.op == FileOp::TempDir => continue,
                Operation::Process { probe: Some(_), .. } => {
                    let verdict = results.get(entry.seq).and_then(|result| result.verdict);
                    match latest.get(intent.step.as_str()) {
                        Some((index, last)) if *last == verdict && verdict.is_some() => {
                            shown[*index].1 += 1;
                            continue;
                        }
                        _ => latest.insert(&intent.step, (shown.len(), verdict)),
                    };
                }
                _ => {}
            }
        }
        shown.push((entry, 1));
    }
    shown
}

fn describe_end(body: &Body) -> Option<String> {
    let Body::RunEnd {
        exit_code,
        outcome,
        changed,
        ..
    } = body
    else {
        return None;
    };
    let changes = if *changed { "with" } else { "without" };
    Some(format!(
        "{} (exit {exit_code}), {changes} changes",
        sanitize(outcome)
    ))
}

fn find_last_run(logs: &[LogFile]) -> Result<String> {
    let runs = read_each(logs, list_runs)?;
    let last = runs.into_iter().next_back().map(|run| run.run);
    last.ok_or_else(|| Error::failure("the audit log has no runs").hint(NO_RUN_HINT))
}

/// Returns whether the run reached its goal, so that it expected each missing object.
fn is_completion(body: &Body) -> bool {
    matches!(body, Body::RunEnd { exit_code: 0, .. })
}

fn format_secrets(secrets: &[ObjectRef]) -> String {
    let format_secret = |secret: &ObjectRef| format!("{} {}", secret.name, secret.uid);
    let secrets: Vec<String> = secrets.iter().map(format_secret).collect();
    secrets.join(", ")
}

/// Describes an entry in one line. A result is part of the line of its intent.
fn describe_entry(entry: &RunEntry, results: &Results, is_completed: bool) -> Option<String> {
    Some(match &entry.body {
        Body::RunBegin(begin) => describe_start(begin),
        Body::Tool { name, exe, .. } => format!("{name} {}", describe_executable(exe)),
        Body::Intent(intent) => format!(
            "{}: {}: {}",
            intent.step,
            describe_operation(&intent.operation),
            results
                .get(entry.seq)
                .and_then(|result| describe_finding(intent, result, is_completed))
                .unwrap_or_else(|| results.describe(entry.seq))
        ),
        Body::Creation(creation) => format!(
            "{}: created {}",
            creation.step,
            format_secrets(&creation.secrets)
        ),
        Body::Verification(verification) => {
            let secrets = verification.secrets.iter();
            let secrets: Vec<_> = secrets.map(SecretVersion::to_object_ref).collect();
            format!(
                "{}: verified for {}",
                verification.step,
                format_secrets(&secrets)
            )
        }
        Body::RunEnd { .. } => return describe_end(&entry.body),
        Body::Result(_)
        | Body::LogOpen { .. }
        | Body::LogRecover { .. }
        | Body::LogRotate { .. } => return None,
    })
}

/// Describes a result that looks like a failure and is the answer to a question: a missing object,
/// or the verdict about a token.
fn describe_finding(intent: &Intent, result: &ActionResult, is_completed: bool) -> Option<String> {
    let finding = match result.verdict {
        Some(ProbeVerdict::Accepted) => "token accepted".to_owned(),
        Some(ProbeVerdict::Rejected) => "token rejected".to_owned(),
        Some(ProbeVerdict::Inconclusive) => return None,
        None => {
            let missing = find_missing_objects(intent, result);
            let expectation = if is_completed { ", as expected," } else { "" };
            if missing.is_empty() {
                return None;
            }
            format!("{} not found{expectation}", missing.join(" and "))
        }
    };
    Some(format!("{finding} after {} ms", result.duration_ms))
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
