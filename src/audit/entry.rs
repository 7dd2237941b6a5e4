//! One line of a log, parsed.

#[cfg(test)]
mod tests;

use super::body::{Body, EntryText};
use super::strict::{Strict, Word};
use crate::digest::Digest;
use crate::text::parse_uuid;
use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use uuid::Uuid;

/// An entry: the keys that every type has, and those of its own type. Texts are of type `S`.
pub(super) struct Entry<'a, S = String> {
    pub(super) version: u64,
    pub(super) seq: u64,
    /// `None` if it is not a SHA-256.
    pub(super) prev: Option<Digest>,
    pub(super) log: Cow<'a, str>,
    /// `None` if `log` is not a UUID.
    pub(super) log_id: Option<Uuid>,
    /// `None` in entries about the log itself.
    pub(super) run: Option<Uuid>,
    pub(super) ts: Cow<'a, str>,
    /// The defect, if the entry violates the specification. The entry is still a link of the chain.
    pub(super) body: Result<Body<S>, String>,
}

impl<'a, S: EntryText<'a>> Entry<'a, S> {
    /// Parses a raw line. Returns `None` for torn bytes, which are no entry.
    pub(super) fn parse(raw: &'a [u8]) -> Option<Self> {
        let line = raw.strip_suffix(b"\n").filter(|line| is_printable(line))?;
        let line = std::str::from_utf8(line).ok()?;
        let mut input = serde_json::Deserializer::from_str(line);
        // The type precedes the keys that depend on it, in every line that this program writes.
        let parsed = parse_entry(&mut input, None).and_then(|entry| input.end().map(|()| entry));
        if let Ok(entry) = parsed {
            return Some(entry);
        }
        let object = Some(line).filter(|line| line.trim_start().starts_with('{'))?;
        let base: BaseKeys = serde_json::from_str(object).ok()?;
        let entry = parse_with_path(line, &base.kind).unwrap_or_else(|defect| Entry {
            version: base.v,
            seq: base.seq,
            prev: Digest::from_hex(&base.prev),
            log_id: parse_uuid(&base.log),
            log: base.log,
            run: None,
            ts: Cow::Borrowed(""),
            body: Err(defect),
        });
        Some(entry)
    }
}

/// The keys that make a line an entry.
#[derive(Deserialize)]
struct BaseKeys<'a> {
    v: u64,
    seq: u64,
    #[serde(borrow)]
    prev: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    log: Cow<'a, str>,
}

/// Returns whether a line of JSON is printable ASCII. JSON allows DEL in text, and tabs and CR
/// between values. It allows no other control character.
fn is_printable(line: &[u8]) -> bool {
    line.is_ascii() && memchr::memchr3(b'\t', b'\r', 0x7f, line).is_none()
}

fn parse_entry<'de, D, S>(input: D, kind: Option<&str>) -> Result<Entry<'de, S>, D::Error>
where
    D: Deserializer<'de>,
    S: EntryText<'de>,
{
    Strict(input).deserialize_map(EntryVisitor {
        kind,
        text: PhantomData,
    })
}

/// Parses a line of a known type. An error names the key that it is about.
fn parse_with_path<'a, S>(line: &'a str, kind: &str) -> Result<Entry<'a, S>, String>
where
    S: EntryText<'a>,
{
    let mut input = serde_json::Deserializer::from_str(line);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut input, &mut track);
    parse_entry(tracked, Some(kind)).map_err(|error| {
        let error = error.to_string();
        // The caller knows the line, and a column says little.
        let message = error.split(" at line ").next().unwrap_or_default();
        match track.path().to_string().as_str() {
            "." => message.to_owned(),
            path => format!("`{path}`: {message}"),
        }
    })
}

/// Reads an entry in one pass if its type is known, or precedes the keys that depend on it.
struct EntryVisitor<'a, S> {
    kind: Option<&'a str>,
    text: PhantomData<S>,
}

