//! One run of the program: its audit log, its secrets and its target.

use super::environment::Environment;
use super::interrupt::{Interrupts, interrupted_error};
use super::lock::{self, RunLocks, TargetLock};
use super::program::{Program, compute_file_sha256};
use super::sync::lock_mutex;
use crate::audit::{
    Actor, Body, Executable, Head, Intent, InterruptCheck, LastWrite, Log, ObservedSecrets,
    Operation, PlanProgress, PriorState, ProbeSubject, Receipt, RecordedVerification, RunBegin,
    SecretVersion, StartedChanges, Target, Text, TokenFileOrigin, UnfinishedRevocation,
    VerifiedSecrets,
};
use crate::error::{Error, ErrorKind, Result};
use crate::policy::ActivePolicy;
use crate::profile::TokenFileChange;
use crate::redact::Redactor;
use crate::secret::{HmacKey, Secret};
use crate::tool::Tool;
use crate::tool::invocation::{Effect, Invocation, ObjectRef, Timeout};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// The settings of a run.
pub struct RunSetup {
    /// The command of this run.
    pub command: &'static str,
    /// The run changes nothing.
    pub dry_run: bool,
    /// SHA-256 of the saved plan that this run applies.
    pub plan_sha256: Option<String>,
    pub policy: Option<ActivePolicy>,
    /// The namespace on the command line.
    pub namespace: Option<String>,
    /// The name of the target in the policy.
    pub target_name: Option<String>,
    pub audit_log: PathBuf,
    /// Its directory `locks` contains the lock files.
    pub state_dir: PathBuf,
    pub environment: Environment,
    /// The default time limit of a command.
    pub timeout: Duration,
    /// The value of `--reason`.
    pub reason: Option<String>,
    pub interrupts: Interrupts,
}

/// A run that is open in the audit log.
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
    /// The number of changes that have happened or may have.
    pub(super) change_count: AtomicUsize,
    pub(super) run_id: String,
    pub(super) actor: Actor,
    pub(super) state_dir: PathBuf,
    pub(super) environment: Environment,
    pub(super) timeout: Duration,
    pub(super) reason: Option<String>,
    pub(super) interrupts: Interrupts,
    pub(super) locks: RunLocks,
    pub(super) hmac_key: OnceLock<HmacKey>,
}

/// Builds the first entry of a run, except for the commands that earlier runs left unfinished.
fn build_run_begin(setup: &RunSetup, actor: Actor) -> RunBegin {
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
        actor,
        pid: std::process::id(),
        process_start: crate::host::read_process_start(std::process::id()),
        reason: setup.reason.clone(),
        command: setup.command.to_owned(),
        dry_run: setup.dry_run,
        policy: setup.policy.as_ref().map(|policy| policy.sha256.clone()),
        policy_file: setup.policy.as_ref().map(|policy| Text::from(&policy.file)),
        policy_redirects: setup.policy.as_ref().map_or_else(Vec::new, |policy| {
            policy.list_redirections(setup.namespace.as_deref(), setup.target_name.as_deref())
        }),
        unfinished: Vec::new(),
    }
}

