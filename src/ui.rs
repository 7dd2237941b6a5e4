//! The only writer to standard output and standard error.
//!
//! Prints lines of text as they come, or one object at the end.

mod check;
mod github;
mod junit;
mod layout;
mod options;
mod plan;
mod print;
mod report;
mod stream;
mod style;
mod summary;
mod wait;

pub use check::{Check, CheckState};
pub use layout::find_short_id_length;
use options::format_title;
pub use options::{Color, OutputFormat, OutputOptions, PROGRAM_NAME, replace_program_name};
pub use report::{
    BypassState, CommandFields, Difference, EntryView, ExportedFiles, InstalledTool, LogHead,
    Nullable, PolicyTarget, Progress, Report, ReportedPlan, RevocationVerification, StepOutcome,
    TokenFileWrite, VersionInfo,
};
pub use wait::WaitGuard;
use wait::{WaitDisplay, WaitMode};

use crate::audit::{Head, Target};
use crate::error::{Error, ErrorKind};
use crate::plan::format_shell_line;
use crate::text::{escape_controls, escape_json};
use crate::tool::{Tool, ToolInfo};
use anstream::ColorChoice;
use anstyle::Style;
use layout::Layout;
use report::{ErrorReport, REPORT_SCHEMA, ReportData, StepReport, Warning};
use std::borrow::Cow;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use stream::{OutputStream, Streams};
use style::{DIM_STYLE, ERROR_STYLE, SUCCESS_STYLE, WARNING_STYLE};

/// The end of a command, for the last lines and the JSON object.
pub struct RunSummary<'a> {
    /// The command's name.
    pub command: &'a str,
    pub outcome: &'a Result<Option<ErrorKind>, Error>,
    /// The command only printed or saved its plan.
    pub dry_run: bool,
    /// The command changed something.
    pub changed: bool,
    /// The run ID.
    pub run: Option<&'a str>,
    pub target: Target,
    /// The head of the audit log, and the log's file.
    pub head: Option<(&'a Head, &'a Path)>,
}

impl RunSummary<'_> {
    fn error_kind(&self) -> Option<ErrorKind> {
        self.outcome
            .as_ref()
            .map_or_else(|error| Some(error.kind), |kind| *kind)
    }
}

/// Prints to the terminal and collects the report of the command.
pub struct Ui {
    options: OutputOptions,
    streams: Arc<Streams>,
    waits: Arc<WaitDisplay>,
    start: Instant,
    report: Mutex<ReportData>,
    /// The warnings that the summary of a plan shows. `None` where they are printed at once.
    held_warnings: Mutex<Option<Vec<Warning>>>,
}

/// The width of the word before a step or a check.
const WORD_WIDTH: usize = 9;

impl Ui {
    /// Starts the clock of the report, too.
    #[must_use]
    pub fn new(options: OutputOptions) -> Self {
        let color = match options.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let streams = Arc::new(Streams::new(color));
        let mode = if options.format != OutputFormat::Text || options.quiet {
            WaitMode::Hidden
        } else if stream::is_stderr_terminal() && !options.ci && !options.is_dumb_terminal {
            WaitMode::Live
        } else {
            WaitMode::Log
        };
        Self {
            options,
            waits: Arc::new(WaitDisplay::new(mode, Arc::clone(&streams))),
            streams,
            start: Instant::now(),
            report: Mutex::default(),
            held_warnings: Mutex::default(),
        }
    }

    fn lock_report(&self) -> MutexGuard<'_, ReportData> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether a person reads standard output as it comes.
    fn is_interactive(&self) -> bool {
        !self.options.ci && stream::is_stdout_terminal()
    }

    /// Returns the milliseconds since the command started.
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_text(&self) -> bool {
        self.options.format == OutputFormat::Text
    }

    /// Returns whether the output can contain commands to GitHub's runner.
    fn is_github_output(&self) -> bool {
        self.options.github && self.is_text()
    }

    /// Inserts the name that the user knows this program by, and escapes commands to GitHub's
    /// runner. The text can quote other programs.
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

