//! A saved plan: what `plan` writes and `apply` compares with the current plan.
//!
//! A plan is never executed from its file. `apply` observes and plans again, and refuses to act
//! unless the new plan equals the saved one, field by field. So a file cannot introduce a command
//! that this program would not plan itself, or a fact that has changed since.

pub(crate) mod diff;
pub(crate) mod document;

use crate::cli::{DryRunFormat, PlanRequest};
use crate::error::{Error, Result};
use crate::profile::Profile;
use crate::text::sanitize_truncated;
use document::PlanFile;
use std::path::PathBuf;

/// The use of a plan.
pub(crate) enum PlanMode {
    /// Executes the plan, or prints it in a dry run.
    Execute,
    /// Saves the plan.
    Save {
        path: PathBuf,
        /// The planned command and its options.
        request: Box<PlanRequest>,
    },
    /// Executes the plan if it equals the saved one.
    Apply(Box<SavedPlan>),
}

pub(crate) struct SavedPlan {
    pub(crate) plan_file: PlanFile,
    /// SHA-256 of its file.
    pub(crate) sha256: String,
    /// The digest equals the one of `--expect`.
    pub(crate) digest_verified: bool,
}

impl PlanMode {
    /// Returns the digest of the plan that is applied.
    pub(crate) fn plan_digest(&self) -> Option<&str> {
        match self {
            Self::Apply(saved) => Some(&saved.sha256),
            Self::Execute | Self::Save { .. } => None,
        }
    }

    /// Returns whether the run changes nothing but a plan file.
    pub(crate) fn is_read_only(&self, dry_run: Option<DryRunFormat>) -> bool {
        dry_run.is_some() || matches!(self, Self::Save { .. })
    }

    /// Refuses a plan that probes tokens with another host. Otherwise a probe would send a token
    /// there before the comparison of the plans.
    pub(crate) fn check_probe_target(&self, profile: &Profile) -> Result<()> {
        let Self::Apply(saved) = self else {
            return Ok(());
        };
        let current = serde_json::json!([profile.address(), profile.tls]);
        let probe_steps = saved
            .plan_file
            .steps
            .iter()
            .filter(|step| step["address"].is_string());
        let mut differing = probe_steps
            .map(|step| serde_json::json!([step["address"], step["tls"]]))
            .filter(|planned| *planned != current);
        differing.next().map_or(Ok(()), |planned| {
            let planned = sanitize_truncated(&planned.to_string(), 256);
            Err(Error::refusal(format!(
                "the current state differs from the plan: \
                 token probes use {planned} in the plan, and {current} now"
            ))
            .hint("check host, port and TLS settings of the profile"))
        })
    }

    pub(crate) fn is_execute(&self) -> bool {
        matches!(self, Self::Execute)
    }
}
