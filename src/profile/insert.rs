//! Where `token_file` goes, and how it is written there.

use super::edit::Splice;
use super::error::ConfigError;
use super::line::Lines;
use super::node::{Node, TableForm, TokenFilePath};
use super::quote::to_basic_string;

/// What sets `token_file`; nothing if it is set to that already.
///
/// # Errors
/// [`ConfigError::Unsafe`] if a span that the parser always gives is missing.
pub(super) fn insert_splices(
    text: &str,
    path: &TokenFilePath<'_>,
    token_file: &str,
) -> Result<Vec<Splice>, ConfigError> {
    let quoted = to_basic_string(token_file);
    let splice = match path.token_file {
        Some(value) if value.as_str() == Some(token_file) => return Ok(Vec::new()),
        Some(value) => Splice {
            range: value.span().ok_or(ConfigError::UnsafeEdit)?,
            text: quoted,
        },
        None => insert_key(text, path, &quoted),
    };
    Ok(vec![splice])
}

fn insert_key(text: &str, path: &TokenFilePath<'_>, quoted: &str) -> Splice {
    match (&path.auth, &path.token) {
        (_, Some(token)) => match token.form {
            TableForm::Header => {
                insert_below_header(text, path, token, &format!("token_file = {quoted}"))
            }
            TableForm::Inline => insert_into_braces(text, token, &format!("token_file = {quoted}")),
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

/// `auth` is there, without `token`. Into an empty one goes a dotted key: `disable` knows by it
/// that `auth` was there before, and leaves it.
fn insert_into_auth(text: &str, path: &TokenFilePath<'_>, auth: &Node<'_>, quoted: &str) -> Splice {
    let empty = auth.table.is_empty();
    match auth.form {
        TableForm::Header if empty => {
            insert_below_header(text, path, auth, &format!("token.token_file = {quoted}"))
        }
        TableForm::Header | TableForm::Implicit => insert_section(text, path, quoted),
        TableForm::Dotted => insert_dotted_key(text, path, auth, quoted),
        TableForm::Inline if empty => {
            insert_into_braces(text, auth, &format!("token.token_file = {quoted}"))
        }
        TableForm::Inline => {
            insert_into_braces(text, auth, &format!("token = {{ token_file = {quoted} }}"))
        }
    }
}

/// A dotted key behind the other ones of `sibling`, which is written with dotted keys.
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

/// A key as the first one below a header.
fn insert_below_header(
    text: &str,
    path: &TokenFilePath<'_>,
    header: &Node<'_>,
    entry: &str,
) -> Splice {
    let lines = Lines(text);
    let own = header
        .value_spans()
        .first()
        .map(|value| lines.indent(value.start));
    let indent = own
        .or_else(|| SubTable::find_model(&path.profile)?.key_indent(text))
        .unwrap_or_else(|| lines.indent(header.span.start));
    insert_lines(
        text,
        lines.next_line_start(header.span.end),
        &[format!("{indent}{entry}")],
    )
}

/// A section of its own at the end of the profile.
fn insert_section(text: &str, path: &TokenFilePath<'_>, quoted: &str) -> Splice {
    let lines = Lines(text);
    let at = lines.skip_comments(lines.next_line_start(path.profile.end()));
    let mut new = vec![String::new()];
    new.extend(format_section(text, Some(&path.profile), quoted));
    insert_lines(text, at, &new)
}

/// The section's header and key, indented as the sub-tables of `profile` are.
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

/// An entry behind the last one in a table's braces.
pub(super) fn insert_into_braces(text: &str, table: &Node<'_>, entry: &str) -> Splice {
    match table.value_spans().last() {
        Some(value) => Splice {
            range: value.end..value.end,
            text: format!(", {entry}"),
        },
        None => {
            let at = table.span.start + 1;
            let space = if text[at..].starts_with([' ', '\t']) {
                " "
            } else {
                ""
            };
            Splice {
                range: at..at,
                text: format!("{space}{entry}"),
            }
        }
    }
}

/// Whole lines at `at`, the beginning of a line or the end of a text without a final newline,
/// which then still has none.
pub(super) fn insert_lines(text: &str, at: usize, new: &[String]) -> Splice {
    let lines = Lines(text);
    let ending = lines.line_ending(at);
    let mut added = String::new();
    for line in new {
        if lines.is_line_start(at) {
            added.extend([line, ending]);
        } else {
            added.extend([ending, line]);
        }
    }
    Splice {
        range: at..at,
        text: added,
    }
}

/// A sub-table with a header, as a model for the indentation of another.
struct SubTable {
    header: usize,
    first_key: Option<usize>,
    is_in_auth: bool,
}

impl SubTable {
    /// The one to imitate: one with keys, rather under `auth`, rather an early one.
    fn find_model(profile: &Node<'_>) -> Option<Self> {
        let mut all = Vec::new();
        collect_sub_tables(profile, false, &mut all);
        all.into_iter()
            .min_by_key(|t| (t.first_key.is_none(), !t.is_in_auth, t.header))
    }

    fn key_indent<'t>(&self, text: &'t str) -> Option<&'t str> {
        Some(Lines(text).indent(self.first_key?))
    }
}

fn collect_sub_tables(node: &Node<'_>, in_auth: bool, all: &mut Vec<SubTable>) {
    for (key, item) in node.table.iter() {
        let Some(child) = Node::from_item(item) else {
            continue;
        };
        let in_auth = in_auth || key == "auth";
        if child.form == TableForm::Header {
            let first_key = child.value_spans().first().map(|value| value.start);
            all.push(SubTable {
                header: child.span.start,
                first_key,
                is_in_auth: in_auth,
            });
        }
        collect_sub_tables(&child, in_auth, all);
    }
}
