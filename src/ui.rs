//! The only writer to standard output and standard error: lines for people as they come, or one object at the end.

mod check;
mod github;
mod junit;
mod manner;
mod report;
mod stream;
mod summary;

pub use check::{Check, CheckState};
pub use manner::{Color, OutputFormat, OutputOptions, PROGRAM_NAME, replace_program_name};
pub use report::{
    CommandFields, Difference, ExportedFiles, InstalledTool, LogHead, Progress, RecordView, Report,
    ReportedPlan, RevocationVerification, StepOutcome, VersionInfo,
};

use crate::audit::{Head, Target};
use crate::error::{Error, ErrorKind};
use crate::plan::{Plan, format_shell_line};
use crate::text::escape_controls;
use crate::tool::{Tool, ToolInfo};
use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use report::{Anchor, ErrorReport, REPORT_SCHEMA, ReportData, StepReport, Warning};
use std::borrow::Cow;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use stream::Streams;

/// How a run ended, for the last lines.
pub struct RunSummary<'a> {
    /// The command's name.
    pub command: &'a str,
    /// How it ended.
    pub outcome: &'a Result<Option<ErrorKind>, Error>,
    /// Whether it only showed, or wrote down, what it would do.
    pub dry_run: bool,
    /// Whether anything was changed.
    pub changed: bool,
    /// The run's name in the record.
    pub run: Option<&'a str>,
    /// What it was done to.
    pub target: Target,
    /// The record's head, and its file.
    pub head: Option<(&'a Head, &'a Path)>,
}

impl RunSummary<'_> {
    fn error_kind(&self) -> Option<ErrorKind> {
        self.outcome
            .as_ref()
            .map_or_else(|error| Some(error.kind), |kind| *kind)
    }
}

/// Where everything is told.
pub struct Ui {
    options: OutputOptions,
    streams: Streams,
    start: Instant,
    report: Mutex<ReportData>,
}

const SUCCESS_STYLE: Style = AnsiColor::Green.on_default();
const WARNING_STYLE: Style = AnsiColor::Yellow.on_default();
const ERROR_STYLE: Style = AnsiColor::Red.on_default().bold();
const DIM_STYLE: Style = Style::new().dimmed();

impl Ui {
    /// As the command line says. The time of what is told counts from here.
    #[must_use]
    pub fn new(manner: OutputOptions) -> Self {
        let color = match manner.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Self {
            options: manner,
            streams: Streams::new(color),
            start: Instant::now(),
            report: Mutex::default(),
        }
    }

    fn lock_report(&self) -> MutexGuard<'_, ReportData> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody sees standard output as it comes.
    fn is_interactive(&self) -> bool {
        !self.options.ci && stream::is_stdout_terminal()
    }

    /// Milliseconds since the run began.
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_text(&self) -> bool {
        self.options.format == OutputFormat::Text
    }

    /// Whether GitHub's runner takes commands here.
    fn is_github_output(&self) -> bool {
        self.options.github && self.is_text()
    }

