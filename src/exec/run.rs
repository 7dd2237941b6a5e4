//! Runs commands, each between its intent and its result in the audit log.

use super::environment;
use super::event::OutputLimit;
use super::executor::{Executor, to_executable};
use super::interrupt::interrupted_error;
use super::pinning::executable_changed_error;
use super::scratch::{self, ProbeDirectory};
use super::spawn::{self, ProcessResult, ProcessSpec, StopCondition, Termination};
use super::sync::lock_mutex;
use crate::audit::{
    ActionResult, Body, FileChange, FileOp, Operation, ProbeSubject, ProbeVerdict, Receipt, Stdin,
    Stream, Text,
};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::tool::influxctl::{self, TokenVerdict};
use crate::tool::invocation::{Effect, Invocation, Sensitivity, ToolOutput};
use crate::tool::kubectl::is_refused_by_precondition;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use zeroize::Zeroizing;

const RUN_BY_HAND_HINT: &str = "run the command by hand: the audit log shows it";

/// The end of a watch.
pub enum WatchResult {
    /// The output met the condition, and the watch was killed.
    ConditionMet,
    /// The command exited before that.
    Exited(ToolOutput),
}

/// How a command that is about to run gets a token.
enum TokenInput<'a> {
    /// Through a throwaway configuration.
    Config {
        directory: &'a ProbeDirectory,
        /// `None` if the command is no token probe.
        subject: Option<ProbeSubject>,
    },
    /// On standard input.
    Stdin(&'a Secret),
}

impl Executor {
    /// Runs a command until it exits. A nonzero exit code is not an error here.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] before the command runs. [`ErrorKind::TimedOut`],
    /// [`ErrorKind::Interrupted`] or [`ErrorKind::Failed`] where it did not exit by itself.
    pub fn run(&self, step: &str, invocation: &Invocation) -> Result<ToolOutput> {
        self.check_interrupted()?;
        self.execute(step, invocation, None, None)
    }

