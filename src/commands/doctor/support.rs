//! `doctor --report`: a file for the report of a problem, to read before it is sent.
//!
//! influxctl is closed source. What it prints becomes known through these reports only.

use crate::audit::{LogFile, list_runs};
use crate::error::{Error, Result};
use crate::exec::read_file;
use crate::profile;
use crate::secret::Secret;
use crate::session::Session;
use crate::session::influxctl_config::{InfluxctlConfig, locate_config};
use crate::session::paths;
use crate::steps::token::build_probe_subject;
use crate::text::sanitize;
use crate::tool::influxctl;
use crate::tool::invocation::ToolOutput;
use crate::tool::kubectl;
use crate::tool::{Tool, ToolName};
use std::fmt::Write as _;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// A token that no server has issued, to see how influxctl reports a rejection.
const MADE_UP_TOKEN: &[u8] = br#"{"access_token":"made-up-by-bypassctl","token_type":"Bearer"}"#;

/// The number of lines of a stream, and of runs, that the report quotes.
const MAX_LINES: usize = 100;
const MAX_RUNS: usize = 10;

const HELP_COMMANDS: [&[&str]; 4] = [
    &[],
    &["database", "list"],
    &["management", "list"],
    &["token", "list"],
];

/// Resolves the path of the report. An existing file is refused.
pub(super) fn resolve_report_file(session: &Session, file: &Path) -> Result<PathBuf> {
    let path = session.executor.environment().cwd.join(file);
    let hint = "choose another file with --report FILE";
    if path.symlink_metadata().is_ok() {
        let message = format!("`{}` exists already", path.display());
        return Err(Error::refusal(message).hint(hint));
    }
    if !path.parent().is_some_and(Path::is_dir) {
        let message = format!("the directory of `{}` does not exist", path.display());
        return Err(Error::refusal(message).hint(hint));
    }
    Ok(path)
}

/// Writes the report after the checks.
pub(super) fn write_report(session: &Session, path: &Path, tools: &[Option<Tool>]) -> Result<()> {
    let mut report = SupportReport {
        session,
        text: String::new(),
    };
    report.add_system();
    report.add_checks();
    for tool in tools.iter().flatten() {
        report.add_tool(tool)?;
    }
    let config =
        locate_config(session, None).and_then(|path| InfluxctlConfig::read(session, &path));
    let config = session.propagate_fatal(config)?;
    let influxctl = tools
        .iter()
        .flatten()
        .find(|tool| tool.name == ToolName::Influxctl);
    if let (Ok(config), Some(influxctl)) = (&config, influxctl) {
        report.add_rejected_probe(influxctl, config)?;
    }
    report.add_config_keys(config);
    report.add_runs();
    let text = session.executor.redact(&report.text);
    // Another program can have created the file during the checks.
    resolve_report_file(session, path)?;
    session
        .executor
        .write_document("write-report", path, text.as_bytes(), None)?;
    session.ui.print_lines(&format!(
        "report written to {}: read it before you send it",
        path.display()
    ));
    session
        .ui
        .update_fields(|fields| fields.file = Some(path.display().to_string()));
    Ok(())
}

struct SupportReport<'a> {
    session: &'a Session<'a>,
    text: String,
}

