//! Text as the record has it.

use serde::{Deserialize, Serialize};

/// Text from the system, which need not be UTF-8: then it is `{"b64": "…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Text {
    /// UTF-8.
    Utf8(String),
    /// Anything else.
    Bytes {
        /// Base64, standard alphabet, with padding.
        b64: String,
    },
}

impl<T: AsRef<std::ffi::OsStr>> From<T> for Text {
    fn from(text: T) -> Self {
        use base64::Engine as _;
        let text = text.as_ref();
        let bytes = || base64::engine::general_purpose::STANDARD.encode(text.as_encoded_bytes());
        text.to_str().map_or_else(
            || Self::Bytes { b64: bytes() },
            |utf8| Self::Utf8(utf8.to_owned()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_serializes_non_utf8_as_base64() {
        use std::os::unix::ffi::OsStrExt as _;
        let text = Text::from(std::ffi::OsStr::from_bytes(b"a\xff"));
        assert_eq!(serde_json::to_string(&text).unwrap(), r#"{"b64":"Yf8="}"#);
    }
}
