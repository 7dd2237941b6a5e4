//! Renders the table of runs, and a section for each run: facts, token probes, actions.

use super::elements::render_facts;
use crate::audit::{ActionResult, Body, Intent, Operation, RunBegin, RunEntry, Target};
use crate::commands::audit::describe::{
    Results, describe_changed, describe_executable, describe_policy, describe_stdin, format_text,
    format_time, format_words, is_success,
};
use crate::commands::audit::source::RunEntries;
use crate::error::{EXIT_CODES, ErrorKind};
use crate::plan::format_shell_line;
use crate::tool::invocation::Effect;
use maud::{Markup, html};

/// The steps that probe a token, and which token they probe.
const TOKEN_PROBES: [(&str, &str); 4] = [
    ("probe-token", "the token, before it was written"),
    ("probe-old-token", "the old token, before its revocation"),
    ("verify-rejection", "the old token, after its revocation"),
    ("verify-revocation", "the new token"),
];

/// A rating, with a class of the stylesheet.
#[derive(Clone, Copy)]
enum Rating {
    Good,
    Warn,
    Bad,
}

impl Rating {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// The contents of an entry `run.end`.
struct RunEnd<'a> {
    ts: &'a str,
    exit_code: u8,
    outcome: &'a str,
    changed: bool,
}

impl RunEnd<'_> {
    /// Returns error kind and meaning from the table of exit codes. Another version of bypassctl
    /// may have written an outcome that the table lacks.
    fn find_meaning(&self) -> Option<(Option<ErrorKind>, &'static str)> {
        EXIT_CODES
            .iter()
            .find(|(_, code, outcome, _)| (*code, *outcome) == (self.exit_code, self.outcome))
            .map(|(kind, _, _, meaning)| (*kind, *meaning))
    }
}

/// A run as a whole.
struct RunDetails<'a> {
    id: &'a str,
    log: Option<&'a str>,
    started_at: &'a str,
    begin: Option<&'a RunBegin>,
    end: Option<RunEnd<'a>>,
    target: Target,
    /// SHA-256 of the applied plan.
    plan_sha256: Option<&'a str>,
    command_count: usize,
}

impl<'a> RunDetails<'a> {
    fn from_entries(id: &'a str, entries: &'a [RunEntry]) -> Self {
        let first = entries.first();
        let mut run = Self {
            id,
            log: first.map(|entry| entry.log.as_str()),
            started_at: first.map_or("", |entry| &entry.ts),
            begin: None,
            end: None,
            target: Target::default(),
            plan_sha256: None,
            command_count: 0,
        };
        for entry in entries {
            match &entry.body {
                // The first end counts. The page says that the log is not intact.
                _ if run.end.is_some() => {}
                Body::RunBegin(begin) => drop(run.begin.get_or_insert(begin)),
                Body::Intent(intent) => {
                    run.target = intent.target.clone();
                    run.plan_sha256 = intent.plan.as_deref();
                    run.command_count +=
                        usize::from(matches!(intent.operation, Operation::Process { .. }));
                }
                Body::RunEnd {
                    exit_code,
                    outcome,
                    changed,
                    target,
                    ..
                } => {
                    run.target = target.clone();
                    run.end = Some(RunEnd {
                        ts: &entry.ts,
                        exit_code: *exit_code,
                        outcome,
                        changed: *changed,
                    });
                }
                _ => {}
            }
        }
        run
    }

    fn title(&self) -> String {
        match self.begin {
            Some(begin) if begin.dry_run => format!("{} (dry run)", begin.command),
            Some(begin) => begin.command.clone(),
            None => "?".to_owned(),
        }
    }

    fn describe_outcome(&self) -> String {
        let Some(end) = &self.end else {
            return "The run has no end entry: it was killed, or it is still running.".to_owned();
        };
        let changed = describe_changed(end.changed);
        let meaning = end
            .find_meaning()
            .map_or(end.outcome, |(_, meaning)| meaning);
        format!("exit code {}, {changed}: {meaning}", end.exit_code)
    }

