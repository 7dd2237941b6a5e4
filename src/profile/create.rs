//! A new profile behind the others.

use std::ops::Range;

use toml_edit::{Array, Document, Item, Value};

use super::edit::Splice;
use super::insert::{format_section, insert_lines};
use super::line::Lines;
use super::node::Node;
use super::quote::to_basic_string;

/// What the new profile says, besides `product = "clustered"`.
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

/// What appends the profile, in the form that the others have.
pub(super) fn create_splices(
    text: &str,
    document: &Document<&str>,
    present: &[Node<'_>],
    new: &NewProfile<'_>,
) -> Vec<Splice> {
    match document.get("profile") {
        Some(Item::Value(Value::Array(array))) => {
            append_array_entry(text, array, &new.format_inline())
        }
        _ => vec![append_profile(text, present.last(), new)],
    }
}

fn append_profile(text: &str, last: Option<&Node<'_>>, new: &NewProfile<'_>) -> Splice {
    let lines = Lines(text);
    let header = last.map_or("", |last| lines.indent(last.span.start));
    let first_key = last.and_then(|last| last.value_spans().first().map(|value| value.start));
    let key = first_key.map_or(header, |at| lines.indent(at));
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

/// Whether nothing, or a finished blank line, is before the end.
fn has_blank_end(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    let line = text
        .strip_suffix('\n')
        .map(|rest| rest.rsplit('\n').next().unwrap_or(rest));
    text.is_empty() || line.is_some_and(|line| line.trim().is_empty())
}

/// An entry behind the last one of `profile = [ … ]`, on a line of its own if the last one's line
/// ends behind it.
fn append_array_entry(text: &str, array: &Array, entry: &str) -> Vec<Splice> {
    let at = |at: usize, text: String| Splice {
        range: at..at,
        text,
    };
    let span = array.span().unwrap_or_default();
    let Some(last) = array.iter().last().and_then(Value::span) else {
        return vec![at(span.start + 1, entry.to_owned())];
    };
    let comma = find_comma_end(text, last.end..span.end);
    let behind = comma.unwrap_or(last.end);
    if !text[behind..span.end].contains('\n') {
        let (before, after) = if comma.is_some() {
            (" ", ",")
        } else {
            (", ", "")
        };
        return vec![at(behind, format!("{before}{entry}{after}"))];
    }
    let lines = Lines(text);
    let mut splices = Vec::new();
    if comma.is_none() {
        splices.push(at(last.end, ",".to_owned()));
    }
    let comma = if comma.is_some() { "," } else { "" };
    let line = format!("{}{entry}{comma}", lines.indent(last.start));
    splices.push(insert_lines(text, lines.next_line_start(behind), &[line]));
    splices
}

/// Behind the comma in `range`, which holds nothing else but white space and comments.
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
