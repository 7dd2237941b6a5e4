//! The summary of a plan: what changes, in a few lines.
//!
//! It reads the steps as JSON, so that a saved plan and the plan of a run have the same summary.

use super::shell::format_shell_line;
use super::step::Plan;
use serde_json::Value;

/// What a plan changes, for people.
#[derive(Debug, PartialEq, Eq)]
pub struct PlanSummary {
    pub headline: String,
    /// The changes in the order of their first step.
    pub changes: Vec<Change>,
}

/// A change of one kind, with the objects and files that it concerns.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    /// `delete`, `create`, `restart`, `write`, `edit` or `deliver`.
    pub verb: &'static str,
    pub objects: Vec<String>,
    /// Explains the change. Empty if it needs no explanation.
    pub note: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Deletion,
    Creation,
    Update,
}

impl ChangeKind {
    /// Returns the sign before the change, as in a diff.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::Deletion => '-',
            Self::Creation => '+',
            Self::Update => '~',
        }
    }
}

impl Plan {
    /// Returns what the plan changes.
    #[must_use]
    pub fn to_summary(&self) -> PlanSummary {
        let view = |step| serde_json::to_value(step).unwrap_or_default();
        let steps: Vec<Value> = self.to_view().iter().map(view).collect();
        PlanSummary::from_steps(self.command, &self.description, &steps)
    }
}

impl PlanSummary {
    /// Summarizes the steps of a plan in JSON. `command` is `enable`, `disable`, `revoke` or
    /// `rotate`.
    #[must_use]
    pub fn from_steps(command: &str, description: &str, steps: &[Value]) -> Self {
        let mut changes: Vec<Change> = Vec::new();
        for change in steps.iter().filter_map(find_change) {
            let is_same =
                |other: &&mut Change| (other.verb, other.note) == (change.verb, change.note);
            match changes.iter_mut().find(is_same) {
                Some(same) => same.objects.extend(change.objects),
                None => changes.push(change),
            }
        }
        let deletes_keys = steps
            .iter()
            .any(|step| step["action"] == "delete-secret" && step["secret"] == "rsa-keys");
        let is_resumed = !deletes_keys && !changes.is_empty();
        let title = match command {
            "rotate" if is_resumed => "Resume the rotation of the admin token",
            "rotate" => "Rotate the admin token",
            "revoke" if is_resumed => "Resume the revocation of all admin tokens",
            "revoke" => "Revoke all admin tokens",
            "enable" => "Enable the admin token",
            "disable" => "Disable the admin token",
            other => other,
        };
        Self {
            headline: format!("{title}: {description}"),
            changes,
        }
    }
}

fn find_change(step: &Value) -> Option<Change> {
    use ChangeKind::{Creation, Deletion, Update};
    let text = |name: &str| step[name].as_str();
    let change = |kind, verb, object: String, note| {
        Some(Change {
            kind,
            verb,
            objects: vec![object],
            note,
        })
    };
    // Without a command, an earlier run has started the job or the restart.
    let has_command = step["argv"].is_array();
    match text("action")? {
        "delete-secret" => {
            let secret = text("secret")?;
            change(Deletion, "delete", format!("secret/{secret}"), "")
        }
        "run-job" if has_command => {
            let job = format!("job/{}", text("job")?);
            match text("strategy")? {
                "operator" => change(Deletion, "delete", job, "kubit recreates them"),
                "clone" => change(Creation, "create", job, "clones, kept"),
                _ => change(Creation, "create", job, "kept"),
            }
        }
        "restart-pods" if has_command => {
            let selector = text("selector")?;
            let pods = match step["ready_pods"].as_u64()? {
                1 => format!("1 pod, {selector}"),
                count => format!("{count} pods, {selector}"),
            };
            change(Update, "restart", pods, "")
        }
        "delete-clone" => {
            let job = format!("job/{}", text("clone")?);
            change(Deletion, "delete", job, "earlier clones, if verified")
        }
        "deliver-token" => {
            let words = step["argv"].as_array()?.iter().map(Value::as_str);
            let argv: Option<Vec<String>> = words.map(|word| word.map(str::to_owned)).collect();
            let line = format_shell_line(&argv?);
            change(Update, "deliver", format!("the new token to `{line}`"), "")
        }
        "write-file" => change(Update, "write", text("path")?.to_owned(), ""),
        "edit-file" => change(Update, "edit", text("path")?.to_owned(), ""),
        "delete-file" => change(Deletion, "delete", text("path")?.to_owned(), ""),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn summary_groups_changes_and_omits_commands_of_earlier_runs() {
        let steps = [
            json!({"action": "verify-secret", "secret": "rsa-keys"}),
            json!({"action": "delete-secret", "secret": "rsa-keys"}),
            json!({"action": "run-job", "strategy": "clone", "job": "key-gen-1", "argv": []}),
            json!({"action": "restart-pods", "selector": "a=b", "ready_pods": 1, "argv": null}),
            json!({"action": "delete-secret", "secret": "admin-token"}),
        ];
        let summary = PlanSummary::from_steps("rotate", "namespace `n`", &steps);
        assert_eq!(summary.headline, "Rotate the admin token: namespace `n`");
        let lines: Vec<String> = summary
            .changes
            .iter()
            .map(|change| format!("{} {}", change.kind.sign(), change.objects.join(", ")))
            .collect();
        assert_eq!(
            lines,
            ["- secret/rsa-keys, secret/admin-token", "+ job/key-gen-1"]
        );
        let resumed = PlanSummary::from_steps("rotate", "namespace `n`", &steps[4..]);
        assert_eq!(
            resumed.headline,
            "Resume the rotation of the admin token: namespace `n`"
        );
        let unchanged = PlanSummary::from_steps("rotate", "namespace `n`", &steps[..1]);
        assert_eq!(unchanged.headline, "Rotate the admin token: namespace `n`");
    }
}
