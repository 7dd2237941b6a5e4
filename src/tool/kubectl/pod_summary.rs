//! What the pod of a job runs, for people who approve a clone.

use crate::text::{escape_controls, sanitize_truncated};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The maximum number of items of a list.
const MAX_ITEMS: usize = 20;

/// The maximum length of an item, in characters.
const MAX_ITEM_CHARS: usize = 200;

/// What a job runs. It contains no value of an environment variable. The last item of a list that
/// is too long counts the other ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PodSummary {
    /// Init containers, then the other ones, in the order of the manifest.
    pub containers: Vec<ContainerSummary>,
    /// The number of containers that are left out.
    pub other_containers: usize,
    /// Name of the service account, null for the default one.
    pub service_account: Option<String>,
    /// Access to the node: `hostNetwork`, `hostPID`, `hostIPC`, `hostPath PATH`.
    pub host_access: Vec<String>,
    /// Secrets, ConfigMaps and CSI drivers that the pod mounts.
    pub mounts: Vec<String>,
}

/// What a container runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ContainerSummary {
    /// Name of the container.
    pub name: String,
    /// True for an init container.
    pub init: bool,
    /// Image.
    pub image: String,
    /// Command, empty for the one of the image.
    pub command: Vec<String>,
    /// Arguments.
    pub args: Vec<String>,
    /// Names of the environment variables, and of the objects that more of them come from.
    pub env: Vec<String>,
    /// Commands of lifecycle hooks and probes, each after the name of its field.
    pub hooks: Vec<String>,
    /// Added Linux capabilities.
    pub capabilities: Vec<String>,
    /// True if the container is privileged.
    pub privileged: bool,
}

/// The fields of a container that start further commands, as JSON pointers.
const HOOKS: [&str; 5] = [
    "/lifecycle/postStart",
    "/lifecycle/preStop",
    "/livenessProbe",
    "/readinessProbe",
    "/startupProbe",
];

impl PodSummary {
    /// Reads the spec of a pod.
    #[must_use]
    pub fn from_spec(spec: &Value) -> Self {
        let init = items(&spec["initContainers"]).map(|spec| (spec, true));
        let all: Vec<(&Value, bool)> = init
            .chain(items(&spec["containers"]).map(|spec| (spec, false)))
            .collect();
        let flags = ["hostNetwork", "hostPID", "hostIPC"].into_iter();
        let paths = items(&spec["volumes"])
            .filter_map(|volume| volume["hostPath"]["path"].as_str())
            .map(|path| format!("hostPath {path}"));
        let host_access = flags
            .filter(|flag| spec[*flag] == true)
            .map(str::to_owned)
            .chain(paths);
        // `serviceAccount` is the former name.
        let account = ["serviceAccountName", "serviceAccount"]
            .iter()
            .find_map(|field| spec[*field].as_str());
        Self {
            other_containers: all.len().saturating_sub(MAX_ITEMS),
            containers: all
                .into_iter()
                .take(MAX_ITEMS)
                .map(|(spec, init)| ContainerSummary::from_spec(spec, init))
                .collect(),
            service_account: account.map(format_item),
            host_access: cut_list(host_access.collect()),
            mounts: cut_list(items(&spec["volumes"]).flat_map(list_sources).collect()),
        }
    }

    /// Formats one line for each container, the service account and the access to the node.
    #[must_use]
    pub fn to_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .containers
            .iter()
            .map(ContainerSummary::to_line)
            .collect();
        if self.other_containers > 0 {
            lines.push(format!("{} more containers", self.other_containers));
        }
        if let Some(account) = &self.service_account {
            lines.push(format!("service account {account}"));
        }
        if !self.host_access.is_empty() {
            lines.push(format!(
                "access to the node: {}",
                self.host_access.join(", ")
            ));
        }
        if !self.mounts.is_empty() {
            lines.push(format!("mounts: {}", self.mounts.join(", ")));
        }
        lines
    }
}

impl ContainerSummary {
    fn from_spec(spec: &Value, init: bool) -> Self {
        let text = |value: &Value| format_item(value.as_str().unwrap_or_default());
        let texts = |list: &Value| {
            let texts = items(list).map(|item| item.as_str().unwrap_or_default().to_owned());
            cut_list(texts.collect())
        };
        let names = items(&spec["env"])
            .filter_map(|variable| variable["name"].as_str())
            .map(str::to_owned);
        let sources = items(&spec["envFrom"]).flat_map(|source| {
            [("configMapRef", "ConfigMap"), ("secretRef", "Secret")]
                .into_iter()
                .filter_map(|(field, kind)| {
                    let name = source[field]["name"].as_str()?;
                    Some(format!("all of {kind} {name}"))
                })
        });
        let hooks = HOOKS.into_iter().filter_map(|pointer| {
            let command = &spec.pointer(pointer)?["exec"]["command"];
            let words = items(command).map(|word| word.as_str().unwrap_or_default());
            let command: Vec<String> = words.map(|word| format!("{word:?}")).collect();
            let name = pointer.rsplit('/').next().unwrap_or_default();
            (!command.is_empty()).then(|| format!("{name} {}", command.join(" ")))
        });
        Self {
            hooks: cut_list(hooks.collect()),
            capabilities: texts(&spec["securityContext"]["capabilities"]["add"]),
            name: text(&spec["name"]),
            init,
            image: text(&spec["image"]),
            command: texts(&spec["command"]),
            args: texts(&spec["args"]),
            env: cut_list(names.chain(sources).collect()),
            privileged: spec["securityContext"]["privileged"] == true,
        }
    }

