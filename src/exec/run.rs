//! Commands run to their end, each between its intent and its result.

use super::environment;
use super::executor::{Executor, to_executable};
use super::interrupt::interrupted_error;
use super::pinning::executable_changed_error;
use super::scratch::{self, ProbeDirectory};
use super::spawn::{self, ProcessResult, ProcessSpec, StopPredicate, Termination};
use super::sync::lock_mutex;
use crate::audit::{
    Body, FileChange, FileOp, Operation, Receipt, ResultRecord, Stdin, Stream, Text,
};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::tool::invocation::{Effect, Invocation, Sensitivity, Timeout, ToolOutput};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use zeroize::Zeroizing;

/// How a watch ended.
pub enum WatchResult {
    /// It had shown what was waited for, and was ended.
    ConditionMet,
    /// By itself, before that.
    Exited(ToolOutput),
}

impl Executor {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] before it ran; [`Kind::TimedOut`], [`Kind::Interrupted`] or [`Kind::Failed`] when it did
    /// not come to an end of its own. An exit code other than 0 is no error here.
    pub fn run(&self, step: &str, invocation: &Invocation) -> Result<ToolOutput> {
        self.check_interrupted()?;
        self.execute(step, invocation, None, None)
    }

    /// Runs a command that shows what happens until `enough` of what it has printed so far, or until it ends before
    /// that, as a watch does whose connection is lost.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn watch(
        &self,
        step: &str,
        invocation: &Invocation,
        mut enough: impl FnMut(&[u8]) -> bool,
    ) -> Result<WatchResult> {
        self.check_interrupted()?;
        let mut seen = false;
        let mut look = |printed: &[u8]| {
            seen = seen || enough(printed);
            seen
        };
        let output = self.execute(step, invocation, None, Some(&mut look))?;
        Ok(if seen {
            WatchResult::ConditionMet
        } else {
            WatchResult::Exited(output)
        })
    }

    /// Tries a token: `config` makes the throwaway configuration, given the path at which the token will be.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_token_probe(
        &self,
        step: &str,
        invocation: &Invocation,
        token: &Secret,
        config: impl FnOnce(&str) -> String,
    ) -> Result<ToolOutput> {
        self.check_interrupted()?;
        let var = |name| self.environment.var(name);
        let parent = scratch::choose_runtime_directory(var("XDG_RUNTIME_DIR"), var("TMPDIR"));
        let cannot = |error: std::io::Error| {
            Error::failure(format!(
                "no private place for the trial could be made in `{}`: {error}",
                parent.display()
            ))
            .caused_by(error)
            .hint("XDG_RUNTIME_DIR must name a directory that only you can use")
        };
        self.remove_stale_directories(step, &parent, cannot)?;
        let path = scratch::generate_path(&parent);
        let change = FileChange {
            op: FileOp::TempDir,
            path: Text::from(&path),
            before: None,
            after: None,
        };
        let begun = self.record_intent(
            &format!("{step}-temp-dir"),
            Effect::Reads,
            Operation::File {
                file: change.clone(),
            },
        )?;
        let made = ProbeDirectory::new(&begun, &path).and_then(|mut scratch| {
            let token = scratch.write_token(token)?;
            scratch.write_config(&config(&token.display().to_string()))?;
            Ok(scratch)
        });
        let (output, closed) = match made {
            Ok(scratch) => (
                self.execute(step, invocation, Some(&scratch), None),
                scratch.remove(),
            ),
            Err(error) => (Err(cannot(io::Error::other(error.to_string()))), Err(error)),
        };
        self.record_file_change(begun, change, closed.as_ref().err())?;
        let output = output?;
        closed.map_err(cannot)?;
        Ok(output)
    }

    /// Takes away what killed runs left, each on record.
    fn remove_stale_directories(
        &self,
        step: &str,
        parent: &Path,
        cannot: impl Fn(io::Error) -> Error,
    ) -> Result<()> {
        for (path, _lock) in scratch::find_stale_directories(parent).map_err(&cannot)? {
            let before = Some(Stream::new_withheld());
            let change = FileChange {
                op: FileOp::Delete,
                path: Text::from(&path),
                before,
                after: None,
            };
            let begun = self.record_intent(
                &format!("{step}-sweep"),
                Effect::Reads,
                Operation::File {
                    file: change.clone(),
                },
            )?;
            let swept = scratch::remove_stale_directory(&begun, &path);
            self.record_file_change(begun, change, swept.as_ref().err())?;
            swept.map_err(&cannot)?;
        }
        Ok(())
    }

    fn execute(
        &self,
        step: &str,
        invocation: &Invocation,
        scratch: Option<&ProbeDirectory>,
        enough: Option<StopPredicate>,
    ) -> Result<ToolOutput> {
        let program = self.get_unchanged_program(invocation.tool())?;
        let config = scratch.map(ProbeDirectory::config_path);
        let argv = invocation.argv(config.as_ref());
        let env = self.environment.build_child_env(
            invocation.env_policy(),
            &scratch.map(ProbeDirectory::build_env).unwrap_or_default(),
        );
        let act = Operation::Process {
            argv: argv.iter().map(Text::from).collect(),
            exe: to_executable(invocation.tool()),
            cwd: Text::from(&self.environment.cwd),
            env: environment::select_recorded_env(&env),
            stdin: invocation.stdin().map(|text| Stdin {
                stream: Stream::from_bytes(text.as_bytes()),
                derived_from: invocation.derived_from().to_vec(),
            }),
            object: invocation.object().cloned(),
        };
        let timeout = match invocation.timeout() {
            Timeout::Default => self.timeout,
            Timeout::AtMost(most) => most.min(self.timeout),
            Timeout::Fixed(own) => own,
        };
        let spec = ProcessSpec {
            program: &program,
            argv: &argv,
            env: &env,
            stdin: invocation.stdin(),
            max_stdout: invocation.max_stdout(),
            timeout,
            can_finish: invocation.effect() == Effect::Changes,
        };
        let begun = self.record_intent(step, invocation.effect(), act)?;
        if invocation.effect() == Effect::Changes {
            self.has_changed.store(true, Ordering::SeqCst);
        }
        // What only watches does not keep the run's locks where it outlives it.
        let inherited = if enough.is_none() {
            self.locks.duplicate_inheritable()
        } else {
            Ok(Vec::new())
        };
        let ran = match inherited {
            Ok(_inherited) => spawn::run_process(&begun, &spec, &self.interrupts, enough),
            Err(error) => ProcessResult::from_start_error(error),
        };
        self.record_process_result(begun, invocation, &ran)?;
        self.to_tool_output(invocation, ran, timeout)
    }

    fn record_process_result(
        &self,
        begun: Receipt,
        invocation: &Invocation,
        ran: &ProcessResult,
    ) -> Result<()> {
        let stream = |bytes: &[u8], secret: bool| {
            let secret = secret || lock_mutex(&self.redactor).is_match(bytes);
            Some(if secret {
                Stream::new_withheld()
            } else {
                Stream::from_bytes(bytes)
            })
        };
        let (stdout, stderr) = match invocation.sensitivity() {
            Sensitivity::Plain => (false, false),
            Sensitivity::Stdout => (true, false),
            Sensitivity::Both => (true, true),
        };
        let outcome = ResultRecord {
            intent: begun.seq(),
            exit: ran.exit.map(Into::into),
            duration_ms: begun.elapsed_ms(),
            stdout: stream(&ran.stdout, stdout),
            stderr: stream(&ran.stderr, stderr),
            files: Vec::new(),
            error: ran
                .termination
                .as_ref()
                .map(Termination::to_record_text)
                .or_else(|| ran.has_open_streams.then(|| "streams-held-open".to_owned())),
        };
        lock_mutex(&self.log).append_result(
            begun,
            &self.run_id,
            &Body::Result(Box::new(outcome)),
            &lock_mutex(&self.redactor),
        )
    }

    fn to_tool_output(
        &self,
        invocation: &Invocation,
        ran: ProcessResult,
        timeout: Duration,
    ) -> Result<ToolOutput> {
        let name = invocation.tool().name.as_str();
        match (ran.termination, ran.exit) {
            (None | Some(Termination::ConditionMet), Some(exit)) => {
                let secret = invocation.sensitivity() != Sensitivity::Plain;
                let stdout = if secret { ran.stdout } else { self.redact_bytes(ran.stdout) };
                Ok(ToolOutput { tool: invocation.tool().name, exit, stdout, stderr: self.redact_bytes(ran.stderr) })
            }
            (None | Some(Termination::ConditionMet), None) => Err(Error::failure(format!("how {name} ended could not be found out"))
                .hint("run the same command by hand; it is in the audit log")),
            (Some(Termination::Interrupted), _) => Err(interrupted_error(self.interrupts.raised_signal().unwrap_or_default())),
            (Some(Termination::TimedOut { stopped: true }), _) => Err(Error::new(
                ErrorKind::TimedOut,
                format!("{name} wanted the terminal, which it cannot have here"),
            )
            .hint(
                "a credential plugin may be asking for a login: log in first, until `kubectl get namespaces` answers",
            )),
            (Some(Termination::TimedOut { stopped: false }), _) => {
                Err(Error::new(ErrorKind::TimedOut, format!("{name} was not done after {}, and was ended", format_duration(timeout)))
                    .hint("is the network there? a longer limit: --timeout 5m"))
            }
            (Some(Termination::TooMuchOutput(stream)), _) => Err(Error::failure(format!(
                "{name} printed more on {stream} than any right answer needs, and was ended"
            ))
            .hint("run the same command by hand; it is in the audit log")),
            (Some(Termination::ExecutableChanged), _) => Err(executable_changed_error(invocation.tool())),
            (Some(Termination::NotStarted(error)), _) => {
                Err(Error::failure(format!("`{}` could not be started: {error}", invocation.tool().path.display()))
                    .caused_by(error)
                    .hint(format!("is it a program for this machine? another: --{name} PATH")))
            }
        }
    }

    /// What a tool said is quoted in errors, and a quote that is cut short could no longer be recognised as a secret.
    fn redact_bytes(&self, bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        let needles = lock_mutex(&self.redactor);
        if !needles.is_match(&bytes) {
            return bytes;
        }
        needles
            .redact(&String::from_utf8_lossy(&bytes))
            .into_bytes()
            .into()
    }
}

impl Termination {
    fn to_record_text(&self) -> String {
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

fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        format!("{ms} ms")
    }
}
