//! One self-contained page for people: who did what where, and with which result; whether the record holds.
//!
//! It holds no script and names no other place; a policy in it forbids both, whatever stands in the record.

mod run;

use super::Runs;
use crate::audit::{Finding, LogFile, LogVerification};
use crate::commands::audit::verify;
use crate::error::Result;
use crate::text::sanitize;
use std::fmt::{Display, Write as _};
use std::path::Path;

const STYLESHEET: &str = include_str!("page.css");

/// Text as it stands in a page: nothing in it is markup, steers a terminal or turns the reading direction.
fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in sanitize(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A page under way. Whatever is put into it as text is escaped; markup is written by this module alone.
#[derive(Default)]
struct HtmlPage(String);

impl HtmlPage {
    /// Markup, without anything from the record but what is escaped already.
    fn push_markup(&mut self, markup: impl Display) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{markup}");
    }

    /// Names and what they have; what has nothing is left out.
    fn push_facts(&mut self, facts: &[(&str, Option<String>)]) {
        self.push_markup("<dl>");
        for (name, fact) in facts {
            if let Some(fact) = fact {
                self.push_markup(format_args!(
                    "<dt>{}</dt><dd>{}</dd>",
                    escape_html(name),
                    escape_html(fact)
                ));
            }
        }
        self.push_markup("</dl>");
    }

    fn push_list(&mut self, items: &[String]) {
        if items.is_empty() {
            return;
        }
        self.push_markup("<ul>");
        items
            .iter()
            .for_each(|item| self.push_markup(format_args!("<li>{}</li>", escape_html(item))));
        self.push_markup("</ul>");
    }
}

pub(super) fn render_html(logs: &[LogFile], runs: &Runs) -> Result<String> {
    let verified = verify::verify_logs(logs, None)?;
    let mut page = HtmlPage::default();
    page.push_markup("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">");
    page.push_markup("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">");
    page.push_markup("<meta name=\"viewport\" content=\"width=device-width\">\n<title>The audit record of bypassctl</title>");
    page.push_markup(format_args!(
        "<style>\n{STYLESHEET}</style>\n</head>\n<body>\n<h1>The audit record of bypassctl</h1>"
    ));
    page.push_markup(format_args!(
        "<p class=\"soft\">Made on {} at {:.0} by bypassctl {}. Times are UTC, by the clock of the host that recorded them.</p>",
        escape_html(&crate::host::get_host_name()),
        jiff::Timestamp::now(),
        env!("CARGO_PKG_VERSION")
    ));
    push_verification(&mut page, &verified);
    page.push_markup("<h2>Runs</h2>");
    run::push_run_table(&mut page, runs);
    runs.iter()
        .for_each(|(id, records)| run::push_run_section(&mut page, id, records));
    push_verify_instructions(&mut page, &verified);
    page.push_markup("</body>\n</html>");
    Ok(page.0)
}

fn format_file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn push_verification(page: &mut HtmlPage, verified: &LogVerification) {
    let records: u64 = verified
        .logs
        .iter()
        .map(|log| log.report.record_count)
        .sum();
    let head = verified
        .logs
        .last()
        .and_then(|log| log.report.head.clone())
        .unwrap_or_default();
    if verified.intact {
        page.push_markup(format_args!("<div class=\"verdict good\"><strong class=\"good\">The record holds.</strong><p>{records} records: none was edited, put in, or cut out between others, and each result has its command. Whether records were cut off at the end is not seen from here: compare this head with one that was kept elsewhere, in a ticket or a CI log.</p>"));
    } else {
        page.push_markup(format_args!("<div class=\"verdict bad\"><strong class=\"bad\">The record does not hold.</strong><p>{records} records. What is shown below is what the files say now; from the first place named here on it is not proven to be what was written.</p>"));
    }
    page.push_markup(format_args!(
        "<p>Head: <code>{}</code></p>",
        escape_html(&head)
    ));
    let several = verified.logs.len() > 1;
    let place = |file: &Path, finding: &Finding| {
        let file = if several {
            format!("{}, ", format_file_name(file))
        } else {
            String::new()
        };
        format!(
            "{file}line {}, byte {}: {}",
            finding.line, finding.offset, finding.message
        )
    };
    let reports = || verified.logs.iter().map(|log| (&log.file, &log.report));
    let found = reports().flat_map(|(file, report)| {
        report
            .findings
            .iter()
            .map(move |finding| place(file, finding))
    });
    let broken = verified
        .links
        .broken
        .iter()
        .map(|link| format!("{}: {}", format_file_name(&link.file), link.message));
    page.push_list(&found.chain(broken).collect::<Vec<_>>());
    let odd = reports().flat_map(|(file, report)| {
        report
            .unknown
            .iter()
            .chain(&report.recovered)
            .map(move |finding| place(file, finding))
    });
    let open = verified
        .links
        .open
        .iter()
        .map(|link| format!("{}: {}", format_file_name(&link.file), link.message));
    let notes: Vec<String> = odd.chain(open).collect();
    if !notes.is_empty() {
        page.push_markup("<p class=\"warn\">What is not known, or was mended:</p>");
        page.push_list(&notes);
    }
    page.push_markup("</div>");
    page.push_facts(
        &verified
            .logs
            .iter()
            .map(|log| ("File", Some(log.file.display().to_string())))
            .collect::<Vec<_>>(),
    );
}

fn push_verify_instructions(page: &mut HtmlPage, verified: &LogVerification) {
    let files: Vec<String> = verified
        .logs
        .iter()
        .map(|log| log.file.display().to_string())
        .collect();
    let files = crate::plan::format_shell_line(&files);
    page.push_markup("<h2>To check it without this page</h2>");
    page.push_markup(format_args!(
        "<p>This page proves nothing: the files do. <code>bypassctl audit verify --expect SEQ:HASH {files}</code>, or, with none of bypassctl&#39;s code, <code>scripts/audit-verify.sh {files} SEQ:HASH</code>, with a head that was kept elsewhere.</p>",
        files = escape_html(&files)
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_html_neutralizes_markup_and_controls() {
        assert_eq!(
            escape_html("<script>a('&')</script>\u{1b}[2J\u{202e}\""),
            "&lt;script&gt;a(&#39;&amp;&#39;)&lt;/script&gt; [2J&quot;"
        );
    }
}
