//! Compares the schemas in `docs/schema` with the types.
//! `BYPASSCTL_WRITE_SCHEMAS=1 cargo test --lib schema` writes them.

use crate::plan_file::document::PlanFile;
use crate::ui::Report;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;
use std::path::Path;

/// Generates the schema of a written document. Objects may have more keys than it describes,
/// because a later version may add some.
fn generate_schema<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// Collects every key without a description.
fn collect_undescribed(at: &str, schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            // The values of an enum's tag describe it. The description of an object with one key
            // describes this key.
            let is_no_tag = |(_, property): &(&String, &Value)| property.get("const").is_none();
            let properties = fields
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter(is_no_tag);
            let properties: Vec<_> = properties.collect();
            let is_described_by_object =
                properties.len() == 1 && fields.contains_key("description");
            let missing = properties.iter().filter(|(_, property)| {
                property.get("description").is_none() && !is_described_by_object
            });
            found.extend(missing.map(|(name, _)| format!("{at}/{name}")));
            fields.iter().for_each(|(name, value)| {
                collect_undescribed(&format!("{at}/{name}"), value, found)
            });
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_undescribed(at, item, found)),
        _ => {}
    }
}

fn assert_schema_file_matches<T: JsonSchema>(file: &str) {
    let schema = generate_schema::<T>();
    let mut found = Vec::new();
    collect_undescribed("", &schema, &mut found);
    assert!(found.is_empty(), "{file} does not describe {found:?}");
    let text = format!("{schema:#}\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs/schema")
        .join(file);
    if std::env::var_os("BYPASSCTL_WRITE_SCHEMAS").is_some() {
        std::fs::write(&path, &text).expect("docs/schema is writable");
    }
    let committed = std::fs::read_to_string(&path).expect("a file in docs/schema");
    assert!(
        committed == text,
        "{file} differs from the types, run: BYPASSCTL_WRITE_SCHEMAS=1 cargo test --lib schema"
    );
}

#[test]
fn report_schema_file_matches_types() {
    assert_schema_file_matches::<Report<'static>>("report.json");
}

#[test]
fn plan_schema_file_matches_types() {
    assert_schema_file_matches::<PlanFile>("plan.json");
}