    fn rate_outcome(&self) -> Rating {
        let Some(end) = &self.end else {
            return Rating::Warn;
        };
        match end.find_meaning() {
            Some((None, _)) => Rating::Good,
            Some((
                Some(
                    ErrorKind::Drift
                    | ErrorKind::Refused
                    | ErrorKind::Unconfirmed
                    | ErrorKind::Inconclusive,
                ),
                _,
            )) => Rating::Warn,
            _ => Rating::Bad,
        }
    }

    fn format_target(&self) -> String {
        let parts = [
            self.target.context.as_deref(),
            self.target.namespace.as_deref(),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    }

    fn render_tag(&self) -> Markup {
        html! {
            span class={ "tag " (self.rate_outcome().class()) } {
                (self.end.as_ref().map_or("unknown", |end| end.outcome))
            }
        }
    }
}

pub(super) fn render_runs_table(runs: &[RunEntries]) -> Markup {
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        th { "Started" }
                        th { "Command" }
                        th { "Outcome" }
                        th { "Target" }
                        th { "User" }
                        th.number { "Commands" }
                        th { "Reason" }
                    }
                }
                tbody {
                    @for (id, entries) in runs {
                        "\n"
                        (render_runs_row(&RunDetails::from_entries(id, entries)))
                    }
                }
            }
        }
    }
}

fn render_runs_row(run: &RunDetails<'_>) -> Markup {
    html! {
        tr {
            td.nowrap { (format_time(run.started_at)) }
            td { a href={ "#" (run.id) } { (run.title()) } }
            td { (run.render_tag()) }
            td { (run.format_target()) }
            td {
                @if let Some(begin) = run.begin {
                    (begin.actor.user_name()) "@" (begin.actor.host)
                }
            }
            td.number { (run.command_count) }
            td { @if let Some(begin) = run.begin { (begin.reason.as_deref().unwrap_or("")) } }
        }
    }
}

pub(super) fn render_run(id: &str, entries: &[RunEntry]) -> Markup {
    let run = RunDetails::from_entries(id, entries);
    let results = Results::from_entries(entries);
    html! {
        section id=(id) {
            h2 { (run.title()) " " (run.render_tag()) }
            p { (run.describe_outcome()) }
            (render_run_facts(&run, entries))
            (render_token_probes(entries, &results))
            h3 { "Actions" }
            (render_actions(entries, &results))
        }
    }
}

fn render_run_facts(run: &RunDetails<'_>, entries: &[RunEntry]) -> Markup {
    let target = &run.target;
    let mut facts = vec![
        ("Run", Some(run.id.to_owned())),
        ("Log", run.log.map(str::to_owned)),
        ("Started", Some(format_time(run.started_at))),
        ("Ended", run.end.as_ref().map(|end| format_time(end.ts))),
        ("Plan (SHA-256)", run.plan_sha256.map(str::to_owned)),
        ("Context", target.context.clone()),
        ("Server", target.server.clone()),
        ("Cluster (UID of kube-system)", target.cluster_uid.clone()),
        ("User of the kubeconfig", target.user.clone()),
        ("Account", target.account.clone()),
        ("Namespace", target.namespace.clone()),
    ];
    if let Some(begin) = run.begin {
        let actor = &begin.actor;
        let command_line = format_shell_line(&format_words(&begin.argv));
        facts.extend([
            ("Reason", begin.reason.clone()),
            (
                "User",
                Some(format!("{} (uid {})", actor.user_name(), actor.uid)),
            ),
            (
                "Login user",
                actor.login_uid.map(|uid| format!("uid {uid}")),
            ),
            ("sudo by", actor.sudo_user.clone()),
            ("Host", Some(actor.host.clone())),
            ("Terminal", actor.tty.clone()),
            ("CI", actor.ci.clone()),
            ("Command line", Some(command_line)),
            ("Directory", Some(format_text(&begin.cwd))),
            ("Policy", describe_policy(begin)),
            ("Policy (SHA-256)", begin.policy.clone()),
            ("bypassctl", Some(describe_executable(&begin.exe))),
        ]);
    }
    for entry in entries {
        if let Body::Tool { name, exe, .. } = &entry.body {
            facts.push((name, Some(describe_executable(exe))));
        }
    }
    render_facts(&facts)
}

