//! The only writer to standard output and standard error: lines for people as they come, or one object at the end.

mod check;
mod github;
mod junit;
mod manner;
mod report;
mod stream;
mod summary;

pub use check::{Check, State};
pub use manner::{Color, Format, Manner, PROGRAM, called};
pub use report::{
    Difference, Exported, Fields, ListedTool, LogEnd, Planned, Progress, RecordShown, Report,
    Shown, Versions,
};

use crate::audit::{Head, Target};
use crate::error::{Error, Kind};
use crate::plan::{Plan, shell_line};
use crate::tool::invocation::visible;
use crate::tool::{Tool, ToolSeen};
use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};
use report::{Anchor, Failure, SCHEMA, StepDone, Told, Warning};
use std::borrow::Cow;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use stream::Streams;

/// How a run ended, for the last lines.
pub struct Ending<'a> {
    /// The command's name.
    pub command: &'a str,
    /// How it ended.
    pub outcome: &'a Result<Option<Kind>, Error>,
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

impl Ending<'_> {
    fn kind(&self) -> Option<Kind> {
        self.outcome
            .as_ref()
            .map_or_else(|error| Some(error.kind), |kind| *kind)
    }
}

/// Where everything is told.
pub struct Ui {
    manner: Manner,
    streams: Streams,
    begun: Instant,
    told: Mutex<Told>,
}

const GOOD: Style = AnsiColor::Green.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

