//! A configuration as data, without order, form or comments: what an edit must not change.

use std::collections::BTreeMap;

use toml_edit::{Document, Item, Table, TableLike, Value};

use super::create::New;
use super::error::ConfigError;
use super::node;

type Map = BTreeMap<String, Data>;

/// Holds secrets: no `Debug`.
#[derive(Clone, PartialEq)]
enum Data {
    Table(Map),
    List(Vec<Data>),
    String(String),
    Integer(i64),
    /// By its bits: `nan` is the same as `nan`.
    Float(u64),
    Boolean(bool),
    Datetime(String),
}

impl Data {
    fn of_item(item: &Item) -> Self {
        match item {
            Item::None => Self::List(Vec::new()),
            Item::Value(value) => Self::of_value(value),
            Item::Table(table) => Self::Table(map(table)),
            Item::ArrayOfTables(tables) => Self::List(
                tables
                    .iter()
                    .map(|table: &Table| Self::Table(map(table)))
                    .collect(),
            ),
        }
    }

    fn of_value(value: &Value) -> Self {
        match value {
            Value::String(string) => Self::String(string.value().clone()),
            Value::Integer(integer) => Self::Integer(*integer.value()),
            Value::Float(float) => Self::Float(float.value().to_bits()),
            Value::Boolean(boolean) => Self::Boolean(*boolean.value()),
            Value::Datetime(datetime) => Self::Datetime(datetime.value().to_string()),
            Value::Array(array) => Self::List(array.iter().map(Self::of_value).collect()),
            Value::InlineTable(table) => Self::Table(map(table)),
        }
    }
}

fn map(table: &dyn TableLike) -> Map {
    table
        .iter()
        .map(|(key, item)| (key.to_owned(), Data::of_item(item)))
        .collect()
}

/// `text` must be `old` with that token file in profile `index`.
pub(super) fn check_enabled(
    old: &Document<&str>,
    text: &str,
    index: usize,
    token_file: &str,
) -> Result<(), ConfigError> {
    let mut want = map(old.as_table());
    let token = child(&mut want, index, "auth").and_then(|auth| table_in(auth, "token"));
    let token = token.ok_or(ConfigError::Unsafe)?;
    token.insert("token_file".into(), Data::String(token_file.into()));
    same(&want, &read(text)?)
}

/// `text` must be `old` without a token file in profile `index`. An empty `auth` counts as none.
pub(super) fn check_disabled(
    old: &Document<&str>,
    text: &str,
    index: usize,
) -> Result<(), ConfigError> {
    let (mut want, mut got) = (map(old.as_table()), read(text)?);
    let profile = profile_in(&mut want, index).ok_or(ConfigError::Unsafe)?;
    let auth = table_in(profile, "auth").ok_or(ConfigError::Unsafe)?;
    let token = table_in(auth, "token").ok_or(ConfigError::Unsafe)?;
    token.remove("token_file");
    remove_empty(auth, "token");
    remove_empty(profile, "auth");
    remove_empty(
        profile_in(&mut got, index).ok_or(ConfigError::Unsafe)?,
        "auth",
    );
    same(&want, &got)
}

/// `text` must be `old` with that profile behind the others.
pub(super) fn check_created(
    old: &Document<&str>,
    text: &str,
    new: &New<'_>,
) -> Result<(), ConfigError> {
    let mut want = map(old.as_table());
    let string = |value: &str| Data::String(value.to_owned());
    let table = |key: &str, value| Data::Table(Map::from([(key.to_owned(), value)]));
    let auth = table("token", table("token_file", string(new.token_file)));
    let profile = [
        ("name", string(new.name)),
        ("product", string("clustered")),
        ("host", string(new.host)),
        ("port", string(new.port)),
        ("auth", auth),
    ];
    let profile = profile.map(|(key, value)| (key.to_owned(), value));
    let profiles = want
        .entry("profile".into())
        .or_insert_with(|| Data::List(Vec::new()));
    let Data::List(profiles) = profiles else {
        return Err(ConfigError::Unsafe);
    };
    profiles.push(Data::Table(Map::from(profile)));
    same(&want, &read(text)?)
}

/// A text of our own making: one that does not parse is unsafe, not the user's mistake.
fn read(text: &str) -> Result<Map, ConfigError> {
    let document = node::parse(text).map_err(|_| ConfigError::Unsafe)?;
    Ok(map(document.as_table()))
}

fn same(want: &Map, got: &Map) -> Result<(), ConfigError> {
    if want == got {
        Ok(())
    } else {
        Err(ConfigError::Unsafe)
    }
}

fn profile_in(root: &mut Map, index: usize) -> Option<&mut Map> {
    match root.get_mut("profile")? {
        Data::List(profiles) => match profiles.get_mut(index)? {
            Data::Table(profile) => Some(profile),
            _ => None,
        },
        _ => None,
    }
}

fn child<'m>(root: &'m mut Map, index: usize, key: &str) -> Option<&'m mut Map> {
    table_in(profile_in(root, index)?, key)
}

/// The table under `key`, made if it is missing; none if something else is there.
fn table_in<'m>(map: &'m mut Map, key: &str) -> Option<&'m mut Map> {
    match map
        .entry(key.to_owned())
        .or_insert_with(|| Data::Table(Map::new()))
    {
        Data::Table(table) => Some(table),
        _ => None,
    }
}

fn remove_empty(map: &mut Map, key: &str) {
    if matches!(map.get(key), Some(Data::Table(table)) if table.is_empty()) {
        map.remove(key);
    }
}
