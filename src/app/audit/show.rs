//! `audit show`: one run, as it went.

use super::{Ends, Outcome, moment, of_each, only_run, plain, verify, words};
use crate::audit::{Act, Body, Record, RunBegin, Source, Text, records};
use crate::plan::shell_line;
use crate::ui::{RecordShown, Ui};

pub(super) fn run(logs: &[Source], wanted: &str, ui: &Ui) -> Outcome {
    let found = of_each(logs, |log| records(log, wanted))?;
    let (id, records) = only_run(&found, wanted)?;
    let ends = Ends::of(records);
    ui.say(&format!("run {}", plain(id)));
    records
        .iter()
        .filter_map(|record| told(record, &ends))
        .for_each(|line| ui.say(&line));
    ui.fields(|fields| {
        fields.run_shown = Some(id.clone());
        fields.records = Some(
            records
                .iter()
                .map(|record| RecordShown::new(record.seq, &record.ts, &record.body))
                .collect(),
        );
    });
    verify::warn(logs, ui)?;
    Ok(None)
}

/// One record for people; a result is told with its intent.
fn told(record: &Record, ends: &Ends) -> Option<String> {
    let text = match &record.body {
        Body::RunBegin(begin) => begun(begin),
        Body::Tool { name, exe, .. } => {
            let version = exe.version.as_deref().unwrap_or("of unknown version");
            let digest = exe.sha256.as_deref().unwrap_or("unknown");
            format!("{name} {version} at {}, sha256 {digest}", path(&exe.path))
        }
        Body::Intent(intent) => {
            format!(
                "{}: {}: {}",
                intent.step,
                deed(&intent.act),
                ends.told(record.seq)
            )
        }
        Body::RunEnd {
            code,
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
    Some(format!("{}  {}", moment(&record.ts), plain(&text)))
}

fn path(path: &Text) -> String {
    words(std::slice::from_ref(path)).concat()
}

fn begun(begin: &RunBegin) -> String {
    let who = &begin.who;
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
        shell_line(&words(&begin.argv))
    )
}

fn deed(act: &Act) -> String {
    match act {
        Act::Process { argv, .. } => format!("$ {}", shell_line(&words(argv))),
        Act::File { file } => {
            format!("{} {}", file.op.as_str(), path(&file.path))
        }
    }
}
