//! Validates the output of `-o json` of every test against `docs/schema`.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

const COMPOSITION_KEYWORDS: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// The base URL of references between schemas. It does not exist.
const BASE_URL: &str = "https://schemas.invalid/";

static REPORT_SCHEMA: LazyLock<(Schemas, SchemaIndex)> =
    LazyLock::new(|| compile_schema("report.json"));
static PLAN_SCHEMA: LazyLock<(Schemas, SchemaIndex)> =
    LazyLock::new(|| compile_schema("plan.json"));

fn compile_schema(name: &str) -> (Schemas, SchemaIndex) {
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    for name in ["report.json", "plan.json"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs/schema")
            .join(name);
        let mut schema =
            serde_json::from_slice(&std::fs::read(file).expect("a schema")).expect("JSON");
        close_schema(&mut schema);
        compiler
            .add_resource(&format!("{BASE_URL}{name}"), schema)
            .expect("a schema");
    }
    let index = compiler
        .compile(&format!("{BASE_URL}{name}"), &mut schemas)
        .expect("a schema");
    (schemas, index)
}

/// Makes a schema reject undocumented keys.
fn close_schema(schema: &mut Value) {
    let mut parts = BTreeSet::new();
    collect_partial_definitions(schema, &mut parts);
    forbid_unknown_keys(schema, false);
    for (name, definition) in schema["$defs"].as_object_mut().into_iter().flatten() {
        forbid_unknown_keys(definition, parts.contains(name));
    }
}

/// Returns the definitions that describe only a part of an object.
fn collect_partial_definitions(schema: &Value, parts: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let (true, Some(name)) = (fields.contains_key("properties"), fields.get("$ref")) {
                let name = name
                    .as_str()
                    .unwrap_or_default()
                    .trim_start_matches("#/$defs/");
                parts.insert(name.to_owned());
            }
            fields
                .values()
                .for_each(|value| collect_partial_definitions(value, parts));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_partial_definitions(item, parts)),
        _ => {}
    }
}

/// Forbids undocumented keys in all objects except those partial definitions.
fn forbid_unknown_keys(schema: &mut Value, is_part: bool) {
    let Value::Object(fields) = schema else {
        return;
    };
    let composed = |fields: &Map<String, Value>| {
        COMPOSITION_KEYWORDS
            .iter()
            .any(|name| fields.contains_key(*name))
    };
    let is_object = fields.contains_key("properties");
    if is_object && !is_part {
        let other = composed(fields) || fields.contains_key("$ref");
        let keyword = if other {
            "unevaluatedProperties"
        } else {
            "additionalProperties"
        };
        fields.insert(keyword.to_owned(), Value::Bool(false));
    }
    for (name, value) in fields.iter_mut() {
        match (name.as_str(), value) {
            ("properties", Value::Object(properties)) => properties
                .values_mut()
                .for_each(|value| forbid_unknown_keys(value, false)),
            (name, Value::Array(items))
                if COMPOSITION_KEYWORDS.contains(&name) || name == "prefixItems" =>
            {
                let is_part = COMPOSITION_KEYWORDS.contains(&name) && (is_object || is_part);
                items
                    .iter_mut()
                    .for_each(|item| forbid_unknown_keys(item, is_part));
            }
            ("items" | "additionalProperties", value) => forbid_unknown_keys(value, false),
            _ => {}
        }
    }
}

fn parse_and_validate((schemas, index): &(Schemas, SchemaIndex), text: &str) -> Value {
    let object: Value =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    schemas
        .validate(&object, *index)
        .unwrap_or_else(|error| panic!("{error:#}\n{text}"));
    object
}

/// Parses the output of `-o json`, which must be one object of the schema.
pub fn parse_report(text: &str) -> Value {
    parse_and_validate(&REPORT_SCHEMA, text)
}

/// Parses a saved plan, which must match its schema.
pub fn parse_plan(text: &str) -> Value {
    parse_and_validate(&PLAN_SCHEMA, text)
}

/// Returns whether a command line of bypassctl asks for JSON.
pub fn is_json_requested(command: &Command) -> bool {
    let words: Vec<&OsStr> = command.get_args().collect();
    let two = words
        .windows(2)
        .any(|two| ["-o", "--output"].map(OsStr::new).contains(&two[0]) && two[1] == "json");
    command.get_program() == env!("CARGO_BIN_EXE_bypassctl")
        && (two
            || words
                .iter()
                .any(|word| ["-ojson", "--output=json"].map(OsStr::new).contains(word)))
}
