//! Inserts or replaces `token_file`.

use super::error::ConfigError;
use super::node::{Node, TableForm, TokenFilePath};
use super::quote::to_basic_string;
use crate::splice::{Lines, Splice};

/// Returns the splices that set `token_file`. Returns none if it has this value.
///
/// # Errors
/// [`ConfigError::UnsafeEdit`] if the parser does not report the position of the value.
pub(super) fn insert_splices(
    text: &str,
    path: &TokenFilePath<'_>,
    token_file: &str,
) -> Result<Vec<Splice>, ConfigError> {
    let quoted = to_basic_string(token_file);
    let splice = match path.token_file {
        Some(value) if value.as_str() == Some(token_file) => return Ok(Vec::new()),
        Some(_) => return replace_value(path, &quoted),
        None => insert_key(text, path, &quoted),
    };
    Ok(vec![splice])
}

/// Returns the splices that replace the value of `token_file`. Returns none if it is missing.
///
/// # Errors
/// [`ConfigError::UnsafeEdit`] if the parser does not report the position of the value.
pub(super) fn replace_value(
    path: &TokenFilePath<'_>,
    literal: &str,
) -> Result<Vec<Splice>, ConfigError> {
    let Some(value) = path.token_file else {
        return Ok(Vec::new());
    };
    let span = value.span().ok_or(ConfigError::UnsafeEdit)?;
    Ok(vec![Splice::replace(span, literal)])
}

fn insert_key(text: &str, path: &TokenFilePath<'_>, quoted: &str) -> Splice {
    match (&path.auth, &path.token) {
        (_, Some(token)) => match token.form {
            TableForm::Header => insert_below_header(text, path, token, &format_key(token, quoted)),
            TableForm::Inline => insert_into_braces(text, token, &format_key(token, quoted)),
            TableForm::Dotted => insert_dotted_key(text, path, token, quoted),
            // `[profile.auth.token]` may follow a `[profile.auth.token.x]`.
            TableForm::Implicit => insert_section(text, path, quoted),
        },
        (Some(auth), None) => insert_into_auth(text, path, auth, quoted),
        (None, None) if path.profile.form == TableForm::Inline => {
            let entry = format!("auth = {{ token = {{ token_file = {quoted} }} }}");
            insert_into_braces(text, &path.profile, &entry)
        }
        (None, None) => insert_section(text, path, quoted),
    }
}

/// Formats the key for an existing `token`. An empty one gets a quoted key, by which `disable`
/// recognises that it existed before.
fn format_key(token: &Node<'_>, quoted: &str) -> String {
    let key = if token.table.is_empty() {
        "\"token_file\""
    } else {
        "token_file"
    };
    format!("{key} = {quoted}")
}

/// Inserts into an `auth` without `token`. An empty `auth` gets a dotted key, by which `disable`
/// recognises that `auth` existed before.
fn insert_into_auth(text: &str, path: &TokenFilePath<'_>, auth: &Node<'_>, quoted: &str) -> Splice {
    let is_empty = auth.table.is_empty();
    match auth.form {
        TableForm::Header if is_empty => {
            insert_below_header(text, path, auth, &format!("token.token_file = {quoted}"))
        }
        TableForm::Header | TableForm::Implicit => insert_section(text, path, quoted),
        TableForm::Dotted => insert_dotted_key(text, path, auth, quoted),
        TableForm::Inline if is_empty => {
            insert_into_braces(text, auth, &format!("token.token_file = {quoted}"))
        }
        TableForm::Inline => {
            insert_into_braces(text, auth, &format!("token = {{ token_file = {quoted} }}"))
        }
    }
}

/// Inserts a dotted key after those of `sibling`.
fn insert_dotted_key(
    text: &str,
    path: &TokenFilePath<'_>,
    sibling: &Node<'_>,
    quoted: &str,
) -> Splice {
    let (container, key) = path.dotted_container();
    let entry = format!("{key}.token_file = {quoted}");
    match (container.form, sibling.value_spans().last()) {
        (TableForm::Inline, _) => insert_into_braces(text, container, &entry),
        (_, Some(value)) => {
            let indent = Lines(text).indent(value.start);
            insert_lines(
                text,
                Lines(text).next_line_start(value.end),
                &[format!("{indent}{entry}")],
            )
        }
        (_, None) => insert_section(text, path, quoted),
    }
}

