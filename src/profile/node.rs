//! Tables of a configuration with their written form, which an edit must follow.

use std::ops::Range;

use toml_edit::{Document, Item, Table, TableLike, Value};

use super::error::ConfigError;
use crate::splice::Lines;
use crate::text::sanitize;

/// The written form of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TableForm {
    /// `[profile.auth]`
    Header,
    /// `auth` in `[profile.auth.oauth2]`, without a header for `auth`
    Implicit,
    /// `auth.oauth2.client_id = "…"`
    Dotted,
    /// `auth = { … }`
    Inline,
}

/// A table of the document.
#[derive(Clone)]
pub(super) struct Node<'a> {
    pub(super) table: &'a dyn TableLike,
    pub(super) form: TableForm,
    /// The position of the header, of the braces, or of the dotted key.
    pub(super) span: Range<usize>,
}

impl<'a> Node<'a> {
    fn from_table(table: &'a Table) -> Self {
        let form = match (table.is_dotted(), table.is_implicit()) {
            (true, _) => TableForm::Dotted,
            (false, true) => TableForm::Implicit,
            (false, false) => TableForm::Header,
        };
        Self {
            table,
            form,
            span: table.span().unwrap_or_default(),
        }
    }

    fn from_value(value: &'a Value) -> Option<Self> {
        let table = value.as_inline_table()?;
        let form = if table.is_dotted() {
            TableForm::Dotted
        } else {
            TableForm::Inline
        };
        Some(Self {
            table,
            form,
            span: table.span().unwrap_or_default(),
        })
    }

    pub(super) fn from_item(item: &'a Item) -> Option<Self> {
        match item {
            Item::Table(table) => Some(Self::from_table(table)),
            Item::Value(value) => Self::from_value(value),
            _ => None,
        }
    }

    /// Returns the table under `key`. `message` is the error for another value.
    pub(super) fn child(
        &self,
        text: &str,
        key: &str,
        message: &'static str,
    ) -> Result<Option<Self>, ConfigError> {
        let Some(item) = self.table.get(key) else {
            return Ok(None);
        };
        Self::from_item(item)
            .map(Some)
            .ok_or_else(|| shape_error(text, item, message))
    }

    /// Returns the positions of the values in the body or the braces of this table, in order. They
    /// include values of dotted keys, but not values below other headers.
    pub(super) fn value_spans(&self) -> Vec<Range<usize>> {
        let mut values = Vec::new();
        collect_value_spans(self.table, &mut values);
        values.sort_by_key(|span| span.start);
        values
    }

    /// Returns the end of this table and of all its sub-tables, wherever they are.
    pub(super) fn end(&self) -> usize {
        let child_ends = self.table.iter().map(|(_, item)| match item {
            Item::ArrayOfTables(tables) => tables
                .iter()
                .map(|table| Node::from_table(table).end())
                .max()
                .unwrap_or(0),
            Item::Table(table) => Node::from_table(table).end(),
            item => item.span().map_or(0, |span| span.end),
        });
        child_ends.max().unwrap_or(0).max(self.span.end)
    }
}

fn collect_value_spans(table: &dyn TableLike, values: &mut Vec<Range<usize>>) {
    for (_, item) in table.iter() {
        match (Node::from_item(item), item) {
            (Some(node), _) if node.form == TableForm::Dotted => {
                collect_value_spans(node.table, values)
            }
            (_, Item::Value(value)) => values.extend(value.span()),
            _ => {}
        }
    }
}

/// The tables from a profile to `token_file`, as far as they exist.
pub(super) struct TokenFilePath<'a> {
    pub(super) profile: Node<'a>,
    pub(super) auth: Option<Node<'a>>,
    pub(super) token: Option<Node<'a>>,
    pub(super) token_file: Option<&'a Value>,
}

impl<'a> TokenFilePath<'a> {
    /// Follows `auth.token.token_file` down from `profile`.
    pub(super) fn from_profile(text: &str, profile: Node<'a>) -> Result<Self, ConfigError> {
        let auth = profile.child(text, "auth", "`auth` is not a table")?;
        let token = match &auth {
            Some(auth) => auth.child(text, "token", "`auth.token` is not a table")?,
            None => None,
        };
        let item = token
            .as_ref()
            .and_then(|token| token.table.get("token_file"));
        let token_file = match item {
            Some(Item::Value(value)) if value.is_str() => Some(value),
            Some(item) => {
                return Err(shape_error(
                    text,
                    item,
                    "`auth.token.token_file` is not a string",
                ));
            }
            None => None,
        };
        Ok(Self {
            profile,
            auth,
            token,
            token_file,
        })
    }

    /// Returns the value of `token_file` as in the file, unless it resembles a token.
    pub(super) fn recordable_token_file(&self, text: &str) -> Option<String> {
        let value = self.token_file?;
        let is_recordable = value.as_str().is_some_and(|path| sanitize(path) == path);
        is_recordable.then(|| text.get(value.span()?).map(str::to_owned))?
    }

    /// Returns whether `token` stays without `token_file`: it was empty before. Then the key has
    /// quotes.
    pub(super) fn keeps_token(&self, text: &str) -> bool {
        let token = self
            .token
            .as_ref()
            .filter(|token| token.form != TableForm::Dotted);
        let key = token.and_then(|token| token.table.get_key_value("token_file"));
        key.and_then(|(key, _)| text.get(key.span()?))
            .is_some_and(|key| key.starts_with('"'))
    }

