//! Reads values of entries that have a form beyond their type in JSON.

use super::text::EntryText;
use crate::audit::strict::Strict;
use crate::digest::Digest;
use crate::text::parse_uuid;
use serde::de::{Deserialize, Deserializer, Error, Unexpected};

/// Reads a value that is not null, of a key that may be missing.
pub(super) fn present<'de, D, T>(input: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(input).map(Some)
}

/// Reads a value of an enum that is tagged by a key. `serde` buffers such values, and the rules for
/// structures and words do not reach below the buffer by themselves.
pub(super) fn strict<'de, D, T>(input: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(Strict(input))
}

/// Reads a SHA-256.
pub(super) fn digest<'de, D, S>(input: D) -> Result<S, D::Error>
where
    D: Deserializer<'de>,
    S: EntryText<'de>,
{
    let expected = "a SHA-256 in 64 lower-case hexadecimal digits";
    read_text(input, is_digest, expected)
}

/// Reads a SHA-256 of a key that may be missing.
pub(super) fn present_digest<'de, D, S>(input: D) -> Result<Option<S>, D::Error>
where
    D: Deserializer<'de>,
    S: EntryText<'de>,
{
    digest(input).map(Some)
}

/// Reads a SHA-256 or null.
pub(super) fn nullable_digest<'de, D, S>(input: D) -> Result<Option<S>, D::Error>
where
    D: Deserializer<'de>,
    S: EntryText<'de>,
{
    #[derive(serde::Deserialize)]
    #[serde(transparent, bound(deserialize = "S: EntryText<'de>"))]
    struct Checked<S>(#[serde(deserialize_with = "digest")] S);
    Ok(Option::<Checked<S>>::deserialize(input)?.map(|Checked(text)| text))
}

/// Reads a UUID.
pub(super) fn uuid<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    read_text(
        input,
        |text| parse_uuid(text).is_some(),
        "a UUID with hyphens",
    )
}

/// Reads a head: `SEQ:HASH`.
pub(super) fn head<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let is_head = |text: &str| {
        text.split_once(':')
            .is_some_and(|(seq, hash)| seq.parse::<u64>().is_ok() && is_digest(hash))
    };
    read_text(input, is_head, "SEQ:HASH")
}

fn is_digest(text: &str) -> bool {
    Digest::from_hex(text).is_some()
}

fn read_text<'de, D, S>(
    input: D,
    is_valid: impl FnOnce(&str) -> bool,
    expected: &str,
) -> Result<S, D::Error>
where
    D: Deserializer<'de>,
    S: EntryText<'de>,
{
    let text = S::deserialize(input)?;
    if is_valid(text.as_ref()) {
        Ok(text)
    } else {
        Err(D::Error::invalid_value(
            Unexpected::Str(text.as_ref()),
            &expected,
        ))
    }
}
