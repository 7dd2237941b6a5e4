//! What goes when `token_file` goes.

use std::ops::Range;

use super::edit::Splice;
use super::error::ConfigError;
use super::line::Lines;
use super::node::{Node, TableForm, TokenFilePath};

/// What takes `token_file` out; nothing if it is not there.
///
/// # Errors
/// [`ConfigError::Shape`] where a comment inside braces stands in the way.
pub(super) fn remove_splices(
    text: &str,
    path: &TokenFilePath<'_>,
) -> Result<Vec<Splice>, ConfigError> {
    let (Some(auth), Some(token), Some(value)) = (&path.auth, &path.token, path.token_file) else {
        return Ok(Vec::new());
    };
    let value = value.span().ok_or(ConfigError::UnsafeEdit)?;
    let alone_in_auth = auth.table.len() == 1;
    let lines = match (token.form, auth.form) {
        (TableForm::Dotted, _) => return remove_entry(text, path.dotted_container().0, &value),
        _ if token.table.len() > 1 => return remove_entry(text, token, &value),
        (TableForm::Header, TableForm::Header) if alone_in_auth => {
            let mut lines = collect_section_ranges(text, token, &value);
            lines.push(expand_lone_header(text, auth));
            lines
        }
        (TableForm::Header | TableForm::Implicit, _) => collect_section_ranges(text, token, &value),
        (TableForm::Inline, TableForm::Header) if alone_in_auth => {
            collect_section_ranges(text, auth, &token.span)
        }
        (TableForm::Inline, TableForm::Inline) if alone_in_auth => {
            return remove_entry(text, &path.profile, &auth.span);
        }
        (TableForm::Inline, _) => {
            return remove_entry(text, path.dotted_container().0, &token.span);
        }
    };
    Ok(cut_ranges(text, lines))
}

/// One key of `table`, of which `value` is the value.
fn remove_entry(
    text: &str,
    table: &Node<'_>,
    value: &Range<usize>,
) -> Result<Vec<Splice>, ConfigError> {
    if table.form != TableForm::Inline {
        return Ok(cut_ranges(text, vec![Lines(text).expand_to_lines(value)]));
    }
    let values = table.value_spans();
    let before = values.iter().rfind(|other| other.end <= value.start);
    let range = match before {
        Some(before) => before.end..value.end,
        None => {
            let inside = table.span.start + 1;
            let followed = values.len() > 1;
            expand_first_entry(text, inside, value, followed)
        }
    };
    // Only TOML 1.1 has comments in there. They would go with the key.
    if text[range.start..value.start].contains('#') {
        let line = Lines(text).line_number(value.start);
        return Err(ConfigError::Shape {
            message: "a comment inside an inline table",
            line,
        });
    }
    Ok(vec![Splice {
        range,
        text: String::new(),
    }])
}

/// The first entry inside braces: with the comma behind it, and if another follows, with the space
/// behind that instead of the one before.
fn expand_first_entry(
    text: &str,
    inside: usize,
    value: &Range<usize>,
    followed: bool,
) -> Range<usize> {
    let space = |at: usize| text[at..].len() - text[at..].trim_start().len();
    let comma = value.end + space(value.end);
    let end = if text[comma..].starts_with(',') {
        comma + 1
    } else {
        value.end
    };
    if followed {
        inside + space(inside)..end + space(end)
    } else {
        inside..end
    }
}

/// A section with one key: its header and its key. If nothing is left in between, the blank line
/// before it goes as well; a comment in between stays, with the blank line.
fn collect_section_ranges(
    text: &str,
    header: &Node<'_>,
    value: &Range<usize>,
) -> Vec<Range<usize>> {
    let lines = Lines(text);
    let (header, key) = (
        lines.expand_to_lines(&header.span),
        lines.expand_to_lines(value),
    );
    if text[header.end..key.start].trim().is_empty() {
        let all = lines.include_blank_before(header.start)..key.end;
        vec![all]
    } else {
        vec![header, key]
    }
}

/// A header without keys, and the blank line before it unless a comment follows.
fn expand_lone_header(text: &str, header: &Node<'_>) -> Range<usize> {
    let lines = Lines(text);
    let header = lines.expand_to_lines(&header.span);
    if text[header.end..]
        .trim_start_matches([' ', '\t'])
        .starts_with('#')
    {
        header
    } else {
        lines.include_blank_before(header.start)..header.end
    }
}

/// Cuts out whole lines. At the end of a text without a final newline the newline before them goes
/// instead, so that there is still none.
fn cut_ranges(text: &str, mut lines: Vec<Range<usize>>) -> Vec<Splice> {
    lines.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in lines {
        match merged.last_mut() {
            Some(last) if last.end >= range.start => last.end = range.end.max(last.end),
            _ => merged.push(range),
        }
    }
    if let Some(last) = merged.last_mut()
        && last.end == text.len()
        && !text.ends_with('\n')
    {
        let before = &text[..last.start];
        let before = before.strip_suffix('\n').unwrap_or(before);
        last.start = before.strip_suffix('\r').unwrap_or(before).len();
    }
    let splice = |range| Splice {
        range,
        text: String::new(),
    };
    merged.into_iter().map(splice).collect()
}
