//! Replaces the parts of an answer that vary from run to run.

use regex::{Captures, Regex};
use serde_json::Value;
use std::sync::LazyLock;

/// An answer of kubectl or the fake.
pub struct ComparedOutput<'a> {
    pub code: i32,
    pub stdout: &'a str,
    pub stderr: &'a str,
}

static VOLATILE_PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "[UID]",
        ),
        (r#""resourceVersion": "\d+""#, r#""resourceVersion": "[N]""#),
        // Replaces whole tokens only, not the text around them.
        (r"^eyJ[A-Za-z0-9+/]{400,}={0,2}$", "[TOKEN]"),
        (
            r"(?m)^([EW])\d{4} \d\d:\d\d:\d\d\.\d{6} {1,7}\d+ ",
            "$1[KLOG] ",
        ),
        (r"\b(token-management-6f7f9cc6b4)-[a-z0-9]{5}\b", "$1-[POD]"),
    ];
    rules
        .into_iter()
        .map(|(rule, name)| (Regex::new(rule).expect("a rule"), name))
        .collect()
});

static TIMESTAMP_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").expect("a rule"));

static AGE_COLUMNS_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)( 1/1 +)(\w+)( +)\w+$").expect("a rule"));

/// The column after the UID in a table of secrets.
static VERSION_COLUMN_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^([a-z-]+ +\[UID\] +)(\d+)( +)").expect("a rule"));

/// Returns the text for the comparison.
pub fn normalize_output(answer: &ComparedOutput<'_>) -> String {
    format!(
        "exit {}\n--- stdout\n{}--- stderr\n{}",
        answer.code,
        normalize_stream(answer.stdout),
        normalize_stream(answer.stderr)
    )
}

fn normalize_stream(text: &str) -> String {
    let mut text = normalize_documents(text).unwrap_or_else(|| text.to_owned());
    for (rule, name) in VOLATILE_PATTERNS.iter() {
        text = rule.replace_all(&text, *name).into_owned();
    }
    replace_ages(&replace_versions(&replace_times(&text)))
}

/// Replaces times except kubectl's build dates, which are the same in every run.
fn replace_times(text: &str) -> String {
    let is_build = |at: usize| {
        text[..at]
            .to_lowercase()
            .trim_end_matches(['"', ':', ' '])
            .ends_with("builddate")
    };
    let replace = |c: &Captures<'_>| {
        let whole = c.get(0).expect("a match");
        if is_build(whole.start()) {
            whole.as_str().to_owned()
        } else {
            "[TIME]".to_owned()
        }
    };
    TIMESTAMP_PATTERN.replace_all(text, replace).into_owned()
}

/// Replaces the last two columns of the table of jobs. The last but one keeps its width.
fn replace_ages(text: &str) -> String {
    let width = |c: &Captures<'_>| c[2].len() + c[3].len();
    AGE_COLUMNS_PATTERN
        .replace_all(text, |c: &Captures<'_>| {
            format!("{}[AGE to {}] [AGE]", &c[1], width(c))
        })
        .into_owned()
}

/// Replaces the resource versions in a table of secrets. The column keeps its width.
fn replace_versions(text: &str) -> String {
    let width = |c: &Captures<'_>| c[2].len() + c[3].len();
    VERSION_COLUMN_PATTERN
        .replace_all(text, |c: &Captures<'_>| {
            format!("{}[N to {}]", &c[1], width(c))
        })
        .into_owned()
}

/// Replaces varying values in JSON documents and keeps kubectl's formatting.
fn normalize_documents(text: &str) -> Option<String> {
    if !text.starts_with("{\n    \"apiVersion\"") {
        return None;
    }
    let mut out = String::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut start = 0;
    while let Some(document) = stream.next() {
        let mut document = document.ok()?;
        let end = stream.byte_offset();
        let printed = &text[start..end];
        // Records whether spaces, newlines and the order of keys are kubectl's.
        let form = if printed.trim_start() == format_document(&document) {
            "as kubectl prints"
        } else {
            printed
        };
        simplify_value(&mut document);
        out += &format!("[{form}]\n{}", format_document(&document));
        start = end;
    }
    Some(out + &text[start..])
}

fn format_document(document: &Value) -> String {
    let mut bytes = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut printer = serde_json::Serializer::with_formatter(&mut bytes, format);
    serde::Serialize::serialize(document, &mut printer).expect("a document is JSON");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

fn simplify_value(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(simplify_value),
        Value::Object(map) => {
            // Old kubectls print `managedFields`. The fake prints only an outline of it.
            if let Some(fields) = map.get_mut("managedFields") {
                *fields = "[managed fields]".into();
            }
            // The server orders the conditions of a deployment by their last change.
            if map.get("kind").is_some_and(|kind| kind == "Deployment") {
                let conditions = map.get_mut("status").and_then(|s| s.get_mut("conditions"));
                if let Some(Value::Array(conditions)) = conditions {
                    conditions.sort_by_key(|c| c["type"].as_str().map(str::to_owned));
                }
            }
            map.values_mut().for_each(simplify_value);
        }
        _ => {}
    }
}
