//! One run: its record, its secrets, its target. Nothing is run and no file is changed without it.

use super::environment::Environment;
use super::interrupt::{Interrupts, interrupted_error};
use super::lock::{self, RunLocks, TargetLock};
use super::program::{Program, compute_file_sha256};
use super::sync::lock_mutex;
use crate::audit::{
    Actor, Body, Executable, Head, Intent, Log, Operation, PlanProgress, PriorState, Receipt,
    RunBegin, Target, Text,
};
use crate::error::{ErrorKind, Result};
use crate::policy::ActivePolicy;
use crate::redact::Redactor;
use crate::secret::Secret;
use crate::tool::Tool;
use crate::tool::invocation::{Effect, ObjectRef};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a run is set up.
pub struct RunSetup {
    /// Which command this is a run of.
    pub command: &'static str,
    /// Whether it only shows what would be done.
    pub dry_run: bool,
    /// SHA-256 of the plan that it carries out.
    pub plan_sha256: Option<String>,
    /// The policy in force.
    pub policy: Option<ActivePolicy>,
    /// The log's file.
    pub audit_log: PathBuf,
    /// Where locks are kept.
    pub state_dir: PathBuf,
    /// What the program was started with.
    pub environment: Environment,
    /// The time limit of each command.
    pub timeout: Duration,
    /// Why, in the user's words.
    pub reason: Option<String>,
    /// The signals that end it.
    pub interrupts: Interrupts,
}

/// One run: its record, its secrets, its target.
pub struct Executor {
    pub(super) command: &'static str,
    pub(super) dry_run: bool,
    pub(super) plan_sha256: Option<String>,
    pub(super) policy: Option<ActivePolicy>,
    pub(super) tools: Mutex<Vec<Tool>>,
    pub(super) programs: Mutex<BTreeMap<PathBuf, Arc<Program>>>,
    pub(super) log: Mutex<Log>,
    pub(super) redactor: Mutex<Redactor>,
    pub(super) target: Mutex<Target>,
    pub(super) has_changed: AtomicBool,
    pub(super) run_id: String,
    pub(super) actor: Actor,
    pub(super) state_dir: PathBuf,
    pub(super) environment: Environment,
    pub(super) timeout: Duration,
    pub(super) reason: Option<String>,
    pub(super) interrupts: Interrupts,
    pub(super) locks: RunLocks,
}

