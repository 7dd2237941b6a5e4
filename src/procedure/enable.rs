//! "Configure influxctl to use the admin token": InfluxDB Clustered documentation, "Manage admin
//! tokens", 2024.
//!
//! The page reads the token into a file and points the profile at it. The plan here tests the token
//! first. Where the pinned server does not identify the cluster, it checks the cluster again.

use crate::plan::{Action, ClusterTarget, Plan, Step};
use crate::profile::{ConfigEdit, Profile};
use crate::tool::Tool;
use crate::tool::influxctl;
use crate::tool::kubectl::Kubectl;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The results of the token probe that stop the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum VerifyMode {
    /// Anything but acceptance.
    Require,
    /// A rejection. An inconclusive probe causes a warning.
    Try,
    /// None, because there is no probe.
    Skip,
}

/// Everything that the plan depends on.
pub struct EnableFacts {
    /// With context, server and other flags pinned.
    pub kubectl: Kubectl,
    pub influxctl: Tool,
    pub namespace: String,
    /// The subject of the plan, for people.
    pub description: String,
    /// Supplies host, port and TLS settings of the token probe.
    pub profile: Profile,
    pub token_setup: TokenSetup,
    pub verify: VerifyMode,
}

/// Plans to read the token, test it, and write it.
///
/// The plan has every step, because the token is unknown before the first one. A step that finds
/// nothing to change reports it when it runs.
pub fn plan_enable(facts: EnableFacts) -> Plan {
    let mut steps = vec![Step {
        id: "get-token",
        reason: format!(
            "read the admin token from secret `admin-token` of namespace `{}`",
            facts.namespace
        ),
        action: Action::ReadToken(facts.kubectl.get_admin_token(&facts.namespace)),
        postcondition: "the token is in memory only".to_owned(),
        parallel: false,
    }];
    steps.push(record_cluster_step(&facts));
    if facts.verify != VerifyMode::Skip {
        steps.push(probe_token_step(&facts));
    }
    if facts.kubectl.can_change_cluster() {
        steps.push(check_cluster_step(&facts));
    }
    steps.extend(plan_token_setup(facts.token_setup));
    Plan {
        command: "enable",
        description: facts.description,
        steps,
    }
}

/// The local files that make a profile use the token.
pub struct TokenSetup {
    /// The name of the profile.
    pub profile: String,
    /// The configuration, symlinks resolved.
    pub config: PathBuf,
    /// `None` for a new configuration.
    pub config_text: Option<String>,
    pub edit: ConfigEdit,
    /// The edit adds the profile.
    pub creates_profile: bool,
    pub token_file: PathBuf,
}

/// Plans to write the token of an earlier step and to point the profile at it.
pub fn plan_token_setup(setup: TokenSetup) -> Vec<Step> {
    let mut steps = vec![Step {
        id: "write-token",
        reason: "write the token where influxctl reads it".to_owned(),
        action: Action::WriteToken {
            path: setup.token_file,
        },
        postcondition: "the file contains exactly the token, mode 0600".to_owned(),
        parallel: false,
    }];
    if !setup.edit.is_noop() {
        let (reason, postcondition) = if setup.creates_profile {
            (
                format!("add profile `{}` with the token file", setup.profile),
                "the configuration has that profile, and nothing else differs",
            )
        } else {
            (
                format!("point profile `{}` at the token file", setup.profile),
                "`auth.token.token_file` of that profile is set, and nothing else differs",
            )
        };
        steps.push(Step {
            id: "edit-profile",
            reason,
            action: Action::EditConfig {
                path: setup.config,
                old_text: setup.config_text,
                edit: setup.edit,
            },
            postcondition: postcondition.to_owned(),
            parallel: false,
        });
    }
    steps
}

fn record_cluster_step(facts: &EnableFacts) -> Step {
    Step {
        id: "record-cluster",
        reason: "record the cluster that the context points to".to_owned(),
        action: Action::RecordCluster(make_cluster_target(facts)),
        postcondition: "the cluster of the token is known".to_owned(),
        parallel: true,
    }
}

fn check_cluster_step(facts: &EnableFacts) -> Step {
    Step {
        id: "check-cluster",
        reason: "check that the context still points to the same cluster, before any of your \
                 files changes"
            .to_owned(),
        action: Action::CheckCluster(make_cluster_target(facts)),
        postcondition: "the cluster is the same".to_owned(),
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
    let postcondition = if required {
        "the token was accepted"
    } else {
        "the token was not rejected"
    };
    Step {
        id: "probe-token",
        reason: "test the token before any of your files changes".to_owned(),
        action: Action::ProbeToken {
            command: influxctl::probe_token(&facts.influxctl),
            profile: facts.profile.clone(),
            required,
        },
        postcondition: postcondition.to_owned(),
        parallel: false,
    }
}
