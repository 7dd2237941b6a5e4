//! Differences between a saved plan and the current one.

use super::document::PlanFile;
use crate::text::sanitize_truncated;
use crate::ui::Difference;
use serde_json::{Value, json};

/// The maximum number of differences in a message. JSON has all of them.
const MAX_DIFFERENCES_SHOWN: usize = 4;

/// Finds all differences, except for author and creation time.
pub(crate) fn find_differences(planned: &PlanFile, current: &PlanFile) -> Vec<Difference> {
    let mut found = Vec::new();
    compare_values(
        "",
        &to_comparable_json(planned),
        &to_comparable_json(current),
        &mut found,
    );
    found
}

fn to_comparable_json(document: &PlanFile) -> Value {
    json!({
        "target": document.target,
        "tools": document.tools,
        "observed": document.observed,
        "steps": document.steps,
        "script": document.script,
    })
}

fn compare_values(pointer: &str, planned: &Value, current: &Value, found: &mut Vec<Difference>) {
    match (planned, current) {
        (Value::Object(old), Value::Object(new)) => {
            for name in old
                .keys()
                .chain(new.keys().filter(|name| !old.contains_key(*name)))
            {
                let field = |object: &serde_json::Map<String, Value>| {
                    object.get(name).cloned().unwrap_or_default()
                };
                compare_values(
                    &format!("{pointer}/{name}"),
                    &field(old),
                    &field(new),
                    found,
                );
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare_values(&format!("{pointer}/{index}"), old, new, found);
            }
        }
        _ if planned == current => {}
        _ => found.push(Difference {
            pointer: pointer.to_owned(),
            planned: planned.clone(),
            current: current.clone(),
        }),
    }
}

/// Formats the differences for a message.
///
/// The steps repeat the observed state, and the script repeats the steps. So the message has only
/// the differences of the first part that differs.
pub(crate) fn format_differences(differences: &[Difference], planned: &PlanFile) -> String {
    let rank = |difference: &Difference| match difference.pointer.split('/').nth(1) {
        Some("target" | "tools" | "observed") => 0,
        Some("steps") => 1,
        _ => 2,
    };
    let first = differences.iter().map(rank).min().unwrap_or_default();
    let shown: Vec<&Difference> = differences
        .iter()
        .filter(|difference| rank(difference) == first)
        .collect();
    let plan = to_comparable_json(planned);
    let mut parts: Vec<String> = shown
        .iter()
        .take(MAX_DIFFERENCES_SHOWN)
        .map(|difference| format_difference(difference, &plan))
        .collect();
    if shown.len() > MAX_DIFFERENCES_SHOWN {
        parts.push(format!("and {} more", shown.len() - MAX_DIFFERENCES_SHOWN));
    }
    parts.join(", ")
}

fn format_difference(difference: &Difference, plan: &Value) -> String {
    let Difference {
        pointer,
        planned,
        current,
    } = difference;
    let is_step = pointer.starts_with("/steps") && pointer.matches('/').count() <= 2;
    let subject = describe_pointer(pointer, plan);
    let value = |value: &Value| sanitize_truncated(&value.to_string(), 96);
    match (planned, current) {
        (Value::Array(planned), Value::Array(current)) => format!(
            "{subject}: {} in the plan, and {} now",
            format_items(planned),
            format_items(current)
        ),
        (Value::String(id), Value::Null) if is_step => format!("step `{id}` is missing now"),
        (Value::Null, Value::String(id)) if is_step => format!("step `{id}` is not in the plan"),
        (Value::String(planned), Value::String(current))
            if planned.contains('\n') || current.contains('\n') =>
        {
            format_line_difference(&subject, planned, current)
        }
        (planned, current) => format!(
            "{subject} is {} in the plan, and {} now",
            value(planned),
            value(current)
        ),
    }
}

