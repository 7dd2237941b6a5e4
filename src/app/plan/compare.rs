//! Whether two plans are the same, and where they are not.

use super::document::Document;
use crate::tool::invocation::printable;
use serde::Serialize;
use serde_json::{Value, json};

/// How many differences are told in a message; all of them are in JSON.
const TOLD: usize = 4;

/// A place where a plan is not what would be done now.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Difference {
    /// As a JSON pointer into the plan.
    at: String,
    planned: Value,
    now: Value,
}

/// All places that differ, but for who made it when.
pub(super) fn differences(planned: &Document, now: &Document) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", &compared(planned), &compared(now), &mut found);
    found
}

fn compared(document: &Document) -> Value {
    json!({
        "target": document.target,
        "tools": document.tools,
        "observed": document.observed,
        "steps": document.steps,
        "text": document.text,
        "script": document.script,
    })
}

fn compare(at: &str, planned: &Value, now: &Value, found: &mut Vec<Difference>) {
    match (planned, now) {
        (Value::Object(one), Value::Object(other)) => {
            for name in one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))) {
                let of = |object: &serde_json::Map<String, Value>| object.get(name).cloned().unwrap_or_default();
                compare(&format!("{at}/{name}"), &of(one), &of(other), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{at}/{index}"), one, other, found);
            }
        }
        _ if planned == now => {}
        _ => found.push(Difference { at: at.to_owned(), planned: planned.clone(), now: now.clone() }),
    }
}

/// In a message: what a reader can do something with. Text and script say the steps once more.
pub(super) fn told(differences: &[Difference]) -> String {
    let derived = |difference: &&Difference| ["/text", "/script"].contains(&difference.at.as_str());
    let own: Vec<&Difference> = differences.iter().filter(|difference| !derived(difference)).collect();
    let shown = if own.is_empty() { differences.iter().collect() } else { own };
    let value = |value: &Value| printable(&value.to_string(), 96);
    let mut told: Vec<String> = shown
        .iter()
        .take(TOLD)
        .map(|difference| match (&difference.planned, &difference.now) {
            (Value::Array(planned), Value::Array(now)) => {
                format!("{} has {} entries in the plan, and {} now", difference.at, planned.len(), now.len())
            }
            (planned, now) => format!("{} is {} in the plan, and {} now", difference.at, value(planned), value(now)),
        })
        .collect();
    if shown.len() > TOLD {
        told.push(format!("and {} more", shown.len() - TOLD));
    }
    told.join("; ")
}

/// Whether what is to be done now is what is left of a plan: the same place, the same tools, no step that the plan does
/// not have, in its order.
pub(super) fn is_left_of(planned: &Document, now: &Document) -> bool {
    let ids = |document: &Document| -> Vec<Value> { document.steps.iter().map(|step| step["id"].clone()).collect() };
    let mut rest = ids(planned).into_iter();
    let steps = ids(now).into_iter().all(|id| rest.any(|planned| planned == id));
    steps && planned.target == now.target && planned.tools == now.tools
}
