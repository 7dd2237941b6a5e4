//! Where `token_file` goes, and how it is written there.

use super::edit::Splice;
use super::error::ConfigError;
use super::line::Lines;
use super::node::{Form, Node, Path};
use super::quote::basic_string;

/// What sets `token_file`; nothing if it is set to that already.
///
/// # Errors
/// [`ConfigError::Unsafe`] if a span that the parser always gives is missing.
pub(super) fn splices(
    text: &str,
    path: &Path<'_>,
    token_file: &str,
) -> Result<Vec<Splice>, ConfigError> {
    let quoted = basic_string(token_file);
    let splice = match path.token_file {
        Some(value) if value.as_str() == Some(token_file) => return Ok(Vec::new()),
        Some(value) => Splice {
            range: value.span().ok_or(ConfigError::Unsafe)?,
            text: quoted,
        },
        None => new_key(text, path, &quoted),
    };
    Ok(vec![splice])
}

fn new_key(text: &str, path: &Path<'_>, quoted: &str) -> Splice {
    match (&path.auth, &path.token) {
        (_, Some(token)) => match token.form {
            Form::Header => below_header(text, path, token, &format!("token_file = {quoted}")),
            Form::Braces => in_braces(text, token, &format!("token_file = {quoted}")),
            Form::Dotted => dotted(text, path, token, quoted),
            // `[profile.auth.token]` may follow a `[profile.auth.token.x]`.
            Form::Implicit => section(text, path, quoted),
        },
        (Some(auth), None) => in_auth(text, path, auth, quoted),
        (None, None) if path.profile.form == Form::Braces => {
            let entry = format!("auth = {{ token = {{ token_file = {quoted} }} }}");
            in_braces(text, &path.profile, &entry)
        }
        (None, None) => section(text, path, quoted),
    }
}

/// `auth` is there, without `token`. Into an empty one goes a dotted key: `disable` knows by it
/// that `auth` was there before, and leaves it.
fn in_auth(text: &str, path: &Path<'_>, auth: &Node<'_>, quoted: &str) -> Splice {
    let empty = auth.table.is_empty();
    match auth.form {
        Form::Header if empty => {
            below_header(text, path, auth, &format!("token.token_file = {quoted}"))
        }
        Form::Header | Form::Implicit => section(text, path, quoted),
        Form::Dotted => dotted(text, path, auth, quoted),
        Form::Braces if empty => in_braces(text, auth, &format!("token.token_file = {quoted}")),
        Form::Braces => in_braces(text, auth, &format!("token = {{ token_file = {quoted} }}")),
    }
}

/// A dotted key behind the other ones of `sibling`, which is written with dotted keys.
fn dotted(text: &str, path: &Path<'_>, sibling: &Node<'_>, quoted: &str) -> Splice {
    let (container, key) = path.written_in();
    let entry = format!("{key}.token_file = {quoted}");
    match (container.form, sibling.values().last()) {
        (Form::Braces, _) => in_braces(text, container, &entry),
        (_, Some(value)) => {
            let indent = Lines(text).indent(value.start);
            lines_at(
                text,
                Lines(text).next(value.end),
                &[format!("{indent}{entry}")],
            )
        }
        (_, None) => section(text, path, quoted),
    }
}

/// A key as the first one below a header.
fn below_header(text: &str, path: &Path<'_>, header: &Node<'_>, entry: &str) -> Splice {
    let lines = Lines(text);
    let own = header
        .values()
        .first()
        .map(|value| lines.indent(value.start));
    let indent = own
        .or_else(|| SubTable::model(&path.profile)?.key_indent(text))
        .unwrap_or_else(|| lines.indent(header.span.start));
    lines_at(
        text,
        lines.next(header.span.end),
        &[format!("{indent}{entry}")],
    )
}

/// A section of its own at the end of the profile.
fn section(text: &str, path: &Path<'_>, quoted: &str) -> Splice {
    let lines = Lines(text);
    let at = lines.behind_comments(lines.next(path.profile.end()));
    let mut new = vec![String::new()];
    new.extend(section_lines(text, Some(&path.profile), quoted));
    lines_at(text, at, &new)
}

/// The section's header and key, indented as the sub-tables of `profile` are.
pub(super) fn section_lines(text: &str, profile: Option<&Node<'_>>, quoted: &str) -> [String; 2] {
    let model = profile.and_then(SubTable::model);
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
pub(super) fn in_braces(text: &str, table: &Node<'_>, entry: &str) -> Splice {
    match table.values().last() {
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
pub(super) fn lines_at(text: &str, at: usize, new: &[String]) -> Splice {
    let lines = Lines(text);
    let ending = lines.ending(at);
    let mut added = String::new();
    for line in new {
        if lines.starts_at(at) {
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
    in_auth: bool,
}

impl SubTable {
    /// The one to imitate: one with keys, rather under `auth`, rather an early one.
    fn model(profile: &Node<'_>) -> Option<Self> {
        let mut all = Vec::new();
        collect(profile, false, &mut all);
        all.into_iter()
            .min_by_key(|t| (t.first_key.is_none(), !t.in_auth, t.header))
    }

    fn key_indent<'t>(&self, text: &'t str) -> Option<&'t str> {
        Some(Lines(text).indent(self.first_key?))
    }
}

fn collect(node: &Node<'_>, in_auth: bool, all: &mut Vec<SubTable>) {
    for (key, item) in node.table.iter() {
        let Some(child) = Node::of_item(item) else {
            continue;
        };
        let in_auth = in_auth || key == "auth";
        if child.form == Form::Header {
            let first_key = child.values().first().map(|value| value.start);
            all.push(SubTable {
                header: child.span.start,
                first_key,
                in_auth,
            });
        }
        collect(&child, in_auth, all);
    }
}
