//! A run in the page: who, where, which tools, what was proven, and each command as it ran.

use super::{HtmlPage, escape_html};
use crate::audit::{Body, Intent, Operation, Record, ResultRecord, RunBegin, Target, Text};
use crate::commands::audit::export::Runs;
use crate::commands::audit::{CommandOutcomes, describe_input, format_time, format_words};
use crate::error::{EXIT_CODES, ErrorKind};
use crate::plan::format_shell_line;
use crate::tool::invocation::Effect;

/// The steps that try a token, and what each shows.
const TOKEN_PROBES: [(&str, &str); 4] = [
    ("probe-token", "the token, before it was put to use"),
    ("probe-old-token", "the old token, before it was revoked"),
    (
        "verify-revocation-old",
        "the old token, after it was revoked",
    ),
    ("verify-revocation-new", "the new token"),
];

/// What there is to know of a whole run.
struct RunDetails<'a> {
    id: &'a str,
    begin: Option<&'a RunBegin>,
    started_at: &'a str,
    /// Exit code, outcome and whether anything was changed; `None` where it did not say how it ended.
    end: Option<(u8, &'a str, bool)>,
    ended_at: Option<&'a str>,
    target: Target,
    /// SHA-256 of the plan that it carried out.
    plan_sha256: Option<&'a str>,
    command_count: usize,
}

impl<'a> RunDetails<'a> {
    fn from_records(id: &'a str, records: &'a [Record]) -> Self {
        let mut run = Self {
            id,
            begin: None,
            started_at: records.first().map_or("", |record| &record.ts),
            end: None,
            ended_at: None,
            target: Target::default(),
            plan_sha256: None,
            command_count: 0,
        };
        for record in records {
            match &record.body {
                Body::RunBegin(begin) => run.begin = Some(begin),
                Body::Intent(intent) => {
                    run.target = intent.target.clone();
                    run.plan_sha256 = intent.plan.as_deref();
                    run.command_count +=
                        usize::from(matches!(intent.operation, Operation::Process { .. }));
                }
                Body::RunEnd {
                    exit_code: code,
                    outcome,
                    changed,
                    target,
                    ..
                } => {
                    run.end = Some((*code, outcome, *changed));
                    (run.ended_at, run.target) = (Some(record.ts.as_str()), target.clone());
                }
                _ => {}
            }
        }
        run
    }

    fn title(&self) -> String {
        let dry = if self.begin.is_some_and(|begin| begin.dry_run) {
            " (dry run)"
        } else {
            ""
        };
        format!("{}{dry}", self.begin.map_or("?", |begin| &begin.command))
    }

    fn outcome(&self) -> &'a str {
        self.end.map_or("unknown", |(_, outcome, _)| outcome)
    }

    /// What the outcome means, and whether it is a good one.
    fn describe_outcome(&self) -> (&'static str, String) {
        let Some((code, outcome, changed)) = self.end else {
            return (
                "warn",
                "it did not say how it ended: it was killed, or is still going".to_owned(),
            );
        };
        let known = EXIT_CODES
            .iter()
            .find(|(_, known, name, _)| (*known, *name) == (code, outcome));
        let meaning = known.map_or("", |(.., meaning)| meaning);
        let changed = if changed {
            "something was changed"
        } else {
            "nothing was changed"
        };
        let class = match known {
            Some((None, ..)) => "good",
            Some((
                Some(
                    ErrorKind::Drift
                    | ErrorKind::Refused
                    | ErrorKind::Unconfirmed
                    | ErrorKind::Inconclusive,
                ),
                ..,
            )) => "warn",
            _ => "bad",
        };
        (class, format!("{meaning}; {changed}; exit code {code}"))
    }

    fn format_target(&self) -> String {
        let parts = [
            self.target.context.as_deref(),
            self.target.namespace.as_deref(),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    }

    fn render_tag(&self) -> String {
        format!(
            "<span class=\"tag {}\">{}</span>",
            self.describe_outcome().0,
            escape_html(self.outcome())
        )
    }
}

