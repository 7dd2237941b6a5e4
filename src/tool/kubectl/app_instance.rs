//! kubit's AppInstance. It can contain a private key, so only two facts leave this module.

use super::client::Kubectl;
use super::failure::KubectlError;
use super::output::check_success;
use crate::tool::invocation::{Invocation, Sensitivity, ToolOutput};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny};
use zeroize::Zeroizing;

/// An AppInstance, as a resource or in the ConfigMap of a kubit for one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppInstance {
    /// kubit ignores the instance.
    pub is_paused: bool,
    /// `spec.package.spec.admin.internalSigningKey` is set.
    pub has_signing_key: bool,
}

impl Kubectl {
    /// Lists the AppInstances of a namespace.
    pub fn list_app_instances(&self, namespace: &str) -> Invocation {
        self.get_secret_json("appinstances.kubecfg.dev", namespace)
    }

    /// Gets the ConfigMap in which a kubit for one namespace keeps the AppInstance (kubit's Helm
    /// chart, `kubitSingleNamespace`).
    pub fn get_app_instance_config(&self, namespace: &str) -> Invocation {
        self.get_secret_json("configmaps/app-instance", namespace)
    }

    /// Gets objects as JSON that the audit log withholds.
    fn get_secret_json(&self, objects: &str, namespace: &str) -> Invocation {
        let mut invocation =
            self.build_call(["get", objects, "--namespace", namespace, "--output", "json"]);
        invocation.sensitivity = Sensitivity::Stdout;
        invocation
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    spec: Option<Spec>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    pause: Option<bool>,
    package: Option<Package>,
}

#[derive(Deserialize)]
struct Package {
    spec: Option<PackageSpec>,
}

#[derive(Deserialize)]
struct PackageSpec {
    admin: Option<Admin>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Admin {
    #[serde(deserialize_with = "is_set")]
    internal_signing_key: bool,
}

fn is_set<'de, D: Deserializer<'de>>(input: D) -> Result<bool, D::Error> {
    Option::<IgnoredAny>::deserialize(input).map(|value| value.is_some())
}

impl From<Document> for AppInstance {
    fn from(document: Document) -> Self {
        let spec = document.spec.unwrap_or_default();
        let package = spec.package.and_then(|package| package.spec);
        let admin = package.and_then(|spec| spec.admin).unwrap_or_default();
        Self {
            is_paused: spec.pause.unwrap_or(false),
            has_signing_key: admin.internal_signing_key,
        }
    }
}

/// Parses the output of [`Kubectl::list_app_instances`].
///
/// # Errors
/// kubectl's failure, or [`KubectlError::Unrecognised`] without a quotation of the output.
pub fn parse_app_instances(output: &ToolOutput) -> Result<Vec<AppInstance>, KubectlError> {
    #[derive(Deserialize)]
    struct List {
        items: Vec<Document>,
    }
    check_success(output)?;
    let list: List = parse_secret_json(&output.stdout)?;
    Ok(list.items.into_iter().map(AppInstance::from).collect())
}

/// Parses the output of [`Kubectl::get_app_instance_config`]. A ConfigMap of this name without the
/// key belongs to something else.
///
/// # Errors
/// kubectl's failure, or [`KubectlError::Unrecognised`] without a quotation of the output.
pub fn parse_app_instance_config(output: &ToolOutput) -> Result<Option<AppInstance>, KubectlError> {
    #[derive(Deserialize)]
    struct ConfigMap {
        data: Option<Data>,
    }
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "app-instance")]
        app_instance: Option<String>,
    }
    check_success(output)?;
    let config: ConfigMap = parse_secret_json(&output.stdout)?;
    let Some(text) = config.data.and_then(|data| data.app_instance) else {
        return Ok(None);
    };
    let text = Zeroizing::new(text);
    let document: Document = parse_secret_json(text.as_bytes())?;
    Ok(Some(document.into()))
}

/// Parses JSON that no error may quote.
fn parse_secret_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, KubectlError> {
    serde_json::from_slice(json).map_err(|error| {
        KubectlError::Unrecognised(format!(
            "the AppInstance is not as expected, at line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::ToolName;
    use crate::tool::invocation::ProcessExit;
    use serde_json::json;

    fn make_output(stdout: &str) -> ToolOutput {
        ToolOutput {
            tool: ToolName::Kubectl,
            exit: ProcessExit::Code(0),
            stdout: stdout.as_bytes().to_vec().into(),
            stderr: Vec::new().into(),
        }
    }

    fn parse_spec(spec: &serde_json::Value) -> Result<AppInstance, KubectlError> {
        let document = json!({ "spec": spec });
        let list = json!({ "items": [document.clone()] }).to_string();
        let config = json!({"data": {"app-instance": document.to_string()}}).to_string();
        let listed = parse_app_instances(&make_output(&list)).map(|mut items| items.remove(0));
        let in_config = parse_app_instance_config(&make_output(&config)).map(Option::unwrap);
        assert_eq!(listed.is_ok(), in_config.is_ok());
        if let (Ok(listed), Ok(in_config)) = (&listed, &in_config) {
            assert_eq!(listed, in_config);
        }
        listed
    }

    #[test]
    fn signing_key_is_found_only_when_set() {
        for (admin, expected) in [
            (json!({"internalSigningKey": "PRIVATE"}), true),
            (json!({"internalSigningKey": {"valueFrom": {}}}), true),
            (json!({ "internalSigningKey": null }), false),
            (json!({"identityProvider": "x"}), false),
            (json!(null), false),
        ] {
            let spec = json!({"package": {"spec": {"admin": admin}}, "pause": expected});
            let instance = parse_spec(&spec).unwrap();
            assert_eq!(instance.has_signing_key, expected, "{spec}");
            assert_eq!(instance.is_paused, expected, "{spec}");
        }
        for spec in [
            json!(null),
            json!({}),
            json!({"package": {}}),
            json!({"package": null, "pause": null}),
        ] {
            assert_eq!(parse_spec(&spec), Ok(AppInstance::default()), "{spec}");
        }
    }

    #[test]
    fn error_does_not_quote_app_instance() {
        let spec = json!({"pause": "PRIVATE", "package": {"spec": "PRIVATE"}});
        let error = parse_spec(&spec).unwrap_err();
        assert!(!format!("{error:?}").contains("PRIVATE"), "{error:?}");
        assert_eq!(
            parse_app_instance_config(&make_output("{\"data\": {\"other\": \"PRIVATE\"}}")),
            Ok(None)
        );
    }
}