/// Describes a pointer into a plan for people.
///
/// The element of a list is described by its name, path or ID in the plan.
fn describe_pointer(pointer: &str, plan: &Value) -> String {
    let parts: Vec<&str> = pointer.split('/').skip(1).collect();
    let element = |length: usize| {
        let element = plan.pointer(&format!("/{}", parts[..length].join("/")));
        element.and_then(name_item)
    };
    let field = |field: &str| match field {
        "sha256" => "the SHA-256".to_owned(),
        "uid" => "the UID".to_owned(),
        name => format!("`{name}`"),
    };
    let described = match parts[..] {
        ["target", "cluster_uid"] => Some("the UID of the cluster".to_owned()),
        ["target", "namespace_uid"] => Some("the UID of the namespace".to_owned()),
        ["target", name] => Some(format!("the {}", name.replace('_', " "))),
        ["observed", "cluster", ..] => Some("the cluster".to_owned()),
        ["observed", list] => Some(format!("the {list}")),
        ["observed", "files", _, "content", ref rest @ ..] => element(3).map(|name| {
            let field = field(rest.first().unwrap_or(&"content"));
            format!("{field} of file {name}")
        }),
        ["observed", "secrets", _, name] => {
            element(3).map(|secret| format!("{} of secret {secret}", field(name)))
        }
        ["tools", _, name] => element(2).map(|tool| format!("{} of {tool}", field(name))),
        [list @ ("steps" | "tools" | "script")] => Some(format!("the {list}")),
        ["steps", _, ref rest @ ..] if !rest.is_empty() => {
            element(2).map(|step| format!("`{}` of step {step}", rest.join(".")))
        }
        _ => None,
    };
    described.map_or_else(|| pointer.to_owned(), |text| sanitize_truncated(&text, 200))
}

/// Returns the name of an item of a list: the name of a secret, the path of a file, the ID of a
/// step.
fn name_item(item: &Value) -> Option<String> {
    let name = ["name", "id", "path"]
        .iter()
        .find_map(|key| item.get(key).and_then(Value::as_str))?;
    Some(format!("`{name}`"))
}

/// Names the items of a short list, and counts those of others.
fn format_items(items: &[Value]) -> String {
    let names: Option<Vec<String>> = items.iter().map(name_item).collect();
    match names {
        Some(names) if !names.is_empty() && names.len() <= MAX_DIFFERENCES_SHOWN => {
            sanitize_truncated(&names.join(" and "), 200)
        }
        _ => format!("{} entries", items.len()),
    }
}

/// Formats the first line that differs. Truncated texts could show only their equal beginning.
fn format_line_difference(subject: &str, planned: &str, current: &str) -> String {
    let equal_lines = planned
        .lines()
        .zip(current.lines())
        .take_while(|(planned, current)| planned == current)
        .count();
    let line = |text: &str| {
        text.lines()
            .nth(equal_lines)
            .map_or("no line".to_owned(), |line| {
                format!("`{}`", sanitize_truncated(line, 96))
            })
    };
    format!(
        "line {} of {subject} is {} in the plan, and {} now",
        equal_lines + 1,
        line(planned),
        line(current)
    )
}

/// Finds differences between the current plan and the remainder of a saved plan that an earlier run
/// has started. `started` has the IDs of the steps that it started.
///
/// - Target, tools, cluster and files are the same, except for an edited configuration.
/// - The current plan contains only steps of the saved plan, in the same order.
/// - Each step has the same objects, UIDs, manifests, paths and host.
/// - Only steps that the earlier run started are missing.
pub(crate) fn find_resume_differences(
    planned: &PlanFile,
    current: &PlanFile,
    started: &[String],
) -> Vec<Difference> {
    let was_started = |step: &Value| {
        step["id"]
            .as_str()
            .is_some_and(|id| started.iter().any(|started| started == id))
    };
    let was_edited = planned
        .steps
        .iter()
        .any(|step| step["action"] == "edit-file" && was_started(step));
    let file = |file: &Value| {
        if was_edited {
            json!({ "path": file["path"] })
        } else {
            file.clone()
        }
    };
    let environment = |document: &PlanFile| {
        let files: Vec<Value> = document.observed.files.iter().map(file).collect();
        json!({
            "target": document.target,
            "tools": document.tools,
            "observed": { "cluster": document.observed.cluster, "files": files },
        })
    };
    let mut found = Vec::new();
    compare_values("", &environment(planned), &environment(current), &mut found);
    let mut remaining = current.steps.iter().peekable();
    for (index, step) in planned.steps.iter().enumerate() {
        let pointer = format!("/steps/{index}");
        match remaining.next_if(|current| is_same_step(step, current)) {
            Some(current) => compare_step(&pointer, step, current, &mut found),
            None if is_change_step(step)
                && (step["action"] == "write-file" || !was_started(step)) =>
            {
                found.push(Difference {
                    pointer,
                    planned: step["id"].clone(),
                    current: Value::Null,
                });
            }
            None => {}
        }
    }
    found.extend(remaining.map(|step| Difference {
        pointer: "/steps".to_owned(),
        planned: Value::Null,
        current: step["id"].clone(),
    }));
    found
}

