//! Whether two plans are the same, and where they are not.

use super::document::PlanFile;
use crate::text::sanitize_truncated;
use crate::ui::Difference;
use serde_json::{Value, json};

/// How many differences are told in a message; all of them are in JSON.
const MAX_DIFFERENCES_SHOWN: usize = 4;

/// All places that differ, but for who made it when.
pub(crate) fn find_differences(planned: &PlanFile, now: &PlanFile) -> Vec<Difference> {
    let mut found = Vec::new();
    compare_values(
        "",
        &to_comparable_json(planned),
        &to_comparable_json(now),
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

fn compare_values(at: &str, planned: &Value, now: &Value, found: &mut Vec<Difference>) {
    match (planned, now) {
        (Value::Object(one), Value::Object(other)) => {
            for name in one
                .keys()
                .chain(other.keys().filter(|name| !one.contains_key(*name)))
            {
                let of = |object: &serde_json::Map<String, Value>| {
                    object.get(name).cloned().unwrap_or_default()
                };
                compare_values(&format!("{at}/{name}"), &of(one), &of(other), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                compare_values(&format!("{at}/{index}"), one, other, found);
            }
        }
        _ if planned == now => {}
        _ => found.push(Difference {
            pointer: at.to_owned(),
            planned: planned.clone(),
            current: now.clone(),
        }),
    }
}

/// In a message: what a reader can do something with. What was seen is what the steps follow from, and they say it
/// again; the text and the script say the steps once more.
pub(crate) fn format_differences(differences: &[Difference]) -> String {
    let ranks = |difference: &Difference| match difference.pointer.split('/').nth(1) {
        Some("target" | "tools" | "observed") => 0,
        Some("steps") => 1,
        _ => 2,
    };
    let first = differences.iter().map(ranks).min().unwrap_or_default();
    let shown: Vec<&Difference> = differences
        .iter()
        .filter(|difference| ranks(difference) == first)
        .collect();
    let value = |value: &Value| sanitize_truncated(&value.to_string(), 96);
    let mut told: Vec<String> = shown
        .iter()
        .take(MAX_DIFFERENCES_SHOWN)
        .map(
            |difference| match (&difference.planned, &difference.current) {
                (Value::Array(planned), Value::Array(now)) => {
                    format!(
                        "{} has {} entries in the plan, and {} now",
                        difference.pointer,
                        planned.len(),
                        now.len()
                    )
                }
                (Value::String(planned), Value::String(now))
                    if planned.contains('\n') || now.contains('\n') =>
                {
                    format_line_difference(&difference.pointer, planned, now)
                }
                (planned, now) => format!(
                    "{} is {} in the plan, and {} now",
                    difference.pointer,
                    value(planned),
                    value(now)
                ),
            },
        )
        .collect();
    if shown.len() > MAX_DIFFERENCES_SHOWN {
        told.push(format!("and {} more", shown.len() - MAX_DIFFERENCES_SHOWN));
    }
    told.join("; ")
}

/// Where two texts begin to differ: what stands before that would be all that is shown.
fn format_line_difference(at: &str, planned: &str, now: &str) -> String {
    let same = planned
        .lines()
        .zip(now.lines())
        .take_while(|(planned, now)| planned == now)
        .count();
    let line = |text: &str| {
        text.lines().nth(same).map_or("its end".to_owned(), |line| {
            format!("`{}`", sanitize_truncated(line, 96))
        })
    };
    format!(
        "{at} has in line {} {} in the plan, and {} now",
        same + 1,
        line(planned),
        line(now)
    )
}

/// Where what is to be done now is not what is left of a plan of which these steps were begun. The place, the tools, the
/// cluster and the files are the same, but for a configuration that the plan has edited; each step is one of the plan's,
/// in its order, and says the same: the same objects with the same UIDs, the same manifests, the same paths, the same
/// host; and what is not to be done any more was begun.
pub(crate) fn find_resume_differences(
    planned: &PlanFile,
    now: &PlanFile,
    begun: &[String],
) -> Vec<Difference> {
    let was_begun = |step: &Value| {
        step["id"]
            .as_str()
            .is_some_and(|id| begun.iter().any(|begun| begun == id))
    };
    let edited = planned
        .steps
        .iter()
        .any(|step| step["action"] == "edit-file" && was_begun(step));
    let file = |file: &Value| {
        if edited {
            json!({ "path": file["path"] })
        } else {
            file.clone()
        }
    };
    let place = |document: &PlanFile| {
        let files: Vec<Value> = document.observed.files.iter().map(file).collect();
        json!({ "target": document.target, "tools": document.tools, "observed": { "cluster": document.observed.cluster, "files": files } })
    };
    let mut found = Vec::new();
    compare_values("", &place(planned), &place(now), &mut found);
    let mut left = now.steps.iter().peekable();
    for (index, step) in planned.steps.iter().enumerate() {
        let at = format!("/steps/{index}");
        match left.next_if(|now| is_same_step(step, now)) {
            Some(now) => compare_step(&at, step, now, &mut found),
            None if is_change_step(step)
                && (step["action"] == "write-file" || !was_begun(step)) =>
            {
                found.push(Difference {
                    pointer: at,
                    planned: step["id"].clone(),
                    current: Value::Null,
                });
            }
            None => {}
        }
    }
    found.extend(left.map(|now| Difference {
        pointer: "/steps".to_owned(),
        planned: Value::Null,
        current: now["id"].clone(),
    }));
    found
}

/// Several profiles have steps of one name, each for a file of its own.
fn is_same_step(planned: &Value, now: &Value) -> bool {
    ["id", "path"]
        .iter()
        .all(|name| planned.get(name) == now.get(name))
}

/// Whether a step changes anything: a file, a secret, a job, pods.
fn is_change_step(step: &Value) -> bool {
    step["action"].as_str().is_some_and(|action| {
        [
            "write-file",
            "edit-file",
            "delete-file",
            "delete-secret",
            "run-job",
            "restart-pods",
        ]
        .contains(&action)
    })
}

/// A step that is left, against itself. A job may be at work by now under the name that the plan gives it; what has
/// gone is not known any more by its UID; how many pods are ready changes, and so do the numbers of the steps.
fn compare_step(at: &str, planned: &Value, now: &Value, found: &mut Vec<Difference>) {
    let at_work = match now["strategy"].as_str() {
        Some("running") => now["job"] == planned["job"],
        Some("await-existing") => planned["strategy"] == "operator",
        _ => false,
    };
    let free = |name: &str| match name {
        "reason" | "postcondition" | "parallel" | "content" | "token" | "ready_pods" => true,
        "previous_uid" => now[name].is_null(),
        "argv" => now[name].is_null(),
        "strategy" | "source" | "job" | "stdin" | "watch_argv" => at_work,
        _ => false,
    };
    for (name, value) in now
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !free(name))
    {
        compare_values(
            &format!("{at}/{name}"),
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
    fn format_differences_names_first_differing_line() {
        let told = |planned, now| {
            format_differences(&[Difference {
                pointer: "/script".to_owned(),
                planned: json!(planned),
                current: json!(now),
            }])
        };
        let said = "/script has in line 2 `b` in the plan, and `c` now";
        assert_eq!(told("a\nb\n", "a\nc\n"), said);
        assert_eq!(
            told("a\nb\n", "a\n"),
            "/script has in line 2 `b` in the plan, and its end now"
        );
    }
}
