//! The one door to the world: nothing is run and no file is changed but by the [`Executor`], and it does neither
//! without a durable record.

mod changing;
mod export;
mod files;
mod interrupt;
mod locate;
mod lock;
mod pinning;
mod program;
mod running;
mod scratch;
mod spawn;
mod summary;
mod surroundings;
mod writers;

pub use changing::{FileWrite, Readers};
pub use export::ExportDirectory;
pub use files::{Snapshot, Unfit, left_beside, read, unfit_directory};
pub use interrupt::Interrupts;
pub use locate::Found;
pub use lock::TargetLock;
pub use running::Watched;
pub use summary::append_summary;
pub use surroundings::{Surroundings, without_credentials};
pub use writers::{Writer, writers};

use crate::audit::{
    Act, Begun, Body, Exe, Head, Inherited, Intent, Log, PlanStand, RunBegin, Target, Text, Who,
};
use crate::error::{Error, Kind, Result};
use crate::policy::InForce;
use crate::secret::{Needles, Secret};
use crate::tool::Tool;
use crate::tool::invocation::{Effect, Object};
use lock::Locks;
use program::{Program, sha256_of};
use running::exe;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How a run is set up.
pub struct Setup {
    /// Which command this is a run of.
    pub command: &'static str,
    /// Whether it only shows what would be done.
    pub dry_run: bool,
    /// SHA-256 of the plan that it carries out.
    pub plan: Option<String>,
    /// The policy in force.
    pub policy: Option<InForce>,
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
    command: &'static str,
    dry_run: bool,
    plan: Option<String>,
    policy: Option<InForce>,
    tools: Mutex<Vec<Tool>>,
    programs: Mutex<BTreeMap<PathBuf, Arc<Program>>>,
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
    locks: Locks,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a run before the record is open.
fn run_begin(setup: &Setup, who: Who) -> RunBegin {
    let exe = std::env::current_exe().unwrap_or_default();
    RunBegin {
        argv: setup.surroundings.argv.iter().map(Text::from).collect(),
        exe: Exe {
            sha256: File::open(&exe).and_then(|file| sha256_of(&file)).ok(),
            path: Text::from(&exe),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        },
        cwd: Text::from(&setup.surroundings.cwd),
        who,
        pid: std::process::id(),
        started: crate::audit::process_start(std::process::id()),
        reason: setup.reason.clone(),
        command: setup.command.to_owned(),
        dry_run: setup.dry_run,
        policy: setup.policy.as_ref().map(|policy| policy.sha256.clone()),
        unfinished: Vec::new(),
    }
}

impl Executor {
    /// Opens the record and begins a run in it.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`]: then nothing can be run.
    pub fn begin(setup: Setup) -> Result<(Self, Inherited)> {
        let who = setup.surroundings.who();
        let run = uuid::Uuid::new_v4().to_string();
        let begin = run_begin(&setup, who.clone());
        let begin = |inherited: &Inherited| {
            Body::RunBegin(Box::new(RunBegin {
                unfinished: inherited.unfinished.clone(),
                ..begin
            }))
        };
        let (log, inherited) = Log::open(&setup.audit_log, &run, begin)?;
        let executor = Self {
            command: setup.command,
            dry_run: setup.dry_run,
            plan: setup.plan,
            policy: setup.policy,
            tools: Mutex::default(),
            programs: Mutex::default(),
            log: Mutex::new(log),
            needles: Mutex::default(),
            target: Mutex::default(),
            changed: AtomicBool::new(false),
            run,
            who,
            state: setup.state,
            surroundings: setup.surroundings,
            timeout: setup.timeout,
            reason: setup.reason,
            interrupts: setup.interrupts,
            locks: Locks::default(),
        };
        Ok((executor, inherited))
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
            command: self.command.to_owned(),
            dry_run: self.dry_run,
            code,
            outcome: outcome.to_owned(),
            changed: self.changed(),
            target: self.target(),
        })?;
        Ok(held(&self.log).head().clone())
    }

    /// The last record that is known to be durable.
    #[must_use]
    pub fn head(&self) -> Head {
        held(&self.log).head().clone()
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

    /// The objects whose deletion in this run's place was begun, in the last 24 hours, by revocations that did not come
    /// to their end.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] where the record cannot be read.
    pub fn deletions(&self) -> Result<Vec<Object>> {
        held(&self.log).deletions(&self.target())
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

    /// Waits a while, or fails as soon as Ctrl-C or SIGTERM comes.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] or [`Kind::Terminated`].
    pub fn pause(&self, time: Duration) -> Result<()> {
        self.interrupts.wait(time);
        self.heed()
    }

    /// The tools that this run has on record.
    #[must_use]
    pub fn tools(&self) -> Vec<Tool> {
        held(&self.tools).clone()
    }

    /// How far a plan has come by earlier runs, by the record.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] where the record cannot be read.
    pub fn plan_stand(&self, plan: &str) -> Result<PlanStand> {
        held(&self.log).plan_stand(plan, &self.run)
    }

    /// Who runs this.
    #[must_use]
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// Records a tool before its first use other than asking its version.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`].
    pub fn record_tool(&self, tool: &Tool) -> Result<()> {
        held(&self.tools).push(tool.clone());
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
        let user = self
            .who
            .user
            .clone()
            .unwrap_or_else(|| self.who.uid.to_string());
        let holder = format!(
            "run {} of {user} on {} (process {})",
            self.run,
            self.who.host,
            std::process::id()
        );
        lock::take(&self.state.join("locks"), name, what, &holder)
            .inspect(|lock| self.locks.add(lock))
    }

    fn intend(&self, step: &str, effect: Effect, act: Act) -> Result<Begun> {
        let intent = Intent {
            step: step.to_owned(),
            effect,
            act,
            who: self.who.clone(),
            target: self.target(),
            plan: self.plan.clone(),
            reason: self.reason.clone(),
        };
        held(&self.log).begin(
            &self.run,
            &Body::Intent(Box::new(intent)),
            &held(&self.needles),
        )
    }

    /// What the program was started with.
    #[must_use]
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }
}

fn interrupted(signal: i32) -> Error {
    let kind = if signal == signal_hook::consts::SIGINT {
        Kind::Interrupted
    } else {
        Kind::Terminated
    };
    Error::of(
        kind,
        format!(
            "stopped by {}",
            if kind == Kind::Interrupted {
                "Ctrl-C"
            } else {
                "a signal"
            }
        ),
    )
    .hint("the same command can be run again")
}
