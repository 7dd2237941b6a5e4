//! Text for people: headings, tables, notes and documents.

use super::layout;
use super::stream::OutputStream;
use super::style::HEADING_STYLE;
use super::{Ui, escape_lines};
use crate::text::escape_controls;
use jiff::Timestamp;
use jiff::tz::TimeZone;

impl Ui {
    /// Prints the heading of a group of checks at a terminal.
    pub fn print_heading(&self, text: &str) {
        if self.is_terminal() {
            self.write_out(&format!("{HEADING_STYLE}{text}{HEADING_STYLE:#}\n"));
        }
    }

    /// Prints the script or the page that the user requested, even with `--quiet`.
    pub fn print_document(&self, text: &str) {
        if self.is_text() {
            self.streams.write_out(text);
        }
    }

    /// Prints a line that the user requested, even with `--quiet`.
    pub fn print_result(&self, line: &str) {
        if self.is_text() {
            self.streams
                .write_out(&self.prepare_text(&format!("{line}\n")));
        }
    }

    /// Returns whether a person reads standard output at a terminal, where short forms help. Logs and
    /// pipes get exact times and whole IDs.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.layout(OutputStream::Out).is_terminal()
    }

    /// Formats a time for people, such as `3 min ago`.
    #[must_use]
    pub fn format_relative_time(&self, time: Timestamp) -> String {
        layout::format_relative(time, Timestamp::now(), &TimeZone::system())
    }

    /// Prints a table. At a terminal, the cells of the flexible columns wrap.
    pub fn print_table<const N: usize>(
        &self,
        header: [&str; N],
        flexible: &[usize],
        rows: &[[String; N]],
    ) {
        let layout = self.layout(OutputStream::Out);
        self.print_lines(&layout.format_table(header, flexible, rows));
    }

    /// Prints text after a head, wrapped at a terminal with a hanging indent.
    pub fn print_wrapped(&self, head: &str, text: &str, indent: usize) {
        let layout = self.layout(OutputStream::Out);
        let (head, text) = (escape_controls(head), escape_controls(text));
        let line = layout.wrap(&head, &self.prepare_text(&text), indent);
        self.write_out(&format!("{line}\n"));
    }

    /// Prints a remark about the output on standard error.
    pub fn print_note(&self, text: &str) {
        if self.is_text() && !self.options.quiet {
            self.write_err(&format!("{}\n", escape_controls(text)));
        }
    }

    /// Prints lines for people.
    pub fn print_lines(&self, text: &str) {
        self.write_out(&format!("{}\n", escape_lines(text)));
    }

    /// Prints the active policy on standard error, with the keys that redirect the run.
    pub fn print_policy(&self, policy: &str, redirections: &[String]) {
        if self.options.quiet {
            return;
        }
        let lines = std::iter::once(format!("policy: {}\n", escape_controls(policy))).chain(
            redirections
                .iter()
                .map(|line| format!("  it sets {}\n", escape_controls(line))),
        );
        self.write_err(&lines.collect::<String>());
    }
}