    /// What is said to people, whoever said it first: never a command to GitHub's runner.
    fn prepare_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let text: Cow<str> = match self.options.program_name {
            PROGRAM_NAME => text.into(),
            name => replace_program_name(text, name).into(),
        };
        if self.options.github {
            github::escape_commands(&text, "\\#", "\\:").into()
        } else {
            text
        }
    }

    /// For people, on standard output.
    fn write_out(&self, text: &str) {
        if self.is_text() && !self.options.quiet {
            self.streams.write_out(&self.prepare_text(text));
        }
    }

    /// For people, on standard error.
    fn write_err(&self, text: &str) {
        self.streams.write_err(&self.prepare_text(text));
    }

    /// An error or a warning, with what to do about it.
    fn print_diagnostic(&self, name: &str, style: Style, title: &str, text: &str, hint: &str) {
        let (text, hint) = (escape_controls(text), escape_controls(hint));
        if self.is_github_output() {
            self.streams.write_err(&github::format_command(
                name,
                title,
                &self.prepare_text(&format!("{text}\nhint: {hint}")),
            ));
        } else {
            let indent = if name == "warning" { "   " } else { "" };
            self.write_err(&format!(
                "{style}{name}{style:#}: {text}\n{indent}hint: {hint}\n"
            ));
        }
    }

    /// A warning, with what to do about it.
    pub fn warn(&self, text: &str, hint: &str) {
        self.lock_report().warnings.push(Warning {
            message: text.to_owned(),
            hint: hint.to_owned(),
        });
        if self.is_text() {
            self.print_diagnostic("warning", WARNING_STYLE, PROGRAM_NAME, text, hint);
        }
    }

    /// What is known of a tool.
    pub fn report_tool(&self, tool: &Tool) {
        let seen = ToolInfo::from(tool.clone());
        if self.options.verbose {
            self.write_out(&format!(
                "{DIM_STYLE}{} {} at {}, sha256 {}{DIM_STYLE:#}\n",
                seen.name,
                seen.version.as_deref().unwrap_or("of unknown version"),
                seen.path,
                seen.sha256.as_deref().unwrap_or("unknown")
            ));
        }
        self.lock_report().tools.push(seen);
    }

    /// A command, as it is about to run.
    pub fn print_command(&self, argv: &[String]) {
        if self.options.verbose {
            self.write_out(&format!(
                "{DIM_STYLE}$ {}{DIM_STYLE:#}\n",
                escape_controls(&format_shell_line(argv))
            ));
        }
    }

    /// Reports a step that is done, or that needed nothing.
    pub fn report_step(&self, id: &str, outcome: StepOutcome, detail: &str) {
        // Locked until the line is written: the lines stay in the order of their times.
        let mut report = self.lock_report();
        let elapsed_ms = self.elapsed_ms();
        report.steps.push(StepReport {
            id: id.to_owned(),
            outcome,
            detail: detail.to_owned(),
            elapsed_ms,
        });
        // A log that is read later needs the time, a terminal does not.
        let at = if self.is_interactive() {
            String::new()
        } else {
            format!(" (at {}.{} s)", elapsed_ms / 1000, elapsed_ms / 100 % 10)
        };
        self.write_out(&format!(
            "{SUCCESS_STYLE}{:<9}{SUCCESS_STYLE:#} {id}: {}{at}\n",
            outcome.as_str(),
            escape_controls(detail)
        ));
    }

    /// What was looked at.
    pub fn report_check(&self, check: Check) {
        let (style, word) = match check.state {
            CheckState::Ok => (SUCCESS_STYLE, "ok"),
            CheckState::Warning => (WARNING_STYLE, "warning"),
            CheckState::Failed => (ERROR_STYLE, "failed"),
        };
        let hint = check.hint.as_ref().map_or_else(String::new, |hint| {
            format!("           hint: {}\n", escape_controls(hint))
        });
        let told = format!(
            "{style}{word:<9}{style:#} {}: {}\n{hint}",
            escape_controls(&check.name),
            escape_controls(&check.detail)
        );
        if self.options.quiet && check.state != CheckState::Ok && self.is_text() {
            self.write_err(&told);
        } else {
            self.write_out(&told);
        }
        self.lock_report().checks.push(Check {
            elapsed_ms: self.elapsed_ms(),
            ..check
        });
    }

    /// The plan of a dry run.
    pub fn report_plan(&self, plan: &Plan) {
        self.lock_report().plan = Some(ReportedPlan::Steps(plan.to_view()));
        self.print_plan(&plan.to_text());
    }

    /// A plan for people; it is long, so GitHub folds it.
    pub fn print_plan(&self, text: &str) {
        if self.is_github_output() && !self.options.quiet {
            self.streams.write_out(&format!(
                "::group::plan\n{}::endgroup::\n",
                self.prepare_text(&escape_lines(text))
            ));
        } else {
            self.write_out(&escape_lines(text));
        }
    }

    /// A plan that is written down or was.
    pub fn report_plan_file(&self, document: serde_json::Value, sha256: String) {
        let mut told = self.lock_report();
        told.plan = Some(ReportedPlan::Document(document));
        told.fields.sha256 = Some(sha256);
    }

    /// A script or a page: it is what was asked for, so `--quiet` does not hide it.
    pub fn print_document(&self, text: &str) {
        if self.is_text() {
            self.streams.write_out(text);
        }
    }

    /// A line that was asked for, which `--quiet` does not hide.
    pub fn print_result(&self, line: &str) {
        if self.is_text() {
            self.streams
                .write_out(&self.prepare_text(&format!("{line}\n")));
        }
    }

    /// A line that ends what was told.
    pub fn print_lines(&self, text: &str) {
        self.write_out(&format!("{}\n", escape_lines(text)));
    }

    /// How a wait goes on, in a line that the next one replaces: only where somebody watches.
    pub fn show_progress(&self, text: &str) {
        if self.is_text() && !self.options.quiet && !self.options.ci && stream::is_stderr_terminal()
        {
            self.streams
                .write_progress(&format!("{DIM_STYLE}{text}{DIM_STYLE:#}"));
        }
    }

    /// Takes that line away.
    pub fn clear_progress(&self) {
        self.write_err("");
    }

    /// Asks at the terminal; the answer is a line, or the end where there is none. `None` where nobody can be asked: no
    /// terminal, or a form of output that would not have shown what is asked about.
    pub fn prompt_line(&self, question: &str) -> Option<Receiver<String>> {
        if !self.is_text() || self.options.quiet || !stream::can_prompt() {
            return None;
        }
        self.write_err(question);
        Some(stream::spawn_line_reader())
    }

    /// Nobody ended the line of the question.
    pub fn end_prompt(&self) {
        self.write_err("\n");
    }

    /// What is told where nothing was asked for, on standard error.
    pub fn print_quick_start(&self, text: &str) {
        self.write_err(text);
    }

    /// A head of the record, on standard error, whatever else is told.
    pub fn print_anchor(&self, head: &Head) {
        self.write_err(&format!("{head}\n"));
    }

    /// What is for JSON only.
    pub fn update_fields(&self, tell: impl FnOnce(&mut CommandFields)) {
        tell(&mut self.lock_report().fields);
    }

    /// The last lines: the error, the audit head, or the one JSON object. Returns the exit code.
    pub fn finish(&self, ending: &RunSummary) -> u8 {
        if let Err(error) = ending.outcome {
            self.print_diagnostic(
                "error",
                ERROR_STYLE,
                &format_title(ending.command),
                &error.message,
                &error.hint,
            );
        }
        match self.options.format {
            OutputFormat::Text => {}
            OutputFormat::Json => {
                match serde_json::to_string_pretty(&build_report(ending, &self.lock_report())) {
                    Ok(object) => self.write_object(&format!("{object}\n"), "\\u0023", ":"),
                    Err(error) => self.streams.keep_first_error(Err(error.into())),
                }
            }
            OutputFormat::Junit => {
                let report = self.lock_report();
                match junit::render_junit(&build_report(ending, &report), self.elapsed_ms()) {
                    Ok(xml) => self.write_object(&xml, "&#35;", "&#58;"),
                    Err(error) => self
                        .streams
                        .keep_first_error(Err(std::io::Error::other(error))),
                }
            }
        }
        if let Some((head, _)) = ending.head {
            self.print_anchor(head);
        }
        self.resolve_exit_code(ending)
    }

    /// What is for programs; in a form that means the same, and is no command to GitHub's runner either.
    fn write_object(&self, text: &str, hash: &str, colon: &str) {
        if self.options.github {
            self.streams
                .write_out(&github::escape_commands(text, hash, colon));
        } else {
            self.streams.write_out(text);
        }
    }

    /// The run in Markdown, for the page of the job; `None` for what ran and checked nothing.
    pub fn render_summary(&self, ending: &RunSummary) -> Option<String> {
        let told = self.lock_report();
        let worth = ending.run.is_some() || !told.checks.is_empty() || ending.outcome.is_err();
        worth.then(|| summary::render_markdown(&build_report(ending, &told)))
    }

    /// The exit code, which says as well that the report could not be written.
    fn resolve_exit_code(&self, ending: &RunSummary) -> u8 {
        let code = ending.error_kind().map_or(0, ErrorKind::exit_code);
        // Taken out first: telling of it may fail as well.
        let Some(failure) = self.streams.take_error() else {
            return code;
        };
        let complete = if code == 0 && ending.changed {
            "; all that was asked for is done, and on record: only its report is lost, so there is no need to run it again"
        } else {
            ""
        };
        let what = format!("the report could not be written: {failure}{complete}");
        self.print_diagnostic(
            "error",
            ERROR_STYLE,
            &format_title(ending.command),
            &what,
            "look at where the output goes: a disk that is full, a reader that has gone",
        );
        match (code, ending.changed) {
            (0, true) => ErrorKind::Stopped.exit_code(),
            (0, false) => ErrorKind::Failed.exit_code(),
            _ => code,
        }
    }
}

/// Text of several lines, each fit for a terminal.
fn escape_lines(text: &str) -> String {
    text.split('\n')
        .map(escape_controls)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Over an error, where several programs tell theirs.
fn format_title(command: &str) -> String {
    if command == PROGRAM_NAME {
        PROGRAM_NAME.to_owned()
    } else {
        format!("{PROGRAM_NAME} {command}")
    }
}

fn build_report<'a>(ending: &'a RunSummary, told: &'a ReportData) -> Report<'a> {
    let kind = ending.error_kind();
    let failure = |error: &'a Error| ErrorReport {
        code: error.kind.name(),
        message: &error.message,
        hint: &error.hint,
    };
    Report {
        schema: REPORT_SCHEMA,
        command: ending.command,
        outcome: kind.map_or("done", ErrorKind::name),
        exit_code: kind.map_or(0, ErrorKind::exit_code),
        dry_run: ending.dry_run,
        changed: ending.changed,
        run: ending.run,
        target: &ending.target,
        error: ending.outcome.as_ref().err().map(failure),
        audit: ending.head.map(|(head, file)| Anchor {
            file: file.display().to_string(),
            head: head.clone(),
        }),
        data: told,
    }
}
