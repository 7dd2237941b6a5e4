//! Bytes that must not be seen: the admin token, and the means to find it where it must not be.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use memchr::memmem;
use sha2::{Digest as _, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// A token. It is wiped when dropped and cannot be printed, cloned or serialised.
///
/// ```compile_fail
/// let secret = bypassctl::secret::Secret::new(b"token".to_vec().into());
/// println!("{secret}");
/// ```
/// ```compile_fail
/// let secret = bypassctl::secret::Secret::new(b"token".to_vec().into());
/// let copy: bypassctl::secret::Secret = secret.clone();
/// ```
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; they are not copied.
    #[must_use]
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one file or descriptor that they are meant for.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }

    /// The first 12 hexadecimal digits of the SHA-256: enough to tell two tokens apart, useless to guess one.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        encode_hex(&Sha256::digest(&*self.0))[..12].to_owned()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether a file's bytes look like a token: JSON with an `access_token` or `token`, or one long word. What a token is
/// like is not published, so this only tells what may be replaced or deleted without a second thought.
#[must_use]
pub fn is_token_like(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii();
    match serde_json::from_slice::<serde_json::Value>(bytes) {
        Ok(serde_json::Value::Object(fields)) => ["access_token", "token"]
            .iter()
            .any(|key| fields.contains_key(*key)),
        _ => {
            bytes.len() >= MIN_SECRET_PART_LEN
                && bytes
                    .iter()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.=+/".contains(byte))
        }
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn encode_hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]),
    );
    text
}

/// SHA-256 as lower-case hexadecimal.
#[must_use]
pub fn compute_sha256_hex(bytes: &[u8]) -> String {
    encode_hex(&Sha256::digest(bytes))
}

/// The shortest part of a secret that is looked for by itself: shorter ones turn up by chance.
const MIN_SECRET_PART_LEN: usize = 16;

/// Every form in which the secrets known to this run could turn up in a text.
#[derive(Default)]
pub struct Redactor(Vec<Zeroizing<Vec<u8>>>);

impl Redactor {
    /// Remembers a secret: as it is, each string inside it where it is JSON, and the encodings of these.
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

    /// Whether any form of any secret occurs in these bytes.
    #[must_use]
    pub fn is_match(&self, haystack: &[u8]) -> bool {
        self.0
            .iter()
            .any(|needle| memmem::find(haystack, needle).is_some())
    }

    /// The text with every secret in it replaced by `[secret]`.
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

/// What of `part`'s base64 is the same whatever surrounds it, when `before` bytes of its first group of three are not its own.
fn encode_base64_core(part: &[u8], before: usize, alphabet: &alphabet::Alphabet) -> Vec<u8> {
    let own = (3 - before) % 3;
    let whole = part.len().saturating_sub(own) / 3 * 3;
    GeneralPurpose::new(alphabet, NO_PAD)
        .encode(&part[own..own + whole])
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
        let mut needles = Redactor::default();
        needles.add_secret(&Secret::new(
            format!("{{\"access_token\": \"{JWT}\"}}\n")
                .into_bytes()
                .into(),
        ));
        needles
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
    fn redactor_ignores_text_without_secret() {
        assert!(
            !make_redactor()
                .is_match(b"eyJhbGciOiJSUzI1NiJ9 is a header that every such token has")
        );
        assert_eq!(
            make_redactor().redact(&format!("token {JWT} refused")),
            "token [secret] refused"
        );
    }

    #[test]
    fn is_token_like_accepts_only_tokens() {
        for token in [JWT, "{\"access_token\": \"x\"}\n", "{\"token\":\"x\"}"] {
            assert!(is_token_like(token.as_bytes()), "{token}");
        }
        for other in [
            "",
            "short",
            "my very own notes, not a token",
            "{\"auths\":{}}",
            "-----BEGIN KEY-----\nAAAA",
            "[[profile]]\n",
        ] {
            assert!(!is_token_like(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn secret_debug_output_is_redacted() {
        assert_eq!(
            format!("{:?}", Secret::new(JWT.as_bytes().to_vec().into())),
            "Secret(…)"
        );
    }
}
