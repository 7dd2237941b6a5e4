//! The credential plugin policy of a kuberc, which kubectl 1.35 and later enforces.

use super::failure::KubectlError;
use super::output::parse_json;
use crate::text::sanitize_truncated;
use crate::tool::Tool;
use crate::tool::invocation::{EnvPolicy, Invocation, Sensitivity, ToolOutput};
use semver::Version;
use serde_json::{Map, Value, json};

const POLICY_KEY: &str = "credentialPluginPolicy";
const ALLOWLIST_KEY: &str = "credentialPluginAllowlist";

/// The first version that enforces a policy (kubernetes#134870).
const FIRST_VERSION: Version = Version::new(1, 35, 0);

/// Returns whether this kubectl enforces the policy of a kuberc.
#[must_use]
pub fn enforces_plugin_policy(version: Option<&Version>) -> bool {
    version.is_some_and(|version| *version >= FIRST_VERSION)
}

/// Gets the user's kuberc. Without one, this command of kubectl 1.37 offers to create it.
pub fn get_kuberc(tool: &Tool) -> Invocation {
    let mut invocation = Invocation::new_read(tool, ["kuberc", "view", "--output", "json"]);
    invocation.env_policy = EnvPolicy::UserKuberc;
    // The presets of options can contain a secret.
    invocation.sensitivity = Sensitivity::Stdout;
    invocation
}

/// The two keys of a kuberc that restrict credential plugins, with the user's values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginPolicy(Map<String, Value>);

impl PluginPolicy {
    /// Selects the keys. Returns `None` if the kuberc has neither.
    fn from_kuberc(mut kuberc: Map<String, Value>) -> Option<Self> {
        kuberc.retain(|key, _| [POLICY_KEY, ALLOWLIST_KEY].contains(&key.as_str()));
        (!kuberc.is_empty()).then_some(Self(kuberc))
    }

    /// Renders a kuberc with nothing but the policy.
    #[must_use]
    pub fn render_kuberc(&self) -> String {
        let mut kuberc = self.0.clone();
        kuberc.insert(
            "apiVersion".to_owned(),
            json!("kubectl.config.k8s.io/v1beta1"),
        );
        kuberc.insert("kind".to_owned(), json!("Preference"));
        Value::Object(kuberc).to_string()
    }

    /// Describes the policy for people.
    #[must_use]
    pub fn describe(&self) -> String {
        let policy = self.0.get(POLICY_KEY).and_then(Value::as_str);
        let entries = self.0.get(ALLOWLIST_KEY).and_then(Value::as_array);
        let names = entries.into_iter().flatten().filter_map(Value::as_object);
        let names: Vec<&str> = names
            .flat_map(Map::values)
            .filter_map(Value::as_str)
            .collect();
        let policy = format!("`{}`", policy.unwrap_or("unset"));
        let text = if names.is_empty() {
            policy
        } else {
            format!("{policy}, allowed: {}", names.join(", "))
        };
        sanitize_truncated(&text, 300)
    }
}

/// Parses the output of [`get_kuberc`].
///
/// # Errors
/// kubectl's failure, or [`KubectlError::Unrecognised`] for anything but an object.
pub fn parse_kuberc(output: &ToolOutput) -> Result<Option<PluginPolicy>, KubectlError> {
    parse_json(output).map(PluginPolicy::from_kuberc)
}

/// Returns whether this kubectl has no command for [`get_kuberc`].
#[must_use]
pub fn lacks_kuberc_command(output: &ToolOutput) -> bool {
    !output.is_success() && output.last_error_line().starts_with("unknown command")
}

/// Returns whether the text of a kuberc mentions a policy.
#[must_use]
pub fn mentions_plugin_policy(text: &str) -> bool {
    text.contains("credentialPlugin")
}