/// Renders the result of each token probe. Exit code 0 means that the server accepted the token.
/// The log has no reason for any other exit code, because the output can contain the token.
fn render_token_probes(entries: &[RunEntry], results: &Results<'_>) -> Markup {
    let probes: Vec<(u64, &str)> = entries
        .iter()
        .filter_map(|entry| Some((entry.seq, find_token_probe(entry)?)))
        .collect();
    let rate = |seq: u64| match results.get(seq) {
        Some(ActionResult {
            exit: Some(exit),
            error: None,
            ..
        }) if exit.code == Some(0) => (Rating::Good, "accepted"),
        Some(ActionResult {
            exit: Some(_),
            error: None,
            ..
        }) => (Rating::Warn, "not accepted"),
        _ => (Rating::Warn, "unknown"),
    };
    let not_accepted = probes.iter().any(|(seq, _)| rate(*seq).1 == "not accepted");
    html! {
        @if !probes.is_empty() {
            h3 { "Token probes" }
            table {
                thead { tr { th.number { "Entry" } th { "Token" } th { "Result" } } }
                tbody {
                    @for (seq, token) in &probes {
                        @let (rating, result) = rate(*seq);
                        "\n"
                        tr {
                            td.number { (seq) }
                            td { (token) }
                            td {
                                span class=(rating.class()) { (result) }
                                " (" (results.describe(*seq)) ")"
                            }
                        }
                    }
                }
            }
        }
        @if not_accepted {
            p.soft {
                "A token that was not accepted was either rejected, or the server did not answer. "
                "The outcome of the run distinguishes them: " em { "done" } " means rejected, "
                em { "inconclusive" } " means unknown."
            }
        }
    }
}

fn find_token_probe(entry: &RunEntry) -> Option<&'static str> {
    let Body::Intent(intent) = &entry.body else {
        return None;
    };
    TOKEN_PROBES
        .iter()
        .find(|(step, _)| *step == intent.step)
        .map(|(_, token)| *token)
}

fn render_actions(entries: &[RunEntry], results: &Results<'_>) -> Markup {
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        th.number { "Entry" }
                        th { "Time" }
                        th { "Step" }
                        th { "Action" }
                        th { "Result" }
                    }
                }
                tbody {
                    @for entry in entries {
                        @if let Body::Intent(intent) = &entry.body {
                            "\n"
                            (render_action_row(entry, intent, results))
                        }
                    }
                }
            }
        }
    }
}

fn render_action_row(entry: &RunEntry, intent: &Intent, results: &Results<'_>) -> Markup {
    let changes = intent.effect == Effect::Changes;
    let success = results.get(entry.seq).is_some_and(is_success);
    let time = entry.ts.split(['T', 'Z']).nth(1).unwrap_or(&entry.ts);
    html! {
        tr class=[changes.then_some("changes")] {
            td.number { (entry.seq) }
            td.nowrap { (time) }
            td.nowrap { @if changes { strong { (intent.step) } } @else { (intent.step) } }
            td.what { (render_operation(&intent.operation)) }
            td.end.warn[!success] { (results.describe(entry.seq)) }
        }
    }
}

fn render_operation(operation: &Operation) -> Markup {
    html! {
        @match operation {
            Operation::Process { argv, stdin, .. } => {
                code { (format_shell_line(&format_words(argv))) }
                @if let Some(stdin) = stdin { br; span.soft { (describe_stdin(stdin)) } }
            }
            Operation::File { file } => {
                (file.op.as_str()) " " code { (format_text(&file.path)) }
            }
        }
    }
}