pub(super) fn push_run_table(page: &mut HtmlPage, runs: &Runs) {
    page.push_markup("<div class=\"wide\"><table>\n<tr><th>Begun</th><th>Command</th><th>Outcome</th><th>Where</th><th>Who</th><th class=\"number\">Commands</th><th>Reason</th></tr>");
    for (id, records) in runs {
        let run = RunDetails::from_records(id, records);
        let who = run
            .begin
            .map(|begin| format!("{}@{}", begin.actor.user_name(), begin.actor.host))
            .unwrap_or_default();
        let reason = run
            .begin
            .and_then(|begin| begin.reason.as_deref())
            .unwrap_or_default();
        page.push_markup(format_args!(
            "<tr><td class=\"nowrap\">{}</td><td><a href=\"#{}\">{}</a></td><td>{}</td><td>{}</td><td>{}</td><td class=\"number\">{}</td><td>{}</td></tr>",
            escape_html(&format_time(run.started_at)),
            escape_html(id),
            escape_html(&run.title()),
            run.render_tag(),
            escape_html(&run.format_target()),
            escape_html(&who),
            run.command_count,
            escape_html(reason)
        ));
    }
    page.push_markup("</table></div>");
}

pub(super) fn push_run_section(page: &mut HtmlPage, id: &str, records: &[Record]) {
    let run = RunDetails::from_records(id, records);
    let title = escape_html(&run.title());
    page.push_markup(format_args!(
        "<section id=\"{}\">\n<h2>{title} {}</h2>",
        escape_html(id),
        run.render_tag()
    ));
    page.push_markup(format_args!(
        "<p>{}</p>",
        escape_html(&run.describe_outcome().1)
    ));
    push_run_facts(page, &run, records);
    let ends = CommandOutcomes::from_records(records);
    push_token_probes(page, records, &ends);
    page.push_markup("<h3>As it went</h3>\n<div class=\"wide\"><table>\n<tr><th class=\"number\">Record</th><th>Time</th><th>Step</th><th>What</th><th>How it ended</th></tr>");
    for record in records {
        if let Body::Intent(intent) = &record.body {
            push_action_row(page, record, intent, &ends);
        }
    }
    page.push_markup("</table></div>\n</section>");
}

fn format_path(path: &Text) -> String {
    format_words(std::slice::from_ref(path)).concat()
}

fn push_run_facts(page: &mut HtmlPage, run: &RunDetails<'_>, records: &[Record]) {
    let target = &run.target;
    let mut facts = vec![
        ("Run", Some(run.id.to_owned())),
        ("Log", records.first().map(|record| record.log.clone())),
        ("Begun", Some(format_time(run.started_at))),
        ("Ended", run.ended_at.map(format_time)),
        ("Plan (SHA-256)", run.plan_sha256.map(str::to_owned)),
        ("Context", target.context.clone()),
        ("Server", target.server.clone()),
        ("Cluster (UID of kube-system)", target.cluster_uid.clone()),
        ("Namespace", target.namespace.clone()),
    ];
    if let Some(begin) = run.begin {
        let who = &begin.actor;
        facts.extend([
            ("Reason", begin.reason.clone()),
            (
                "User",
                Some(format!("{} (uid {})", who.user_name(), who.uid)),
            ),
            (
                "Logged in as",
                who.login_uid.map(|uid| format!("uid {uid}")),
            ),
            ("By sudo of", who.sudo_user.clone()),
            ("Host", Some(who.host.clone())),
            ("Terminal", who.tty.clone()),
            ("CI", who.ci.clone()),
            (
                "Command line",
                Some(format_shell_line(&format_words(&begin.argv))),
            ),
            ("Directory", Some(format_path(&begin.cwd))),
            (
                "bypassctl",
                Some(format_executable(
                    begin.exe.version.as_deref(),
                    &begin.exe.path,
                    begin.exe.sha256.as_deref(),
                )),
            ),
        ]);
    }
    for record in records {
        if let Body::Tool { name, exe, .. } = &record.body {
            facts.push((
                name,
                Some(format_executable(
                    exe.version.as_deref(),
                    &exe.path,
                    exe.sha256.as_deref(),
                )),
            ));
        }
    }
    page.push_facts(&facts);
}

