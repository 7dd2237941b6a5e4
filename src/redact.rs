//! Removal of known secrets from everything that is recorded or printed.

use crate::digest::encode_hex;
use crate::secret::{MIN_SECRET_PART_LEN, Secret};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use memchr::memmem;
use zeroize::Zeroizing;

/// The encodings of all secrets that this run knows.
#[derive(Default)]
pub struct Redactor(Vec<Zeroizing<Vec<u8>>>);

impl Redactor {
    /// Adds a secret and each string inside it where it is JSON, in every encoding.
    pub fn add_secret(&mut self, secret: &Secret) {
        let whole = secret.expose_secret().trim_ascii();
        self.add_part(whole);
        if let Ok(json) = serde_json::from_slice::<serde_json::Value>(whole) {
            let mut strings = Vec::new();
            collect_strings(json, &mut strings);
            strings.iter().for_each(|string| self.add_part(string));
        }
    }

    fn add_part(&mut self, part: &[u8]) {
        if part.len() < MIN_SECRET_PART_LEN {
            return;
        }
        self.0.push(part.to_vec().into());
        self.0.push(encode_hex(part).into_bytes().into());
        self.0
            .push(encode_hex(part).to_uppercase().into_bytes().into());
        if let Ok(text) = std::str::from_utf8(part) {
            let quoted = Zeroizing::new(serde_json::Value::from(text).to_string());
            self.0
                .push(quoted.as_bytes()[1..quoted.len() - 1].to_vec().into());
        }
        self.0.push(percent_encode(part).into());
        for alphabet in [alphabet::STANDARD, alphabet::URL_SAFE] {
            for before in 0..3 {
                self.0
                    .push(encode_base64_core(part, before, &alphabet).into());
            }
        }
    }

    /// Returns whether a secret occurs in these bytes, in any encoding.
    #[must_use]
    pub fn is_match(&self, haystack: &[u8]) -> bool {
        self.0.iter().any(|needle| contains(haystack, needle))
    }

    /// Replaces every secret by `[secret]`.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        self.0
            .iter()
            .filter_map(|needle| std::str::from_utf8(needle).ok())
            .fold(text.to_owned(), |text, needle| {
                text.replace(needle, "[secret]")
            })
    }
}

/// The bytes of a needle that [`contains`] searches for first.
const PREFIX_LENGTH: usize = 16;

/// Finds a needle by its first bytes. Every entry is searched for every needle, and the preparation
/// for a whole token takes longer than the search. A prepared finder would keep a copy of the
/// secret that nobody wipes.
fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let finder = memmem::Finder::new(&needle[..needle.len().min(PREFIX_LENGTH)]);
    let mut rest = haystack;
    // Occurrences of the first bytes can overlap.
    while let Some(start) = finder.find(rest) {
        if rest[start..].starts_with(needle) {
            return true;
        }
        rest = &rest[start + 1..];
    }
    false
}

fn collect_strings(value: serde_json::Value, into: &mut Vec<Zeroizing<Vec<u8>>>) {
    match value {
        serde_json::Value::String(string) => into.push(string.into_bytes().into()),
        serde_json::Value::Array(items) => items
            .into_iter()
            .for_each(|item| collect_strings(item, into)),
        serde_json::Value::Object(fields) => fields
            .into_iter()
            .for_each(|(_, item)| collect_strings(item, into)),
        _ => {}
    }
}

/// Encodes `part` without the characters of its base64 that depend on its surroundings. `before` is
/// the number of bytes that precede it in its first group of three.
fn encode_base64_core(part: &[u8], before: usize, alphabet: &alphabet::Alphabet) -> Vec<u8> {
    let start = (3 - before) % 3;
    let len = part.len().saturating_sub(start) / 3 * 3;
    GeneralPurpose::new(alphabet, NO_PAD)
        .encode(&part[start..start + len])
        .into_bytes()
}

fn percent_encode(part: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(part.len() * 3);
    for &byte in part {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhZG1pbiJ9.c2lnbmF0dXJlLWludmVudGVk";

    fn make_redactor() -> Redactor {
        let mut redactor = Redactor::default();
        redactor.add_secret(&Secret::new(
            format!("{{\"access_token\": \"{JWT}\"}}\n")
                .into_bytes()
                .into(),
        ));
        redactor
    }

    #[test]
    fn redactor_finds_secret_in_every_encoding() {
        for before in ["", "x", "xy", "xyz"] {
            let text = format!("{before}{JWT} after");
            for form in [
                text.clone(),
                STANDARD.encode(&text),
                URL_SAFE_NO_PAD.encode(&text),
                encode_hex(text.as_bytes()),
                String::from_utf8(percent_encode(text.as_bytes())).unwrap(),
            ] {
                assert!(make_redactor().is_match(form.as_bytes()), "{form}");
            }
        }
        let quoted = serde_json::to_string(&format!("{{\"access_token\": \"{JWT}\"}}")).unwrap();
        assert!(make_redactor().is_match(quoted.as_bytes()));
    }

    #[test]
    fn redactor_finds_secret_after_a_repeated_start() {
        let mut redactor = Redactor::default();
        let secret = format!("{}b", "a".repeat(40));
        redactor.add_secret(&Secret::new(secret.clone().into_bytes().into()));
        for before in 0..40 {
            let text = format!("{}{secret}", "a".repeat(before));
            assert!(redactor.is_match(text.as_bytes()), "{text}");
        }
        assert!(!redactor.is_match("a".repeat(80).as_bytes()));
    }

    #[test]
    fn redactor_ignores_text_without_secret() {
        assert!(
            !make_redactor().is_match(b"eyJhbGciOiJSUzI1NiJ9 is the header of every such token")
        );
        assert_eq!(
            make_redactor().redact(&format!("token {JWT} rejected")),
            "token [secret] rejected"
        );
    }
}
