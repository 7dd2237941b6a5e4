//! Syntax of TOML 1.1 that influxctl's reader of TOML 1.0 refuses. `toml_edit` accepts it.

use std::fmt;

/// The first place in a file with syntax of TOML 1.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewerSyntax {
    /// The line, from 1.
    pub line: usize,
    pub feature: &'static str,
}

impl fmt::Display for NewerSyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, feature } = self;
        write!(f, "line {line} has {feature}, which only TOML 1.1 allows")
    }
}

/// Finds the first syntax of TOML 1.1 in valid TOML.
#[must_use]
pub fn find_newer_syntax(text: &str) -> Option<NewerSyntax> {
    let mut scanner = Scanner {
        rest: text,
        brackets: Vec::new(),
        last: ' ',
    };
    let (at, feature) = scanner.find(text.len())?;
    Some(NewerSyntax {
        line: text[..at].matches('\n').count() + 1,
        feature,
    })
}

struct Scanner<'a> {
    rest: &'a str,
    /// The open brackets.
    brackets: Vec<char>,
    /// The last character that is neither white space nor in a comment.
    last: char,
}

impl<'a> Scanner<'a> {
    /// Returns the offset and the name of the first feature, in a text of this length.
    fn find(&mut self, length: usize) -> Option<(usize, &'static str)> {
        while let Some(c) = self.rest.chars().next() {
            let at = length - self.rest.len();
            let found = match c {
                '#' => {
                    self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
                    None
                }
                '"' | '\'' => {
                    self.last = c;
                    self.skip_string(c)
                }
                '\n' if self.brackets.last() == Some(&'{') => {
                    Some((0, "a line feed in an inline table"))
                }
                '}' if self.last == ',' => Some((0, "a comma at the end of an inline table")),
                _ => {
                    let word = self.take_word();
                    let is_short_time = word
                        .split_once(':')
                        .is_some_and(|(_, rest)| rest.as_bytes().get(2) != Some(&b':'));
                    is_short_time.then_some((0, "a time without seconds"))
                }
            };
            if let Some((offset, feature)) = found {
                return Some((at + offset, feature));
            }
        }
        None
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Takes a bare key, a number or a time, or else one character.
    fn take_word(&mut self) -> &'a str {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_+.:".contains(c);
        let first = self.rest.chars().next().map_or(0, char::len_utf8);
        let length = self
            .rest
            .find(|c| !is_word(c))
            .unwrap_or(self.rest.len())
            .max(first);
        let word = &self.rest[..length];
        match word {
            "{" | "[" => self.brackets.extend(word.chars()),
            "}" | "]" => drop(self.brackets.pop()),
            _ => {}
        }
        self.last = word
            .chars()
            .next_back()
            .filter(|c| !c.is_whitespace())
            .unwrap_or(self.last);
        self.skip(length);
        word
    }

    /// Skips a string. Returns the offset in it and the name of a newer escape.
    fn skip_string(&mut self, quote: char) -> Option<(usize, &'static str)> {
        let long_quote = quote.to_string().repeat(3);
        let is_long = self.rest.starts_with(&long_quote);
        let end = if is_long {
            long_quote
        } else {
            quote.to_string()
        };
        let mut at = end.len();
        while let Some(c) = self.rest.get(at..).and_then(|rest| rest.chars().next()) {
            if self.rest[at..].starts_with(&end) {
                at += end.len();
                break;
            }
            at += c.len_utf8();
            if c == '\\' && quote == '"' {
                let escaped = self.rest[at..].chars().next().unwrap_or('\\');
                match escaped {
                    'e' => return Some((at, "the escape `\\e`")),
                    'x' => return Some((at, "the escape `\\x`")),
                    _ => at += escaped.len_utf8(),
                }
            }
        }
        self.skip(at);
        // A long string can end with up to two quotes of its own.
        if is_long {
            self.rest = self.rest.trim_start_matches(quote);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_newer_syntax_finds_only_toml_1_1() {
        for (text, expected) in [
            ("a = { b = 1,\nc = 2 }", Some((1, "a line feed in an"))),
            ("x = 1\na = { b = 1, }", Some((2, "a comma at the end"))),
            ("\n\na = \"x\\e[0m\"", Some((3, "the escape `\\e`"))),
            ("a = \"\"\"\n\\x41\"\"\"", Some((2, "the escape `\\x`"))),
            ("a = 07:32", Some((1, "a time without"))),
            ("a = 1979-05-27T07:32Z", Some((1, "a time without"))),
            ("a = 1979-05-27 07:32-08:00", Some((1, "a time without"))),
            ("a = 1979-05-27 07:32:00-08:00", None),
            ("a = { b = [\n1, 2,\n], c = \"\"\"\n, }\"\"\" }", None),
            ("a = [ { b = 1 }, ]\n# a = { b, }\n", None),
            ("a = '\\e'\nb = '''\\x41'''\nc = \"\\\\e\"", None),
            ("\"a:b\" = \"07:32\"\n[[profile]]\nport = \"443\"\n", None),
            ("a = \"\"\"\"x\"\"\"\"\"\nb = {}\n", None),
        ] {
            let found = find_newer_syntax(text);
            match expected {
                None => assert_eq!(found, None, "{text}"),
                Some((line, feature)) => {
                    let found = found.unwrap_or_else(|| panic!("nothing in {text}"));
                    assert_eq!(found.line, line, "{text}");
                    assert!(found.feature.starts_with(feature), "{text}: {found}");
                }
            }
            assert!(text.parse::<toml_edit::DocumentMut>().is_ok(), "{text}");
        }
    }
}
