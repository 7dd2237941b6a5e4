//! The types of a policy.

use super::class::{Redirection, RedirectionScope};
use crate::procedure::PRODUCTION_PATTERNS;
use crate::procedure::revoke::Rerun;
use crate::tool::ToolName;
use regex::Regex;
use semver::VersionReq;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The maximum size of a policy file, in bytes. A policy has some hundred.
pub const MAX_POLICY: u64 = 1 << 20;

/// The name of the policy file.
pub const FILE_NAME: &str = "bypassctl.toml";

/// The commands that change a token or a profile, so `require_plan` can name them.
pub const GUARDABLE_COMMANDS: &[&str] = &["enable", "disable", "revoke", "rotate"];

/// The directories that paths in a policy are relative to.
#[derive(Clone, Copy)]
pub struct PathContext<'a> {
    /// The directory of the policy.
    pub directory: &'a Path,
    /// HOME, for `~/`.
    pub home: Option<&'a Path>,
    /// The home directory of the account, for `~/` in a locked policy.
    pub account_home: Option<&'a Path>,
}

/// A parsed policy.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// No flag can loosen a locked policy. A locked system policy precedes every other one.
    pub locked: bool,
    /// `[tools]`
    pub tools: ToolPolicy,
    /// `[guard]`
    pub guard: Guard,
    /// `[audit]`
    pub audit: AuditPolicy,
    /// `[namespaces]`
    pub namespaces: BTreeMap<String, NamespaceDefaults>,
    /// `[targets]`
    pub targets: BTreeMap<String, NamedTarget>,
}

/// `[tools]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolPolicy {
    /// Never execute a tool without a digest in the policy, not even for its version.
    pub require_pins: bool,
    /// `[tools.kubectl]`
    pub kubectl: ToolPin,
    /// `[tools.influxctl]`
    pub influxctl: ToolPin,
    /// `[tools.delivery]`, with digests only.
    pub delivery: ToolPin,
}

impl ToolPolicy {
    pub fn pin(&self, name: ToolName) -> &ToolPin {
        match name {
            ToolName::Kubectl => &self.kubectl,
            ToolName::Influxctl => &self.influxctl,
            ToolName::Delivery => &self.delivery,
        }
    }

    pub(super) fn pin_mut(&mut self, name: ToolName) -> &mut ToolPin {
        match name {
            ToolName::Kubectl => &mut self.kubectl,
            ToolName::Influxctl => &mut self.influxctl,
            ToolName::Delivery => &mut self.delivery,
        }
    }
}

/// The requirements for one tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolPin {
    /// Replaces the search in PATH.
    pub path: Option<PathBuf>,
    /// The accepted versions. Vendors' suffixes do not count on either side.
    pub version: Option<VersionReq>,
    /// The SHA-256 digests of the accepted files, in lower-case hexadecimal.
    pub sha256: Vec<String>,
}

impl ToolPin {
    pub fn is_pinned(&self) -> bool {
        !self.sha256.is_empty()
    }
}

/// `[guard]`
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// `[guard.production]`
    pub production: ProductionPatterns,
    /// The commands that only `apply` executes.
    pub require_plan: Vec<String>,
    /// Must match somewhere in `--reason`.
    pub require_reason: Option<Regex>,
    /// A revocation deletes only objects with the observed UID.
    pub delete_by_uid: bool,
    /// A revocation deletes the clones of earlier ones.
    pub prune_clones: bool,
}

/// Patterns for whole names in any case, `*` for any text. `None` selects the built-in patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProductionPatterns {
    pub context: Option<Vec<String>>,
    pub namespace: Option<Vec<String>>,
    /// For the address of the server.
    pub server: Option<Vec<String>>,
}

impl ProductionPatterns {
    /// Adds the built-in patterns to those that would replace them.
    fn add_built_in(&mut self) {
        for patterns in [&mut self.context, &mut self.namespace]
            .into_iter()
            .flatten()
        {
            patterns.extend(
                PRODUCTION_PATTERNS
                    .iter()
                    .map(|pattern| (*pattern).to_owned()),
            );
        }
    }
}

/// `[audit]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPolicy {
    /// The audit log, unless `--audit-log` names another one.
    pub file: Option<PathBuf>,
    /// `--audit-log` cannot name another file.
    pub enforce: bool,
}

/// `[namespaces.NAME]`, the defaults for options that the command line does not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceDefaults {
    pub profile: Option<String>,
    pub config: Option<PathBuf>,
    pub token_file: Option<PathBuf>,
    pub restart_selector: Option<String>,
    /// Labels `name=value` of pods that use `rsa-keys` and need no restart.
    pub ignored_key_users: Option<Vec<String>>,
    pub key_gen_job: Option<String>,
    pub create_admin_token_job: Option<String>,
    pub rerun: Option<Rerun>,
}