    fn to_line(&self) -> String {
        let kind = if self.init {
            "init container"
        } else {
            "container"
        };
        let mut line = format!("{kind} {}: image {}", self.name, self.image);
        // The quotes show where an argument ends.
        let quote = |words: &[String]| {
            let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            words.join(" ")
        };
        for (name, value) in [
            ("command", quote(&self.command)),
            ("args", quote(&self.args)),
            ("env", self.env.join(", ")),
            ("hooks", self.hooks.join(", ")),
            ("capabilities", self.capabilities.join(", ")),
        ] {
            if !value.is_empty() {
                line.push_str(&format!("; {name} {value}"));
            }
        }
        if self.privileged {
            line.push_str("; privileged");
        }
        line
    }
}

/// Lists the objects that a volume takes its files from.
fn list_sources(volume: &Value) -> Vec<String> {
    let projected = items(&volume["projected"]["sources"]);
    let find_source = |volume: &Value| {
        let name = |pointer: &str| volume.pointer(pointer)?.as_str();
        let secret = name("/secret/secretName").or(name("/secret/name"));
        let secret = secret.map(|name| format!("Secret {name}"));
        let config = name("/configMap/name").map(|name| format!("ConfigMap {name}"));
        let driver = name("/csi/driver").map(|name| format!("CSI {name}"));
        secret.or(config).or(driver)
    };
    std::iter::once(volume)
        .chain(projected)
        .filter_map(find_source)
        .collect()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// Makes an item safe to print, and cuts it.
fn format_item(text: &str) -> String {
    sanitize_truncated(&escape_controls(text), MAX_ITEM_CHARS)
}

/// Cuts a list. The last item then counts the others.
fn cut_list(list: Vec<String>) -> Vec<String> {
    let others = list.len().saturating_sub(MAX_ITEMS);
    let mut shown: Vec<String> = list
        .iter()
        .take(MAX_ITEMS)
        .map(|item| format_item(item))
        .collect();
    if others > 0 {
        shown.push(format!("… and {others} more"));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn summary_shows_everything_that_decides_about_the_effect() {
        let spec = json!({
            "serviceAccountName": "robot",
            "hostNetwork": true,
            "hostPID": false,
            "hostIPC": true,
            "volumes": [
                {"name": "v", "hostPath": {"path": "/var/run"}},
                {"name": "w"},
                {"name": "x", "secret": {"secretName": "s"}},
                {"name": "y", "projected": {"sources": [{"configMap": {"name": "m"}}]}},
                {"name": "z", "csi": {"driver": "d"}},
            ],
            "initContainers": [{"name": "i", "image": "r/i:1", "command": ["sh", "-c", "a b"]}],
            "containers": [{
                "name": "c",
                "image": "r/c@sha256:0",
                "args": ["--x", "\u{1b}[2J"],
                "env": [{"name": "A", "value": "hidden"}],
                "envFrom": [{"secretRef": {"name": "s"}}],
                "securityContext": {"privileged": true, "capabilities": {"add": ["SYS_ADMIN"]}},
                "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", "x"]}}},
                "livenessProbe": {"httpGet": {"port": 1}},
            }],
        });
        assert_eq!(
            PodSummary::from_spec(&spec).to_lines(),
            [
                r#"init container i: image r/i:1; command "sh" "-c" "a b""#,
                concat!(
                    r#"container c: image r/c@sha256:0; args "--x" "\\u{1b}[2J"; "#,
                    "env A, all of Secret s; ",
                    r#"hooks postStart "sh" "-c" "x"; capabilities SYS_ADMIN; privileged"#
                ),
                "service account robot",
                "access to the node: hostNetwork, hostIPC, hostPath /var/run",
                "mounts: Secret s, ConfigMap m, CSI d",
            ]
        );
    }

    #[test]
    fn long_lists_are_cut_with_a_count() {
        let args: Vec<String> = (0..25).map(|number| number.to_string()).collect();
        let long = "x".repeat(MAX_ITEM_CHARS + 1);
        let container = json!({"name": "c", "image": long, "args": args});
        let spec = json!({"containers": vec![container; 23]});
        let summary = PodSummary::from_spec(&spec);
        let first = &summary.containers[0];
        assert_eq!(first.image, format!("{}…", &long[1..]));
        assert_eq!(
            (first.args.len(), first.args[20].as_str()),
            (21, "… and 5 more")
        );
        assert_eq!(summary.to_lines().last().unwrap(), "3 more containers");
    }
}
