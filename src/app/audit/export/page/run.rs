//! A run in the page: who, where, which tools, what was proven, and each command as it ran.

use super::{Page, text};
use crate::app::audit::export::Runs;
use crate::app::audit::{Ends, input, moment, words};
use crate::audit::{Act, Body, Intent, Outcome, Record, RunBegin, Target, Text};
use crate::error::{EXIT_CODES, Kind};
use crate::plan::shell_line;
use crate::tool::invocation::Effect;

/// The steps that try a token, and what each shows.
const PROOFS: [(&str, &str); 4] = [
    ("try-token", "the token, before it was put to use"),
    ("try-old-token", "the old token, before it was revoked"),
    (
        "prove-revocation-old",
        "the old token, after it was revoked",
    ),
    ("prove-revocation-new", "the new token"),
];

/// What there is to know of a whole run.
struct Run<'a> {
    id: &'a str,
    begin: Option<&'a RunBegin>,
    begun: &'a str,
    /// Exit code, outcome and whether anything was changed; `None` where it did not say how it ended.
    end: Option<(u8, &'a str, bool)>,
    ended: Option<&'a str>,
    target: Target,
    /// SHA-256 of the plan that it carried out.
    plan: Option<&'a str>,
    commands: usize,
}

impl<'a> Run<'a> {
    fn of(id: &'a str, records: &'a [Record]) -> Self {
        let mut run = Self {
            id,
            begin: None,
            begun: records.first().map_or("", |record| &record.ts),
            end: None,
            ended: None,
            target: Target::default(),
            plan: None,
            commands: 0,
        };
        for record in records {
            match &record.body {
                Body::RunBegin(begin) => run.begin = Some(begin),
                Body::Intent(intent) => {
                    run.target = intent.target.clone();
                    run.plan = intent.plan.as_deref();
                    run.commands += usize::from(matches!(intent.act, Act::Process { .. }));
                }
                Body::RunEnd {
                    code,
                    outcome,
                    changed,
                    target,
                    ..
                } => {
                    run.end = Some((*code, outcome, *changed));
                    (run.ended, run.target) = (Some(record.ts.as_str()), target.clone());
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
    fn meaning(&self) -> (&'static str, String) {
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
                Some(Kind::Drift | Kind::Refused | Kind::Unconfirmed | Kind::Inconclusive),
                ..,
            )) => "warn",
            _ => "bad",
        };
        (class, format!("{meaning}; {changed}; exit code {code}"))
    }

    fn place(&self) -> String {
        let parts = [
            self.target.context.as_deref(),
            self.target.namespace.as_deref(),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    }

    fn tag(&self) -> String {
        format!(
            "<span class=\"tag {}\">{}</span>",
            self.meaning().0,
            text(self.outcome())
        )
    }
}

pub(super) fn table(page: &mut Page, runs: &Runs) {
    page.raw("<div class=\"wide\"><table>\n<tr><th>Begun</th><th>Command</th><th>Outcome</th><th>Where</th><th>Who</th><th class=\"number\">Commands</th><th>Reason</th></tr>");
    for (id, records) in runs {
        let run = Run::of(id, records);
        let who = run
            .begin
            .map(|begin| format!("{}@{}", begin.who.name(), begin.who.host))
            .unwrap_or_default();
        let reason = run
            .begin
            .and_then(|begin| begin.reason.as_deref())
            .unwrap_or_default();
        page.raw(format_args!(
            "<tr><td class=\"nowrap\">{}</td><td><a href=\"#{}\">{}</a></td><td>{}</td><td>{}</td><td>{}</td><td class=\"number\">{}</td><td>{}</td></tr>",
            text(&moment(run.begun)),
            text(id),
            text(&run.title()),
            run.tag(),
            text(&run.place()),
            text(&who),
            run.commands,
            text(reason)
        ));
    }
    page.raw("</table></div>");
}

pub(super) fn section(page: &mut Page, id: &str, records: &[Record]) {
    let run = Run::of(id, records);
    let title = text(&run.title());
    page.raw(format_args!(
        "<section id=\"{}\">\n<h2>{title} {}</h2>",
        text(id),
        run.tag()
    ));
    page.raw(format_args!("<p>{}</p>", text(&run.meaning().1)));
    about(page, &run, records);
    let ends = Ends::of(records);
    proofs(page, records, &ends);
    page.raw("<h3>As it went</h3>\n<div class=\"wide\"><table>\n<tr><th class=\"number\">Record</th><th>Time</th><th>Step</th><th>What</th><th>How it ended</th></tr>");
    for record in records {
        if let Body::Intent(intent) = &record.body {
            deed(page, record, intent, &ends);
        }
    }
    page.raw("</table></div>\n</section>");
}

fn of_path(path: &Text) -> String {
    words(std::slice::from_ref(path)).concat()
}

fn about(page: &mut Page, run: &Run<'_>, records: &[Record]) {
    let target = &run.target;
    let mut facts = vec![
        ("Run", Some(run.id.to_owned())),
        ("Log", records.first().map(|record| record.log.clone())),
        ("Begun", Some(moment(run.begun))),
        ("Ended", run.ended.map(moment)),
        ("Plan (SHA-256)", run.plan.map(str::to_owned)),
        ("Context", target.context.clone()),
        ("Server", target.server.clone()),
        ("Cluster (UID of kube-system)", target.cluster_uid.clone()),
        ("Namespace", target.namespace.clone()),
    ];
    if let Some(begin) = run.begin {
        let who = &begin.who;
        facts.extend([
            ("Reason", begin.reason.clone()),
            ("User", Some(format!("{} (uid {})", who.name(), who.uid))),
            (
                "Logged in as",
                who.login_uid.map(|uid| format!("uid {uid}")),
            ),
            ("By sudo of", who.sudo_user.clone()),
            ("Host", Some(who.host.clone())),
            ("Terminal", who.tty.clone()),
            ("CI", who.ci.clone()),
            ("Command line", Some(shell_line(&words(&begin.argv)))),
            ("Directory", Some(of_path(&begin.cwd))),
            (
                "bypassctl",
                Some(executable(
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
                Some(executable(
                    exe.version.as_deref(),
                    &exe.path,
                    exe.sha256.as_deref(),
                )),
            ));
        }
    }
    page.facts(&facts);
}

fn executable(version: Option<&str>, path: &Text, sha256: Option<&str>) -> String {
    let version = version.unwrap_or("of unknown version");
    format!(
        "{version}, {}, sha256 {}",
        of_path(path),
        sha256.unwrap_or("unknown")
    )
}

/// Each trial of a token. That its command succeeded is what accepts a token; why it failed is not on record, for what
/// it printed may hold the token.
fn proofs(page: &mut Page, records: &[Record], ends: &Ends<'_>) {
    let trials: Vec<(&Record, &str)> = records
        .iter()
        .filter_map(|record| Some((record, trial(record)?)))
        .collect();
    if trials.is_empty() {
        return;
    }
    page.raw(
        "<h3>Proofs</h3>\n<table>\n<tr><th class=\"number\">Record</th><th>What was tried</th><th>Result</th></tr>",
    );
    let mut unaccepted = false;
    for (record, what) in trials {
        let (class, result) = match ends.of_intent(record.seq) {
            Some(Outcome {
                exit: Some(exit),
                error: None,
                ..
            }) if exit.code == Some(0) => ("good", "accepted"),
            Some(Outcome {
                exit: Some(_),
                error: None,
                ..
            }) => ("warn", "not accepted"),
            _ => ("warn", "not known"),
        };
        unaccepted |= result == "not accepted";
        let how = text(&ends.told(record.seq));
        page.raw(format_args!(
            "<tr><td class=\"number\">{}</td><td>{}</td><td><span class=\"{class}\">{result}</span> ({how})</td></tr>",
            record.seq,
            text(what)
        ));
    }
    page.raw("</table>");
    if unaccepted {
        page.raw("<p class=\"soft\">Whether what was not accepted was refused, or could not be asked about, is in the outcome of the run: <em>done</em> where it was refused, <em>inconclusive</em> where that is not known.</p>");
    }
}

fn trial(record: &Record) -> Option<&'static str> {
    let Body::Intent(intent) = &record.body else {
        return None;
    };
    PROOFS
        .iter()
        .find(|(step, _)| *step == intent.step)
        .map(|(_, what)| *what)
}

fn deed(page: &mut Page, record: &Record, intent: &Intent, ends: &Ends<'_>) {
    let what = match &intent.act {
        Act::Process { argv, stdin, .. } => {
            let from = stdin
                .as_ref()
                .map(|stdin| format!("<br><span class=\"soft\">{}</span>", text(&input(stdin))));
            format!(
                "<code>{}</code>{}",
                text(&shell_line(&words(argv))),
                from.unwrap_or_default()
            )
        }
        Act::File { file } => {
            format!(
                "{} <code>{}</code>",
                text(file.op.as_str()),
                text(&of_path(&file.path))
            )
        }
    };
    let (row, step) = match intent.effect {
        Effect::Changes => (
            " class=\"changes\"",
            format!("<strong>{}</strong>", text(&intent.step)),
        ),
        Effect::Reads => ("", text(&intent.step)),
    };
    let well = ends.of_intent(record.seq).is_some_and(went_well);
    page.raw(format_args!(
        "<tr{row}><td class=\"number\">{}</td><td class=\"nowrap\">{}</td><td class=\"nowrap\">{step}</td><td class=\"what\">{what}</td><td class=\"end{}\">{}</td></tr>",
        record.seq,
        text(record.ts.split(['T', 'Z']).nth(1).unwrap_or(&record.ts)),
        if well { "" } else { " warn" },
        text(&ends.told(record.seq))
    ));
}

/// It ended by itself or as was wanted, and without an error.
fn went_well(result: &Outcome) -> bool {
    match (&result.error, &result.exit) {
        (Some(error), _) => error == "enough",
        (None, exit) => exit.as_ref().is_none_or(|exit| exit.code == Some(0)),
    }
}
