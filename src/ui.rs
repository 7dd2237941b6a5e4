//! The only writer to standard output and standard error: lines for people as they come, or one JSON object at the end.

use crate::audit::{Head, Target};
use crate::error::{Error, Kind};
use crate::plan::{Plan, StepView, shell_line};
use crate::tool::Tool;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `--output`
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// `--color`
#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Where the terminal shows it and NO_COLOR is not set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// As it should not stay, or not to be found out.
    Warning,
    /// Not as it should be.
    Failed,
}

/// One line of `doctor` or `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// What was found, in one word.
    pub state: State,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Check {
    /// As it should be.
    pub fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Ok, detail: detail.into(), hint: None }
    }

    /// As it should not stay, or not to be found out.
    pub fn warning(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Warning, detail: detail.into(), hint: Some(hint.into()) }
    }

    /// Not as it should be.
    pub fn failed(name: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { state: State::Failed, ..Self::warning(name, detail, hint) }
    }

    /// A failure of a command, as a check.
    #[must_use]
    pub fn from_error(name: &str, error: &Error) -> Self {
        Self { name: name.to_owned(), state: State::Failed, detail: error.message.clone(), hint: error.hint.clone() }
    }
}

/// What is told at the end in JSON.
#[derive(Default, Serialize)]
struct Report {
    tools: Vec<Value>,
    warnings: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checks: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Vec<StepView>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Value>,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// How a run ended, for the last lines.
pub struct Ending<'a> {
    /// The command's name.
    pub command: &'a str,
    /// How it ended.
    pub outcome: &'a Result<Option<Kind>, Error>,
    /// Whether anything was changed.
    pub changed: bool,
    /// The run's name in the record.
    pub run: Option<&'a str>,
    /// What it was done to.
    pub target: Target,
    /// The record's head, and its file.
    pub head: Option<(&'a Head, &'a Path)>,
}

/// Where everything is told.
pub struct Ui {
    format: Format,
    quiet: bool,
    verbose: bool,
    color: ColorChoice,
    report: Mutex<Report>,
    failure: Mutex<Option<io::Error>>,
    /// Whether the last line on standard error is one that shows progress.
    in_progress: AtomicBool,
}

