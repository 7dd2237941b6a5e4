//! Text of unknown origin made safe to print: no control characters and none that are invisible.

use regex::Regex;
use std::borrow::Cow;
use std::sync::LazyLock;
use uuid::Uuid;

/// Replaces everything that looks like a token, blanks out control characters and removes
/// invisible ones.
#[must_use]
pub(crate) fn sanitize(text: &str) -> String {
    let text = redact_tokens(text);
    blank_controls(&text).replace(is_invisible, "")
}

/// Like [`sanitize`], cut to `max` characters. An ellipsis marks the cut.
#[must_use]
pub(crate) fn sanitize_truncated(text: &str, max: usize) -> String {
    let text = redact_tokens(text);
    let is_longer = text.chars().count() > max;
    let mut out: String = sanitize(&text).chars().take(max).collect();
    if is_longer {
        out.push('…');
    }
    out
}

/// Replaces whatever JSON looks like in base64: a JWT, or a secret's value as kubectl prints it.
/// A tool may print a token that this run has not read and so cannot redact by its value.
fn redact_tokens(text: &str) -> Cow<'_, str> {
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("eyJ[A-Za-z0-9+/=_.-]{16,}").expect("the pattern is a constant")
    });
    TOKEN.replace_all(text, "[token]")
}

/// Replaces each control character with a space.
#[must_use]
pub(crate) fn blank_controls(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Spells out control and invisible characters (`\u{1b}`), so that a path is shown as the path it
/// is. The result is one line.
#[must_use]
pub(crate) fn escape_controls(text: &str) -> String {
    escape(text, |c| c.is_control() || is_invisible(c))
}

/// Spells out control characters other than the tab, as a diff of a file needs it.
#[must_use]
pub(crate) fn escape_controls_except_tab(text: &str) -> String {
    escape(text, |c| c.is_control() && c != '\t')
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_escaped(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Escapes control and invisible characters of serialized JSON. Only strings contain them, and the
/// meaning stays the same.
#[must_use]
pub(crate) fn escape_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && (c.is_control() || is_invisible(c)) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// The length of a UUID with hyphens.
const UUID_LENGTH: usize = 36;

/// Parses a UUID with hyphens. The parser of the crate also accepts other forms.
pub(crate) fn parse_uuid(text: &str) -> Option<Uuid> {
    let is_hyphenated = text.len() == UUID_LENGTH;
    Uuid::try_parse(text).ok().filter(|_| is_hyphenated)
}

/// Returns whether a character changes the reading direction, breaks a line or is invisible. Such
/// characters can make one text look like another.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{061c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sanitize_removes_controls_invisible_characters_and_tokens() {
        assert_eq!(sanitize("\u{1b}[31mred\u{7}\u{202e}"), " [31mred ");
        assert_eq!(
            sanitize("token eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjJ9.hHVy-_A is bad"),
            "token [token] is bad"
        );
    }

    #[test]
    fn sanitize_truncated_marks_the_cut() {
        assert_eq!(sanitize_truncated("éa\nb", 4), "éa b");
        assert_eq!(sanitize_truncated("éa\nbc", 4), "éa b…");
    }

    #[test]
    fn escape_controls_spells_out_invisible_characters() {
        assert_eq!(
            escape_controls("/a\u{1b}[2J\n::b\t\u{202e}é"),
            "/a\\u{1b}[2J\\u{a}::b\\u{9}\\u{202e}é"
        );
        assert_eq!(escape_controls_except_tab("a\t\u{1b}é"), "a\t\\u{1b}é");
    }

    #[test]
    fn escape_json_keeps_the_meaning() {
        let text = "a\u{9b}31m\u{7f}\u{202e}\u{feff}é\n\t\u{1b}";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let escaped = escape_json(&json);
        assert_eq!(
            escaped,
            "[\n  \"a\\u009b31m\\u007f\\u202e\\ufeffé\\n\\t\\u001b\"\n]"
        );
        let [parsed]: [String; 1] = serde_json::from_str(&escaped).unwrap();
        assert_eq!(parsed, text);
    }
}
