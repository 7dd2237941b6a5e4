//! Compares configurations as data, without order, form and comments.

use std::collections::BTreeMap;

use toml_edit::{Document, Item, Table, TableLike, Value};

use super::create::NewProfile;
use super::error::ConfigError;
use super::node;

type DataMap = BTreeMap<String, ConfigData>;

/// A value. It can contain secrets, so it has no `Debug`.
#[derive(Clone, PartialEq)]
enum ConfigData {
    Table(DataMap),
    List(Vec<ConfigData>),
    String(String),
    Integer(i64),
    /// The bits, so that `nan` equals `nan`.
    Float(u64),
    Boolean(bool),
    Datetime(String),
}

impl ConfigData {
    fn from_item(item: &Item) -> Self {
        match item {
            Item::None => Self::List(Vec::new()),
            Item::Value(value) => Self::from_value(value),
            Item::Table(table) => Self::Table(table_to_map(table)),
            Item::ArrayOfTables(tables) => Self::List(
                tables
                    .iter()
                    .map(|table: &Table| Self::Table(table_to_map(table)))
                    .collect(),
            ),
        }
    }

    fn from_value(value: &Value) -> Self {
        match value {
            Value::String(string) => Self::String(string.value().clone()),
            Value::Integer(integer) => Self::Integer(*integer.value()),
            Value::Float(float) => Self::Float(float.value().to_bits()),
            Value::Boolean(boolean) => Self::Boolean(*boolean.value()),
            Value::Datetime(datetime) => Self::Datetime(datetime.value().to_string()),
            Value::Array(array) => Self::List(array.iter().map(Self::from_value).collect()),
            Value::InlineTable(table) => Self::Table(table_to_map(table)),
        }
    }
}

/// Lists every key with the kind of its value, and no value.
pub(super) fn list_keys(text: &str) -> Result<Vec<String>, ConfigError> {
    let document = node::parse_document(text)?;
    let mut keys = Vec::new();
    collect_keys(
        "",
        &ConfigData::Table(table_to_map(document.as_table())),
        &mut keys,
    );
    Ok(keys)
}

fn collect_keys(path: &str, value: &ConfigData, keys: &mut Vec<String>) {
    let kind = match value {
        ConfigData::Table(table) => {
            for (key, value) in table {
                let separator = if path.is_empty() { "" } else { "." };
                collect_keys(&format!("{path}{separator}{key}"), value, keys);
            }
            return;
        }
        ConfigData::List(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_keys(&format!("{path}[{index}]"), item, keys);
            }
            return;
        }
        ConfigData::String(_) => "string",
        ConfigData::Integer(_) => "integer",
        ConfigData::Float(_) => "float",
        ConfigData::Boolean(_) => "boolean",
        ConfigData::Datetime(_) => "date",
    };
    keys.push(format!("{path}: {kind}"));
}

fn table_to_map(table: &dyn TableLike) -> DataMap {
    table
        .iter()
        .map(|(key, item)| (key.to_owned(), ConfigData::from_item(item)))
        .collect()
}

/// Checks that `text` is `old` with the token file in profile `index`.
pub(super) fn check_enabled(
    old: &Document<&str>,
    text: &str,
    index: usize,
    token_file: &str,
) -> Result<(), ConfigError> {
    let mut expected = table_to_map(old.as_table());
    let token = profile_table_mut(&mut expected, index, "auth")
        .and_then(|auth| table_or_insert(auth, "token"));
    let token = token.ok_or(ConfigError::UnsafeEdit)?;
    token.insert("token_file".into(), ConfigData::String(token_file.into()));
    ensure_equal(&expected, &parse_data(text)?)
}

/// Checks that `text` is `old` without a token file in profile `index`. An empty `auth` counts as
/// missing, and so does an empty `token` unless `keeps_token`.
pub(super) fn check_disabled(
    old: &Document<&str>,
    text: &str,
    index: usize,
    keeps_token: bool,
) -> Result<(), ConfigError> {
    let (mut expected, mut actual) = (table_to_map(old.as_table()), parse_data(text)?);
    let profile = profile_mut(&mut expected, index).ok_or(ConfigError::UnsafeEdit)?;
    let auth = table_or_insert(profile, "auth").ok_or(ConfigError::UnsafeEdit)?;
    let token = table_or_insert(auth, "token").ok_or(ConfigError::UnsafeEdit)?;
    token.remove("token_file");
    if !keeps_token {
        remove_empty_table(auth, "token");
    }
    remove_empty_table(profile, "auth");
    remove_empty_table(
        profile_mut(&mut actual, index).ok_or(ConfigError::UnsafeEdit)?,
        "auth",
    );
    ensure_equal(&expected, &actual)
}

/// Checks that `text` is `old` with the new profile at the end.
pub(super) fn check_created(
    old: &Document<&str>,
    text: &str,
    new: &NewProfile<'_>,
) -> Result<(), ConfigError> {
    let mut expected = table_to_map(old.as_table());
    let string = |value: &str| ConfigData::String(value.to_owned());
    let table = |key: &str, value| ConfigData::Table(DataMap::from([(key.to_owned(), value)]));
    let auth = table("token", table("token_file", string(new.token_file)));
    let profile = [
        ("name", string(new.name)),
        ("product", string("clustered")),
        ("host", string(new.host)),
        ("port", string(new.port)),
        ("auth", auth),
    ];
    let profile = profile.map(|(key, value)| (key.to_owned(), value));
    let profiles = expected
        .entry("profile".into())
        .or_insert_with(|| ConfigData::List(Vec::new()));
    let ConfigData::List(profiles) = profiles else {
        return Err(ConfigError::UnsafeEdit);
    };
    profiles.push(ConfigData::Table(DataMap::from(profile)));
    ensure_equal(&expected, &parse_data(text)?)
}

/// Parses an edited text. A syntax error there is [`ConfigError::UnsafeEdit`], because the user did
/// not make it.
fn parse_data(text: &str) -> Result<DataMap, ConfigError> {
    let document = node::parse_document(text).map_err(|_| ConfigError::UnsafeEdit)?;
    Ok(table_to_map(document.as_table()))
}

fn ensure_equal(expected: &DataMap, actual: &DataMap) -> Result<(), ConfigError> {
    if expected == actual {
        Ok(())
    } else {
        Err(ConfigError::UnsafeEdit)
    }
}

fn profile_mut(root: &mut DataMap, index: usize) -> Option<&mut DataMap> {
    match root.get_mut("profile")? {
        ConfigData::List(profiles) => match profiles.get_mut(index)? {
            ConfigData::Table(profile) => Some(profile),
            _ => None,
        },
        _ => None,
    }
}

fn profile_table_mut<'m>(
    root: &'m mut DataMap,
    index: usize,
    key: &str,
) -> Option<&'m mut DataMap> {
    table_or_insert(profile_mut(root, index)?, key)
}

/// Returns the table under `key`, and inserts it if missing. Returns `None` for another value.
fn table_or_insert<'m>(map: &'m mut DataMap, key: &str) -> Option<&'m mut DataMap> {
    match map
        .entry(key.to_owned())
        .or_insert_with(|| ConfigData::Table(DataMap::new()))
    {
        ConfigData::Table(table) => Some(table),
        _ => None,
    }
}

fn remove_empty_table(map: &mut DataMap, key: &str) {
    if matches!(map.get(key), Some(ConfigData::Table(table)) if table.is_empty()) {
        map.remove(key);
    }
}
