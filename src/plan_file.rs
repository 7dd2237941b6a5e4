//! A saved plan: what `plan` writes and `apply` compares with the current plan.
//!
//! A plan is never executed from its file. `apply` observes and plans again, and refuses to act unless
//! the new plan equals the saved one, field by field. So a file can hold no command that this program
//! would not plan itself, and no fact that has changed since.

pub(crate) mod diff;
pub(crate) mod document;

use crate::cli::PlanRequest;
use crate::error::{Error, Result};
use crate::profile::Profile;
use crate::text::sanitize_truncated;
use document::PlanFile;
use std::path::PathBuf;

/// What becomes of a plan.
pub(crate) enum PlanMode {
    /// It is carried out, or shown where that was asked for.
    Execute,
    /// It is written down.
    Save {
        /// Where.
        path: PathBuf,
        /// What it is the plan of.
        request: Box<PlanRequest>,
    },
    /// It is carried out if it is the one that was written down.
    Apply(Box<SavedPlan>),
}

/// A plan that was written down.
pub(crate) struct SavedPlan {
    pub(crate) plan_file: PlanFile,
    /// SHA-256 of its file.
    pub(crate) sha256: String,
    /// Whether that is what was expected.
    pub(crate) digest_verified: bool,
}

impl PlanMode {
    /// The digest of the plan that is applied.
    pub(crate) fn plan_digest(&self) -> Option<&str> {
        match self {
            Self::Apply(saved) => Some(&saved.sha256),
            Self::Execute | Self::Save { .. } => None,
        }
    }

    /// Fails where a plan is applied that has tokens tried elsewhere: no token goes there before all is compared.
    pub(crate) fn check_probe_target(&self, profile: &Profile) -> Result<()> {
        let Self::Apply(saved) = self else {
            return Ok(());
        };
        let here = serde_json::json!([profile.address(), profile.tls]);
        let planned = saved
            .plan_file
            .steps
            .iter()
            .filter(|step| step["address"].is_string());
        let mut elsewhere = planned
            .map(|step| serde_json::json!([step["address"], step["tls"]]))
            .filter(|at| *at != here);
        elsewhere.next().map_or(Ok(()), |planned| {
            let planned = sanitize_truncated(&planned.to_string(), 256);
            Err(Error::refusal(format!(
                "not as the plan has it: tokens are tried with {planned} in the plan, and {here} now"
            ))
            .hint("look at host, port and TLS settings of the profile"))
        })
    }

    pub(crate) fn is_execute(&self) -> bool {
        matches!(self, Self::Execute)
    }
}