impl Ui {
    /// As the command line says. The time of what is told counts from here.
    #[must_use]
    pub fn new(manner: Manner) -> Self {
        let color = match manner.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Self {
            manner,
            streams: Streams::new(color),
            begun: Instant::now(),
            told: Mutex::default(),
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody sees standard output as it comes.
    fn is_watched(&self) -> bool {
        !self.manner.ci && stream::out_is_terminal()
    }

    /// Milliseconds since the run began.
    fn ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_text(&self) -> bool {
        self.manner.format == Format::Text
    }

    /// Whether GitHub's runner takes commands here.
    fn to_github(&self) -> bool {
        self.manner.github && self.is_text()
    }

    /// What is said to people, whoever said it first: never a command to GitHub's runner.
    fn said<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let text: Cow<str> = match self.manner.called {
            PROGRAM => text.into(),
            name => called(text, name).into(),
        };
        if self.manner.github {
            github::inert(&text, "\\#", "\\:").into()
        } else {
            text
        }
    }

    /// For people, on standard output.
    fn out(&self, text: &str) {
        if self.is_text() && !self.manner.quiet {
            self.streams.out(&self.said(text));
        }
    }

    /// For people, on standard error.
    fn err(&self, text: &str) {
        self.streams.err(&self.said(text));
    }

    /// An error or a warning, with what to do about it.
    fn alarm(&self, name: &str, style: Style, title: &str, text: &str, hint: &str) {
        let (text, hint) = (visible(text), visible(hint));
        if self.to_github() {
            self.streams.err(&github::command(
                name,
                title,
                &self.said(&format!("{text}\nhint: {hint}")),
            ));
        } else {
            let indent = if name == "warning" { "   " } else { "" };
            self.err(&format!(
                "{style}{name}{style:#}: {text}\n{indent}hint: {hint}\n"
            ));
        }
    }

    /// A warning, with what to do about it.
    pub fn warn(&self, text: &str, hint: &str) {
        self.told().warnings.push(Warning {
            message: text.to_owned(),
            hint: hint.to_owned(),
        });
        if self.is_text() {
            self.alarm("warning", WARNING, PROGRAM, text, hint);
        }
    }

    /// What is known of a tool.
    pub fn tool(&self, tool: &Tool) {
        let seen = ToolSeen::from(tool.clone());
        if self.manner.verbose {
            self.out(&format!(
                "{DIM}{} {} at {}, sha256 {}{DIM:#}\n",
                seen.name,
                seen.version.as_deref().unwrap_or("of unknown version"),
                seen.path,
                seen.sha256.as_deref().unwrap_or("unknown")
            ));
        }
        self.told().tools.push(seen);
    }

    /// A command, as it is about to run.
    pub fn command(&self, argv: &[String]) {
        if self.manner.verbose {
            self.out(&format!("{DIM}$ {}{DIM:#}\n", visible(&shell_line(argv))));
        }
    }

    /// A step that is done, or was not needed.
    pub fn step(&self, id: &str, done: &str, detail: &str) {
        // Held until it is told: the lines are in the order of their times.
        let mut told = self.told();
        let ms = self.ms();
        told.steps.push(StepDone {
            id: id.to_owned(),
            outcome: done.to_owned(),
            detail: detail.to_owned(),
            ms,
        });
        // Who watches has a clock; who reads it later has none.
        let at = if self.is_watched() {
            String::new()
        } else {
            format!(" (at {}.{} s)", ms / 1000, ms / 100 % 10)
        };
        self.out(&format!(
            "{GOOD}{done:<9}{GOOD:#} {id}: {}{at}\n",
            visible(detail)
        ));
    }

    /// What was looked at.
    pub fn check(&self, check: Check) {
        let (style, word) = match check.state {
            State::Ok => (GOOD, "ok"),
            State::Warning => (WARNING, "warning"),
            State::Failed => (BAD, "failed"),
        };
        let hint = check.hint.as_ref().map_or_else(String::new, |hint| {
            format!("           hint: {}\n", visible(hint))
        });
        let told = format!(
            "{style}{word:<9}{style:#} {}: {}\n{hint}",
            visible(&check.name),
            visible(&check.detail)
        );
        if self.manner.quiet && check.state != State::Ok && self.is_text() {
            self.err(&told);
        } else {
            self.out(&told);
        }
        self.told().checks.push(Check {
            ms: self.ms(),
            ..check
        });
    }

    /// The plan of a dry run.
    pub fn plan(&self, plan: &Plan) {
        self.told().plan = Some(Planned::Steps(plan.view()));
        self.plan_text(&plan.to_text());
    }

    /// A plan for people; it is long, so GitHub folds it.
    pub fn plan_text(&self, text: &str) {
        if self.to_github() && !self.manner.quiet {
            self.streams.out(&format!(
                "::group::plan\n{}::endgroup::\n",
                self.said(&lines(text))
            ));
        } else {
            self.out(&lines(text));
        }
    }

    /// A plan that is written down or was.
    pub fn plan_document(&self, document: serde_json::Value, sha256: String) {
        let mut told = self.told();
        told.plan = Some(Planned::Document(document));
        told.fields.sha256 = Some(sha256);
    }

    /// A script or a page: it is what was asked for, so `--quiet` does not hide it.
    pub fn document(&self, text: &str) {
        if self.is_text() {
            self.streams.out(text);
        }
    }

    /// A line that was asked for, which `--quiet` does not hide.
    pub fn result(&self, line: &str) {
        if self.is_text() {
            self.streams.out(&self.said(&format!("{line}\n")));
        }
    }

    /// A line that ends what was told.
    pub fn say(&self, text: &str) {
        self.out(&format!("{}\n", lines(text)));
    }

    /// How a wait goes on, in a line that the next one replaces: only where somebody watches.
    pub fn progress(&self, text: &str) {
        if self.is_text() && !self.manner.quiet && !self.manner.ci && stream::err_is_terminal() {
            self.streams.progress(&format!("{DIM}{text}{DIM:#}"));
        }
    }

    /// Takes that line away.
    pub fn no_progress(&self) {
        self.err("");
    }

    /// Asks at the terminal; the answer is a line, or the end where there is none. `None` where nobody can be asked: no
    /// terminal, or a form of output that would not have shown what is asked about.
    pub fn ask(&self, question: &str) -> Option<Receiver<String>> {
        if !self.is_text() || self.manner.quiet || !stream::all_are_terminals() {
            return None;
        }
        self.err(question);
        Some(stream::line())
    }

    /// Nobody ended the line of the question.
    pub fn unanswered(&self) {
        self.err("\n");
    }

    /// What is told where nothing was asked for, on standard error.
    pub fn greet(&self, text: &str) {
        self.err(text);
    }

    /// A head of the record, on standard error, whatever else is told.
    pub fn anchor(&self, head: &Head) {
        self.err(&format!("{head}\n"));
    }

    /// What is for JSON only.
    pub fn fields(&self, tell: impl FnOnce(&mut Fields)) {
        tell(&mut self.told().fields);
    }

    /// The last lines: the error, the audit head, or the one JSON object. Returns the exit code.
    pub fn end(&self, ending: &Ending) -> u8 {
        if let Err(error) = ending.outcome {
            self.alarm(
                "error",
                BAD,
                &title(ending.command),
                &error.message,
                &error.hint,
            );
        }
        match self.manner.format {
            Format::Text => {}
            Format::Json => match serde_json::to_string_pretty(&report(ending, &self.told())) {
                Ok(object) => self.object(&format!("{object}\n"), "\\u0023", ":"),
                Err(error) => self.streams.note(Err(error.into())),
            },
            Format::Junit => {
                let xml = junit::of(&report(ending, &self.told()), self.ms());
                self.object(&xml, "&#35;", "&#58;");
            }
        }
        if let Some((head, _)) = ending.head {
            self.anchor(head);
        }
        self.code(ending)
    }

    /// What is for programs; in a form that means the same, and is no command to GitHub's runner either.
    fn object(&self, text: &str, hash: &str, colon: &str) {
        if self.manner.github {
            self.streams.out(&github::inert(text, hash, colon));
        } else {
            self.streams.out(text);
        }
    }

    /// The run in Markdown, for the page of the job; `None` for what ran and checked nothing.
    pub fn summary(&self, ending: &Ending) -> Option<String> {
        let told = self.told();
        let worth = ending.run.is_some() || !told.checks.is_empty() || ending.outcome.is_err();
        worth.then(|| summary::of(&report(ending, &told)))
    }

    /// The exit code, which says as well that the report could not be written.
    fn code(&self, ending: &Ending) -> u8 {
        let code = ending.kind().map_or(0, Kind::exit_code);
        // Taken out first: telling of it may fail as well.
        let Some(failure) = self.streams.failure() else {
            return code;
        };
        let complete = if code == 0 && ending.changed {
            "; all that was asked for is done, and on record: only its report is lost, so there is no need to run it again"
        } else {
            ""
        };
        let what = format!("the report could not be written: {failure}{complete}");
        self.alarm(
            "error",
            BAD,
            &title(ending.command),
            &what,
            "look at where the output goes: a disk that is full, a reader that has gone",
        );
        match (code, ending.changed) {
            (0, true) => Kind::Stopped.exit_code(),
            (0, false) => Kind::Failed.exit_code(),
            _ => code,
        }
    }
}

/// Text of several lines, each fit for a terminal.
fn lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// Over an error, where several programs tell theirs.
fn title(command: &str) -> String {
    if command == PROGRAM {
        PROGRAM.to_owned()
    } else {
        format!("{PROGRAM} {command}")
    }
}

fn report<'a>(ending: &'a Ending, told: &'a Told) -> Report<'a> {
    let kind = ending.kind();
    let failure = |error: &'a Error| Failure {
        code: error.kind.name(),
        message: &error.message,
        hint: &error.hint,
    };
    Report {
        schema: SCHEMA,
        command: ending.command,
        outcome: kind.map_or("done", Kind::name),
        exit_code: kind.map_or(0, Kind::exit_code),
        dry_run: ending.dry_run,
        changed: ending.changed,
        run: ending.run,
        target: &ending.target,
        error: ending.outcome.as_ref().err().map(failure),
        audit: ending.head.map(|(head, file)| Anchor {
            file: file.display().to_string(),
            head: head.clone(),
        }),
        told,
    }
}
