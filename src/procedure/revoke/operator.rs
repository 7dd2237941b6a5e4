//! The kubit operator, which makes jobs again that are deleted: `spec.pause` of its AppInstance stops it.

use crate::tool::kubectl::{AppInstance, Deployment, KubectlError};

/// Whether kubit makes deleted jobs of a namespace again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operator {
    /// It does.
    Running,
    /// It runs, paused for this namespace.
    Paused,
    /// It runs, but not for this namespace.
    NoAppInstance,
    /// It is installed, and none of its pods is ready.
    Idle,
    /// It is not installed, as after `kubit local apply`.
    Absent,
    /// This account may not look for it: that is not the same as that it is not there.
    Unknown(&'static str),
}

impl Operator {
    /// What two looks show: for kubit's deployments anywhere, and for AppInstances in the namespace.
    ///
    /// # Errors
    /// Of the first look, unless it is forbidden.
    pub fn from_deployments(
        deployments: Result<Vec<Deployment>, KubectlError>,
        instances: Option<Result<Vec<AppInstance>, KubectlError>>,
    ) -> Result<Self, KubectlError> {
        let deployments = match deployments {
            Ok(deployments) => deployments,
            Err(KubectlError::Forbidden(_)) => {
                return Ok(Self::Unknown(
                    "deployments of other namespaces may not be looked at",
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
            _ => Self::Unknown("kubit runs, but whether it is paused here may not be looked at"),
        })
    }

    /// How it stands.
    #[must_use]
    pub fn describe_state(&self) -> String {
        match self {
            Self::Running => "kubit runs".to_owned(),
            Self::Paused => "kubit runs, paused for this namespace".to_owned(),
            Self::NoAppInstance => "kubit runs, but has no AppInstance here".to_owned(),
            Self::Idle => "kubit is there but does not run".to_owned(),
            Self::Absent => "kubit is absent".to_owned(),
            Self::Unknown(why) => format!("unknown: {why}"),
        }
    }

    /// What that means for a revocation.
    #[must_use]
    pub fn describe_effect(&self) -> String {
        let then = match self {
            Self::Running => ": it makes jobs again that are deleted",
            Self::Unknown(_) => "",
            Self::Paused | Self::NoAppInstance | Self::Idle | Self::Absent => {
                ": jobs are made again as clones"
            }
        };
        self.describe_state() + then
    }
}
