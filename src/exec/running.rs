//! Commands run to their end, each between its intent and its result.

use super::pinning::overwritten;
use super::scratch::{self, Scratch};
use super::spawn::{self, Cut, Enough, Ran, Spec};
use super::{Executor, held, interrupted, surroundings};
use crate::audit::{Act, Begun, Body, Exe, FileChange, FileOp, Outcome, Stdin, Stream, Text};
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::tool::Tool;
use crate::tool::invocation::{Effect, Exposure, Invocation, Limit, Output};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use zeroize::Zeroizing;

/// How a watch ended.
pub enum Watched {
    /// It had shown what was waited for, and was ended.
    Enough,
    /// By itself, before that.
    Ended(Output),
}

impl Executor {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] before it ran; [`Kind::TimedOut`], [`Kind::Interrupted`] or [`Kind::Failed`] when it did
    /// not come to an end of its own. An exit code other than 0 is no error here.
    pub fn run(&self, step: &str, invocation: &Invocation) -> Result<Output> {
        self.heed()?;
        self.run_with(step, invocation, None, None)
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
    ) -> Result<Watched> {
        self.heed()?;
        let mut seen = false;
        let mut look = |printed: &[u8]| {
            seen = seen || enough(printed);
            seen
        };
        let output = self.run_with(step, invocation, None, Some(&mut look))?;
        Ok(if seen {
            Watched::Enough
        } else {
            Watched::Ended(output)
        })
    }

    /// Tries a token: `config` makes the throwaway configuration, given the path at which the token will be.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn trial(
        &self,
        step: &str,
        invocation: &Invocation,
        token: &Secret,
        config: impl FnOnce(&str) -> String,
    ) -> Result<Output> {
        self.heed()?;
        let var = |name| self.surroundings.var(name);
        let parent = scratch::runtime_directory(var("XDG_RUNTIME_DIR"), var("TMPDIR"));
        let cannot = |error: std::io::Error| {
            Error::failed(format!(
                "no private place for the trial could be made in `{}`: {error}",
                parent.display()
            ))
            .hint("XDG_RUNTIME_DIR must name a directory that only you can use")
        };
        self.sweep(step, &parent)
            .and_then(|swept| swept.map_err(cannot))?;
        let path = scratch::new_path(&parent);
        let change = FileChange {
            op: FileOp::Scratch,
            path: Text::from(&path),
            before: None,
            after: None,
        };
        let begun = self.intend(
            &format!("{step}-scratch"),
            Effect::Reads,
            Act::File {
                file: change.clone(),
            },
        )?;
        let made = Scratch::new(&begun, &path).and_then(|mut scratch| {
            let token = scratch.put_token(token)?;
            scratch.write_config(&config(&token.display().to_string()))?;
            Ok(scratch)
        });
        let (output, closed) = match made {
            Ok(scratch) => (
                self.run_with(step, invocation, Some(&scratch), None),
                scratch.close(),
            ),
            Err(error) => (Err(cannot(io::Error::other(error.to_string()))), Err(error)),
        };
        self.file_result(begun, change, closed.as_ref().err())?;
        let output = output?;
        closed.map_err(cannot)?;
        Ok(output)
    }

    /// Takes away what killed runs left, each on record.
    fn sweep(&self, step: &str, parent: &Path) -> Result<io::Result<()>> {
        let stale = match scratch::stale(parent) {
            Ok(stale) => stale,
            Err(error) => return Ok(Err(error)),
        };
        for (path, _lock) in stale {
            let before = Some(Stream::withheld());
            let change = FileChange {
                op: FileOp::Delete,
                path: Text::from(&path),
                before,
                after: None,
            };
            let begun = self.intend(
                &format!("{step}-sweep"),
                Effect::Reads,
                Act::File {
                    file: change.clone(),
                },
            )?;
            let swept = scratch::sweep(&begun, &path);
            self.file_result(begun, change, swept.as_ref().err())?;
            if swept.is_err() {
                return Ok(swept);
            }
        }
        Ok(Ok(()))
    }

    fn run_with(
        &self,
        step: &str,
        invocation: &Invocation,
        scratch: Option<&Scratch>,
        enough: Option<Enough>,
    ) -> Result<Output> {
        let program = self.program_to_run(invocation.tool())?;
        let config = scratch.map(Scratch::config);
        let argv = invocation.argv(config.as_ref());
        let env = self.surroundings.child_env(
            invocation.world(),
            &scratch.map(Scratch::env).unwrap_or_default(),
        );
        let act = Act::Process {
            argv: argv.iter().map(Text::from).collect(),
            exe: exe(invocation.tool()),
            cwd: Text::from(&self.surroundings.cwd),
            env: surroundings::recorded(&env),
            stdin: invocation.stdin().map(|text| Stdin {
                stream: Stream::seen(text.as_bytes()),
                made_from: invocation.made_from().to_vec(),
            }),
            object: invocation.object().cloned(),
        };
        let timeout = match invocation.limit() {
            Limit::Runs => self.timeout,
            Limit::AtMost(most) => most.min(self.timeout),
            Limit::Own(own) => own,
        };
        let spec = Spec {
            program: &program,
            argv: &argv,
            env: &env,
            stdin: invocation.stdin(),
            max_stdout: invocation.max_stdout(),
            timeout,
            may_finish: invocation.effect() == Effect::Changes,
        };
        let begun = self.intend(step, invocation.effect(), act)?;
        if invocation.effect() == Effect::Changes {
            self.changed.store(true, Ordering::SeqCst);
        }
        // What only watches does not keep the run's locks where it outlives it.
        let inherited = if enough.is_none() {
            self.locks.inheritable()
        } else {
            Ok(Vec::new())
        };
        let ran = match inherited {
            Ok(_inherited) => spawn::run(&begun, &spec, &self.interrupts, enough),
            Err(error) => Ran::not_started(error),
        };
        self.process_result(begun, invocation, &ran)?;
        self.output_of(invocation, ran, timeout)
    }

    fn process_result(&self, begun: Begun, invocation: &Invocation, ran: &Ran) -> Result<()> {
        let stream = |bytes: &[u8], secret: bool| {
            let secret = secret || held(&self.needles).occur_in(bytes);
            Some(if secret {
                Stream::withheld()
            } else {
                Stream::seen(bytes)
            })
        };
        let (stdout, stderr) = match invocation.exposure() {
            Exposure::Plain => (false, false),
            Exposure::Stdout => (true, false),
            Exposure::Both => (true, true),
        };
        let outcome = Outcome {
            intent: begun.seq(),
            exit: ran.exit.map(Into::into),
            ms: begun.ms(),
            stdout: stream(&ran.stdout, stdout),
            stderr: stream(&ran.stderr, stderr),
            files: Vec::new(),
            error: ran
                .cut
                .as_ref()
                .map(Cut::told)
                .or_else(|| ran.held_open.then(|| "streams-held-open".to_owned())),
        };
        held(&self.log).end(
            begun,
            &self.run,
            &Body::Result(Box::new(outcome)),
            &held(&self.needles),
        )
    }

    fn output_of(&self, invocation: &Invocation, ran: Ran, timeout: Duration) -> Result<Output> {
        let name = invocation.tool().name.as_str();
        match (ran.cut, ran.exit) {
            (None | Some(Cut::Enough), Some(exit)) => {
                let secret = invocation.exposure() != Exposure::Plain;
                let stdout = if secret { ran.stdout } else { self.without_secrets(ran.stdout) };
                Ok(Output { tool: invocation.tool().name, exit, stdout, stderr: self.without_secrets(ran.stderr) })
            }
            (None | Some(Cut::Enough), None) => Err(Error::failed(format!("how {name} ended could not be found out"))
                .hint("run the same command by hand; it is in the audit log")),
            (Some(Cut::Interrupted), _) => Err(interrupted(self.interrupts.raised().unwrap_or_default())),
            (Some(Cut::TimedOut { stopped: true }), _) => Err(Error::of(
                Kind::TimedOut,
                format!("{name} wanted the terminal, which it cannot have here"),
            )
            .hint(
                "a credential plugin may be asking for a login: log in first, until `kubectl get namespaces` answers",
            )),
            (Some(Cut::TimedOut { stopped: false }), _) => {
                Err(Error::of(Kind::TimedOut, format!("{name} was not done after {}, and was ended", seconds(timeout)))
                    .hint("is the network there? a longer limit: --timeout 5m"))
            }
            (Some(Cut::TooMuch(stream)), _) => Err(Error::failed(format!(
                "{name} printed more on {stream} than any right answer needs, and was ended"
            ))
            .hint("run the same command by hand; it is in the audit log")),
            (Some(Cut::Overwritten), _) => Err(overwritten(invocation.tool())),
            (Some(Cut::NotStarted(error)), _) => {
                Err(Error::failed(format!("`{}` could not be started: {error}", invocation.tool().path.display()))
                    .hint(format!("is it a program for this machine? another: --{name} PATH")))
            }
        }
    }

    /// What a tool said is quoted in errors, and a quote that is cut short could no longer be recognised as a secret.
    fn without_secrets(&self, bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        let needles = held(&self.needles);
        if !needles.occur_in(&bytes) {
            return bytes;
        }
        needles
            .redact(&String::from_utf8_lossy(&bytes))
            .into_bytes()
            .into()
    }
}

impl Cut {
    fn told(&self) -> String {
        match self {
            Self::NotStarted(error) => format!("not-started: {error}"),
            Self::Overwritten => "overwritten".to_owned(),
            Self::TimedOut { .. } => "timed-out".to_owned(),
            Self::TooMuch(_) => "too-much-output".to_owned(),
            Self::Interrupted => "interrupted".to_owned(),
            Self::Enough => "enough".to_owned(),
        }
    }
}

/// An executable as the record shows it: without its version while it is asked for it, and without its digest unless it
/// is pinned.
pub(super) fn exe(tool: &Tool) -> Exe {
    Exe {
        path: Text::from(&tool.path),
        sha256: tool.sha256.clone(),
        version: tool.version.as_ref().map(ToString::to_string),
    }
}

fn seconds(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms.is_multiple_of(1000) {
        format!("{} s", ms / 1000)
    } else {
        format!("{ms} ms")
    }
}