/// Inserts a key directly below a header.
fn insert_below_header(
    text: &str,
    path: &TokenFilePath<'_>,
    header: &Node<'_>,
    entry: &str,
) -> Splice {
    let lines = Lines(text);
    let own_indent = header
        .value_spans()
        .first()
        .map(|value| lines.indent(value.start));
    let indent = own_indent
        .or_else(|| SubTable::find_model(&path.profile)?.key_indent(text))
        .unwrap_or_else(|| lines.indent(header.span.start));
    insert_lines(
        text,
        lines.next_line_start(header.span.end),
        &[format!("{indent}{entry}")],
    )
}

/// Inserts a section at the end of the profile.
fn insert_section(text: &str, path: &TokenFilePath<'_>, quoted: &str) -> Splice {
    let lines = Lines(text);
    let at = skip_comments(text, lines.next_line_start(path.profile.end()));
    let mut section = vec![String::new()];
    section.extend(format_section(text, Some(&path.profile), quoted));
    insert_lines(text, at, &section)
}

/// Skips the comment lines directly after `at`, the start of a line, if a blank line or the end of
/// the text follows. Otherwise, the comments belong to the next line, and `at` is the result.
fn skip_comments(text: &str, at: usize) -> usize {
    let mut end = at;
    loop {
        let next = Lines(text).next_line_start(end);
        let line = text[end..next].trim();
        if line.is_empty() {
            return end;
        }
        if !line.starts_with('#') {
            return at;
        }
        end = next;
    }
}

/// Formats header and key of the section with the indentation of the profile's sub-tables.
pub(super) fn format_section(text: &str, profile: Option<&Node<'_>>, quoted: &str) -> [String; 2] {
    let model = profile.and_then(SubTable::find_model);
    let header = model
        .as_ref()
        .map_or("", |model| Lines(text).indent(model.header));
    let key = model
        .and_then(|model| model.key_indent(text))
        .unwrap_or(header);
    [
        format!("{header}[profile.auth.token]"),
        format!("{key}token_file = {quoted}"),
    ]
}

/// Inserts an entry after the last one in the braces of a table.
pub(super) fn insert_into_braces(text: &str, table: &Node<'_>, entry: &str) -> Splice {
    match table.value_spans().last() {
        Some(value) => Splice::insert(value.end, format!(", {entry}")),
        None => {
            let at = table.span.start + 1;
            let space = if text[at..].starts_with([' ', '\t']) {
                " "
            } else {
                ""
            };
            Splice::insert(at, format!("{space}{entry}"))
        }
    }
}

/// Inserts whole lines at the start of a line, or at the end of a text without a final newline.
/// Such a text still has no final newline afterwards.
pub(super) fn insert_lines(text: &str, at: usize, new_lines: &[String]) -> Splice {
    let lines = Lines(text);
    let ending = lines.line_ending(at);
    let mut added = String::new();
    for line in new_lines {
        if lines.is_line_start(at) {
            added.extend([line, ending]);
        } else {
            added.extend([ending, line]);
        }
    }
    Splice::insert(at, added)
}

/// A sub-table with a header, as a model for indentation.
struct SubTable {
    /// The position of the header.
    header: usize,
    /// The position of the first value.
    first_key: Option<usize>,
    is_in_auth: bool,
}

impl SubTable {
    /// Finds the best model. Prefers sub-tables with keys, then those in `auth`, then early ones.
    fn find_model(profile: &Node<'_>) -> Option<Self> {
        let mut sub_tables = Vec::new();
        collect_sub_tables(profile, false, &mut sub_tables);
        sub_tables
            .into_iter()
            .min_by_key(|table| (table.first_key.is_none(), !table.is_in_auth, table.header))
    }

    fn key_indent<'t>(&self, text: &'t str) -> Option<&'t str> {
        Some(Lines(text).indent(self.first_key?))
    }
}

fn collect_sub_tables(node: &Node<'_>, is_in_auth: bool, sub_tables: &mut Vec<SubTable>) {
    for (key, item) in node.table.iter() {
        let Some(child) = Node::from_item(item) else {
            continue;
        };
        let is_in_auth = is_in_auth || key == "auth";
        if child.form == TableForm::Header {
            let first_key = child.value_spans().first().map(|value| value.start);
            sub_tables.push(SubTable {
                header: child.span.start,
                first_key,
                is_in_auth,
            });
        }
        collect_sub_tables(&child, is_in_auth, sub_tables);
    }
}
