//! Strings in TOML 1.0.

use std::fmt::Write;

use toml_edit::Value;

/// Parses a string of any form. Returns `None` for anything else.
pub(super) fn parse_string(literal: &str) -> Option<String> {
    let value: Value = literal.parse().ok()?;
    value.as_str().map(str::to_owned)
}

/// Formats a basic string: `"…"`. Also escapes the C1 controls, which TOML allows, because some
/// terminals execute them.
pub(super) fn to_basic_string(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for c in value.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{8}' => quoted.push_str("\\b"),
            '\t' => quoted.push_str("\\t"),
            '\n' => quoted.push_str("\\n"),
            '\u{c}' => quoted.push_str("\\f"),
            '\r' => quoted.push_str("\\r"),
            c if c.is_control() => {
                write!(quoted, "\\u{:04X}", u32::from(c)).expect("writing to a String cannot fail")
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
