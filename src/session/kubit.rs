//! Reads what kubit does in a namespace. kubit can also be installed for one namespace alone: then
//! it has a deployment there, and a ConfigMap instead of an AppInstance.

use super::Session;
use crate::error::Result;
use crate::procedure::revoke::AppInstances;
use crate::tool::kubectl::{self, Deployment, Kubectl, KubectlError};

const UNEXPECTED_FORM: &str = "the AppInstance has an unexpected form";

/// Lists the deployments of kubit. Returns `None` if the account cannot list them everywhere, and
/// the own namespace has none.
pub(crate) fn list_operator_deployments(
    session: &Session,
    kubectl: &Kubectl,
    namespace: &str,
) -> Result<Option<Vec<Deployment>>> {
    let to_error = |failure: KubectlError| failure.into_error("cannot detect kubit");
    let output = session.run("operator", &kubectl.list_operators())?;
    match kubectl::parse_list(&output) {
        Err(KubectlError::Forbidden(_)) => {}
        deployments => return deployments.map(Some).map_err(to_error),
    }
    let command = kubectl.list_namespace_operators(namespace);
    let output = session.run("namespace-operator", &command)?;
    match kubectl::parse_list::<Deployment>(&output) {
        Ok(own) => Ok(Some(own).filter(|own| !own.is_empty())),
        Err(KubectlError::Forbidden(_)) => Ok(None),
        Err(failure) => Err(to_error(failure)),
    }
}

/// Reads the AppInstances of a namespace, from the ConfigMap if the resource shows none.
pub(crate) fn read_app_instances(
    session: &Session,
    kubectl: &Kubectl,
    namespace: &str,
) -> Result<AppInstances> {
    let to_error = |failure: KubectlError| failure.into_error("cannot read the AppInstance");
    let output = session.run("app-instances", &kubectl.list_app_instances(namespace))?;
    let unknown_reason = match kubectl::parse_app_instances(&output) {
        Ok(instances) if !instances.is_empty() => return Ok(AppInstances::Known(instances)),
        Ok(_) | Err(KubectlError::NoSuchResource(_)) => None,
        Err(KubectlError::Forbidden(_)) => Some("the account cannot list AppInstances"),
        Err(KubectlError::Unrecognised(_)) if output.is_success() => {
            return Ok(AppInstances::Unknown(UNEXPECTED_FORM));
        }
        Err(failure) => return Err(to_error(failure)),
    };
    let command = kubectl.get_app_instance_config(namespace);
    let output = session.run("app-instance-config", &command)?;
    let instance = match kubectl::parse_app_instance_config(&output) {
        Ok(instance) => instance,
        Err(KubectlError::NotFound(_)) => None,
        Err(KubectlError::Unrecognised(_)) if output.is_success() => {
            return Ok(AppInstances::Unknown(UNEXPECTED_FORM));
        }
        Err(KubectlError::Forbidden(_)) => {
            let reason = "the account cannot read ConfigMap `app-instance`";
            return Ok(AppInstances::Unknown(unknown_reason.unwrap_or(reason)));
        }
        Err(failure) => return Err(to_error(failure)),
    };
    Ok(match (instance, unknown_reason) {
        (Some(instance), _) => AppInstances::Known(vec![instance]),
        (None, Some(reason)) => AppInstances::Unknown(reason),
        (None, None) => AppInstances::Known(Vec::new()),
    })
}
