//! The context of one command: the executor, the user interface and the options.

pub(crate) mod cluster;
pub(crate) mod guard;
pub(crate) mod influxctl_config;
pub(crate) mod kuberc;
pub(crate) mod kubit;
pub(crate) mod ownership;
pub(crate) mod paths;
pub(crate) mod policy_file;
pub(crate) mod program_name;
pub(crate) mod runner;
pub(crate) mod token_file;
pub(crate) mod tools;
pub(crate) mod trust;

use crate::audit::Head;
use crate::cli::{Command, CommonArgs};
use crate::error::{CommandResult, Error, ErrorKind, Result};
use crate::exec::Executor;
use crate::plan::shell_quote;
use crate::plan_file::PlanMode;
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::ui::Ui;
use regex::{Captures, Regex};
use runner::Runner;
use std::sync::LazyLock;

#[derive(Clone, Copy)]
pub(crate) struct Session<'a> {
    pub(crate) executor: &'a Executor,
    pub(crate) ui: &'a Ui,
    pub(crate) common: &'a CommonArgs,
    pub(crate) mode: &'a PlanMode,
    /// The name of the influxctl profile.
    pub(crate) profile: &'a str,
}

impl Session<'_> {
    /// Returns the part of the session that runs tools and reports to the user.
    pub(crate) fn runner(&self) -> Runner<'_> {
        Runner {
            executor: self.executor,
            ui: self.ui,
            position: None,
        }
    }

    /// See [`Runner::run`].
    pub(crate) fn run(&self, step: &str, invocation: &Invocation) -> Result<ToolOutput> {
        self.runner().run(step, invocation)
    }

    /// See [`Runner::propagate_fatal`].
    pub(crate) fn propagate_fatal<T>(&self, result: Result<T>) -> Result<Result<T>> {
        self.runner().propagate_fatal(result)
    }

    /// Returns whether this run of a command can change anything.
    pub(crate) fn can_change(&self, command: &Command) -> bool {
        command.changes_state()
            && command.dry_run().is_none()
            && !matches!(self.mode, PlanMode::Save { .. })
    }

    /// Returns the namespace. It has no default, because a guess could hit the wrong one.
    pub(crate) fn require_namespace(&self) -> Result<&str> {
        self.common
            .namespace
            .as_deref()
            .ok_or_else(missing_namespace_error)
    }

    /// Returns the profile of a hint without `--profile`: the one of the target, or `default`.
    pub(crate) fn default_profile(&self) -> &str {
        let target = self.common.target.as_deref();
        let policy = self.executor.policy().filter(|_| target.is_some());
        policy
            .and_then(|policy| policy.find_defaults(None, target)?.profile.as_deref())
            .unwrap_or("default")
    }

    /// Ends the run in the audit log. Returns the outcome to report, and the head.
    ///
    /// After a change, an error becomes [`ErrorKind::Stopped`]. No message contains a secret.
    pub(crate) fn finish(&self, outcome: CommandResult) -> (CommandResult, Option<Head>) {
        let outcome = outcome.and_then(|kind| {
            self.executor.record_applied_plan()?;
            Ok(kind)
        });
        let outcome = outcome.map_err(|error| {
            if self.executor.has_changed() {
                error.into_stopped()
            } else {
                error
            }
        });
        let kind = outcome
            .as_ref()
            .map_or_else(|error| Some(error.kind), |kind| *kind);
        let (outcome, head) = if kind == Some(ErrorKind::Unrecorded) {
            // The audit log accepts no more entries, not even the end of the run.
            (outcome, self.executor.head())
        } else {
            match self.executor.finish_run(kind) {
                Ok(head) => (outcome, head),
                Err(unrecorded) => (Err(merge_errors(outcome, unrecorded)), self.executor.head()),
            }
        };
        let outcome = outcome.map_err(|error| self.complete_message(error));
        (outcome, Some(head))
    }

    /// Completes the commands of a hint with namespace, context and profile, as far as they are
    /// known.
    pub(crate) fn insert_target(&self, hint: String) -> String {
        let Some(namespace) = &self.common.namespace else {
            return hint;
        };
        let context = self.executor.target().context;
        let context = context.map_or_else(String::new, |context| {
            format!(" --context {}", shell_quote(&context))
        });
        let target = format!("--namespace {namespace}{context}");
        let hint = hint.replace("--namespace NS", &target);
        self.insert_options(&hint, namespace)
    }

    /// Adds the options of this run to the commands of this program in a hint, so that they can be
    /// copied.
    fn insert_options(&self, hint: &str, namespace: &str) -> String {
        static COMMAND: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new("`bypassctl (enable|disable|revoke|rotate|status|doctor)`")
                .expect("the pattern is a constant")
        });
        let option = |flag: &str, value: &str| format!(" {flag} {}", shell_quote(value));
        let context = self.common.context.as_deref();
        let context = context.map_or_else(String::new, |name| option("--context", name));
        let profile = Some(self.profile).filter(|profile| *profile != self.default_profile());
        let profile = profile.map_or_else(String::new, |name| option("--profile", name));
        let target = self.common.target.as_deref();
        let target = target.map(|name| option("--target", name));
        COMMAND
            .replace_all(hint, |found: &Captures| match (&found[1], &target) {
                (command, Some(target)) => format!("`bypassctl {command}{target}{profile}`"),
                ("disable", None) => format!("`bypassctl disable{profile}`"),
                (command, None) => {
                    format!("`bypassctl {command} -n {namespace}{context}{profile}`")
                }
            })
            .into_owned()
    }

    /// Adds to an error that something changed and which results are missing in the audit log.
    fn complete_message(&self, error: Error) -> Error {
        let mut sentences = vec![error.message];
        if error.kind == ErrorKind::Unrecorded && self.executor.has_changed() {
            sentences.push("A change was made before this error".to_owned());
        }
        sentences.extend(self.executor.unwritten_results());
        Error {
            message: self.executor.redact(&sentences.join(". ")),
            hint: self.insert_target(error.hint),
            ..error
        }
    }
}

pub(crate) fn missing_namespace_error() -> Error {
    Error::usage("no namespace given").hint(
        "pass the namespace of InfluxDB Clustered with -n NS or BYPASSCTL_NAMESPACE \
         (`influxdb` in the documentation)",
    )
}

/// Prepends the error of a command to the error of its end in the audit log.
fn merge_errors(outcome: CommandResult, unrecorded: Error) -> Error {
    match outcome {
        Ok(_) => unrecorded,
        Err(first) => Error {
            message: format!("{}. Then: {}", first.message, unrecorded.message),
            ..unrecorded
        },
    }
}
