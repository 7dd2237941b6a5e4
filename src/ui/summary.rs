//! The Markdown summary of a CI job. Values in it contain no markup.

use super::check::Check;
use super::report::{Report, StepReport};
use crate::text::sanitize_truncated;
use std::fmt::Write as _;

/// A longer table helps no reader.
const MAX_ROWS: usize = 200;

/// No table row starts after this size. GitHub accepts pages of up to 1 MiB.
const MAX_PAGE_BYTES: usize = 512 << 10;

/// The limit for one value, in characters.
const MAX_TEXT_CHARS: usize = 500;

/// Escapes markup, links, mentions, and the ends of lines and cells.
fn escape_markdown(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || !c.is_ascii() || " -/(),;'+=?{}\"%".contains(c);
    let escape = |c: char| {
        if is_plain(c) {
            c.to_string()
        } else {
            format!("&#{};", u32::from(c))
        }
    };
    sanitize_truncated(text, MAX_TEXT_CHARS)
        .chars()
        .map(escape)
        .collect()
}

pub(super) fn render_markdown(report: &Report) -> String {
    let dry = if report.dry_run { " (dry run)" } else { "" };
    let changed = if report.changed {
        "something changed"
    } else {
        "nothing changed"
    };
    let mut page = format!(
        "### bypassctl {}: {}{dry}\n\nExit code {}, {changed}{}\n\n",
        escape_markdown(report.command),
        report.outcome,
        report.exit_code,
        render_target(report)
    );
    if let Some(error) = &report.error {
        push_paragraph(&mut page, "Error", error.message, error.hint);
    }
    for warning in report.data.warnings.iter().take(MAX_ROWS) {
        push_paragraph(&mut page, "Warning", &warning.message, &warning.hint);
    }
    push_table(
        &mut page,
        "step",
        report.data.steps.iter().map(step_row).collect(),
    );
    push_table(
        &mut page,
        "check",
        report.data.checks.iter().map(check_row).collect(),
    );
    if let Some(sha256) = &report.data.fields.sha256 {
        // Writing to a `String` cannot fail.
        let _ = writeln!(page, "Plan: SHA-256 `{sha256}`\n");
    }
    if let Some(anchor) = &report.audit {
        let _ = writeln!(page, "`{}`\n", anchor.head);
    }
    page
}

fn render_target(report: &Report) -> String {
    let target = report.target;
    let fields = [
        ("context", &target.context),
        ("server", &target.server),
        ("namespace", &target.namespace),
    ];
    let known: Vec<String> = fields
        .iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", escape_markdown(value.as_ref()?))))
        .collect();
    if known.is_empty() {
        String::new()
    } else {
        format!("\n\nTarget: {}", known.join(", "))
    }
}

fn push_paragraph(page: &mut String, label: &str, message: &str, hint: &str) {
    let _ = writeln!(
        page,
        "**{label}:** {}<br>hint: {}\n",
        escape_markdown(message),
        escape_markdown(hint)
    );
}

fn step_row(step: &StepReport) -> [String; 3] {
    [
        step.id.clone(),
        step.outcome.as_str().to_owned(),
        step.detail.clone(),
    ]
}

fn check_row(check: &Check) -> [String; 3] {
    let hint = check
        .hint
        .as_ref()
        .map_or_else(String::new, |hint| format!("; hint: {hint}"));
    [
        check.name.clone(),
        check.state.as_str().to_owned(),
        format!("{}{hint}", check.detail),
    ]
}

fn push_table(page: &mut String, subject: &str, rows: Vec<[String; 3]>) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(
        page,
        "| {subject} | outcome | detail |\n| --- | --- | --- |"
    );
    let mut remaining = rows.len();
    for row in rows.iter().take(MAX_ROWS) {
        if page.len() > MAX_PAGE_BYTES {
            break;
        }
        remaining -= 1;
        let _ = writeln!(
            page,
            "| {} |",
            row.each_ref().map(|cell| escape_markdown(cell)).join(" | ")
        );
    }
    page.push('\n');
    if remaining > 0 {
        let _ = writeln!(page, "and {remaining} more\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_markdown_escapes_all_markup() {
        assert_eq!(
            escape_markdown("a | b\n`c` <d> @e #1 [f](g) *h*\u{202e}"),
            "a &#124; b &#96;c&#96; &#60;d&#62; &#64;e &#35;1 &#91;f&#93;(g) &#42;h&#42;"
        );
        assert_eq!(
            escape_markdown("https://x.y &amp; $z$ \\|"),
            "https&#58;//x&#46;y &#38;amp; &#36;z&#36; &#92;&#124;"
        );
        assert_eq!(escape_markdown(&"x".repeat(600)).chars().count(), 501);
    }

    #[test]
    fn push_table_truncates_rows_at_limits() {
        let mut page = String::new();
        push_table(
            &mut page,
            "step",
            vec![["*".repeat(500), "*".repeat(500), "*".repeat(500)]; 150],
        );
        assert!(
            page.len() < 600 << 10 && page.contains(" more\n"),
            "{}",
            page.len()
        );
        let mut page = String::new();
        push_table(
            &mut page,
            "step",
            vec![["a", "b", "c"].map(str::to_owned); 201],
        );
        assert!(page.ends_with("and 1 more\n\n"), "{page}");
    }
}
