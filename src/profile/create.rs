//! A new profile behind the others.

use std::ops::Range;

use toml_edit::{Array, Document, Item, Value};

use super::edit::Splice;
use super::insert::{lines_at, section_lines};
use super::line::Lines;
use super::node::Node;
use super::quote::basic_string;

/// What the new profile says, besides `product = "clustered"`.
pub(super) struct New<'a> {
    pub(super) name: &'a str,
    pub(super) host: &'a str,
    pub(super) port: &'a str,
    pub(super) token_file: &'a str,
}

impl New<'_> {
    fn keys(&self) -> [String; 4] {
        [
            format!("name = {}", basic_string(self.name)),
            "product = \"clustered\"".to_owned(),
            format!("host = {}", basic_string(self.host)),
            format!("port = {}", basic_string(self.port)),
        ]
    }

    fn inline(&self) -> String {
        let keys = self.keys().join(", ");
        let token_file = basic_string(self.token_file);
        format!("{{ {keys}, auth = {{ token = {{ token_file = {token_file} }} }} }}")
    }
}

/// What appends the profile, in the form that the others have.
pub(super) fn splices(
    text: &str,
    document: &Document<&str>,
    present: &[Node<'_>],
    new: &New<'_>,
) -> Vec<Splice> {
    match document.get("profile") {
        Some(Item::Value(Value::Array(array))) => in_array(text, array, &new.inline()),
        _ => vec![at_end(text, present.last(), new)],
    }
}

fn at_end(text: &str, last: Option<&Node<'_>>, new: &New<'_>) -> Splice {
    let lines = Lines(text);
    let header = last.map_or("", |last| lines.indent(last.span.start));
    let first_key = last.and_then(|last| last.values().first().map(|value| value.start));
    let key = first_key.map_or(header, |at| lines.indent(at));
    let mut added = Vec::new();
    if !ends_blank(text) {
        added.push(String::new());
    }
    added.push(format!("{header}[[profile]]"));
    added.extend(new.keys().map(|entry| format!("{key}{entry}")));
    added.push(String::new());
    added.extend(section_lines(text, last, &basic_string(new.token_file)));
    lines_at(text, text.len(), &added)
}

/// Whether nothing, or a finished blank line, is before the end.
fn ends_blank(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}');
    let line = text
        .strip_suffix('\n')
        .map(|rest| rest.rsplit('\n').next().unwrap_or(rest));
    text.is_empty() || line.is_some_and(|line| line.trim().is_empty())
}

/// An entry behind the last one of `profile = [ … ]`, on a line of its own if the last one's line
/// ends behind it.
fn in_array(text: &str, array: &Array, entry: &str) -> Vec<Splice> {
    let at = |at: usize, text: String| Splice {
        range: at..at,
        text,
    };
    let span = array.span().unwrap_or_default();
    let Some(last) = array.iter().last().and_then(Value::span) else {
        return vec![at(span.start + 1, entry.to_owned())];
    };
    let comma = comma_in(text, last.end..span.end);
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
    splices.push(lines_at(text, lines.next(behind), &[line]));
    splices
}

/// Behind the comma in `range`, which holds nothing else but white space and comments.
fn comma_in(text: &str, range: Range<usize>) -> Option<usize> {
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