impl Executor {
    /// Opens the audit log and begins a run in it.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`].
    pub fn begin_run(setup: RunSetup) -> Result<(Self, PriorState)> {
        let actor = setup.environment.detect_actor();
        let run_id = uuid::Uuid::new_v4().to_string();
        let begin = build_run_begin(&setup, actor.clone());
        let begin = |inherited: &PriorState| {
            Body::RunBegin(Box::new(RunBegin {
                unfinished: inherited.unfinished.clone(),
                ..begin
            }))
        };
        let interrupts = setup.interrupts.clone();
        let is_interrupted = Box::new(move || interrupts.raised_signal().is_some());
        let (log, inherited) = Log::open(&setup.audit_log, &run_id, is_interrupted, begin)?;
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
            change_count: AtomicUsize::new(0),
            run_id,
            actor,
            state_dir: setup.state_dir,
            environment: setup.environment,
            timeout: setup.timeout,
            reason: setup.reason,
            interrupts: setup.interrupts,
            locks: RunLocks::default(),
            hmac_key: OnceLock::new(),
        };
        Ok((executor, inherited))
    }

    fn append_entry(&self, body: &Body) -> Result<()> {
        lock_mutex(&self.log).append(&self.run_id, body, &lock_mutex(&self.redactor))
    }

    /// Ends the run and returns the head of the audit log.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`].
    pub fn finish_run(&self, kind: Option<ErrorKind>) -> Result<Head> {
        let (code, outcome) = kind.map_or((0, "done"), |kind| (kind.exit_code(), kind.name()));
        self.append_entry(&Body::RunEnd {
            command: self.command.to_owned(),
            dry_run: self.dry_run,
            exit_code: code,
            outcome: outcome.to_owned(),
            changed: self.has_changed(),
            target: self.target(),
        })?;
        Ok(lock_mutex(&self.log).head().clone())
    }

    /// Returns the last durable entry.
    #[must_use]
    pub fn head(&self) -> Head {
        lock_mutex(&self.log).head().clone()
    }

    /// Returns the name of the command of this run.
    #[must_use]
    pub fn command(&self) -> &'static str {
        self.command
    }

    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Returns whether this run changed a file or the cluster. A command that may have changed it
    /// counts, unless the server refused it by its precondition.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.change_count.load(Ordering::SeqCst) > 0
    }

    /// Returns whether the log's filesystem can reserve space for a result before its action.
    #[must_use]
    pub fn can_preallocate_log(&self) -> bool {
        lock_mutex(&self.log).can_preallocate()
    }

    /// Returns the results that could not be written, one per thread at most.
    #[must_use]
    pub fn unwritten_results(&self) -> Vec<String> {
        lock_mutex(&self.log).unwritten_results().to_vec()
    }

    /// Finds what unfinished revocations of the last 24 hours started to change at this target.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] where the audit log cannot be read.
    pub fn find_started_changes(&self) -> Result<StartedChanges> {
        lock_mutex(&self.log).find_started_changes(&self.target())
    }

    /// Finds the last write of a file.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] where the audit log cannot be read.
    pub fn find_last_write(&self, path: &Path) -> Result<Option<LastWrite>> {
        lock_mutex(&self.log).find_last_write(path)
    }

    /// Lists the revocations of this target that have not finished, the running ones first. Without
    /// a known server, every namespace counts.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] where the audit log cannot be read.
    pub fn list_unfinished_revocations(&self) -> Result<Vec<UnfinishedRevocation>> {
        let target = self.target();
        let target = Some(&target).filter(|target| target.server.is_some());
        let mut revocations = lock_mutex(&self.log).list_unfinished_revocations(target)?;
        revocations.retain(|revocation| revocation.run != self.run_id);
        Ok(revocations)
    }

    /// Returns whether the unfinished revocation of this target saw this token accepted before it
    /// started to delete the keys.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] where the audit log cannot be read.
    pub fn has_accepted_probe(&self, subject: &ProbeSubject) -> Result<bool> {
        lock_mutex(&self.log).has_accepted_probe(&self.target(), subject)
    }

    /// Finds the last verification of exactly these secrets in the same version.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] where the audit log cannot be read.
    pub fn find_verification(
        &self,
        secrets: &[SecretVersion],
    ) -> Result<Option<RecordedVerification>> {
        lock_mutex(&self.log).find_verification(&self.target(), secrets)
    }

    /// Records a verified revocation, so that a later run can rely on it.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`].
    pub fn record_verification(&self, step: &str, secrets: Vec<SecretVersion>) -> Result<()> {
        self.append_entry(&Body::Verification(Box::new(VerifiedSecrets {
            step: step.to_owned(),
            target: self.target(),
            secrets,
        })))
    }

    /// Records a secret that a job of this run has created, so that a later run can rely on it.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`].
    pub fn record_creation(&self, step: &str, secret: ObjectRef) -> Result<()> {
        self.append_entry(&Body::Creation(Box::new(ObservedSecrets {
            step: step.to_owned(),
            target: self.target(),
            secrets: vec![secret],
        })))
    }

    /// Finds the secrets of this target that jobs of unfinished revocations created.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] where the audit log cannot be read.
    pub fn find_created_secrets(&self) -> Result<Vec<ObjectRef>> {
        lock_mutex(&self.log).find_created_secrets(&self.target())
    }

    /// Finds the run that set the token file of a profile, and the value that it replaced. `change` removes it.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] where the audit log cannot be read.
    pub fn find_token_file_origin(
        &self,
        config: &Path,
        change: &TokenFileChange,
    ) -> Result<TokenFileOrigin> {
        let Some(current) = &change.before else {
            return Ok(TokenFileOrigin::Unknown);
        };
        lock_mutex(&self.log).find_token_file_origin(config, &change.profile, current)
    }

    /// Returns the target as far as it is known.
    #[must_use]
    pub fn target(&self) -> Target {
        lock_mutex(&self.target).clone()
    }

    pub fn update_target(&self, update: impl FnOnce(&mut Target)) {
        update(&mut lock_mutex(&self.target));
    }

    /// Redacts this secret from every later entry, error and message.
    pub fn register_secret(&self, secret: &Secret) {
        lock_mutex(&self.redactor).add_secret(secret);
    }

    /// Replaces every registered secret in `text`.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        lock_mutex(&self.redactor).redact(text)
    }

    /// Fails after Ctrl-C, SIGTERM or SIGHUP. A run stops between two steps.
    ///
    /// # Errors
    /// [`ErrorKind::Interrupted`] or [`ErrorKind::Terminated`].
    pub fn check_interrupted(&self) -> Result<()> {
        match self.interrupts.raised_signal() {
            None => Ok(()),
            Some(signal) => Err(interrupted_error(signal, self.has_changed())),
        }
    }

    /// Returns the error of an interrupted run that resumes an earlier one, which made changes.
    pub fn resumed_interrupt_error(&self) -> Option<Error> {
        let signal = self.interrupts.raised_signal()?;
        Some(interrupted_error(signal, true))
    }

    /// Sleeps, or fails at Ctrl-C, SIGTERM or SIGHUP.
    ///
    /// # Errors
    /// [`ErrorKind::Interrupted`] or [`ErrorKind::Terminated`].
    pub fn sleep(&self, time: Duration) -> Result<()> {
        self.interrupts.wait_for_signal(time);
        self.check_interrupted()
    }

    /// Returns the time limit of a command.
    #[must_use]
    pub fn time_limit(&self, invocation: &Invocation) -> Duration {
        match invocation.timeout() {
            Timeout::Default => self.timeout,
            Timeout::AtMost(most) => most.min(self.timeout),
            Timeout::Fixed(own) => own,
        }
    }

    /// Returns the tools that this run has recorded.
    #[must_use]
    pub fn tools(&self) -> Vec<Tool> {
        lock_mutex(&self.tools).clone()
    }

    /// Finds how far earlier runs have applied a plan.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] where the audit log cannot be read.
    pub fn find_plan_progress(&self, plan: &str) -> Result<PlanProgress> {
        lock_mutex(&self.log).find_plan_progress(plan, &self.run_id)
    }

    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Records a tool, before the first command other than the one that reads its version.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`].
    pub fn record_tool(&self, tool: &Tool) -> Result<()> {
        lock_mutex(&self.tools).push(tool.clone());
        self.append_entry(&Body::Tool {
            name: tool.name.as_str().to_owned(),
            exe: to_executable(tool),
            found_at: tool.found_at.display().to_string(),
        })
    }

    /// Locks a target until the lock is dropped and every child has exited. `name` is the lock
    /// file's and `target` the one in messages.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] where another run has the lock. The message names that run.
    pub fn lock_target(&self, name: &str, target: &str) -> Result<TargetLock> {
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
        let (directory, is_interrupted) = (self.lock_directory(), self.interrupt_check());
        lock::acquire_lock(&directory, name, target, &holder, &is_interrupted)
            .inspect(|lock| self.locks.add_lock(lock))
    }

    pub(super) fn lock_directory(&self) -> PathBuf {
        self.state_dir.join("locks")
    }

    pub(super) fn interrupt_check(&self) -> InterruptCheck {
        let interrupts = self.interrupts.clone();
        Box::new(move || interrupts.raised_signal().is_some())
    }

    pub(super) fn record_intent(
        &self,
        step: &str,
        effect: Effect,
        operation: Operation,
    ) -> Result<Receipt> {
        let intent = Intent {
            step: step.to_owned(),
            effect,
            operation,
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

    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// Builds the audit log's view of a tool. The version is unknown in the command that reads it, and
/// the digest of a tool that is not pinned is not computed until then.
pub(super) fn to_executable(tool: &Tool) -> Executable {
    Executable {
        path: Text::from(&tool.path),
        sha256: tool.sha256.clone(),
        version: tool.version.as_ref().map(ToString::to_string),
    }
}
