//! "Configure influxctl to use the admin token": InfluxDB Clustered documentation, "Manage admin tokens", 2024.
//!
//! The page reads the token into a file and points the profile at it. Here the token is tried before anything of the
//! user's changes, and the context must still lead to the same cluster by then.

use crate::plan::{Action, Place, Plan, Step};
use crate::profile::{Edit, Profile};
use crate::tool::Tool;
use crate::tool::influxctl;
use crate::tool::kubectl::Kubectl;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Whether the token is tried, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    /// It must be accepted.
    Require,
    /// It must not be refused; when it cannot be tried, that is said.
    Try,
    /// It is not tried.
    Skip,
}

/// All that planning may know.
pub struct Facts {
    /// kubectl, pinned.
    pub kubectl: Kubectl,
    /// influxctl.
    pub influxctl: Tool,
    /// The namespace.
    pub namespace: String,
    /// What the plan is about, for people.
    pub about: String,
    /// The profile, with its host, port and TLS settings.
    pub profile: Profile,
    /// What puts the token to use on this machine.
    pub local: PutToUse,
    /// Whether the token is tried.
    pub verify: Verify,
}

/// The plan. What is already right is told by its step when it runs: the token is not known before.
#[must_use]
pub fn plan(facts: Facts) -> Plan {
    let mut steps = vec![Step {
        id: "get-token",
        why: format!(
            "read the admin token from secret `admin-token` of namespace `{}`",
            facts.namespace
        ),
        action: Action::ReadToken(facts.kubectl.admin_token(&facts.namespace)),
        holds: "the token is known, in memory only".to_owned(),
        beside: false,
    }];
    steps.push(note_cluster(&facts));
    if facts.verify != Verify::Skip {
        steps.push(try_token(&facts));
    }
    steps.push(check_cluster(&facts));
    steps.extend(put_to_use(facts.local));
    Plan {
        command: "enable",
        about: facts.about,
        steps,
    }
}

/// What puts a token to use on this machine.
pub struct PutToUse {
    /// The profile's name.
    pub profile: String,
    /// The configuration, symlinks resolved.
    pub config: PathBuf,
    /// Its text; `None` when it is to be made.
    pub config_text: Option<String>,
    /// What has to change in it.
    pub edit: Edit,
    /// Where the token goes.
    pub token_file: PathBuf,
}

/// The steps that put the token that has been read to use.
#[must_use]
pub fn put_to_use(local: PutToUse) -> Vec<Step> {
    let mut steps = vec![Step {
        id: "write-token",
        why: "put the token where influxctl reads it".to_owned(),
        action: Action::WriteToken {
            path: local.token_file,
        },
        holds: "the file holds exactly the token, mode 0600".to_owned(),
        beside: false,
    }];
    if !local.edit.is_noop() {
        steps.push(Step {
            id: "edit-profile",
            why: format!("point profile `{}` at the token file", local.profile),
            action: Action::EditConfig {
                path: local.config,
                old: local.config_text,
                edit: local.edit,
            },
            holds: "`auth.token.token_file` of that profile is set, and nothing else differs"
                .to_owned(),
            beside: false,
        });
    }
    steps
}

fn note_cluster(facts: &Facts) -> Step {
    Step {
        id: "note-cluster",
        why: "a context names a name: note which cluster it leads to".to_owned(),
        action: Action::NoteCluster(look(facts)),
        holds: "it is known which cluster the token is from".to_owned(),
        beside: true,
    }
}

fn check_cluster(facts: &Facts) -> Step {
    Step {
        id: "check-cluster",
        why: "make sure that the context leads there still, before anything of yours changes"
            .to_owned(),
        action: Action::CheckCluster(look(facts)),
        holds: "it is the same cluster".to_owned(),
        beside: facts.verify != Verify::Skip,
    }
}

fn look(facts: &Facts) -> Place {
    Place {
        kubectl: facts.kubectl.clone(),
        namespace: facts.namespace.clone(),
    }
}

fn try_token(facts: &Facts) -> Step {
    let required = facts.verify == Verify::Require;
    Step {
        id: "try-token",
        why: "see that the cluster takes the token, before anything of yours changes".to_owned(),
        action: Action::TryToken {
            command: influxctl::try_token(&facts.influxctl),
            profile: facts.profile.clone(),
            required,
        },
        holds: if required {
            "the token was accepted"
        } else {
            "the token was not refused"
        }
        .to_owned(),
        beside: false,
    }
}