/// Compares ID, path and clone, because steps for several profiles or clones have the same ID.
fn is_same_step(planned: &Value, current: &Value) -> bool {
    ["id", "path", "clone"]
        .iter()
        .all(|name| planned.get(name) == current.get(name))
}

/// Returns whether a step changes a file or the cluster.
fn is_change_step(step: &Value) -> bool {
    step["action"].as_str().is_some_and(|action| {
        [
            "write-file",
            "edit-file",
            "delete-file",
            "delete-secret",
            "delete-clone",
            "run-job",
            "restart-pods",
        ]
        .contains(&action)
    })
}

/// Compares a remaining step with the saved one, except for fields that an interruption changes.
///
/// The job of the plan can run already. The UID of a deleted object is unknown. The number of ready
/// pods and the numbers of the steps differ.
fn compare_step(pointer: &str, planned: &Value, current: &Value, found: &mut Vec<Difference>) {
    let is_job_started = match current["strategy"].as_str() {
        Some("running") => current["job"] == planned["job"],
        Some("await-existing") => planned["strategy"] == "operator",
        _ => false,
    };
    let is_ignored = |name: &str| match name {
        "reason" | "postcondition" | "parallel" | "content" | "token" | "ready_pods" => true,
        "previous_uid" | "argv" => current[name].is_null(),
        "strategy" | "source" | "job" | "stdin" | "watch_argv" => is_job_started,
        _ => false,
    };
    for (name, value) in current
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !is_ignored(name))
    {
        compare_values(
            &format!("{pointer}/{name}"),
            &planned[name.as_str()],
            value,
            found,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_difference_names_first_differing_line() {
        let format = |planned, current| {
            let difference = Difference {
                pointer: "/script".to_owned(),
                planned: json!(planned),
                current: json!(current),
            };
            format_difference(&difference, &json!({}))
        };
        assert_eq!(
            format("a\nb\n", "a\nc\n"),
            "line 2 of the script is `b` in the plan, and `c` now"
        );
        assert_eq!(
            format("a\nb\n", "a\n"),
            "line 2 of the script is `b` in the plan, and no line now"
        );
    }

    #[test]
    fn describe_pointer_names_files_secrets_tools_and_steps() {
        let plan = json!({
            "tools": [{ "name": "kubectl" }],
            "observed": {
                "files": [{ "path": "/h/config.toml" }],
                "secrets": [{ "name": "rsa-keys" }],
            },
            "steps": [{ "id": "get-token" }],
        });
        for (pointer, text) in [
            ("/target/cluster_uid", "the UID of the cluster"),
            ("/target/namespace_uid", "the UID of the namespace"),
            ("/tools/0/sha256", "the SHA-256 of `kubectl`"),
            ("/observed/cluster/kube_system_uid", "the cluster"),
            ("/observed/secrets", "the secrets"),
            ("/observed/secrets/0/uid", "the UID of secret `rsa-keys`"),
            (
                "/observed/files/0/content/sha256",
                "the SHA-256 of file `/h/config.toml`",
            ),
            (
                "/observed/files/0/content",
                "`content` of file `/h/config.toml`",
            ),
            ("/steps/0/argv/3", "`argv.3` of step `get-token`"),
            ("/steps", "the steps"),
            ("/steps/7/argv", "/steps/7/argv"),
        ] {
            assert_eq!(describe_pointer(pointer, &plan), text);
        }
    }

    #[test]
    fn format_difference_names_secrets() {
        let difference = Difference {
            pointer: "/observed/secrets".to_owned(),
            planned: json!([{ "name": "rsa-keys" }, { "name": "admin-token" }]),
            current: json!([{ "name": "rsa-keys" }]),
        };
        assert_eq!(
            format_difference(&difference, &json!({})),
            "the secrets: `rsa-keys` and `admin-token` in the plan, and `rsa-keys` now"
        );
    }
}
