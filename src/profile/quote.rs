//! A string as TOML 1.0 writes it, and as a terminal may show it.

use std::fmt::Write;

/// `value` as a basic string: `"…"`, with what TOML 1.0 wants escaped escaped. The C1 controls are
/// escaped as well: TOML allows them, some terminals obey them.
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
            c if c.is_control() => write!(quoted, "\\u{:04X}", u32::from(c))
                .expect("a String takes all that is written"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
