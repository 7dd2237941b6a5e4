//! SHA-256 digests, as data and as the text that people and files hold.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The value of each lower-case hexadecimal digit, and 0xff for every other byte. A verification
/// parses many digests, and the branches of a `match` on random digits are slow.
const HEX_VALUES: [u8; 256] = {
    let digits = b"0123456789abcdef";
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < digits.len() {
        values[digits[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// A SHA-256. It is shown and serialised as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Computes the digest of `bytes`.
    pub fn compute(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Computes the HMAC-SHA256 of `bytes` (RFC 2104).
    pub(crate) fn compute_hmac(key: &[u8; 32], bytes: &[u8]) -> Self {
        // HMAC pads a short key with zeros to the size of a block.
        let mut block = Zeroizing::new([0; 64]);
        block[..key.len()].copy_from_slice(key);
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        mac.update(bytes);
        Self(mac.finalize().into_bytes().into())
    }

    /// Parses the canonical form only: 64 lower-case hexadecimal digits.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
        for (byte, digits) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = HEX_VALUES[usize::from(digits[0])];
            let low = HEX_VALUES[usize::from(digits[1])];
            if high | low > 0xf {
                return None;
            }
            *byte = high << 4 | low;
        }
        Some(Self(bytes))
    }
}

/// Computes a digest from bytes that arrive in pieces.
#[derive(Clone, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl FromStr for Digest {
    type Err = String;

    /// Parses a digest as people write it: in either case, with or without `sha256:` before it.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        Self::from_hex(text.strip_prefix("sha256:").unwrap_or(&text))
            .ok_or_else(|| "a SHA-256 has 64 hexadecimal digits".to_owned())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::from_hex(&text)
            .ok_or_else(|| serde::de::Error::custom("it is not 64 lower-case hexadecimal digits"))
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        String::json_schema(generator)
    }
}

/// Encodes bytes as lower-case hexadecimal.
pub(crate) fn encode_hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From FIPS 180-4's examples: the message `abc`.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn digest_is_shown_as_lower_case_hex() {
        let digest = Digest::compute(b"abc");
        assert_eq!(digest.to_string(), ABC);
        let mut hasher = Hasher::default();
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(hasher.finish(), digest);
        assert_eq!(
            serde_json::to_value(digest).expect("a digest is text"),
            serde_json::json!(ABC)
        );
    }

    #[test]
    fn hmac_equals_the_one_of_openssl() {
        // openssl mac -digest SHA256 -macopt hexkey:0b…0b (32 bytes) HMAC
        let hmac = Digest::compute_hmac(&[0x0b; 32], b"Hi There");
        assert_eq!(
            hmac.to_string(),
            "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7"
        );
    }

    #[test]
    fn from_str_accepts_prefix_and_upper_case() {
        let digest = Digest::compute(b"abc");
        for text in [
            ABC.to_owned(),
            format!(" sha256:{ABC}\n"),
            format!("SHA256:{}", ABC.to_uppercase()),
        ] {
            assert_eq!(text.parse(), Ok(digest), "{text}");
        }
        for text in [
            "",
            "sha256:",
            &ABC[1..],
            &format!("{ABC}0"),
            &ABC.replace('b', "g"),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn deserialize_accepts_canonical_form_only() {
        let parse = |text: &str| serde_json::from_value::<Digest>(serde_json::json!(text));
        assert_eq!(parse(ABC).ok(), Some(Digest::compute(b"abc")));
        assert!(parse(&ABC.to_uppercase()).is_err());
        assert!(parse(&format!("sha256:{ABC}")).is_err());
    }
}
