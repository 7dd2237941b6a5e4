//! Removes `token_file`.

use std::ops::Range;

use super::error::ConfigError;
use super::node::{Node, TableForm, TokenFilePath};
use crate::splice::{Lines, Splice};

/// Returns the splices that remove `token_file`. Returns none if it is missing.
///
/// # Errors
/// [`ConfigError::Shape`] if the edit would remove a comment inside braces.
pub(super) fn remove_splices(
    text: &str,
    path: &TokenFilePath<'_>,
) -> Result<Vec<Splice>, ConfigError> {
    let (Some(auth), Some(token), Some(value)) = (&path.auth, &path.token, path.token_file) else {
        return Ok(Vec::new());
    };
    let value = value.span().ok_or(ConfigError::UnsafeEdit)?;
    let is_alone_in_auth = auth.table.len() == 1;
    let ranges = match (token.form, auth.form) {
        (TableForm::Dotted, _) => return remove_entry(text, path.dotted_container().0, &value),
        _ if token.table.len() > 1 || path.keeps_token(text) => {
            return remove_entry(text, token, &value);
        }
        (TableForm::Header, TableForm::Header) if is_alone_in_auth => {
            let mut ranges = collect_section_ranges(text, token, &value);
            ranges.push(expand_lone_header(text, auth));
            ranges
        }
        (TableForm::Header | TableForm::Implicit, _) => collect_section_ranges(text, token, &value),
        (TableForm::Inline, TableForm::Header) if is_alone_in_auth => {
            collect_section_ranges(text, auth, &token.span)
        }
        (TableForm::Inline, TableForm::Inline) if is_alone_in_auth => {
            return remove_entry(text, &path.profile, &auth.span);
        }
        (TableForm::Inline, _) => {
            return remove_entry(text, path.dotted_container().0, &token.span);
        }
    };
    Ok(remove_ranges(text, ranges))
}

/// Removes the key of a value from a table.
fn remove_entry(
    text: &str,
    table: &Node<'_>,
    value: &Range<usize>,
) -> Result<Vec<Splice>, ConfigError> {
    if table.form != TableForm::Inline {
        return Ok(remove_ranges(
            text,
            vec![Lines(text).expand_to_lines(value)],
        ));
    }
    let values = table.value_spans();
    let before = values.iter().rfind(|other| other.end <= value.start);
    let range = match before {
        Some(before) => before.end..value.end,
        None => {
            let start = table.span.start + 1;
            let is_followed = values.len() > 1;
            expand_first_entry(text, start, value, is_followed)
        }
    };
    // Only TOML 1.1 has comments there. The edit would remove them together with the key.
    if text[range.start..value.start].contains('#') {
        let line = Lines(text).line_number(value.start);
        return Err(ConfigError::Shape {
            message: "cannot edit an inline table that contains a comment",
            line,
        });
    }
    Ok(vec![Splice::remove(range)])
}

/// Expands the value of the first entry inside braces to the whole entry with its comma. `start` is
/// the position after the opening brace.
///
/// If another entry follows, the range includes the space after the comma instead of the space
/// before the entry.
fn expand_first_entry(
    text: &str,
    start: usize,
    value: &Range<usize>,
    is_followed: bool,
) -> Range<usize> {
    let space = |at: usize| text[at..].len() - text[at..].trim_start().len();
    let comma = value.end + space(value.end);
    let end = if text[comma..].starts_with(',') {
        comma + 1
    } else {
        value.end
    };
    if is_followed {
        start + space(start)..end + space(end)
    } else {
        start..end
    }
}

/// Returns the lines of the header and of the only key of a section.
///
/// Includes the blank line before the header, unless a comment between header and key stays.
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
        let all = include_blank_before(text, header.start)..key.end;
        vec![all]
    } else {
        vec![header, key]
    }
}

/// Returns the line of a header without keys. Includes the blank line before it, unless a comment
/// follows.
fn expand_lone_header(text: &str, header: &Node<'_>) -> Range<usize> {
    let header = Lines(text).expand_to_lines(&header.span);
    if text[header.end..]
        .trim_start_matches([' ', '\t'])
        .starts_with('#')
    {
        header
    } else {
        include_blank_before(text, header.start)..header.end
    }
}

/// Moves the start of a line up over one blank line.
fn include_blank_before(text: &str, start: usize) -> usize {
    let Some(before) = text[..start].strip_suffix('\n') else {
        return start;
    };
    let blank = Lines(text).line_start(before.len());
    if text[blank..start].trim().is_empty() {
        blank
    } else {
        start
    }
}

/// Removes whole lines. At the end of a text without a final newline, it removes the newline before
/// them instead of the one after them.
fn remove_ranges(text: &str, mut ranges: Vec<Range<usize>>) -> Vec<Splice> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
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
    merged.into_iter().map(Splice::remove).collect()
}
