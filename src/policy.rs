//! `bypassctl.toml`: which tools may run, what needs a plan or a reason, where the record is kept, and what is the
//! default for a namespace. Text in, data out; where it is looked for is not decided here.

mod error;
mod pin;
mod read;

pub use error::PolicyError;
pub use pin::{PinnedTool, pin_tools, render_tools_section};
pub use read::PathContext;

use crate::procedure::revoke::Rerun;
use crate::tool::ToolName;
use regex::Regex;
use semver::VersionReq;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The largest policy file that is read, in bytes. A policy has some hundred.
pub const MAX_POLICY: u64 = 1 << 20;

/// The name of the file.
pub const FILE_NAME: &str = "bypassctl.toml";

/// The commands that put a token to use or out of use: those that a guard can be about.
pub const GUARDABLE_COMMANDS: &[&str] = &["enable", "disable", "revoke", "rotate"];

/// A policy as it was read.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Whether no flag can loosen it; that of the system's directory then goes before any other policy.
    pub locked: bool,
    /// Which tools may run.
    pub tools: ToolPolicy,
    /// What is asked for before something is changed.
    pub guard: Guard,
    /// Where the record is kept.
    pub audit: AuditPolicy,
    /// What is the default for a namespace.
    pub namespaces: BTreeMap<String, NamespaceDefaults>,
}

/// `[tools]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolPolicy {
    /// Whether a tool without a digest here is never executed, not even for its version.
    pub require_pins: bool,
    /// `[tools.kubectl]`
    pub kubectl: ToolPin,
    /// `[tools.influxctl]`
    pub influxctl: ToolPin,
}

impl ToolPolicy {
    /// What is said of that tool.
    #[must_use]
    pub fn pin(&self, name: ToolName) -> &ToolPin {
        match name {
            ToolName::Kubectl => &self.kubectl,
            ToolName::Influxctl => &self.influxctl,
        }
    }
}

impl ToolPolicy {
    fn pin_mut(&mut self, name: ToolName) -> &mut ToolPin {
        match name {
            ToolName::Kubectl => &mut self.kubectl,
            ToolName::Influxctl => &mut self.influxctl,
        }
    }
}

/// What a tool must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolPin {
    /// Where it is, instead of the first in PATH.
    pub path: Option<PathBuf>,
    /// Which versions will do; vendors' suffixes are left out on both sides.
    pub version: Option<VersionReq>,
    /// SHA-256 of the files that will do, lower-case hexadecimal; none: the tool is not pinned.
    pub sha256: Vec<String>,
}

impl ToolPin {
    /// Whether it is said by digest which file may run.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        !self.sha256.is_empty()
    }
}

/// `[guard]`
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// `[guard.production]`
    pub production: ProductionPatterns,
    /// The commands that are carried out by `apply` only.
    pub require_plan: Vec<String>,
    /// What `--reason` must match, somewhere in it.
    pub require_reason: Option<Regex>,
}

/// What looks like production: patterns of whole names, whatever the case, `*` for anything. `None`: the built-in ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductionPatterns {
    /// Of kubectl's context.
    pub context: Option<Vec<String>>,
    /// Of the namespace.
    pub namespace: Option<Vec<String>>,
    /// Of the server's address.
    pub server: Option<Vec<String>>,
}

/// `[audit]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPolicy {
    /// The record, unless `--audit-log` names another.
    pub file: Option<PathBuf>,
    /// Whether no run is recorded anywhere else.
    pub enforce: bool,
}

/// `[namespaces."NS"]`: what is taken where the command line does not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceDefaults {
    /// `--profile`
    pub profile: Option<String>,
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--token-file`
    pub token_file: Option<PathBuf>,
    /// `--restart-selector`
    pub restart_selector: Option<String>,
    /// `--key-gen-job`
    pub key_gen_job: Option<String>,
    /// `--create-admin-token-job`
    pub create_admin_token_job: Option<String>,
    /// `--rerun`
    pub rerun: Option<Rerun>,
}

/// A policy, and where it is from.
#[derive(Clone, Debug)]
pub struct ActivePolicy {
    /// What it says.
    pub policy: Policy,
    /// Its file.
    pub file: PathBuf,
    /// SHA-256 of the file, for the record.
    pub sha256: String,
}

#[cfg(test)]
mod tests;

impl ActivePolicy {
    /// For people: which file, and what it asks for.
    #[must_use]
    pub fn describe(&self) -> String {
        let Guard {
            require_plan,
            require_reason,
            ..
        } = &self.policy.guard;
        let plan =
            (!require_plan.is_empty()).then(|| format!("a plan for {}", require_plan.join(", ")));
        let reason = require_reason
            .as_ref()
            .map(|pattern| format!("a reason that matches `{pattern}`"));
        let asked: Vec<String> = plan.into_iter().chain(reason).collect();
        let asked = if asked.is_empty() {
            String::new()
        } else {
            format!("; it wants {}", asked.join(" and "))
        };
        let locked = if self.policy.locked { ", locked" } else { "" };
        format!(
            "{}{locked}, sha256 {}{asked}",
            self.file.display(),
            self.sha256
        )
    }

    /// Whether a tool runs only if its digest is in the policy.
    #[must_use]
    pub fn requires_pin(&self, name: ToolName) -> bool {
        self.policy.tools.require_pins || self.policy.tools.pin(name).is_pinned()
    }
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`PolicyError`], with the line.
    pub fn parse(text: &str, places: &PathContext) -> Result<Self, PolicyError> {
        read::parse_policy(text, places)
    }
}