impl<'de, S: EntryText<'de>> Visitor<'de> for EntryVisitor<'_, S> {
    type Value = Entry<'de, S>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut common = CommonKeys::default();
        let kind = match self.kind {
            Some(kind) => Cow::Borrowed(kind),
            None => loop {
                if let Some(kind) = common.kind.clone() {
                    break kind;
                }
                let key = map
                    .next_key()?
                    .ok_or_else(|| A::Error::missing_field("type"))?;
                if !common.read_value(&key, &mut map)? {
                    return Err(A::Error::custom("`type` follows a key that depends on it"));
                }
            },
        };
        let is_of_run = !kind.starts_with("log.");
        let fields = MapAccessDeserializer::new(BodyKeys {
            kind: Some(&kind),
            common: &mut common,
            map,
        });
        let body = match &*kind {
            "run.begin" => Deserialize::deserialize(fields).map(Body::RunBegin),
            "intent" => Deserialize::deserialize(fields).map(Body::Intent),
            "result" => Deserialize::deserialize(fields).map(Body::Result),
            "creation" => Deserialize::deserialize(fields).map(Body::Creation),
            "verification" => Deserialize::deserialize(fields).map(Body::Verification),
            _ => Body::deserialize(fields),
        }?;
        let missing = A::Error::missing_field;
        let run = common.run.filter(|_| is_of_run);
        if is_of_run && run.is_none() {
            return Err(missing("run"));
        }
        Ok(Entry {
            version: common.v.ok_or_else(|| missing("v"))?,
            seq: common.seq.ok_or_else(|| missing("seq"))?,
            prev: Some(common.prev.ok_or_else(|| missing("prev"))?),
            log: common.log.ok_or_else(|| missing("log"))?,
            log_id: common.log_id,
            run,
            ts: common.ts.ok_or_else(|| missing("ts"))?,
            body: Ok(body),
        })
    }
}

/// The keys of every type, as far as they were read.
#[derive(Default)]
struct CommonKeys<'a> {
    v: Option<u64>,
    seq: Option<u64>,
    prev: Option<Digest>,
    kind: Option<Cow<'a, str>>,
    log: Option<Cow<'a, str>>,
    log_id: Option<Uuid>,
    run: Option<Uuid>,
    ts: Option<Cow<'a, str>>,
}

impl<'a> CommonKeys<'a> {
    /// Reads the value of a common key. Returns whether the key is one.
    fn read_value<A: MapAccess<'a>>(
        &mut self,
        Word(key): &Word<'_>,
        map: &mut A,
    ) -> Result<bool, A::Error> {
        match &**key {
            "v" => self.v = Some(map.next_value()?),
            "seq" => self.seq = Some(map.next_value()?),
            "prev" => {
                let Word(text) = map.next_value()?;
                self.prev = Digest::from_hex(&text);
                check_form(key, &text, self.prev.is_some(), "a SHA-256")?;
            }
            "type" => self.kind = Some(map.next_value::<Word>()?.0),
            "log" => {
                let Word(text) = map.next_value()?;
                self.log_id = parse_uuid(&text);
                check_form(key, &text, self.log_id.is_some(), "a UUID")?;
                self.log = Some(text);
            }
            "run" => {
                let Word(text) = map.next_value()?;
                self.run = parse_uuid(&text);
                check_form(key, &text, self.run.is_some(), "a UUID")?;
            }
            "ts" => {
                let Word(text) = map.next_value()?;
                let is_time = text.parse::<jiff::Timestamp>().is_ok();
                check_form(key, &text, is_time, "a time in the form of RFC 3339")?;
                self.ts = Some(text);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn check_form<E: Error>(key: &str, text: &str, is_valid: bool, expected: &str) -> Result<(), E> {
    if is_valid {
        Ok(())
    } else {
        Err(E::custom(format_args!(
            "`{key}`: `{text}` is not {expected}"
        )))
    }
}

/// The keys of one type, behind the type itself. Common keys in between are read aside.
struct BodyKeys<'a, 'de, A> {
    /// The type, until it is read.
    kind: Option<&'a str>,
    common: &'a mut CommonKeys<'de>,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for BodyKeys<'_, 'de, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        if self.kind.is_some() {
            return seed
                .deserialize(BorrowedStrDeserializer::new("type"))
                .map(Some);
        }
        while let Some(key) = self.map.next_key()? {
            if self.common.read_value(&key, &mut self.map)? {
                continue;
            }
            return match key.0 {
                Cow::Borrowed(key) => seed.deserialize(BorrowedStrDeserializer::new(key)),
                Cow::Owned(key) => seed.deserialize(StrDeserializer::new(&key)),
            }
            .map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.kind.take() {
            Some(kind) => seed.deserialize(StrDeserializer::new(kind)),
            None => self.map.next_value_seed(seed),
        }
    }
}
