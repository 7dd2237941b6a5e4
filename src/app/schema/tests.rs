//! The schemas in `docs/schema` are those of the types. `BYPASSCTL_WRITE_SCHEMAS=1 cargo test --lib schema` writes them.

use crate::app::plan::Document;
use crate::ui::Report;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

const COMPOSED: [&str; 3] = ["anyOf", "oneOf", "allOf"];

/// The schema of what is written, where no key is left undescribed.
fn schema_of<T: JsonSchema>() -> Value {
    let schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    let mut parts = BTreeSet::new();
    collect_parts(&schema, &mut parts);
    close(&mut schema, false);
    for (name, definition) in schema["$defs"].as_object_mut().into_iter().flatten() {
        close(definition, parts.contains(name));
    }
    schema
}

/// The definitions that are a part of an object: the rest of it has other keys.
fn collect_parts(schema: &Value, parts: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let (true, Some(name)) = (fields.contains_key("properties"), fields.get("$ref")) {
                let name = name.as_str().unwrap_or_default().trim_start_matches("#/$defs/");
                parts.insert(name.to_owned());
            }
            fields.values().for_each(|value| collect_parts(value, parts));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_parts(item, parts)),
        _ => {}
    }
}

/// Lets no object have keys that are not described; what is a part of one says nothing of the others.
fn close(schema: &mut Value, is_part: bool) {
    let Value::Object(fields) = schema else { return };
    let composed = |fields: &Map<String, Value>| COMPOSED.iter().any(|name| fields.contains_key(*name));
    let is_object = fields.contains_key("properties");
    if is_object && !is_part {
        let other = composed(fields) || fields.contains_key("$ref");
        let keyword = if other { "unevaluatedProperties" } else { "additionalProperties" };
        fields.insert(keyword.to_owned(), Value::Bool(false));
    }
    for (name, value) in fields.iter_mut() {
        match (name.as_str(), value) {
            ("properties", Value::Object(properties)) => properties.values_mut().for_each(|value| close(value, false)),
            (name, Value::Array(items)) if COMPOSED.contains(&name) || name == "prefixItems" => {
                let is_part = COMPOSED.contains(&name) && (is_object || is_part);
                items.iter_mut().for_each(|item| close(item, is_part));
            }
            ("items" | "additionalProperties", value) => close(value, false),
            _ => {}
        }
    }
}

/// Every key that is described nowhere.
fn undescribed(at: &str, schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            // What tells the variants of an enum apart is described by its values; what is the only one, by its object.
            let tells = |(_, property): &(&String, &Value)| property.get("const").is_none();
            let properties = fields.get("properties").and_then(Value::as_object).into_iter().flatten().filter(tells);
            let properties: Vec<_> = properties.collect();
            let by_object = properties.len() == 1 && fields.contains_key("description");
            let missing = properties.iter().filter(|(_, property)| property.get("description").is_none() && !by_object);
            found.extend(missing.map(|(name, _)| format!("{at}/{name}")));
            fields.iter().for_each(|(name, value)| undescribed(&format!("{at}/{name}"), value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| undescribed(at, item, found)),
        _ => {}
    }
}

fn assert_is_written<T: JsonSchema>(file: &str) {
    let schema = schema_of::<T>();
    let mut found = Vec::new();
    undescribed("", &schema, &mut found);
    assert!(found.is_empty(), "{file} does not describe {found:?}");
    let text = format!("{schema:#}\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(file);
    if std::env::var_os("BYPASSCTL_WRITE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).expect("docs/schema can be written to");
    }
    let written = std::fs::read_to_string(&path).expect("docs/schema has it");
    assert!(written == text, "{file} is not what the types are: BYPASSCTL_WRITE_SCHEMAS=1 cargo test --lib schema");
}

#[test]
fn the_report() {
    assert_is_written::<Report<'static>>("report.json");
}

#[test]
fn the_plan() {
    assert_is_written::<Document>("plan.json");
}
