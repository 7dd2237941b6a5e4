//! Plans for people: a summary of the changes, then the steps with their commands.

use super::layout::Layout;
use super::report::{ReportedPlan, Warning};
use super::stream::OutputStream;
use super::style::{DIM_STYLE, ERROR_STYLE, SUCCESS_STYLE, WARNING_STYLE};
use super::{Ui, escape_lines};
use crate::plan::{ChangeKind, Plan, PlanSummary};
use crate::text::escape_controls;
use std::sync::{MutexGuard, PoisonError};

/// The most warnings that the summary shows.
const MAX_SUMMARY_WARNINGS: usize = 4;

/// The most lines of warnings in the summary, unless one warning alone is longer.
const MAX_WARNING_LINES: usize = 6;

/// The width of a verb in the summary.
const VERB_WIDTH: usize = 8;

impl Ui {
    /// Reports a plan, and prints its summary.
    pub fn report_plan(&self, plan: &Plan) {
        self.lock_report().plan = Some(ReportedPlan::Steps(plan.to_view()));
        self.print_plan_summary(&plan.to_summary());
    }

    /// Prints what a plan changes, a line for each kind of change.
    pub fn print_plan_summary(&self, summary: &PlanSummary) {
        let text = self.format_plan_summary(summary);
        self.write_out(&text);
    }

    /// Prints the summary and the fields of a saved plan, even with `--quiet`.
    pub fn print_plan_file(&self, summary: &PlanSummary, fields: &str) {
        let layout = self.layout(OutputStream::Out);
        let wrap = |line: &str| format!("{}\n", wrap_field(&layout, line));
        let fields: String = fields.lines().map(wrap).collect();
        if self.is_text() {
            let text = format!("{}{fields}", self.format_plan_summary(summary));
            self.streams.write_out(&self.prepare_text(&text));
        }
    }

    fn format_plan_summary(&self, summary: &PlanSummary) -> String {
        let layout = self.layout(OutputStream::Out);
        let mut lines = vec![layout.wrap("", &escape_controls(&summary.headline), 2)];
        for change in &summary.changes {
            let style = match change.kind {
                ChangeKind::Deletion => ERROR_STYLE,
                ChangeKind::Creation => SUCCESS_STYLE,
                ChangeKind::Update => WARNING_STYLE,
            };
            let (sign, verb) = (change.kind.sign(), change.verb);
            let head = format!("  {style}{sign} {verb:<VERB_WIDTH$}{style:#} ");
            let note = match change.note {
                "" => String::new(),
                note => format!(" ({note})"),
            };
            let text = escape_controls(&format!("{}{note}", change.objects.join(", ")));
            lines.push(layout.wrap(&head, &text, VERB_WIDTH + 5));
        }
        if summary.changes.is_empty() {
            lines.push("  nothing to do".to_owned());
        }
        lines.join("\n") + "\n"
    }

    /// Prints a remark of little weight, dimmed at a terminal.
    pub fn print_dimmed(&self, text: &str) {
        let layout = self.layout(OutputStream::Out);
        let line = layout.wrap("", &self.prepare_text(&escape_controls(text)), 2);
        self.write_out(&format!("{DIM_STYLE}{line}{DIM_STYLE:#}\n"));
    }

    /// Prints the steps of a plan. On GitHub they are folded, because they are long.
    pub fn print_steps(&self, text: &str) {
        if self.is_github_output() && !self.options.quiet {
            self.streams.write_out(&format!(
                "::group::plan\n{}::endgroup::\n",
                self.prepare_text(&escape_lines(text))
            ));
        } else {
            let layout = self.layout(OutputStream::Out);
            let lines = text
                .lines()
                .map(|line| wrap_step_line(&layout, line) + "\n");
            self.write_out(&lines.collect::<String>());
        }
    }

    /// Holds warnings back until [`Self::print_held_warnings`] or the end of the run.
    pub fn hold_warnings(&self) {
        *self.lock_held_warnings() = Some(Vec::new());
    }

