//! The kubit operator, which recreates deleted jobs unless `spec.pause` of its AppInstance is set.

use crate::tool::kubectl::{AppInstance, Deployment, KubectlError};

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

impl Operator {
    /// Derives the state from kubit's deployments anywhere and the AppInstances of the namespace.
    ///
    /// # Errors
    /// The error of `deployments`, unless it is forbidden to list them.
    pub fn from_deployments(
        deployments: Result<Vec<Deployment>, KubectlError>,
        instances: Option<Result<Vec<AppInstance>, KubectlError>>,
    ) -> Result<Self, KubectlError> {
        let deployments = match deployments {
            Ok(deployments) => deployments,
            Err(KubectlError::Forbidden(_)) => {
                return Ok(Self::Unknown(
                    "the account cannot list deployments of other namespaces",
                ));
            }
            Err(failure) => return Err(failure),
        };
        Ok(match instances {
            _ if deployments.is_empty() => Self::Absent,
            _ if !deployments.iter().any(Deployment::is_running) => Self::Idle,
            Some(Ok(instances)) if instances.iter().any(AppInstance::is_paused) => Self::Paused,
            Some(Ok(instances)) if instances.is_empty() => Self::NoAppInstance,
            Some(Ok(_)) => Self::Running,
            _ => Self::Unknown("kubit runs, but the account cannot read whether it is paused here"),
        })
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
            Self::Paused | Self::NoAppInstance | Self::Idle | Self::Absent => {
                ": jobs are rerun as clones"
            }
        };
        self.describe_state() + effect
    }
}
