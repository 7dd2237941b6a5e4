//! Secret bytes: the admin token.

use crate::digest::Digest;
use std::fmt;
use zeroize::Zeroizing;

/// A token. It is wiped when dropped and cannot be printed, cloned or serialized.
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
    /// Takes the bytes without a copy.
    #[must_use]
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, for the file or descriptor that the token is written to.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8] {
        &self.0
    }

    /// Returns the first 12 hexadecimal digits of the SHA-256: enough to distinguish tokens, and
    /// too few to guess one.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Digest::compute(&self.0).to_string()[..12].to_owned()
    }
}

/// A key that makes a token recognisable in the audit log without revealing it.
pub struct HmacKey(Zeroizing<[u8; HmacKey::LEN]>);

impl HmacKey {
    /// The length in bytes.
    pub const LEN: usize = 32;

    /// Generates a random key.
    ///
    /// # Errors
    /// Fails if the system has no random numbers.
    pub fn generate() -> std::io::Result<Self> {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        getrandom::fill(&mut *bytes).map_err(std::io::Error::other)?;
        Ok(Self(bytes))
    }

    /// Takes the bytes of a key. Returns `None` for another length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes
            .try_into()
            .ok()
            .map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// Returns the bytes, for the file that stores the key.
    #[must_use]
    pub fn expose_key(&self) -> &[u8] {
        &*self.0
    }

    /// Computes the HMAC-SHA256 of a token.
    #[must_use]
    pub fn compute_hmac(&self, token: &Secret) -> Digest {
        Digest::compute_hmac(&self.0, &token.0)
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

/// Returns whether a file looks like a token: JSON with an `access_token` or `token`, or one long
/// word. The format of a token is not documented, so this only decides which files may be replaced
/// or deleted.
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

/// The shortest part of a secret that is searched for: shorter ones occur by chance.
pub(crate) const MIN_SECRET_PART_LEN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhZG1pbiJ9.c2lnbmF0dXJlLWludmVudGVk";

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