    /// Runs a command until `is_condition_met` accepts its output so far, or until it exits, as a watch does
    /// that loses its connection.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn watch(
        &self,
        step: &str,
        invocation: &Invocation,
        mut is_condition_met: impl FnMut(&[u8]) -> bool,
    ) -> Result<WatchResult> {
        self.check_interrupted()?;
        let mut was_met = false;
        let mut check = |printed: &[u8]| {
            was_met = was_met || is_condition_met(printed);
            was_met
        };
        let output = self.execute(step, invocation, None, Some(&mut check))?;
        Ok(if was_met {
            WatchResult::ConditionMet
        } else {
            WatchResult::Exited(output)
        })
    }

    /// Runs a command with a token. `config` renders the throwaway configuration for a token path.
    /// Only a token probe has a subject, and the audit log then has its verdict.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with_token(
        &self,
        step: &str,
        invocation: &Invocation,
        subject: Option<ProbeSubject>,
        token: &Secret,
        config: impl FnOnce(&str) -> String,
    ) -> Result<ToolOutput> {
        self.check_interrupted()?;
        let var = |name| self.environment.var(name);
        let parent = scratch::choose_runtime_directory(var("XDG_RUNTIME_DIR"), var("TMPDIR"));
        let to_error = |error: io::Error| {
            Error::failure(format!(
                "cannot create a private directory in `{}`: {error}",
                parent.display()
            ))
            .with_source(error)
            .hint("set XDG_RUNTIME_DIR to a directory that only you can use")
        };
        self.remove_stale_directories(step, &parent, to_error)?;
        let path = scratch::generate_path(&parent);
        let change = FileChange {
            op: FileOp::TempDir,
            path: Text::from(&path),
            before: None,
            after: None,
            token_file: None,
        };
        let receipt = self.record_intent(
            &format!("{step}-temp-dir"),
            Effect::Reads,
            Operation::File {
                file: change.clone(),
            },
        )?;
        let created = ProbeDirectory::new(&receipt, &path).and_then(|mut scratch| {
            let token = scratch.write_token(token)?;
            scratch.write_config(&config(&token.display().to_string()))?;
            Ok(scratch)
        });
        let (output, removed) = match created {
            Ok(scratch) => {
                let input = TokenInput::Config {
                    directory: &scratch,
                    subject,
                };
                let output = self.execute(step, invocation, Some(&input), None);
                (output, scratch.remove())
            }
            Err(error) => (
                Err(to_error(io::Error::other(error.to_string()))),
                Err(error),
            ),
        };
        self.record_file_change(receipt, change, removed.as_ref().err())?;
        let output = output?;
        removed.map_err(to_error)?;
        Ok(output)
    }

    /// Runs a command with a token on standard input.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_with_token_on_stdin(
        &self,
        step: &str,
        invocation: &Invocation,
        token: &Secret,
    ) -> Result<ToolOutput> {
        self.check_interrupted()?;
        self.execute(step, invocation, Some(&TokenInput::Stdin(token)), None)
    }

    /// Removes the probe directories of killed runs, each with an intent and a result.
    fn remove_stale_directories(
        &self,
        step: &str,
        parent: &Path,
        to_error: impl Fn(io::Error) -> Error,
    ) -> Result<()> {
        for (path, _lock) in scratch::find_stale_directories(parent).map_err(&to_error)? {
            let before = Some(Stream::new_withheld());
            let change = FileChange {
                op: FileOp::Delete,
                path: Text::from(&path),
                before,
                after: None,
                token_file: None,
            };
            let receipt = self.record_intent(
                &format!("{step}-delete-stale-dirs"),
                Effect::Reads,
                Operation::File {
                    file: change.clone(),
                },
            )?;
            let removed = scratch::remove_stale_directory(&receipt, &path);
            self.record_file_change(receipt, change, removed.as_ref().err())?;
            removed.map_err(&to_error)?;
        }
        Ok(())
    }

    fn execute(
        &self,
        step: &str,
        invocation: &Invocation,
        token: Option<&TokenInput>,
        stop: Option<StopCondition>,
    ) -> Result<ToolOutput> {
        let program = self.get_unchanged_program(invocation.tool())?;
        let (directory, probe, token_on_stdin) = match token {
            None => (None, None, None),
            Some(TokenInput::Config { directory, subject }) => {
                (Some(*directory), subject.clone(), None)
            }
            Some(TokenInput::Stdin(token)) => (None, None, Some(token.expose_secret())),
        };
        let is_probe = probe.is_some();
        let config = directory.map(ProbeDirectory::config_path);
        let argv = invocation.argv(config.as_ref());
        let env = self.environment.build_child_env(
            invocation.env_policy(),
            invocation.tool().kuberc.as_deref(),
            &directory.map(ProbeDirectory::build_env).unwrap_or_default(),
        );
        let operation = Operation::Process {
            argv: argv.iter().map(Text::from).collect(),
            exe: to_executable(invocation.tool()),
            cwd: Text::from(&self.environment.cwd),
            env: environment::select_recorded_env(&env),
            stdin: match (invocation.stdin(), token_on_stdin) {
                (_, Some(_)) => Some(Stdin {
                    stream: Stream::new_withheld(),
                    derived_from: Vec::new(),
                }),
                (text, None) => text.map(|text| Stdin {
                    stream: Stream::from_bytes(text.as_bytes()),
                    derived_from: invocation.derived_from().to_vec(),
                }),
            },
            object: invocation.object().cloned(),
            probe,
        };
        let timeout = self.time_limit(invocation);
        let spec = ProcessSpec {
            program: &program,
            argv: &argv,
            env: &env,
            stdin: token_on_stdin.or(invocation.stdin().map(str::as_bytes)),
            max_stdout: invocation.max_stdout(),
            timeout,
            can_finish: invocation.effect() == Effect::Changes,
        };
        let receipt = self.record_intent(step, invocation.effect(), operation)?;
        if invocation.effect() == Effect::Changes {
            self.change_count.fetch_add(1, Ordering::SeqCst);
        }
        // A watch that outlives this run must not hold its locks.
        let inherited = if stop.is_none() {
            self.locks.duplicate_inheritable()
        } else {
            Ok(Vec::new())
        };
        let process = match inherited {
            Ok(_inherited) => spawn::run_process(&receipt, &spec, &self.interrupts, stop),
            Err(error) => ProcessResult::from_start_error(error),
        };
        let verdict = is_probe.then(|| self.judge_probe(invocation, &process));
        self.record_process_result(receipt, invocation, &process, verdict)?;
        let output = self.to_tool_output(invocation, process, timeout)?;
        if is_refused_by_precondition(invocation, &output) {
            self.change_count.fetch_sub(1, Ordering::SeqCst);
        }
        Ok(output)
    }

    /// Returns the server's answer to a token probe.
    fn judge_probe(&self, invocation: &Invocation, process: &ProcessResult) -> ProbeVerdict {
        let (None, Some(exit)) = (&process.termination, process.exit) else {
            return ProbeVerdict::Inconclusive;
        };
        let verdict = influxctl::parse_token_probe(&ToolOutput {
            tool: invocation.tool().name,
            exit,
            stdout: process.stdout.clone(),
            stderr: self.redact_bytes(process.stderr.clone()),
        });
        match verdict {
            TokenVerdict::Accepted => ProbeVerdict::Accepted,
            TokenVerdict::Rejected(_) => ProbeVerdict::Rejected,
            TokenVerdict::Inconclusive(_) => ProbeVerdict::Inconclusive,
        }
    }

    fn record_process_result(
        &self,
        receipt: Receipt,
        invocation: &Invocation,
        process: &ProcessResult,
        verdict: Option<ProbeVerdict>,
    ) -> Result<()> {
        let stream = |bytes: &[u8], is_secret: bool| {
            let is_secret = is_secret || lock_mutex(&self.redactor).is_match(bytes);
            Some(if is_secret {
                Stream::new_withheld()
            } else {
                Stream::from_bytes(bytes)
            })
        };
        let (stdout, stderr) = match invocation.sensitivity() {
            Sensitivity::Plain => (false, false),
            // With GODEBUG, Go's HTTP client prints the responses, which contain the token.
            Sensitivity::Stdout => (true, self.environment.var("GODEBUG").is_some()),
            Sensitivity::Both => (true, true),
        };
        let result = ActionResult {
            intent: receipt.seq(),
            exit: process.exit.map(Into::into),
            duration_ms: receipt.elapsed_ms(),
            stdout: stream(&process.stdout, stdout),
            stderr: stream(&process.stderr, stderr),
            files: Vec::new(),
            verdict,
            error: process
                .termination
                .as_ref()
                .map(Termination::to_log_text)
                .or_else(|| {
                    process
                        .has_open_streams
                        .then(|| "streams-held-open".to_owned())
                }),
        };
        lock_mutex(&self.log).append_result(
            receipt,
            &self.run_id,
            &Body::Result(Box::new(result)),
            &lock_mutex(&self.redactor),
        )
    }

    fn to_tool_output(
        &self,
        invocation: &Invocation,
        process: ProcessResult,
        timeout: Duration,
    ) -> Result<ToolOutput> {
        let name = invocation.tool().name.as_str();
        match (process.termination, process.exit) {
            (None | Some(Termination::ConditionMet), Some(exit)) => {
                let is_secret = invocation.sensitivity() != Sensitivity::Plain;
                let stdout = if is_secret {
                    process.stdout
                } else {
                    self.redact_bytes(process.stdout)
                };
                Ok(ToolOutput {
                    tool: invocation.tool().name,
                    exit,
                    stdout,
                    stderr: self.redact_bytes(process.stderr),
                })
            }
            (None | Some(Termination::ConditionMet), None) => Err(Error::failure(format!(
                "the exit status of {name} is unknown"
            ))
            .hint(RUN_BY_HAND_HINT)),
            (Some(Termination::Interrupted), _) => Err(interrupted_error(
                self.interrupts.raised_signal().unwrap_or_default(),
                self.has_changed(),
            )),
            (Some(Termination::TimedOut { stopped: true }), _) => Err(Error::from_kind(
                ErrorKind::TimedOut,
                format!("{name} tried to use the terminal and was killed"),
            )
            .hint(
                "a credential plugin may ask for a login: log in until `kubectl get namespaces` \
                 works",
            )),
            (Some(Termination::TimedOut { stopped: false }), _) => Err(Error::from_kind(
                ErrorKind::TimedOut,
                format!(
                    "{name} timed out after {} and was killed",
                    format_duration(timeout)
                ),
            )
            .hint("check the network, or raise the limit: --timeout 5m")),
            (Some(Termination::TooMuchOutput(OutputLimit { stream, max })), _) => {
                Err(Error::failure(format!(
                    "`{}` printed more than {} on {stream} and was killed",
                    invocation.short_command(),
                    format_size(max)
                ))
                .hint(RUN_BY_HAND_HINT))
            }
            (Some(Termination::ExecutableChanged), _) => {
                Err(executable_changed_error(invocation.tool()))
            }
            (Some(Termination::NotStarted(error)), _) => {
                let path = invocation.tool().path.display();
                Err(Error::failure(format!("cannot start `{path}`: {error}"))
                    .with_source(error)
                    .hint(format!(
                        "check that it is built for this machine, or {}",
                        invocation.tool().name.path_hint()
                    )))
            }
        }
    }

    /// Redacts output before an error quotes a part of it: a truncated secret would not match.
    fn redact_bytes(&self, bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        let redactor = lock_mutex(&self.redactor);
        if !redactor.is_match(&bytes) {
            return bytes;
        }
        redactor
            .redact(&String::from_utf8_lossy(&bytes))
            .into_bytes()
            .into()
    }
}

impl Termination {
    fn to_log_text(&self) -> String {
        match self {
            Self::NotStarted(error) => format!("not-started: {error}"),
            Self::ExecutableChanged => "executable-changed".to_owned(),
            Self::TimedOut { .. } => "timed-out".to_owned(),
            Self::TooMuchOutput(_) => "too-much-output".to_owned(),
            Self::Interrupted => "interrupted".to_owned(),
            Self::ConditionMet => "condition-met".to_owned(),
        }
    }
}

/// Formats a limit in MiB, or in KiB below 1 MiB.
fn format_size(bytes: usize) -> String {
    if bytes < 1 << 20 {
        format!("{} KiB", bytes >> 10)
    } else {
        format!("{} MiB", bytes >> 20)
    }
}

fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        format!("{ms} ms")
    }
}