impl NamespaceDefaults {
    /// Adds the defaults of another section for each key that is missing here.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            profile: self.profile.or(other.profile),
            config: self.config.or(other.config),
            token_file: self.token_file.or(other.token_file),
            restart_selector: self.restart_selector.or(other.restart_selector),
            ignored_key_users: self.ignored_key_users.or(other.ignored_key_users),
            key_gen_job: self.key_gen_job.or(other.key_gen_job),
            create_admin_token_job: self.create_admin_token_job.or(other.create_admin_token_job),
            rerun: self.rerun.or(other.rerun),
        }
    }
}

/// `[targets.NAME]`, a namespace of a cluster under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTarget {
    /// The context in the kubeconfig.
    pub context: String,
    pub namespace: String,
    /// The defaults of `[namespaces.NAMESPACE]`, unless the target sets them itself. The profile
    /// has the name of the target by default.
    pub defaults: NamespaceDefaults,
}

/// The reason why a policy is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicySource {
    /// It is the policy of the system.
    System,
    /// `--policy` or `BYPASSCTL_POLICY` names it.
    Named,
    /// It is in the working directory or above, and the user has trusted this content.
    Trusted,
    /// It is in the working directory or above, and may only tighten.
    Discovered,
}

/// The active policy, with its source.
#[derive(Clone, Debug)]
pub struct ActivePolicy {
    pub rules: Policy,
    pub file: PathBuf,
    /// SHA-256 of the file, for the audit log.
    pub sha256: String,
    pub source: PolicySource,
    pub redirections: Vec<Redirection>,
}

impl ActivePolicy {
    /// Turns the policy into one that nobody has named or trusted: its production patterns add to
    /// the built-in ones.
    #[must_use]
    pub fn into_discovered(mut self) -> Self {
        self.source = PolicySource::Discovered;
        self.rules.guard.production.add_built_in();
        self
    }

    /// Finds the defaults of a target, or else of a namespace.
    pub fn find_defaults(
        &self,
        namespace: Option<&str>,
        target: Option<&str>,
    ) -> Option<&NamespaceDefaults> {
        match target {
            Some(name) => self.rules.targets.get(name).map(|target| &target.defaults),
            None => self.rules.namespaces.get(namespace?),
        }
    }

    /// Formats the redirections that apply to a namespace and a target, each in one line.
    pub fn list_redirections(&self, namespace: Option<&str>, target: Option<&str>) -> Vec<String> {
        let is_of_target = |redirection: &Redirection| match &redirection.scope {
            RedirectionScope::Target(name) => target == Some(name),
            _ => false,
        };
        // A target takes precedence over its namespace, and always has a profile.
        let is_overridden = |key: &str| {
            let mut own = self.redirections.iter().filter(|own| is_of_target(own));
            target.is_some() && (key == "profile" || own.any(|own| own.last_key() == key))
        };
        let applies = |redirection: &&Redirection| match &redirection.scope {
            RedirectionScope::AllRuns => true,
            RedirectionScope::Namespace(name) => {
                namespace == Some(name) && !is_overridden(redirection.last_key())
            }
            RedirectionScope::Target(_) => is_of_target(redirection),
        };
        self.redirections
            .iter()
            .filter(applies)
            .map(Redirection::describe)
            .collect()
    }

    /// Formats file, digest and requirements for people.
    pub fn describe(&self) -> String {
        let guard = &self.rules.guard;
        let plan = (!guard.require_plan.is_empty())
            .then(|| format!("a plan for {}", guard.require_plan.join(", ")));
        let reason = guard
            .require_reason
            .as_ref()
            .map(|pattern| format!("a reason that matches `{pattern}`"));
        let by_uid = guard.delete_by_uid.then(|| "deletions by UID".to_owned());
        let requirements: Vec<String> = plan.into_iter().chain(reason).chain(by_uid).collect();
        let requirements = if requirements.is_empty() {
            String::new()
        } else {
            format!(", requires {}", requirements.join(" and "))
        };
        format!("{}{requirements}", self.identify())
    }

    /// Formats file and digest for people.
    pub fn identify(&self) -> String {
        let locked = if self.rules.locked { ", locked" } else { "" };
        format!("{}{locked}, sha256 {}", self.file.display(), self.sha256)
    }

    pub fn requires_pin(&self, name: ToolName) -> bool {
        self.rules.tools.require_pins || self.rules.tools.pin(name).is_pinned()
    }
}