const GOOD: Style = AnsiColor::Green.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ui {
    /// As the command line says.
    #[must_use]
    pub fn new(format: Format, color: Color, quiet: bool, verbose: bool) -> Self {
        let color = match color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        Self {
            format,
            quiet,
            verbose,
            color,
            report: Mutex::default(),
            failure: Mutex::default(),
            in_progress: AtomicBool::new(false),
        }
    }

    fn out(&self, text: &str) {
        if self.format == Format::Text && !self.quiet {
            self.print(text);
        }
    }

    /// What clears the line that shows progress, where there is one.
    fn cleared(&self) -> &'static str {
        if self.in_progress.swap(false, Ordering::SeqCst) { "\r\x1b[K" } else { "" }
    }

    fn print(&self, text: &str) {
        if self.in_progress.load(Ordering::SeqCst) {
            self.no_progress();
        }
        let mut stream = AutoStream::new(io::stdout().lock(), self.color);
        self.note(stream.write_all(text.as_bytes()).and_then(|()| stream.flush()));
    }

    fn err(&self, text: &str) {
        // ECMA-48, EL: not a matter of colour, so it goes past what strips colours.
        self.note(io::stderr().write_all(self.cleared().as_bytes()));
        let mut stream = AutoStream::new(io::stderr().lock(), self.color);
        self.note(stream.write_all(text.as_bytes()));
    }

    /// A reader that has seen enough is no failure; a full disk behind a redirection is.
    fn note(&self, written: io::Result<()>) {
        if let Err(error) = written
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            held(&self.failure).get_or_insert(error);
        }
    }

    /// A warning, with what to do about it.
    pub fn warn(&self, text: &str, hint: Option<&str>) {
        held(&self.report).warnings.push(json!({ "message": text, "hint": hint }));
        if self.format == Format::Text {
            let hint = hint.map_or_else(String::new, |hint| format!("   hint: {hint}\n"));
            self.err(&format!("{WARNING}warning{WARNING:#}: {text}\n{hint}"));
        }
    }

    /// What is known of a tool.
    pub fn tool(&self, tool: &Tool) {
        let version = tool.version.as_ref().map_or_else(|| "of unknown version".to_owned(), ToString::to_string);
        held(&self.report).tools.push(json!({ "name": tool.name.as_str(), "path": tool.path, "version": tool.version.as_ref().map(ToString::to_string), "sha256": tool.sha256 }));
        if self.verbose {
            self.out(&format!(
                "{DIM}{} {version} at {}, sha256 {}{DIM:#}\n",
                tool.name.as_str(),
                tool.path.display(),
                tool.sha256.as_deref().unwrap_or("unknown")
            ));
        }
    }

    /// A command, as it is about to run.
    pub fn command(&self, argv: &[String]) {
        if self.verbose {
            self.out(&format!("{DIM}$ {}{DIM:#}\n", shell_line(argv)));
        }
    }

    /// A step that is done, or was not needed.
    pub fn step(&self, id: &str, done: &str, detail: &str) {
        held(&self.report).steps.push(json!({ "id": id, "outcome": done, "detail": detail }));
        self.out(&format!("{GOOD}{done:<9}{GOOD:#} {id}: {detail}\n"));
    }

    /// What was looked at.
    pub fn check(&self, check: Check) {
        let (style, word) = match check.state {
            State::Ok => (GOOD, "ok"),
            State::Warning => (WARNING, "warning"),
            State::Failed => (BAD, "failed"),
        };
        let hint = check.hint.as_ref().map_or_else(String::new, |hint| format!("           hint: {hint}\n"));
        let told = format!("{style}{word:<9}{style:#} {}: {}\n{hint}", check.name, check.detail);
        if self.quiet && check.state != State::Ok && self.format == Format::Text {
            self.err(&told);
        } else {
            self.out(&told);
        }
        held(&self.report).checks.push(check);
    }

    /// The plan of a dry run.
    pub fn plan(&self, plan: &Plan) {
        held(&self.report).plan = Some(plan.view());
        self.out(&plan.to_text());
    }

    /// A script or a page: it is what was asked for, so `--quiet` does not hide it.
    pub fn document(&self, name: &str, text: &str) {
        self.field(name, text);
        if self.format == Format::Text {
            self.print(text);
        }
    }

    /// A line that was asked for, which `--quiet` does not hide.
    pub fn result(&self, line: &str) {
        if self.format == Format::Text {
            self.print(&format!("{line}\n"));
        }
    }

    /// A line that ends what was told.
    pub fn say(&self, text: &str) {
        self.out(&format!("{text}\n"));
    }

    /// How a wait goes on, in a line that the next one replaces: only where somebody watches.
    pub fn progress(&self, text: &str) {
        if self.shows_progress() {
            self.err(&format!("{DIM}{text}{DIM:#}"));
            self.in_progress.store(true, Ordering::SeqCst);
        }
    }

    /// Takes that line away.
    pub fn no_progress(&self) {
        self.err("");
    }

    fn shows_progress(&self) -> bool {
        self.format == Format::Text && !self.quiet && io::stderr().is_terminal()
    }

    /// Asks at the terminal; the answer is a line, or the end where there is none. `None` where nobody can be asked: no
    /// terminal, or a form of output that would not have shown what is asked about.
    pub fn ask(&self, question: &str) -> Option<Receiver<String>> {
        let terminals = io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal();
        if self.format != Format::Text || self.quiet || !terminals {
            return None;
        }
        self.err(question);
        let (tell, answer) = channel();
        // A thread of its own: a read of the terminal does not end with a signal.
        std::thread::spawn(move || {
            let mut line = String::new();
            // An error is an answer that never comes: the same as none.
            if io::stdin().read_line(&mut line).is_ok() {
                drop(tell.send(line));
            }
        });
        Some(answer)
    }

    /// A head of the record, on standard error, whatever else is told.
    pub fn anchor(&self, head: &Head) {
        self.err(&format!("{head}\n"));
    }

    /// Something for JSON only.
    pub fn field(&self, name: &str, value: impl Serialize) {
        let value = serde_json::to_value(value).unwrap_or_default();
        held(&self.report).fields.insert(name.to_owned(), value);
    }

    /// The last lines: the error, the audit head, or the one JSON object. Returns the exit code.
    pub fn end(&self, ending: &Ending) -> u8 {
        let kind = ending.outcome.as_ref().map_or_else(|error| Some(error.kind), |kind| *kind);
        if let Err(error) = ending.outcome {
            let hint = error.hint.as_ref().map_or_else(String::new, |hint| format!("hint: {hint}\n"));
            self.err(&format!("{BAD}error{BAD:#}: {}\n{hint}", error.message));
        }
        if self.format == Format::Json {
            let object = self.object(ending, kind);
            self.print(&format!("{object:#}\n"));
        }
        if let Some((head, _)) = ending.head {
            self.anchor(head);
        }
        let code = kind.map_or(0, Kind::exit_code);
        // Taken out first: telling of it may fail as well, and takes the same lock.
        let failure = held(&self.failure).take();
        match failure {
            Some(error) => {
                let complete = if code == 0 && ending.changed {
                    "; all that was asked for is done, and on record: only its report is lost, so there is no need to run it again"
                } else {
                    ""
                };
                self.err(&format!("{BAD}error{BAD:#}: the report could not be written: {error}{complete}\n"));
                match (code, ending.changed) {
                    (0, true) => Kind::Stopped.exit_code(),
                    (0, false) => Kind::Failed.exit_code(),
                    _ => code,
                }
            }
            None => code,
        }
    }

    fn object(&self, ending: &Ending, kind: Option<Kind>) -> Value {
        let error = ending.outcome.as_ref().err();
        let mut object = json!({
            "schema": "bypassctl/1",
            "command": ending.command,
            "outcome": kind.map_or("done", Kind::name),
            "exit_code": kind.map_or(0, Kind::exit_code),
            "changed": ending.changed,
            "run": ending.run,
            "target": ending.target,
            "error": error.map(|error| json!({ "code": error.kind.name(), "message": error.message, "hint": error.hint })),
            "audit": ending.head.map(|(head, file)| json!({ "file": file, "log": head.log, "seq": head.seq, "hash": head.hash })),
        });
        let report = serde_json::to_value(&*held(&self.report)).unwrap_or_default();
        if let (Value::Object(object), Value::Object(report)) = (&mut object, report) {
            object.extend(report);
        }
        object
    }
}