    /// Keeps a warning back. Returns whether warnings are held back.
    pub(super) fn hold_warning(&self, warning: &Warning) -> bool {
        let mut held = self.lock_held_warnings();
        if let Some(held) = held.as_mut() {
            held.push(warning.clone());
        }
        held.is_some()
    }

    /// Stops to hold warnings back, and returns those held so far.
    pub(super) fn take_held_warnings(&self) -> Vec<Warning> {
        self.lock_held_warnings().take().unwrap_or_default()
    }

    fn lock_held_warnings(&self) -> MutexGuard<'_, Option<Vec<Warning>>> {
        self.held_warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints the warnings held back without their hints: the latest ones first, because they
    /// concern this plan.
    pub fn print_held_warnings(&self) {
        let warnings = self.take_held_warnings();
        let layout = self.layout(OutputStream::Err);
        let wrap = |warning: &Warning| {
            let head = format!("{WARNING_STYLE}warning{WARNING_STYLE:#}: ");
            let message = escape_controls(&warning.message);
            layout.wrap(&head, &self.prepare_text(&message), 9)
        };
        let texts: Vec<String> = warnings.iter().rev().map(wrap).collect();
        let shown = count_summary_warnings(&texts);
        for text in &texts[..shown] {
            self.write_err(&format!("{text}\n"));
        }
        let hidden = texts.len() - shown;
        if hidden > 0 {
            let plural = if hidden == 1 { "" } else { "s" };
            self.write_err(&format!(
                "{DIM_STYLE}{hidden} more warning{plural}{DIM_STYLE:#}\n"
            ));
        }
    }
}

/// Wraps a field of a saved plan at a terminal, below its value. Commands stay whole, to be copied.
fn wrap_field(layout: &Layout, line: &str) -> String {
    let line = escape_controls(line);
    if !layout.is_terminal() || line.contains(" $ ") {
        return line;
    }
    let indent = if line.starts_with("   ") { 19 } else { 10 };
    layout.wrap("", &line, indent)
}

/// Returns how many warnings the summary shows, so that it fits a small terminal.
fn count_summary_warnings(texts: &[String]) -> usize {
    let mut lines = 0;
    let fitting = texts.iter().take_while(|text| {
        lines += text.lines().count();
        lines <= MAX_WARNING_LINES
    });
    let fitting = fitting.count().max(1).min(texts.len());
    if texts.len() > MAX_SUMMARY_WARNINGS {
        fitting.min(MAX_SUMMARY_WARNINGS - 1)
    } else {
        fitting
    }
}

/// Wraps a line of a step at a terminal. Commands and lines of a file stay whole, to be copied.
fn wrap_step_line(layout: &Layout, line: &str) -> String {
    let line = escape_controls(line);
    let text = line.trim_start();
    if !layout.is_terminal() || text.starts_with(['$', '+', '-']) {
        return line;
    }
    let (head, _) = line.split_at(line.len() - text.len());
    let indent = if head.is_empty() { 3 } else { head.len() + 2 };
    match text.split_once(": $ ") {
        Some((text, command)) => {
            let text = layout.wrap(head, &format!("{text}:"), indent);
            format!("{text}\n{:indent$}$ {command}", "")
        }
        None => layout.wrap(head, text, indent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_shows_warnings_up_to_its_limits() {
        let count = |lines: &[usize]| {
            let texts: Vec<String> = lines.iter().map(|lines| "x\n".repeat(*lines)).collect();
            count_summary_warnings(&texts)
        };
        for (lines, shown) in [
            (&[][..], 0),
            (&[1, 1, 1, 1], 4),
            (&[1, 1, 1, 1, 1], 3),
            (&[2, 3, 2], 2),
            (&[9, 1], 1),
        ] {
            assert_eq!(count(lines), shown, "{lines:?}");
        }
    }
}