/// Parses the text of a kuberc: JSON, or YAML with one entry per line, as in the documentation of
/// Kubernetes. Returns `None` for a policy in any other form.
#[must_use]
pub fn parse_kuberc_file(text: &str) -> Option<Option<PluginPolicy>> {
    if let Ok(kuberc) = serde_json::from_str(text) {
        return Some(PluginPolicy::from_kuberc(kuberc));
    }
    let lines: Vec<&str> = text.lines().filter_map(strip_comment).collect();
    let mentions = lines
        .iter()
        .filter(|line| mentions_plugin_policy(line))
        .count();
    let mut kuberc = Map::new();
    let mut key = "";
    for line in lines.into_iter().filter(|_| mentions > 0) {
        let is_top = !line.starts_with([' ', '\t', '-']);
        if is_top {
            let (name, value) = line.split_once(':')?;
            key = name;
            let value = match (name, value.trim()) {
                (POLICY_KEY, value) => parse_scalar(value)?,
                (ALLOWLIST_KEY, "" | "[]") => json!([]),
                _ => continue,
            };
            kuberc.insert(name.to_owned(), value);
        } else if key == ALLOWLIST_KEY {
            let entries = kuberc.get_mut(ALLOWLIST_KEY)?.as_array_mut()?;
            let content = line.trim_start();
            let field = content.strip_prefix("- ").unwrap_or(content);
            if field != content {
                entries.push(json!({}));
            }
            let (name, value) = field.split_once(':')?;
            let entry = entries.last_mut()?.as_object_mut()?;
            entry.insert(name.trim().to_owned(), parse_scalar(value.trim())?);
        }
    }
    (kuberc.len() == mentions).then(|| PluginPolicy::from_kuberc(kuberc))
}

/// Returns a line without its comment, unless nothing else is on it.
fn strip_comment(line: &str) -> Option<&str> {
    let line = line.split(" #").next().unwrap_or(line).trim_end();
    let is_comment = line.trim_start().starts_with('#');
    (!line.is_empty() && !is_comment).then_some(line)
}

/// Parses a scalar of YAML without escapes.
fn parse_scalar(text: &str) -> Option<Value> {
    let quote = ['"', '\'']
        .into_iter()
        .find(|quote| text.starts_with(*quote));
    let inner = match quote {
        Some(quote) => text.strip_prefix(quote)?.strip_suffix(quote)?,
        None => text,
    };
    let is_plain = !inner.is_empty()
        && inner
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-+~".contains(c));
    is_plain.then(|| json!(inner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kuberc_file_keeps_only_the_policy() {
        let text = "\
apiVersion: kubectl.config.k8s.io/v1beta1
kind: Preference
defaults:
- command: delete
  options:
  - name: interactive
    default: \"true\"
credentialPluginPolicy: Allowlist # of two
credentialPluginAllowlist:
- command: /usr/bin/a
- name: 'b-login'
aliases: []
";
        let policy = parse_kuberc_file(text).unwrap().unwrap();
        assert_eq!(
            policy.render_kuberc(),
            "{\"apiVersion\":\"kubectl.config.k8s.io/v1beta1\",\
             \"credentialPluginAllowlist\":[{\"command\":\"/usr/bin/a\"},{\"name\":\"b-login\"}],\
             \"credentialPluginPolicy\":\"Allowlist\",\"kind\":\"Preference\"}"
        );
        assert_eq!(
            policy.describe(),
            "`Allowlist`, allowed: /usr/bin/a, b-login"
        );
        let json = parse_kuberc_file(&policy.render_kuberc()).unwrap();
        assert_eq!(json, Some(policy));
    }

    #[test]
    fn kuberc_file_without_policy_has_none() {
        for text in [
            "",
            "# credentialPluginPolicy: DenyAll\n",
            "kind: Preference\ndefaults:\n- command: get\n",
            "{\"kind\": \"Preference\"}",
        ] {
            assert_eq!(parse_kuberc_file(text), Some(None), "{text}");
        }
    }

    #[test]
    fn kuberc_file_in_another_form_is_not_parsed() {
        for text in [
            "credentialPluginPolicy: *anchor\n",
            "credentialPluginPolicy: \"Deny\\u0041ll\"\n",
            "credentialPluginPolicy: DenyAll\n---\ncredentialPluginPolicy: AllowAll\n",
            "\"credentialPluginPolicy\": DenyAll\n",
            "credentialPluginAllowlist: [{command: a}]\n",
            "credentialPluginAllowlist:\n  - {command: a}\n",
            "{credentialPluginPolicy: DenyAll}\n",
            "? credentialPluginPolicy\n: DenyAll\n",
            "  kind: Preference\n  credentialPluginPolicy: DenyAll\n",
        ] {
            assert_eq!(parse_kuberc_file(text), None, "{text}");
        }
    }
}