    /// Returns the table that contains a dotted `token`, and the key in that table.
    pub(super) fn dotted_container(&self) -> (&Node<'a>, &'static str) {
        match &self.auth {
            Some(auth) if auth.form != TableForm::Dotted => (auth, "token"),
            _ => (&self.profile, "auth.token"),
        }
    }
}

/// The maximum depth of tables. `toml_edit` limits the nesting of braces and the length of dotted
/// keys, but both together can still overflow the stack.
const MAX_DEPTH: usize = 100;

/// Parses a configuration. An error contains the position, but no text of the file.
pub(super) fn parse_document(text: &str) -> Result<Document<&str>, ConfigError> {
    let lines = Lines(text);
    let document = Document::parse(text).map_err(|error| {
        let at = text.floor_char_boundary(error.span().map_or(0, |span| span.start));
        let column = text[lines.line_start(at)..at].chars().count() + 1;
        ConfigError::Syntax {
            line: lines.line_number(at),
            column,
        }
    })?;
    match find_too_deep(&document) {
        Some(at) => Err(ConfigError::Shape {
            message: "the tables are nested too deeply",
            line: lines.line_number(at),
        }),
        None => Ok(document),
    }
}

/// Finds the position of an item below [`MAX_DEPTH`], without recursion.
fn find_too_deep(document: &Document<&str>) -> Option<usize> {
    let mut level: Vec<&dyn TableLike> = vec![document.as_table()];
    for _ in 0..MAX_DEPTH {
        let items = level.iter().flat_map(|table| table.iter());
        level = items.flat_map(|(_, item)| collect_tables(item)).collect();
    }
    let (_, item) = level.iter().flat_map(|table| table.iter()).next()?;
    Some(item.span().unwrap_or_default().start)
}

/// Returns an item that is a table, or the tables of an item that is an array.
fn collect_tables(item: &Item) -> Vec<&dyn TableLike> {
    match item {
        Item::ArrayOfTables(tables) => tables.iter().map(|table| table as &dyn TableLike).collect(),
        Item::Value(Value::Array(array)) => {
            let mut tables = Vec::new();
            let mut values: Vec<&Value> = array.iter().collect();
            while let Some(value) = values.pop() {
                match value {
                    Value::Array(array) => values.extend(array),
                    Value::InlineTable(table) => tables.push(table as &dyn TableLike),
                    _ => {}
                }
            }
            tables
        }
        item => item.as_table_like().into_iter().collect(),
    }
}

/// Returns the profiles of `[[profile]]` or of `profile = [{ … }]`.
pub(super) fn collect_profiles<'a>(
    text: &str,
    document: &'a Document<&str>,
) -> Result<Vec<Node<'a>>, ConfigError> {
    match document.get("profile") {
        None => Ok(Vec::new()),
        Some(Item::ArrayOfTables(tables)) => Ok(tables.iter().map(Node::from_table).collect()),
        Some(Item::Value(Value::Array(array))) => array
            .iter()
            .map(|value| {
                let line = Lines(text).line_number(value.span().unwrap_or_default().start);
                let message = "an entry of `profile` is not a table";
                Node::from_value(value).ok_or(ConfigError::Shape { message, line })
            })
            .collect(),
        Some(item) => Err(shape_error(
            text,
            item,
            "`profile` is not an array of tables",
        )),
    }
}

/// Returns the name of a profile, or `default` for a profile without a name.
pub(super) fn read_profile_name<'a>(
    text: &str,
    profile: &Node<'a>,
) -> Result<&'a str, ConfigError> {
    match profile.table.get("name") {
        None => Ok("default"),
        Some(item) => item
            .as_str()
            .ok_or_else(|| shape_error(text, item, "`name` is not a string")),
    }
}

/// Finds the only profile of a name, with its index.
pub(super) fn locate_profile<'a>(
    text: &str,
    document: &'a Document<&str>,
    name: &str,
) -> Result<(usize, Node<'a>), ConfigError> {
    let profiles = collect_profiles(text, document)?;
    let mut known = Vec::new();
    for profile in &profiles {
        known.push(read_profile_name(text, profile)?.to_owned());
    }
    let mut matching = (0..known.len()).filter(|&index| known[index] == name);
    match (matching.next(), matching.next()) {
        (Some(index), None) => Ok((index, profiles[index].clone())),
        (Some(_), Some(_)) => Err(ConfigError::DuplicateProfile { name: name.into() }),
        (None, _) if known.is_empty() => Err(ConfigError::NoProfiles { name: name.into() }),
        (None, _) => Err(ConfigError::NoSuchProfile {
            name: name.into(),
            known,
        }),
    }
}

/// Creates a [`ConfigError::Shape`] for the position of an item.
pub(super) fn shape_error(text: &str, item: &Item, message: &'static str) -> ConfigError {
    let span = match item {
        Item::ArrayOfTables(tables) => tables.get(0).and_then(Table::span),
        item => item.span(),
    };
    ConfigError::Shape {
        message,
        line: Lines(text).line_number(span.unwrap_or_default().start),
    }
}