    /// Returns the layout of a stream. A log that somebody reads later has none.
    fn layout(&self, stream: OutputStream) -> Layout<'_> {
        match stream::terminal_columns(stream) {
            Some(columns) if !self.options.ci && self.is_text() => {
                let OutputOptions {
                    columns: variable,
                    home,
                    ..
                } = &self.options;
                Layout::for_terminal(columns, *variable, home.as_deref())
            }
            _ => Layout::unlimited(),
        }
    }

    /// Writes text to standard output, unless the output is JSON, JUnit or quiet.
    fn write_out(&self, text: &str) {
        if self.is_text() && !self.options.quiet {
            self.streams.write_out(&self.prepare_text(text));
        }
    }

    /// Writes text to standard error.
    fn write_err(&self, text: &str) {
        self.streams.write_err(&self.prepare_text(text));
    }

    /// Prints an error or a warning with its hint.
    fn print_diagnostic(&self, name: &str, style: Style, title: &str, text: &str, hint: &str) {
        let (text, hint) = (escape_controls(text), escape_controls(hint));
        if self.is_github_output() {
            self.streams.write_err(&github::format_command(
                name,
                title,
                &self.prepare_text(&format!("{text}\nhint: {hint}")),
            ));
        } else {
            let label = name.len() + 2;
            let indent = if name == "warning" { "   " } else { "" };
            let layout = self.layout(OutputStream::Err);
            let head = format!("{style}{name}{style:#}: ");
            let text = layout.wrap(&head, &self.prepare_text(&text), label);
            let head = format!("{indent}hint: ");
            let hint = layout.wrap(&head, &self.prepare_text(&hint), head.len());
            self.write_err(&format!("{text}\n{hint}\n"));
        }
    }

    /// Reports a warning with its hint.
    pub fn warn(&self, text: &str, hint: &str) {
        let warning = Warning {
            message: text.to_owned(),
            hint: hint.to_owned(),
        };
        let is_held = self.hold_warning(&warning);
        self.lock_report().warnings.push(warning);
        if self.is_text() && !is_held {
            self.print_diagnostic("warning", WARNING_STYLE, PROGRAM_NAME, text, hint);
        }
    }

    /// Reports a tool with its version and digest.
    pub fn report_tool(&self, tool: &Tool) {
        let info = ToolInfo::from(tool.clone());
        if self.options.verbose {
            self.write_out(&format!(
                "{DIM_STYLE}{} {} at {}, sha256 {}{DIM_STYLE:#}\n",
                info.name,
                info.version.as_deref().unwrap_or("(unknown version)"),
                info.path,
                info.sha256.as_deref().unwrap_or("unknown")
            ));
        }
        self.lock_report().tools.push(info);
    }

    /// Prints a command that is about to run, with `--verbose`.
    pub fn print_command(&self, argv: &[String]) {
        if self.options.verbose {
            self.write_out(&format!(
                "{DIM_STYLE}$ {}{DIM_STYLE:#}\n",
                escape_controls(&format_shell_line(argv))
            ));
        }
    }

    /// Reports the outcome of a step.
    pub fn report_step(&self, id: &str, outcome: StepOutcome, detail: &str) {
        // The lock is kept until the line is written, so that the lines are in the order of their
        // times.
        let mut report = self.lock_report();
        let elapsed_ms = self.elapsed_ms();
        report.steps.push(StepReport {
            id: id.to_owned(),
            outcome,
            detail: detail.to_owned(),
            elapsed_ms,
        });
        let detail = escape_controls(detail);
        // A person at a terminal sees the time pass. The reader of a CI log does not.
        let text = if self.is_interactive() {
            layout::shorten_uids(&detail).into_owned()
        } else {
            let (seconds, tenths) = (elapsed_ms / 1000, elapsed_ms / 100 % 10);
            format!("{id}: {detail} (at {seconds}.{tenths} s)")
        };
        let word = outcome.as_str();
        let head = format!("{SUCCESS_STYLE}{word:<WORD_WIDTH$}{SUCCESS_STYLE:#} ");
        let layout = self.layout(OutputStream::Out);
        let line = layout.wrap(&head, &self.prepare_text(&text), WORD_WIDTH + 1);
        self.write_out(&format!("{line}\n"));
    }

    /// Reports the result of a check.
    pub fn report_check(&self, check: Check) {
        self.print_check(&check);
        self.record_check(check);
    }

    /// Adds a check to the report without printing it.
    pub fn record_check(&self, check: Check) {
        self.lock_report().checks.push(Check {
            elapsed_ms: self.elapsed_ms(),
            ..check
        });
    }

    /// Lists the checks so far.
    #[must_use]
    pub fn list_checks(&self) -> Vec<Check> {
        self.lock_report().checks.clone()
    }

    /// Prints a check without adding it to the report.
    pub fn print_check(&self, check: &Check) {
        let word = check.state.as_str();
        let style = match check.state {
            CheckState::Ok => SUCCESS_STYLE,
            CheckState::Warning => WARNING_STYLE,
            CheckState::Failed => ERROR_STYLE,
        };
        let is_error = self.options.quiet && check.state != CheckState::Ok && self.is_text();
        let layout = self.layout(if is_error {
            OutputStream::Err
        } else {
            OutputStream::Out
        });
        let wrap = |head: &str, text: &str, indent| {
            format!("{}\n", layout.wrap(head, &self.prepare_text(text), indent))
        };
        let short = check.short_detail.as_ref().filter(|_| layout.is_terminal());
        let detail = short.unwrap_or(&check.detail);
        let subject = escape_controls(&format!("{}: {detail}", check.name));
        let head = format!("{style}{word:<WORD_WIDTH$}{style:#} ");
        let mut text = wrap(&head, &subject, WORD_WIDTH + 1);
        if let Some(hint) = &check.hint {
            // Logs have one more blank than a terminal, where the hint is below the text.
            let blanks = WORD_WIDTH + if layout.is_terminal() { 1 } else { 2 };
            let head = format!("{:blanks$}hint: ", "");
            text.push_str(&wrap(&head, &escape_controls(hint), head.len()));
        }
        if is_error {
            self.write_err(&text);
        } else {
            self.write_out(&text);
        }
    }

    /// Reports a saved plan.
    pub fn report_plan_file(&self, document: serde_json::Value, sha256: String) {
        let mut report = self.lock_report();
        report.plan = Some(ReportedPlan::Document(document));
        report.fields.sha256 = Some(sha256);
    }

    /// Shows a wait until the guard is dropped: live at a terminal, every 30 s in a log. `subject`
    /// completes "waiting for …".
    pub fn start_wait(
        &self,
        position: String,
        subject: &str,
        limit: Option<Duration>,
    ) -> WaitGuard {
        self.waits
            .start_wait(position, escape_controls(subject), limit)
    }

    /// Sets the line below the waits.
    pub fn set_wait_note(&self, note: &'static str) {
        self.waits.set_note(note);
    }

    /// Fails with the reason if nobody can read a question or answer it.
    pub fn require_prompt(&self) -> Result<(), &'static str> {
        match self.options.format {
            OutputFormat::Text => {}
            OutputFormat::Json => return Err("the output is JSON"),
            OutputFormat::Junit => return Err("the output is JUnit"),
        }
        if self.options.quiet {
            return Err("-q hides the plan");
        }
        if self.options.ci {
            return Err("a CI system runs this command");
        }
        stream::require_terminal()
    }

    /// Asks a question at the terminal and receives a line, or nothing at the end of input.
    ///
    /// # Errors
    /// As [`Self::require_prompt`].
    pub fn prompt_line(&self, question: &str) -> Result<Receiver<String>, &'static str> {
        self.require_prompt()?;
        self.write_err(question);
        Ok(stream::spawn_line_reader())
    }

    /// Ends the line of a question without an answer.
    pub fn end_prompt(&self) {
        self.write_err("\n");
    }

    /// Prints the overview for a command line without a command, on standard error.
    pub fn print_quick_start(&self, text: &str) {
        self.write_err(text);
    }

    /// Prints a head of the audit log on standard error, whatever the options.
    pub fn print_head(&self, head: &Head) {
        self.write_err(&format!("{head}\n"));
    }

    /// Sets keys of the JSON object that only some commands have.
    pub fn update_fields(&self, update: impl FnOnce(&mut CommandFields)) {
        update(&mut self.lock_report().fields);
    }

    /// Prints the error, the JSON object or JUnit document, and the audit head.
    ///
    /// Returns the exit code.
    pub fn finish(&self, summary: &RunSummary) -> u8 {
        for Warning { message, hint } in self.take_held_warnings() {
            self.print_diagnostic("warning", WARNING_STYLE, PROGRAM_NAME, &message, &hint);
        }
        if let Err(error) = summary.outcome
            && !self.shows_check_of(error)
        {
            self.print_diagnostic(
                "error",
                ERROR_STYLE,
                &format_title(summary.command),
                &error.message,
                &error.hint,
            );
        }
        match self.options.format {
            OutputFormat::Text => {}
            OutputFormat::Json => {
                match serde_json::to_string_pretty(&build_report(summary, &self.lock_report())) {
                    Ok(object) => {
                        let object = escape_json(&object);
                        self.write_object(&format!("{object}\n"), "\\u0023", ":");
                    }
                    Err(error) => self.streams.keep_first_error(Err(error.into())),
                }
            }
            OutputFormat::Junit => {
                let report = self.lock_report();
                match junit::render_junit(&build_report(summary, &report), self.elapsed_ms()) {
                    Ok(xml) => self.write_object(&xml, "&#35;", "&#58;"),
                    Err(error) => self
                        .streams
                        .keep_first_error(Err(std::io::Error::other(error))),
                }
            }
        }
        // A person needs no head of a run that only read. Logs have every head.
        let is_needed = summary.changed || !self.layout(OutputStream::Err).is_terminal();
        if let Some((head, _)) = summary.head.filter(|_| is_needed) {
            self.print_head(head);
        }
        self.resolve_exit_code(summary)
    }

    /// Returns whether the terminal already shows an error as a failed check.
    fn shows_check_of(&self, error: &Error) -> bool {
        let streams = [OutputStream::Out, OutputStream::Err];
        let is_shown = |check: &Check| {
            check.state == CheckState::Failed
                && check.detail == error.message
                && check.hint.as_ref() == Some(&error.hint)
        };
        streams
            .iter()
            .all(|stream| self.layout(*stream).is_terminal())
            && self.lock_report().checks.iter().any(is_shown)
    }

    /// Writes JSON or XML. Escapes commands to GitHub's runner without changing the meaning.
    fn write_object(&self, text: &str, hash: &str, colon: &str) {
        if self.options.github {
            self.streams
                .write_out(&github::escape_commands(text, hash, colon));
        } else {
            self.streams.write_out(text);
        }
    }

    /// Renders the Markdown summary of a CI job.
    ///
    /// Returns `None` for a successful command that is not a run and has no checks.
    pub fn render_summary(&self, summary: &RunSummary) -> Option<String> {
        let report = self.lock_report();
        let is_useful =
            summary.run.is_some() || !report.checks.is_empty() || summary.outcome.is_err();
        is_useful.then(|| summary::render_markdown(&build_report(summary, &report)))
    }

    /// Returns the exit code. It also reflects that the output could not be written.
    fn resolve_exit_code(&self, summary: &RunSummary) -> u8 {
        let code = summary.error_kind().map_or(0, ErrorKind::exit_code);
        // The error is taken before it is printed, because printing it can fail as well.
        let Some(failure) = self.streams.take_error() else {
            return code;
        };
        let hint = if code == 0 && summary.changed {
            "the command completed and is in the audit log, so do not rerun it: check where the \
             output goes, for example for a full disk"
        } else {
            "check where the output goes, for example for a full disk"
        };
        self.print_diagnostic(
            "error",
            ERROR_STYLE,
            &format_title(summary.command),
            &format!("cannot write the output: {failure}"),
            hint,
        );
        match (code, summary.changed) {
            (0, true) => ErrorKind::Stopped.exit_code(),
            (0, false) => ErrorKind::Failed.exit_code(),
            _ => code,
        }
    }
}

/// Escapes control characters, but keeps line feeds.
fn escape_lines(text: &str) -> String {
    text.split('\n')
        .map(escape_controls)
        .collect::<Vec<_>>()
        .join("\n")
}

fn build_report<'a>(summary: &'a RunSummary, data: &'a ReportData) -> Report<'a> {
    let kind = summary.error_kind();
    let describe_error = |error: &'a Error| ErrorReport {
        code: error.kind.name(),
        message: &error.message,
        hint: &error.hint,
    };
    Report {
        schema: REPORT_SCHEMA,
        command: summary.command,
        outcome: kind.map_or("done", ErrorKind::name),
        exit_code: kind.map_or(0, ErrorKind::exit_code),
        dry_run: summary.dry_run,
        changed: summary.changed,
        run: summary.run,
        target: &summary.target,
        error: summary.outcome.as_ref().err().map(describe_error),
        audit: summary.head.map(|(head, file)| LogHead {
            file: file.display().to_string(),
            head: head.clone(),
        }),
        data,
    }
}
