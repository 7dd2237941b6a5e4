//! Renders the audit log as one self-contained HTML page: verification, runs, actions.
//!
//! The page contains no script and loads nothing. Its Content-Security-Policy forbids both,
//! whatever the log contains.

mod elements;
mod run;

use crate::audit::{Finding, LogVerification, Segment};
use crate::commands::audit::describe::format_count;
use crate::commands::audit::source::RunEntries;
use crate::text::sanitize;
use elements::{render_facts, render_list};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::path::Path;

const STYLESHEET: &str = include_str!("html.css");
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
const TITLE: &str = "Audit log of bypassctl";

pub(super) fn render_page(verification: &LogVerification, runs: &[RunEntries]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(CONTENT_SECURITY_POLICY);
                meta name="viewport" content="width=device-width";
                title { (TITLE) }
                style { (PreEscaped(STYLESHEET)) }
            }
            body {
                h1 { (TITLE) }
                p.soft {
                    "Exported on " (crate::host::get_host_name())
                    " at " (format!("{:.0}", jiff::Timestamp::now()))
                    " by bypassctl " (env!("CARGO_PKG_VERSION"))
                    ". Times are in UTC, by the clock of the host that wrote the entry."
                }
                (render_verification(verification))
                h2 { "Runs" }
                (run::render_runs_table(runs))
                @for (id, entries) in runs { (run::render_run(id, entries)) }
                (render_instructions(verification))
            }
        }
    };
    sanitize_page(&page.into_string())
}

/// Removes control, invisible and bidirectional characters. Acts on the whole page, so that no
/// value can miss it. maud has escaped the markup of all values.
fn sanitize_page(page: &str) -> String {
    page.lines().map(|line| sanitize(line) + "\n").collect()
}

fn format_file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn render_verification(verification: &LogVerification) -> Markup {
    let count: u64 = verification
        .logs
        .iter()
        .map(|log| log.report.entry_count)
        .sum();
    let count = format_count(count, "entry", "entries");
    let head = verification
        .logs
        .last()
        .and_then(|log| log.report.head.as_deref())
        .unwrap_or_default();
    let notes = list_notes(verification);
    let files: Vec<_> = verification
        .logs
        .iter()
        .map(|log| ("File", Some(log.file.display().to_string())))
        .collect();
    html! {
        div.verdict.good[verification.intact].bad[!verification.intact] {
            @if verification.intact {
                strong.good { "The audit log is intact." }
                p {
                    (count) ". The hash chain is complete, and every result has its intent. A log "
                    "that was cut off or rewritten as a whole would go unnoticed: compare the head "
                    "with one that was kept elsewhere, for example in a ticket or a CI log."
                }
            } @else {
                strong.bad { "The audit log is not intact." }
                p {
                    (count) ". This page shows what the files contain now. From the entry before "
                    "the first finding on, entries may differ from those that bypassctl wrote."
                }
            }
            p { "Head: " code { (head) } }
            (render_list(&list_faults(verification)))
            @if !notes.is_empty() {
                p.warn { "Unknown or recovered:" }
                (render_list(&notes))
            }
        }
        (render_facts(&files))
    }
}

fn list_faults(verification: &LogVerification) -> Vec<String> {
    let findings = list_findings(verification, |log| log.report.findings.iter().collect());
    let broken = verification.links.broken.iter();
    let broken = broken.map(|link| format!("{}: {}", format_file_name(&link.file), link.message));
    findings.into_iter().chain(broken).collect()
}

/// Lists the notes about an intact log: unknown results, recovered bytes, missing segments.
fn list_notes(verification: &LogVerification) -> Vec<String> {
    let findings = list_findings(verification, |log| {
        log.report
            .unknown
            .iter()
            .chain(&log.report.recovered)
            .collect()
    });
    let open = verification.links.open.iter();
    let open = open.map(|link| format!("{}: {}", format_file_name(&link.file), link.message));
    findings.into_iter().chain(open).collect()
}

fn list_findings(
    verification: &LogVerification,
    select: impl Fn(&Segment) -> Vec<&Finding>,
) -> Vec<String> {
    let prefix = |log: &Segment| match verification.logs[..] {
        [_] => String::new(),
        _ => format!("{}, ", format_file_name(&log.file)),
    };
    let describe = |log: &Segment| -> Vec<String> {
        select(log)
            .iter()
            .map(|finding| {
                format!(
                    "{}line {}, byte {}: {}",
                    prefix(log),
                    finding.line,
                    finding.offset,
                    finding.message
                )
            })
            .collect()
    };
    verification.logs.iter().flat_map(describe).collect()
}

fn render_instructions(verification: &LogVerification) -> Markup {
    let files: Vec<String> = verification
        .logs
        .iter()
        .map(|log| log.file.display().to_string())
        .collect();
    let files = crate::plan::format_shell_line(&files);
    html! {
        h2 { "Verify the files" }
        p {
            "This page is no evidence. Verify the files with a head that was kept elsewhere: "
            code { "bypassctl audit verify --expect SEQ:HASH " (files) }
            ", or without any of bypassctl's code: "
            code { "scripts/audit-verify.sh " (files) " SEQ:HASH" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_neutralizes_markup_and_controls() {
        let text = "<script>a('&')</script>\u{1b}[2J\u{202e}\"";
        let page = html! { p title=(text) { (text) } };
        let escaped = "&lt;script&gt;a('&amp;')&lt;/script&gt; [2J&quot;";
        assert_eq!(
            sanitize_page(&page.into_string()),
            format!("<p title=\"{escaped}\">{escaped}</p>\n")
        );
    }
}
