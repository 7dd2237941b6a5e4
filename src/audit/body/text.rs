//! Text in entries.

use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;

/// A type for the texts of an entry: `String`, or text that is borrowed from the line. The verifier
/// borrows, because it checks many entries and keeps little.
pub trait EntryText<'de>: Deserialize<'de> + AsRef<str> + Ord {}

impl<'de, T: Deserialize<'de> + AsRef<str> + Ord> EntryText<'de> for T {}

/// Text from the system. Text that is not UTF-8 is `{"b64": "…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Text"))]
#[serde(untagged)]
pub enum Text<S = String> {
    /// UTF-8.
    Utf8(S),
    /// Anything else.
    Bytes {
        /// Base64, standard alphabet, with padding.
        b64: S,
    },
}

impl<'de, S: EntryText<'de>> Deserialize<'de> for Text<S> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(TextVisitor(PhantomData))
    }
}

struct TextVisitor<S>(PhantomData<S>);

impl<'de, S: EntryText<'de>> Visitor<'de> for TextVisitor<S> {
    type Value = Text<S>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("text, or {\"b64\": …}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<S>, E> {
        S::deserialize(StrDeserializer::new(text)).map(Text::Utf8)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<S>, E> {
        S::deserialize(BorrowedStrDeserializer::new(text)).map(Text::Utf8)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text<S>, A::Error> {
        #[derive(Deserialize)]
        struct Base64<S> {
            b64: S,
        }
        let Base64 { b64 } = Base64::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Text::Bytes { b64 })
    }
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
