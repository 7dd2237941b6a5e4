//! The one door to the world: nothing is run and no file is changed but by the [`Executor`], and it does neither
//! without a durable record.

mod files;
mod interrupt;
mod locate;
mod lock;
mod scratch;
mod spawn;
mod surroundings;

pub use files::{Snapshot, left_beside, read, unsafe_directory};
pub use interrupt::Interrupts;
pub use locate::{Found, locate, sha256_of};
pub use lock::TargetLock;
pub use surroundings::{Surroundings, without_credentials};

use crate::audit::{
    Act, Begun, Body, Exe, FileChange, Head, Intent, Log, Outcome, RunBegin, Stream, Target, Text, Unfinished, Who,
};
use crate::error::{Error, Kind, Result};
use crate::secret::{Needles, Secret};
use crate::tool::Tool;
use crate::tool::invocation::{Effect, Exposure, Invocation, Output};
use rustix::process::geteuid;
use scratch::Scratch;
use spawn::{Cut, Ran, Spec};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// How a run is set up.
pub struct Setup {
    /// The log's file.
    pub audit_log: PathBuf,
    /// Where locks are kept.
    pub state: PathBuf,
    /// What the program was started with.
    pub surroundings: Surroundings,
    /// The time limit of each command.
    pub timeout: Duration,
    /// Why, in the user's words.
    pub reason: Option<String>,
    /// The signals that end it.
    pub interrupts: Interrupts,
}

/// One run: its record, its secrets, its target.
pub struct Executor {
    log: Mutex<Log>,
    needles: Mutex<Needles>,
    target: Mutex<Target>,
    changed: AtomicBool,
    run: String,
    who: Who,
    state: PathBuf,
    surroundings: Surroundings,
    timeout: Duration,
    reason: Option<String>,
    interrupts: Interrupts,
}

