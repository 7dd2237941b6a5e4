//! The reverse of "Configure influxctl to use the admin token". It needs no cluster.

use crate::plan::{Action, Plan, Step};
use crate::profile::ConfigEdit;
use std::path::PathBuf;

/// Everything that the plan depends on.
pub struct DisableFacts {
    /// The subject of the plan, for people.
    pub description: String,
    /// The name of the profile.
    pub profile: String,
    /// The configuration, symlinks resolved.
    pub config: PathBuf,
    pub config_text: String,
    /// The edit of the configuration, if it needs one.
    pub edit: Option<ConfigEdit>,
    /// The token file that the edit sets again.
    pub former_token_file: Option<String>,
    /// The existing token files that no other profile uses.
    pub token_files: Vec<PathBuf>,
}

/// Plans to delete the token files, then to edit the profile.
///
/// In this order, an interrupted run leaves no token. The next run finds the profile that still
/// names the file, and edits it.
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
        let (reason, postcondition) = match &facts.former_token_file {
            Some(former) => (
                format!(
                    "set the former token file of profile `{}` again",
                    facts.profile
                ),
                format!(
                    "`auth.token.token_file` of that profile is `{former}`, and nothing else \
                         differs"
                ),
            ),
            None => (
                format!("remove the token file from profile `{}`", facts.profile),
                "`auth.token.token_file` of that profile is gone, and nothing else differs"
                    .to_owned(),
            ),
        };
        steps.push(Step {
            id: "edit-profile",
            reason,
            action: Action::EditConfig {
                path: facts.config,
                old_text: Some(facts.config_text),
                edit,
            },
            postcondition,
            parallel: false,
        });
    }
    Plan {
        command: "disable",
        description: facts.description,
        steps,
    }
}