/// What is known of a run before the record is open.
fn build_run_begin(setup: &RunSetup, who: Actor) -> RunBegin {
    let exe = std::env::current_exe().unwrap_or_default();
    RunBegin {
        argv: setup.environment.argv.iter().map(Text::from).collect(),
        exe: Executable {
            sha256: File::open(&exe)
                .and_then(|file| compute_file_sha256(&file))
                .ok()
                .map(|digest| digest.to_string()),
            path: Text::from(&exe),
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        },
        cwd: Text::from(&setup.environment.cwd),
        actor: who,
        pid: std::process::id(),
        process_start: crate::host::read_process_start(std::process::id()),
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
    pub fn begin_run(setup: RunSetup) -> Result<(Self, PriorState)> {
        let who = setup.environment.detect_actor();
        let run = uuid::Uuid::new_v4().to_string();
        let begin = build_run_begin(&setup, who.clone());
        let begin = |inherited: &PriorState| {
            Body::RunBegin(Box::new(RunBegin {
                unfinished: inherited.unfinished.clone(),
                ..begin
            }))
        };
        let (log, inherited) = Log::open(&setup.audit_log, &run, begin)?;
        let executor = Self {
            command: setup.command,
            dry_run: setup.dry_run,
            plan_sha256: setup.plan_sha256,
            policy: setup.policy,
            tools: Mutex::default(),
            programs: Mutex::default(),
            log: Mutex::new(log),
            redactor: Mutex::default(),
            target: Mutex::default(),
            has_changed: AtomicBool::new(false),
            run_id: run,
            actor: who,
            state_dir: setup.state_dir,
            environment: setup.environment,
            timeout: setup.timeout,
            reason: setup.reason,
            interrupts: setup.interrupts,
            locks: RunLocks::default(),
        };
        Ok((executor, inherited))
    }

    fn append_record(&self, body: &Body) -> Result<()> {
        lock_mutex(&self.log).append(&self.run_id, body, &lock_mutex(&self.redactor))
    }

    /// Ends the run and returns the head that anchors its record.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`].
    pub fn finish_run(&self, kind: Option<ErrorKind>) -> Result<Head> {
        let (code, outcome) = kind.map_or((0, "done"), |kind| (kind.exit_code(), kind.name()));
        self.append_record(&Body::RunEnd {
            command: self.command.to_owned(),
            dry_run: self.dry_run,
            exit_code: code,
            outcome: outcome.to_owned(),
            changed: self.has_changed(),
            target: self.target(),
        })?;
        Ok(lock_mutex(&self.log).head().clone())
    }

    /// The last record that is known to be durable.
    #[must_use]
    pub fn head(&self) -> Head {
        lock_mutex(&self.log).head().clone()
    }

    /// This run's name in the record.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Whether anything of the user's or of the cluster's was changed.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.has_changed.load(Ordering::SeqCst)
    }

    /// Whether the log's filesystem can reserve room for a result before its act.
    #[must_use]
    pub fn can_preallocate_log(&self) -> bool {
        lock_mutex(&self.log).can_preallocate()
    }

    /// Results that could not be recorded, for the user to see: several threads may have had one.
    #[must_use]
    pub fn unwritten_results(&self) -> Vec<String> {
        lock_mutex(&self.log).unwritten_results().to_vec()
    }

    /// The objects whose deletion in this run's place was begun, in the last 24 hours, by revocations that did not come
    /// to their end.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] where the record cannot be read.
    pub fn find_begun_deletions(&self) -> Result<Vec<ObjectRef>> {
        lock_mutex(&self.log).find_begun_deletions(&self.target())
    }

    /// What is known of the target so far.
    #[must_use]
    pub fn target(&self) -> Target {
        lock_mutex(&self.target).clone()
    }

    /// Notes what has become known of the target.
    pub fn update_target(&self, learn: impl FnOnce(&mut Target)) {
        learn(&mut lock_mutex(&self.target));
    }

    /// From now on no record, error or message may hold this secret.
    pub fn register_secret(&self, secret: &Secret) {
        lock_mutex(&self.redactor).add_secret(secret);
    }

    /// The text without any secret known to this run.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        lock_mutex(&self.redactor).redact(text)
    }

    /// Fails when Ctrl-C or SIGTERM came: between two steps is the place to stop.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] or [`Kind::Terminated`].
    pub fn check_interrupted(&self) -> Result<()> {
        match self.interrupts.raised_signal() {
            None => Ok(()),
            Some(signal) => Err(interrupted_error(signal)),
        }
    }

    /// Waits a while, or fails as soon as Ctrl-C or SIGTERM comes.
    ///
    /// # Errors
    /// [`Kind::Interrupted`] or [`Kind::Terminated`].
    pub fn sleep(&self, time: Duration) -> Result<()> {
        self.interrupts.wait_for_signal(time);
        self.check_interrupted()
    }

    /// The tools that this run has on record.
    #[must_use]
    pub fn tools(&self) -> Vec<Tool> {
        lock_mutex(&self.tools).clone()
    }

    /// How far a plan has come by earlier runs, by the record.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] where the record cannot be read.
    pub fn find_plan_progress(&self, plan: &str) -> Result<PlanProgress> {
        lock_mutex(&self.log).find_plan_progress(plan, &self.run_id)
    }

    /// Who runs this.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Records a tool before its first use other than asking its version.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`].
    pub fn record_tool(&self, tool: &Tool) -> Result<()> {
        lock_mutex(&self.tools).push(tool.clone());
        self.append_record(&Body::Tool {
            name: tool.name.as_str().to_owned(),
            exe: to_executable(tool),
            found_at: tool.found_at.display().to_string(),
        })
    }

    /// Keeps other runs away from a target until the lock is dropped and every child has ended.
    ///
    /// # Errors
    /// [`Kind::Refused`] when another run is at work on it; it is named.
    pub fn lock_target(&self, name: &str, what: &str) -> Result<TargetLock> {
        let user = self
            .actor
            .user
            .clone()
            .unwrap_or_else(|| self.actor.uid.to_string());
        let holder = format!(
            "run {} of {user} on {} (process {})",
            self.run_id,
            self.actor.host,
            std::process::id()
        );
        lock::acquire_lock(&self.state_dir.join("locks"), name, what, &holder)
            .inspect(|lock| self.locks.add_lock(lock))
    }

    pub(super) fn record_intent(
        &self,
        step: &str,
        effect: Effect,
        act: Operation,
    ) -> Result<Receipt> {
        let intent = Intent {
            step: step.to_owned(),
            effect,
            operation: act,
            actor: self.actor.clone(),
            target: self.target(),
            plan: self.plan_sha256.clone(),
            reason: self.reason.clone(),
        };
        lock_mutex(&self.log).append_intent(
            &self.run_id,
            &Body::Intent(Box::new(intent)),
            &lock_mutex(&self.redactor),
        )
    }

    /// What the program was started with.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// An executable as the record shows it: without its version while it is asked for it, and without its digest unless it
/// is pinned.
pub(super) fn to_executable(tool: &Tool) -> Executable {
    Executable {
        path: Text::from(&tool.path),
        sha256: tool.sha256.clone(),
        version: tool.version.as_ref().map(ToString::to_string),
    }
}
