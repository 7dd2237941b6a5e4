//! The reverse of "Configure influxctl to use the admin token", wanted before production. The cluster is not touched.

use crate::plan::{Action, Plan, Step};
use crate::profile::ConfigEdit;
use std::path::PathBuf;

/// All that planning may know.
pub struct DisableFacts {
    /// What the plan is about, for people.
    pub about: String,
    /// The profile's name.
    pub profile: String,
    /// The configuration, symlinks resolved, and its text.
    pub config: PathBuf,
    /// Its text.
    pub config_text: String,
    /// What has to change in it, if anything.
    pub edit: Option<ConfigEdit>,
    /// The token files that are there and that nothing else uses.
    pub token_files: Vec<PathBuf>,
}

/// The plan: the token goes first, so that a run that is cut short leaves no token behind, and a profile that still
/// names the file is found and mended by the next.
#[must_use]
pub fn plan_disable(facts: DisableFacts) -> Plan {
    let delete = |path: PathBuf| Step {
        id: "delete-token",
        reason: "the admin token is long-lived: leave no copy".to_owned(),
        action: Action::DeleteToken { path },
        postcondition: "the file is gone".to_owned(),
        parallel: false,
    };
    let mut steps: Vec<Step> = facts.token_files.into_iter().map(delete).collect();
    if let Some(edit) = facts.edit {
        steps.push(Step {
            id: "edit-profile",
            reason: format!("take the token file out of profile `{}`", facts.profile),
            action: Action::EditConfig {
                path: facts.config,
                old_text: Some(facts.config_text),
                edit,
            },
            postcondition:
                "`auth.token.token_file` of that profile is gone, and nothing else differs"
                    .to_owned(),
            parallel: false,
        });
    }
    Plan {
        command: "disable",
        about: facts.about,
        steps,
    }
}
