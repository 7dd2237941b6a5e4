//! "Configure influxctl to use the admin token": InfluxDB Clustered documentation, "Manage admin tokens", 2024.
//!
//! The page reads the token into a file and points the profile at it. Here the token is tried before anything of the
//! user's changes, and the context must still lead to the same cluster by then.

use crate::plan::{Action, ClusterTarget, Plan, Step};
use crate::profile::{ConfigEdit, Profile};
use crate::tool::Tool;
use crate::tool::influxctl;
use crate::tool::kubectl::Kubectl;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Whether the token is tried, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VerifyMode {
    /// It must be accepted.
    Require,
    /// It must not be refused; when it cannot be tried, that is said.
    Try,
    /// It is not tried.
    Skip,
}

/// All that planning may know.
pub struct EnableFacts {
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
    pub token_setup: TokenSetup,
    /// Whether the token is tried.
    pub verify: VerifyMode,
}

/// The plan. What is already right is told by its step when it runs: the token is not known before.
#[must_use]
pub fn plan_enable(facts: EnableFacts) -> Plan {
    let mut steps = vec![Step {
        id: "get-token",
        reason: format!(
            "read the admin token from secret `admin-token` of namespace `{}`",
            facts.namespace
        ),
        action: Action::ReadToken(facts.kubectl.get_admin_token(&facts.namespace)),
        postcondition: "the token is known, in memory only".to_owned(),
        parallel: false,
    }];
    steps.push(record_cluster_step(&facts));
    if facts.verify != VerifyMode::Skip {
        steps.push(probe_token_step(&facts));
    }
    steps.push(check_cluster_step(&facts));
    steps.extend(plan_token_setup(facts.token_setup));
    Plan {
        command: "enable",
        about: facts.about,
        steps,
    }
}

/// What puts a token to use on this machine.
pub struct TokenSetup {
    /// The profile's name.
    pub profile: String,
    /// The configuration, symlinks resolved.
    pub config: PathBuf,
    /// Its text; `None` when it is to be made.
    pub config_text: Option<String>,
    /// What has to change in it.
    pub edit: ConfigEdit,
    /// Where the token goes.
    pub token_file: PathBuf,
}

/// The steps that put the token that has been read to use.
#[must_use]
pub fn plan_token_setup(local: TokenSetup) -> Vec<Step> {
    let mut steps = vec![Step {
        id: "write-token",
        reason: "put the token where influxctl reads it".to_owned(),
        action: Action::WriteToken {
            path: local.token_file,
        },
        postcondition: "the file holds exactly the token, mode 0600".to_owned(),
        parallel: false,
    }];
    if !local.edit.is_noop() {
        steps.push(Step {
            id: "edit-profile",
            reason: format!("point profile `{}` at the token file", local.profile),
            action: Action::EditConfig {
                path: local.config,
                old_text: local.config_text,
                edit: local.edit,
            },
            postcondition:
                "`auth.token.token_file` of that profile is set, and nothing else differs"
                    .to_owned(),
            parallel: false,
        });
    }
    steps
}

fn record_cluster_step(facts: &EnableFacts) -> Step {
    Step {
        id: "record-cluster",
        reason: "a context names a name: note which cluster it leads to".to_owned(),
        action: Action::RecordCluster(make_cluster_target(facts)),
        postcondition: "it is known which cluster the token is from".to_owned(),
        parallel: true,
    }
}

fn check_cluster_step(facts: &EnableFacts) -> Step {
    Step {
        id: "check-cluster",
        reason: "make sure that the context leads there still, before anything of yours changes"
            .to_owned(),
        action: Action::CheckCluster(make_cluster_target(facts)),
        postcondition: "it is the same cluster".to_owned(),
        parallel: facts.verify != VerifyMode::Skip,
    }
}

fn make_cluster_target(facts: &EnableFacts) -> ClusterTarget {
    ClusterTarget {
        kubectl: facts.kubectl.clone(),
        namespace: facts.namespace.clone(),
    }
}

fn probe_token_step(facts: &EnableFacts) -> Step {
    let required = facts.verify == VerifyMode::Require;
    Step {
        id: "probe-token",
        reason: "see that the cluster takes the token, before anything of yours changes".to_owned(),
        action: Action::ProbeToken {
            command: influxctl::probe_token(&facts.influxctl),
            profile: facts.profile.clone(),
            required,
        },
        postcondition: if required {
            "the token was accepted"
        } else {
            "the token was not refused"
        }
        .to_owned(),
        parallel: false,
    }
}
