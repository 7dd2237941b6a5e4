//! The kubectl commands of this program: one constructor for each, with the parser of its output.
//!
//! The commands are those of "Manage admin tokens" in the documentation of InfluxDB Clustered, as
//! of March and of September 2024. `fixtures/recordings` has the output of kubectl 1.20 to 1.37.

mod app_instance;
mod client;
mod cluster;
mod events;
mod failure;
mod kuberc;
mod manifest;
pub mod name;
mod objects;
mod output;
mod pod_summary;
mod query;
mod revocation;
mod secrets;

pub use app_instance::{AppInstance, parse_app_instance_config, parse_app_instances};
#[cfg(test)]
pub use client::PinnedServer;
pub use client::{GlobalFlags, Kubectl, get_version, is_dispatcher, parse_version};
pub use cluster::ClusterId;
pub use events::{EventReader, EventType, WatchEvent};
pub use failure::{KubectlError, is_refused_by_precondition, is_transient_failure};
pub use kuberc::{
    PluginPolicy, enforces_plugin_policy, get_kuberc, lacks_kuberc_command, mentions_plugin_policy,
    parse_kuberc, parse_kuberc_file,
};
pub use manifest::{JobManifest, comparable_spec};
pub use objects::{Deployment, Job, Pod};
pub use output::check_success;
pub use pod_summary::PodSummary;
pub use query::{
    ContextInfo, parse_account, parse_context, parse_list, parse_permissions, parse_uid,
};
pub use revocation::{DeletionMethod, check_jobs_dry_run, parse_created_uid};
pub use secrets::{SecretUid, TokenError, parse_admin_token, parse_secret_uids, parse_token_uid};
