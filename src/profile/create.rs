//! Appends a new profile.

use std::ops::Range;

use toml_edit::{Array, Document, Item, Value};

use super::insert::{format_section, insert_lines};
use super::node::Node;
use super::quote::to_basic_string;
use crate::splice::{Lines, Splice};

/// The values of the new profile. Its product is `clustered`.
pub(super) struct NewProfile<'a> {
    pub(super) name: &'a str,
    pub(super) host: &'a str,
    pub(super) port: &'a str,
    pub(super) token_file: &'a str,
}

impl NewProfile<'_> {
    fn format_keys(&self) -> [String; 4] {
        [
            format!("name = {}", to_basic_string(self.name)),
            "product = \"clustered\"".to_owned(),
            format!("host = {}", to_basic_string(self.host)),
            format!("port = {}", to_basic_string(self.port)),
        ]
    }

    fn format_inline(&self) -> String {
        let keys = self.format_keys().join(", ");
        let token_file = to_basic_string(self.token_file);
        format!("{{ {keys}, auth = {{ token = {{ token_file = {token_file} }} }} }}")
    }
}

/// Returns the splices that append the profile in the form of the others.
pub(super) fn create_splices(
    text: &str,
    document: &Document<&str>,
    profiles: &[Node<'_>],
    new: &NewProfile<'_>,
) -> Vec<Splice> {
    match document.get("profile") {
        Some(Item::Value(Value::Array(array))) => {
            append_array_entry(text, array, &new.format_inline())
        }
        _ => vec![append_profile(text, profiles.last(), new)],
    }
}

fn append_profile(text: &str, last: Option<&Node<'_>>, new: &NewProfile<'_>) -> Splice {
    let lines = Lines(text);
    let header = last.map_or("", |last| lines.indent(last.span.start));
    let first_key = last.and_then(|last| last.value_spans().first().map(|value| value.start));
    let key = first_key.map_or(header, |start| lines.indent(start));
    let mut added = Vec::new();
    if !has_blank_end(text) {
        added.push(String::new());
    }
    added.push(format!("{header}[[profile]]"));
    added.extend(new.format_keys().map(|entry| format!("{key}{entry}")));
    added.push(String::new());
    added.extend(format_section(text, last, &to_basic_string(new.token_file)));
    insert_lines(text, text.len(), &added)
}

/// Returns whether the text is empty or ends with a blank line.
fn has_blank_end(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    let line = text
        .strip_suffix('\n')
        .map(|rest| rest.rsplit('\n').next().unwrap_or(rest));
    text.is_empty() || line.is_some_and(|line| line.trim().is_empty())
}

/// Appends an entry to `profile = [ … ]`. The entry gets its own line if the line of the last entry
/// ends after that entry.
fn append_array_entry(text: &str, array: &Array, entry: &str) -> Vec<Splice> {
    let span = array.span().unwrap_or_default();
    let Some(last) = array.iter().last().and_then(Value::span) else {
        return vec![Splice::insert(span.start + 1, entry)];
    };
    let comma_end = find_comma_end(text, last.end..span.end);
    let end = comma_end.unwrap_or(last.end);
    if !text[end..span.end].contains('\n') {
        let (before, after) = if comma_end.is_some() {
            (" ", ",")
        } else {
            (", ", "")
        };
        return vec![Splice::insert(end, format!("{before}{entry}{after}"))];
    }
    let lines = Lines(text);
    let mut splices = Vec::new();
    if comma_end.is_none() {
        splices.push(Splice::insert(last.end, ","));
    }
    let comma = if comma_end.is_some() { "," } else { "" };
    let line = format!("{}{entry}{comma}", lines.indent(last.start));
    splices.push(insert_lines(text, lines.next_line_start(end), &[line]));
    splices
}

/// Returns the end of the comma in a range of otherwise only white space and comments.
fn find_comma_end(text: &str, range: Range<usize>) -> Option<usize> {
    let mut in_comment = false;
    for (offset, c) in text[range.clone()].char_indices() {
        match c {
            '\n' => in_comment = false,
            '#' => in_comment = true,
            ',' if !in_comment => return Some(range.start + offset + 1),
            _ => {}
        }
    }
    None
}
