//! The names of contexts in a kubeconfig, for completion.

/// Parses the names of the contexts, if the file has the format that kubectl writes.
pub(super) fn parse_contexts(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .skip_while(|line| line.trim_end() != "contexts:")
        .skip(1);
    let mut names = Vec::new();
    let mut keys = None;
    for line in lines.take_while(|line| line.starts_with([' ', '-'])) {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        let (column, content) = match content.strip_prefix("- ") {
            Some(content) => (indent + 2, content),
            None => (indent, content),
        };
        // The first entry determines the column of the keys.
        let keys = *keys.get_or_insert(column);
        if let Some(name) = content.strip_prefix("name:").filter(|_| column == keys) {
            names.extend(decode_scalar(name));
        }
    }
    names
}

/// Decodes a YAML string that starts and ends in this line. Returns `None` for other values.
fn decode_scalar(text: &str) -> Option<String> {
    let text = text.trim();
    let (value, rest) = match text.chars().next()? {
        '"' => decode_double_quoted(&text[1..])?,
        '\'' => decode_single_quoted(&text[1..])?,
        // Block scalars, aliases, tags, collections and reserved characters.
        '|' | '>' | '&' | '*' | '!' | '[' | '{' | '%' | '@' | '`' | '#' | ',' => return None,
        _ => {
            let end = text.find(" #").unwrap_or(text.len());
            (text[..end].trim_end().to_owned(), &text[end..])
        }
    };
    let rest = rest.trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(value)
}

/// Returns the string, and the text behind its closing quote.
fn decode_single_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('\'')?;
        value.push_str(part);
        match after.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Some((value, after)),
        }
    }
}

/// Returns the string, and the text behind its closing quote.
fn decode_double_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(decode_escape(&mut chars)?),
            c => value.push(c),
        }
    }
}

/// Decodes an escape sequence of YAML 1.2 behind its backslash.
fn decode_escape(chars: &mut std::str::Chars) -> Option<char> {
    let digits = match chars.next()? {
        '0' => return Some('\0'),
        'a' => return Some('\u{7}'),
        'b' => return Some('\u{8}'),
        't' | '\t' => return Some('\t'),
        'n' => return Some('\n'),
        'v' => return Some('\u{b}'),
        'f' => return Some('\u{c}'),
        'r' => return Some('\r'),
        'e' => return Some('\u{1b}'),
        'N' => return Some('\u{85}'),
        '_' => return Some('\u{a0}'),
        'L' => return Some('\u{2028}'),
        'P' => return Some('\u{2029}'),
        c @ (' ' | '"' | '/' | '\\') => return Some(c),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let code: String = chars.take(digits).collect();
    let is_hex = code.len() == digits && code.bytes().all(|digit| digit.is_ascii_hexdigit());
    char::from_u32(u32::from_str_radix(&code, 16).ok().filter(|_| is_hex)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_contexts_reads_kubectl_and_handwritten_kubeconfigs() {
        let by_kubectl = "
apiVersion: v1
clusters:
- cluster:
    server: https://x
  name: c
contexts:
- context:
    cluster: c
    extensions:
    - extension:
        name: no
      name: neither
    user: u
  name: sim-dev
- context:
    cluster: c
  name: \"with blank\"
current-context: sim-dev
users:
- name: u
";
        assert_eq!(parse_contexts(by_kubectl), ["sim-dev", "with blank"]);
        let by_hand = "
contexts:
  - name: a
    context: {cluster: c}
  - name: b
    context: {}
users: []
";
        assert_eq!(parse_contexts(by_hand), ["a", "b"]);
        for none in ["", "contexts: []\n", "contexts:\n", "{\"contexts\": []}"] {
            assert_eq!(parse_contexts(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn decode_scalar_follows_yaml() {
        for (text, value) in [
            (" plain # comment", "plain"),
            ("a#b 'c' \"d\"", "a#b 'c' \"d\""),
            ("$(touch${IFS}pwned)", "$(touch${IFS}pwned)"),
            ("'it''s' # comment", "it's"),
            ("''", ""),
            (r#""a\x41\u00e9\U0001F600\"\\\/\e""#, "aAé😀\"\\/\u{1b}"),
            (r#""\t\0\N""#, "\t\0\u{85}"),
        ] {
            assert_eq!(decode_scalar(text).as_deref(), Some(value), "{text}");
        }
        for text in [
            "",
            "'open",
            "\"open",
            "\"a\" b",
            "'a' b",
            r#""\q""#,
            r#""\x4""#,
            r#""\x+4""#,
            r#""\ud800""#,
            "|",
            ">-",
            "*alias",
            "&anchor x",
            "!!str x",
            "{a: b}",
        ] {
            assert_eq!(decode_scalar(text), None, "{text}");
        }
    }
}
