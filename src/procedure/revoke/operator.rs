//! The kubit operator and its AppInstance: they decide whether jobs are recreated, and whether
//! secret `rsa-keys` signs tokens at all.

use crate::tool::kubectl::{AppInstance, Deployment};

/// The state of kubit, which decides whether it recreates deleted jobs of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    Running,
    /// Runs, but is paused for this namespace.
    Paused,
    /// Runs, but not for this namespace.
    NoAppInstance,
    /// Installed, but none of its pods is ready.
    Idle,
    /// Not installed, as after `kubit local apply`.
    Absent,
    /// The account is not allowed to find out. kubit can still run.
    Unknown(&'static str),
}

/// The AppInstances of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppInstances {
    Known(Vec<AppInstance>),
    /// The account is not allowed to read them, for this reason.
    Unknown(&'static str),
}

impl AppInstances {
    /// Returns whether kubit ignores one of them.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        match self {
            Self::Known(instances) => instances.iter().any(|instance| instance.is_paused),
            Self::Unknown(_) => false,
        }
    }

    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        match self {
            Self::Known(instances) if instances.iter().any(|instance| instance.has_signing_key) => {
                SigningKey::SetBySite
            }
            Self::Known(instances) if instances.is_empty() => SigningKey::NoAppInstance,
            Self::Known(_) => SigningKey::Generated,
            Self::Unknown(reason) => SigningKey::Unknown(reason),
        }
    }
}

/// The key that signs admin tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKey {
    /// The key-gen job creates it in secret `rsa-keys`.
    Generated,
    /// The AppInstance contains it, so new `rsa-keys` would leave all tokens valid.
    SetBySite,
    /// The cluster has no AppInstance, as after `kubit local apply`: its file can set a key.
    NoAppInstance,
    /// Not checked, for this reason.
    Unknown(&'static str),
}

impl Operator {
    /// Derives the state from the deployments of kubit, `None` if the account cannot list them
    /// everywhere.
    #[must_use]
    pub fn from_deployments(deployments: Option<&[Deployment]>, instances: &AppInstances) -> Self {
        let Some(deployments) = deployments else {
            return Self::Unknown("the account cannot list deployments of other namespaces");
        };
        match instances {
            _ if deployments.is_empty() => Self::Absent,
            _ if !deployments.iter().any(Deployment::is_running) => Self::Idle,
            _ if instances.is_paused() => Self::Paused,
            AppInstances::Known(instances) if instances.is_empty() => Self::NoAppInstance,
            AppInstances::Known(_) => Self::Running,
            AppInstances::Unknown(_) => {
                Self::Unknown("kubit runs, but the account cannot read whether it is paused here")
            }
        }
    }

    pub fn describe_state(&self) -> String {
        match self {
            Self::Running => "kubit runs".to_owned(),
            Self::Paused => "kubit runs, paused for this namespace".to_owned(),
            Self::NoAppInstance => "kubit runs, but has no AppInstance here".to_owned(),
            Self::Idle => "kubit is installed but does not run".to_owned(),
            Self::Absent => "kubit is not installed".to_owned(),
            Self::Unknown(reason) => format!("unknown: {reason}"),
        }
    }

    /// Adds to the state how a revocation reruns jobs.
    pub fn describe_effect(&self) -> String {
        let effect = match self {
            Self::Running => ": it recreates deleted jobs",
            Self::Unknown(_) => "",
            Self::Paused => ": a revocation needs `--rerun clone`",
            Self::NoAppInstance | Self::Idle | Self::Absent => ": jobs are rerun as clones",
        };
        self.describe_state() + effect
    }
}