/// What a file is to become.
pub struct FileWrite<'a> {
    /// Absolute, symlinks resolved.
    pub path: &'a Path,
    /// The new bytes.
    pub bytes: &'a [u8],
    /// What is there now, and whose mode and owner the new file keeps; without it the file is new, with mode 0600.
    pub old: Option<&'a Snapshot>,
    /// Whether mode and owner of the old one are kept; a token file gets 0600 in any case.
    pub keeps_mode: bool,
    /// Whether it holds a secret, now or after.
    pub secret: bool,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Executor {
    /// Opens the record and begins a run in it.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`]: then nothing can be run.
    pub fn begin(setup: Setup) -> Result<(Self, Vec<Unfinished>)> {
        let (log, unfinished) = Log::open(&setup.audit_log)?;
        let who = setup.surroundings.who();
        let executor = Self {
            log: Mutex::new(log),
            needles: Mutex::default(),
            target: Mutex::default(),
            changed: AtomicBool::new(false),
            run: uuid::Uuid::new_v4().to_string(),
            who,
            state: setup.state,
            surroundings: setup.surroundings,
            timeout: setup.timeout,
            reason: setup.reason,
            interrupts: setup.interrupts,
        };
        let begin = executor.run_begin(unfinished.clone());
        executor.record(&begin)?;
        Ok((executor, unfinished))
    }

    fn run_begin(&self, unfinished: Vec<Unfinished>) -> Body {
        let exe = std::env::current_exe().unwrap_or_default();
        Body::RunBegin(Box::new(RunBegin {
            argv: self.surroundings.argv.iter().map(Text::from).collect(),
            exe: Exe {
                sha256: sha256_of(&exe).ok(),
                path: Text::from(&exe),
                version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            },
            cwd: Text::from(&self.surroundings.cwd),
            who: self.who.clone(),
            pid: std::process::id(),
            reason: self.reason.clone(),
            policy: None,
            unfinished,
        }))
    }

    fn record(&self, body: &Body) -> Result<()> {
        held(&self.log).append(&self.run, body, &held(&self.needles))
    }

    /// Ends the run and returns the head that anchors its record.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`].
    pub fn finish(&self, kind: Option<Kind>) -> Result<Head> {
        let (code, outcome) = kind.map_or((0, "done"), |kind| (kind.exit_code(), kind.name()));
        self.record(&Body::RunEnd {
            code,
            outcome: outcome.to_owned(),
            changed: self.changed(),
            target: self.target(),
        })?;
        Ok(held(&self.log).head().clone())
    }

    /// This run's name in the record.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run
    }

    /// Whether anything of the user's or of the cluster's was changed.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.changed.load(Ordering::SeqCst)
    }

    /// Whether the log's filesystem can reserve room for a result before its act.
    #[must_use]
    pub fn log_reserves(&self) -> bool {
        held(&self.log).reserves()
    }

    /// Results that could not be recorded, for the user to see: several threads may have had one.
    #[must_use]
    pub fn lost(&self) -> Vec<String> {
        held(&self.log).lost().to_vec()
    }

    /// What is known of the target so far.
    #[must_use]
    pub fn target(&self) -> Target {
        held(&self.target).clone()
    }

    /// Notes what has become known of the target.
    pub fn learn_target(&self, learn: impl FnOnce(&mut Target)) {
        learn(&mut held(&self.target));
    }

    /// From now on no record, error or message may hold this secret.
    pub fn learn_secret(&self, secret: &Secret) {
        held(&self.needles).learn(secret);
    }

    /// The text without any secret known to this run.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        held(&self.needles).redact(text)
    }

    /// Fails when Ctrl-C or SIGTERM came: between two steps is the place to stop.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] or [`Kind::Terminated`].
    pub fn heed(&self) -> Result<()> {
        match self.interrupts.raised() {
            None => Ok(()),
            Some(signal) => Err(interrupted(signal)),
        }
    }

    /// Records a tool before its first use other than asking its version.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`].
    pub fn record_tool(&self, tool: &Tool) -> Result<()> {
        self.record(&Body::Tool {
            name: tool.name.as_str().to_owned(),
            exe: exe(tool),
            found: tool.found.display().to_string(),
        })
    }

    /// Keeps other runs away from a target until the lock is dropped and every child has ended.
    ///
    /// # Errors
    /// [`Kind::Refused`] when another run is at work on it; it is named.
    pub fn lock(&self, name: &str, what: &str) -> Result<TargetLock> {
        let user = self.who.user.clone().unwrap_or_else(|| self.who.uid.to_string());
        let holder = format!("run {} of {user} on {} (process {})", self.run, self.who.host, std::process::id());
        lock::take(&self.state.join("locks"), name, what, &holder)
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] before it ran; [`Kind::TimedOut`], [`Kind::Interrupted`] or [`Kind::Failed`] when it did
    /// not come to an end of its own. An exit code other than 0 is no error here.
    pub fn run(&self, step: &str, invocation: &Invocation) -> Result<Output> {
        self.heed()?;
        self.run_with(step, invocation, None)
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
            Error::failed(format!("no private place for the trial could be made in `{}`: {error}", parent.display()))
                .hint("XDG_RUNTIME_DIR must name a directory that only you can use")
        };
        let mut scratch = Scratch::new(&parent).map_err(cannot)?;
        let change = FileChange { op: "scratch", path: Text::from(scratch.path()), before: None, after: None };
        let begun = self.intend(&format!("{step}-scratch"), Effect::Reads, Act::File { file: change.clone() })?;
        let output = scratch
            .put_token(token)
            .and_then(|path| scratch.write_config(&config(&path.display().to_string())))
            .map_err(cannot)
            .and_then(|()| self.run_with(step, invocation, Some(&scratch)));
        let closed = scratch.close();
        self.file_result(begun, change, closed.as_ref().err())?;
        closed.map_err(cannot)?;
        output
    }

    fn run_with(&self, step: &str, invocation: &Invocation, scratch: Option<&Scratch>) -> Result<Output> {
        let config = scratch.map(Scratch::config);
        let argv = invocation.argv(config.as_ref());
        let env = self.surroundings.child_env(invocation.world(), &scratch.map(Scratch::env).unwrap_or_default());
        let act = Act::Process {
            argv: argv.iter().map(Text::from).collect(),
            exe: exe(invocation.tool()),
            cwd: Text::from(&self.surroundings.cwd),
            env: surroundings::recorded(&env),
            stdin: invocation.stdin().map(|text| Stream::seen(text.as_bytes())),
        };
        let timeout = invocation.timeout().map_or(self.timeout, |own| own.min(self.timeout));
        let spec = Spec {
            program: &invocation.tool().path,
            argv: &argv,
            env: &env,
            stdin: invocation.stdin(),
            max_stdout: invocation.max_stdout(),
            timeout,
        };
        let begun = self.intend(step, invocation.effect(), act)?;
        if invocation.effect() == Effect::Changes {
            self.changed.store(true, Ordering::SeqCst);
        }
        let ran = spawn::run(&begun, &spec, &self.interrupts);
        self.process_result(begun, invocation, &ran)?;
        self.output_of(invocation, ran, timeout)
    }

    fn intend(&self, step: &str, effect: Effect, act: Act) -> Result<Begun> {
        let effect = match effect {
            Effect::Reads => "reads",
            Effect::Changes => "changes",
        };
        let intent = Intent {
            step: step.to_owned(),
            effect,
            act,
            who: self.who.clone(),
            target: self.target(),
            plan: None,
            reason: self.reason.clone(),
        };
        held(&self.log).begin(&self.run, &Body::Intent(Box::new(intent)), &held(&self.needles))
    }

    fn process_result(&self, begun: Begun, invocation: &Invocation, ran: &Ran) -> Result<()> {
        let stream = |bytes: &[u8], secret: bool| Some(if secret { Stream::withheld() } else { Stream::seen(bytes) });
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
            error: ran.cut.as_ref().map(Cut::told),
        };
        held(&self.log).end(begun, &self.run, &Body::Result(Box::new(outcome)), &held(&self.needles))
    }

    fn output_of(&self, invocation: &Invocation, ran: Ran, timeout: Duration) -> Result<Output> {
        let name = invocation.tool().name.as_str();
        match (ran.cut, ran.exit) {
            (None, Some(exit)) => {
                let secret = invocation.exposure() != Exposure::Plain;
                let stdout = if secret { ran.stdout } else { self.without_secrets(ran.stdout) };
                Ok(Output { tool: invocation.tool().name, exit, stdout, stderr: self.without_secrets(ran.stderr) })
            }
            (None, None) => Err(Error::failed(format!("how {name} ended could not be found out"))),
            (Some(Cut::Interrupted), _) => Err(interrupted(self.interrupts.raised().unwrap_or_default())),
            (Some(Cut::TimedOut { stopped: true }), _) => Err(Error::new(
                Kind::TimedOut,
                format!("{name} wanted the terminal, which it cannot have here"),
            )
            .hint(
                "a credential plugin may be asking for a login: log in first, until `kubectl get namespaces` answers",
            )),
            (Some(Cut::TimedOut { stopped: false }), _) => Err(Error::new(
                Kind::TimedOut,
                format!("{name} was not done after {}, and was ended", seconds(timeout)),
            )
            .hint("is the network there? a longer limit: --timeout 5m")),
            (Some(Cut::TooMuch(stream)), _) => Err(Error::failed(format!(
                "{name} printed more on {stream} than any right answer needs, and was ended"
            ))
            .hint("run the same command by hand; it is in the audit log")),
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
        needles.redact(&String::from_utf8_lossy(&bytes)).into_bytes().into()
    }

    /// Puts a file in the place of another as a whole, mode 0600 when it is new.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] before anything changed, [`Kind::Failed`] when the old file is still there.
    pub fn write_file(&self, step: &str, write: &FileWrite) -> Result<()> {
        self.heed()?;
        let stream = |bytes: &[u8]| if write.secret { Stream::withheld() } else { Stream::seen(bytes) };
        let change = FileChange {
            op: "write",
            path: Text::from(write.path),
            before: write.old.map(|old| stream(&old.bytes)),
            after: Some(stream(write.bytes)),
        };
        let begun = self.intend(step, Effect::Changes, Act::File { file: change.clone() })?;
        let like = write.old.filter(|_| write.keeps_mode).map(|old| &old.meta);
        let done = files::replace(&begun, write.path, write.bytes, like);
        self.file_done(begun, change, done, |path, error| {
            Error::failed(format!("`{path}` could not be written: {error}"))
                .hint("look at the directory's owner, mode and free room")
        })
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] before anything changed, [`Kind::Failed`] when it is still there.
    pub fn delete_file(&self, step: &str, path: &Path, secret: bool, old: Option<&Snapshot>) -> Result<()> {
        self.heed()?;
        let stream = |snapshot: &Snapshot| if secret { Stream::withheld() } else { Stream::seen(&snapshot.bytes) };
        let change = FileChange { op: "delete", path: Text::from(path), before: old.map(stream), after: None };
        let begun = self.intend(step, Effect::Changes, Act::File { file: change.clone() })?;
        let done = files::delete(&begun, path);
        self.file_done(begun, change, done, |path, error| {
            Error::failed(format!("`{path}` could not be deleted: {error}"))
                .hint("delete it yourself: it holds a token")
        })
    }

    fn file_done(
        &self,
        begun: Begun,
        change: FileChange,
        done: std::io::Result<()>,
        told: impl FnOnce(String, std::io::Error) -> Error,
    ) -> Result<()> {
        let path = match &change.path {
            Text::Utf8(path) => path.clone(),
            Text::Bytes { b64 } => format!("base64:{b64}"),
        };
        self.changed.fetch_or(done.is_ok(), Ordering::SeqCst);
        self.file_result(begun, change, done.as_ref().err())?;
        done.map_err(|error| told(path, error))
    }

    fn file_result(&self, begun: Begun, change: FileChange, error: Option<&std::io::Error>) -> Result<()> {
        let files = if error.is_none() { vec![change] } else { Vec::new() };
        let outcome = Outcome {
            intent: begun.seq(),
            exit: None,
            ms: begun.ms(),
            stdout: None,
            stderr: None,
            files,
            error: error.map(ToString::to_string),
        };
        held(&self.log).end(begun, &self.run, &Body::Result(Box::new(outcome)), &held(&self.needles))
    }

    /// The user this runs as.
    #[must_use]
    pub fn uid(&self) -> u32 {
        geteuid().as_raw()
    }

    /// What the program was started with.
    #[must_use]
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }
}

impl Cut {
    fn told(&self) -> String {
        match self {
            Self::NotStarted(error) => format!("not-started: {error}"),
            Self::TimedOut { .. } => "timed-out".to_owned(),
            Self::TooMuch(_) => "too-much-output".to_owned(),
            Self::Interrupted => "interrupted".to_owned(),
        }
    }
}

/// An executable as the record shows it: no digest and no version while it is only asked for its version.
fn exe(tool: &Tool) -> Exe {
    Exe {
        path: Text::from(&tool.path),
        sha256: tool.sha256.clone(),
        version: tool.version.as_ref().map(ToString::to_string),
    }
}

fn interrupted(signal: i32) -> Error {
    let kind = if signal == signal_hook::consts::SIGINT { Kind::Interrupted } else { Kind::Terminated };
    Error::new(kind, format!("stopped by {}", if kind == Kind::Interrupted { "Ctrl-C" } else { "a signal" }))
        .hint("the same command can be run again")
}

fn seconds(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}