impl SupportReport<'_> {
    /// Adds a line without control characters, tokens, and the path of the home directory.
    fn add_line(&mut self, line: &str) {
        let mut line = sanitize(&self.session.executor.redact(line));
        let home = self.session.executor.environment().home();
        let home = home.filter(|home| *home != Path::new("/"));
        if let Some(home) = home {
            line = line.replace(&format!("{}/", home.display()), "~/");
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn add_heading(&mut self, heading: &str) {
        self.text.push('\n');
        self.add_line(&format!("## {heading}"));
        self.text.push('\n');
    }

    fn add_system(&mut self) {
        self.add_line("# Support report of bypassctl");
        self.text.push('\n');
        self.add_line("Read it before you send it: names of hosts, contexts, namespaces and paths");
        self.add_line("are in it. Tokens and keys are not.");
        self.add_heading("System");
        let system = rustix::system::uname();
        let name = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        let kernel = [system.sysname(), system.release(), system.machine()].map(name);
        self.add_line(&format!("bypassctl: {}", env!("CARGO_PKG_VERSION")));
        self.add_line(&format!("kernel: {}", kernel.join(" ")));
        let release = read_file(Path::new("/etc/os-release"), 1 << 16)
            .ok()
            .flatten();
        let release = release.map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
        let name = release.iter().flat_map(|text| text.lines());
        let name = name
            .filter_map(|line| line.strip_prefix("PRETTY_NAME="))
            .next();
        self.add_line(&format!("system: {}", name.unwrap_or("unknown")));
    }

    fn add_checks(&mut self) {
        self.add_heading("Checks");
        for check in self.session.ui.list_checks() {
            let state = check.state.as_str();
            self.add_line(&format!("- {state} {}: {}", check.name, check.detail));
        }
    }

    fn add_tool(&mut self, tool: &Tool) -> Result<()> {
        match tool.name {
            ToolName::Kubectl => {
                let output = self
                    .session
                    .run("kubectl-version", &kubectl::get_version(tool));
                self.add_output("kubectl version --client --output json", output)
            }
            ToolName::Influxctl => {
                let output = self
                    .session
                    .run("influxctl-version", &influxctl::get_version(tool));
                self.add_output("influxctl version", output)?;
                for command in HELP_COMMANDS {
                    let help = influxctl::get_help(tool, command);
                    let title = [&["influxctl"], command, &["--help"]].concat().join(" ");
                    let output = self.session.run("influxctl-help", &help);
                    self.add_output(&title, output)?;
                }
                Ok(())
            }
            ToolName::Delivery => Ok(()),
        }
    }

    /// Adds what influxctl prints when the server rejects a token.
    fn add_rejected_probe(&mut self, influxctl: &Tool, config: &InfluxctlConfig) -> Result<()> {
        let found = config
            .text()
            .and_then(|text| profile::find_profile(text, self.session.profile).ok());
        let Some(profile) = found.filter(|profile| profile.host.is_some()) else {
            return Ok(());
        };
        let token = Secret::new(MADE_UP_TOKEN.to_vec().into());
        let runner = self.session.runner();
        let subject = build_probe_subject(&runner, &profile, &token);
        let output = self.session.executor.run_with_token(
            "probe-made-up-token",
            &influxctl::probe_token(influxctl),
            Some(subject),
            &token,
            |path| profile::render_probe_config(&profile, path),
        );
        self.add_output("influxctl database list (with a made-up token)", output)
    }

    fn add_output(&mut self, command: &str, output: Result<ToolOutput>) -> Result<()> {
        self.add_heading(&format!("`{command}`"));
        match self.session.propagate_fatal(output)? {
            Ok(output) => {
                self.add_line(&output.exit.to_string());
                self.add_stream("standard output", &output.stdout);
                self.add_stream("standard error", &output.stderr);
            }
            Err(error) => self.add_line(&error.message),
        }
        Ok(())
    }

    fn add_stream(&mut self, name: &str, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.text.push('\n');
        self.add_line(&format!("{name}:"));
        self.text.push('\n');
        let text = String::from_utf8_lossy(bytes);
        for line in text.lines().take(MAX_LINES) {
            self.add_line(&format!("    {line}"));
        }
        let more = text.lines().count().saturating_sub(MAX_LINES);
        if more > 0 {
            self.add_line(&format!("    ({more} more lines)"));
        }
    }

    fn add_config_keys(&mut self, config: Result<InfluxctlConfig>) {
        self.add_heading("Keys of the configuration, without values");
        let keys = config.and_then(|config| {
            let text = config.require_text()?;
            profile::list_keys(text).map_err(|error| config.to_error(&error))
        });
        match keys {
            Ok(keys) => keys
                .iter()
                .for_each(|key| self.add_line(&format!("- {key}"))),
            Err(error) => self.add_line(&error.message),
        }
    }

    fn add_runs(&mut self) {
        self.add_heading("Last runs");
        let environment = self.session.executor.environment();
        let runs = paths::audit_log_path(self.session.common, environment).and_then(|path| {
            let runs =
                LogFile::open(&path).and_then(|log| list_runs(&mut BufReader::new(log.reader()?)));
            runs.map_err(|error| {
                Error::failure(format!("cannot read the audit log: {error}"))
                    .hint("check its owner and mode")
            })
        });
        match runs {
            Ok(mut runs) => {
                runs.retain(|run| run.run != self.session.executor.run_id());
                for run in &runs[runs.len().saturating_sub(MAX_RUNS)..] {
                    let mut line = format!("- {} {}", run.started_at, run.command);
                    match run.exit_code {
                        Some(code) => _ = write!(line, ": exit code {code}"),
                        None => line.push_str(": no end"),
                    }
                    self.add_line(&line);
                }
            }
            Err(error) => self.add_line(&error.message),
        }
    }
}