fn format_executable(version: Option<&str>, path: &Text, sha256: Option<&str>) -> String {
    let version = version.unwrap_or("of unknown version");
    format!(
        "{version}, {}, sha256 {}",
        format_path(path),
        sha256.unwrap_or("unknown")
    )
}

/// Each trial of a token. That its command succeeded is what accepts a token; why it failed is not on record, for what
/// it printed may hold the token.
fn push_token_probes(page: &mut HtmlPage, records: &[Record], ends: &CommandOutcomes<'_>) {
    let trials: Vec<(&Record, &str)> = records
        .iter()
        .filter_map(|record| Some((record, find_token_probe(record)?)))
        .collect();
    if trials.is_empty() {
        return;
    }
    page.push_markup(
        "<h3>Proofs</h3>\n<table>\n<tr><th class=\"number\">Record</th><th>What was tried</th><th>Result</th></tr>",
    );
    let mut unaccepted = false;
    for (record, what) in trials {
        let (class, result) = match ends.find_outcome(record.seq) {
            Some(ResultRecord {
                exit: Some(exit),
                error: None,
                ..
            }) if exit.code == Some(0) => ("good", "accepted"),
            Some(ResultRecord {
                exit: Some(_),
                error: None,
                ..
            }) => ("warn", "not accepted"),
            _ => ("warn", "not known"),
        };
        unaccepted |= result == "not accepted";
        let how = escape_html(&ends.describe_outcome(record.seq));
        page.push_markup(format_args!(
            "<tr><td class=\"number\">{}</td><td>{}</td><td><span class=\"{class}\">{result}</span> ({how})</td></tr>",
            record.seq,
            escape_html(what)
        ));
    }
    page.push_markup("</table>");
    if unaccepted {
        page.push_markup("<p class=\"soft\">Whether what was not accepted was refused, or could not be asked about, is in the outcome of the run: <em>done</em> where it was refused, <em>inconclusive</em> where that is not known.</p>");
    }
}

fn find_token_probe(record: &Record) -> Option<&'static str> {
    let Body::Intent(intent) = &record.body else {
        return None;
    };
    TOKEN_PROBES
        .iter()
        .find(|(step, _)| *step == intent.step)
        .map(|(_, what)| *what)
}

fn push_action_row(
    page: &mut HtmlPage,
    record: &Record,
    intent: &Intent,
    ends: &CommandOutcomes<'_>,
) {
    let what = match &intent.operation {
        Operation::Process { argv, stdin, .. } => {
            let from = stdin.as_ref().map(|stdin| {
                format!(
                    "<br><span class=\"soft\">{}</span>",
                    escape_html(&describe_input(stdin))
                )
            });
            format!(
                "<code>{}</code>{}",
                escape_html(&format_shell_line(&format_words(argv))),
                from.unwrap_or_default()
            )
        }
        Operation::File { file } => {
            format!(
                "{} <code>{}</code>",
                escape_html(file.op.as_str()),
                escape_html(&format_path(&file.path))
            )
        }
    };
    let (row, step) = match intent.effect {
        Effect::Changes => (
            " class=\"changes\"",
            format!("<strong>{}</strong>", escape_html(&intent.step)),
        ),
        Effect::Reads => ("", escape_html(&intent.step)),
    };
    let well = ends.find_outcome(record.seq).is_some_and(is_success);
    page.push_markup(format_args!(
        "<tr{row}><td class=\"number\">{}</td><td class=\"nowrap\">{}</td><td class=\"nowrap\">{step}</td><td class=\"what\">{what}</td><td class=\"end{}\">{}</td></tr>",
        record.seq,
        escape_html(record.ts.split(['T', 'Z']).nth(1).unwrap_or(&record.ts)),
        if well { "" } else { " warn" },
        escape_html(&ends.describe_outcome(record.seq))
    ));
}

/// It ended by itself or as was wanted, and without an error.
fn is_success(result: &ResultRecord) -> bool {
    match (&result.error, &result.exit) {
        (Some(error), _) => error == "condition-met",
        (None, exit) => exit.as_ref().is_none_or(|exit| exit.code == Some(0)),
    }
}
