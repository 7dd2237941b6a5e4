//! The check of a line's values against the tables, in one pass.

mod unknown;

use super::{
    BASE64, COMMON_FIELDS, Field, FieldType, PROCESS_FIELDS, ParsedLine, Presence, PreviousLog,
    RecordType,
};
use crate::digest::Digest;
use crate::tool::invocation::ObjectRef;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use std::borrow::Cow;
use std::fmt;
use unknown::UnknownFields;
pub use unknown::check_strict_json;
use uuid::Uuid;

/// A whole record, of this type where it is known before.
pub(super) struct RecordSeed(pub(super) Option<RecordType>);

impl<'de> DeserializeSeed<'de> for RecordSeed {
    type Value = ParsedLine;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<ParsedLine, D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed {
    type Value = ParsedLine;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ParsedLine, A::Error> {
        let mut shape = ParsedLine {
            kind: self.0,
            ..ParsedLine::default()
        };
        let mut every = FieldSet::new(COMMON_FIELDS);
        let mut own = self.0.map(|kind| FieldSet::new(kind.fields()));
        let mut unknown = UnknownFields::default();
        while let Some(Key(name)) = map.next_key::<Key>()? {
            if let Some(has) = every.insert(&name)? {
                match has.name {
                    "v" => shape.version = map.next_value()?,
                    "seq" => shape.seq = map.next_value()?,
                    "prev" => shape.prev = Some(parse_text_field(&mut map, has, Digest::from_hex)?),
                    "log" => {
                        shape.log = Some(parse_text_field(&mut map, has, |text| {
                            Uuid::try_parse(text).ok()
                        })?)
                    }
                    "type" => {
                        let kind = parse_text_field(&mut map, has, RecordType::from_name)?;
                        shape.kind = Some(kind);
                        own.get_or_insert_with(|| FieldSet::new(kind.fields()));
                    }
                    _ => map.next_value_seed(FieldSeed(has))?,
                }
                continue;
            }
            let seen = own
                .as_mut()
                .ok_or_else(|| A::Error::custom("the type comes after what depends on it"))?;
            match seen.insert(&name)? {
                None => unknown.skip_field(&name, &mut map)?,
                Some(has) => shape.parse_own_field(has, &mut map)?,
            }
        }
        every.ensure_complete()?;
        if let Some(own) = &own {
            own.ensure_complete()?;
            if shape.kind == Some(RecordType::Intent) {
                own.ensure_one_operation()?;
            }
        }
        Ok(shape)
    }
}

impl ParsedLine {
    /// Takes what a verification follows of a type's own fields; the others are only looked at.
    fn parse_own_field<'de, A: MapAccess<'de>>(
        &mut self,
        has: &'static Field,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match has.name {
            "run" => {
                self.run = Some(parse_text_field(map, has, |text| {
                    Uuid::try_parse(text).ok()
                })?)
            }
            "step" => self.step = Some(map.next_value()?),
            "intent" => self.intent = Some(map.next_value()?),
            "torn" => self.torn = Some(map.next_value()?),
            "previous" => self.previous = parse_previous(map)?,
            _ => map.next_value_seed(FieldSeed(has))?,
        }
        Ok(())
    }
}

/// A name, without a copy of it where that can be.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(name)))
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }
        }
        input.deserialize_str(KeyVisitor)
    }
}

/// Which fields of a table were there.
struct FieldSet {
    table: &'static [Field],
    mask: u32,
    /// Where the next one is looked for first: a program writes them in their order.
    next: usize,
}

impl FieldSet {
    fn new(table: &'static [Field]) -> Self {
        Self {
            table,
            mask: 0,
            next: 0,
        }
    }

    fn insert<E: Error>(&mut self, name: &str) -> Result<Option<&'static Field>, E> {
        let count = self.table.len();
        let Some(index) = (self.next..count)
            .chain(0..self.next.min(count))
            .find(|index| self.table[*index].name == name)
        else {
            return Ok(None);
        };
        if self.mask & 1 << index != 0 {
            return Err(E::custom(format_args!("field `{name}` is there twice")));
        }
        self.mask |= 1 << index;
        self.next = index + 1;
        Ok(Some(&self.table[index]))
    }

    fn ensure_complete<E: Error>(&self) -> Result<(), E> {
        let missing =
            self.table.iter().enumerate().find(|(index, has)| {
                has.presence != Presence::Optional && self.mask & 1 << index == 0
            });
        missing.map_or(Ok(()), |(_, has)| {
            Err(E::custom(format_args!("field `{}` is missing", has.name)))
        })
    }

    fn contains(&self, name: &str) -> bool {
        self.table
            .iter()
            .position(|has| has.name == name)
            .is_some_and(|index| self.mask & 1 << index != 0)
    }

    /// An intent is of a process or of a file.
    fn ensure_one_operation<E: Error>(&self) -> Result<(), E> {
        let missing = PROCESS_FIELDS.iter().find(|name| !self.contains(name));
        match (self.contains("file"), missing) {
            (false, None) => Ok(()),
            (false, Some(name)) => Err(E::custom(format_args!("field `{name}` is missing"))),
            (true, _) => match PROCESS_FIELDS.iter().find(|name| self.contains(name)) {
                Some(name) => Err(E::custom(format_args!(
                    "field `{name}` is there beside `file`"
                ))),
                None => Ok(()),
            },
        }
    }
}

/// The end of another log, of whose form nothing is taken for granted: what it says is compared with that log.
fn parse_previous<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<PreviousLog>, A::Error> {
    let previous: Option<PreviousLog> = map.next_value()?;
    let holds = |previous: &PreviousLog| {
        FieldType::Uuid.matches(&previous.log) && FieldType::Head.matches(&previous.head)
    };
    if previous.as_ref().is_none_or(holds) {
        return Ok(previous);
    }
    Err(A::Error::custom("`previous` is not a UUID and SEQ:HASH"))
}

/// A field's value, or null where it may be.
struct FieldSeed(&'static Field);

impl<'de> DeserializeSeed<'de> for FieldSeed {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        let null = self.0.presence != Presence::Required;
        input.deserialize_any(ValueVisitor {
            field_type: &self.0.field_type,
            is_nullable: null,
        })
    }
}

/// A text, as what it stands for.
fn parse_text_field<'de, T, A: MapAccess<'de>>(
    map: &mut A,
    has: &Field,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, A::Error> {
    let Key(text) = map.next_value()?;
    parse(&text).ok_or_else(|| {
        A::Error::custom(format_args!(
            "`{}` is `{text}`, not {}",
            has.name,
            has.field_type.name()
        ))
    })
}

/// A value that has to be of its kind.
struct ValueVisitor {
    field_type: &'static FieldType,
    is_nullable: bool,
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.field_type.name())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.is_nullable {
            Ok(())
        } else {
            Err(E::invalid_type(Unexpected::Unit, &self))
        }
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        if matches!(self.field_type, FieldType::Flag) {
            Ok(())
        } else {
            Err(E::invalid_type(Unexpected::Bool(flag), &self))
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        if matches!(self.field_type, FieldType::Count) {
            Ok(())
        } else {
            Err(E::invalid_type(Unexpected::Unsigned(number), &self))
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.field_type.matches(text) {
            Ok(())
        } else {
            Err(E::invalid_value(Unexpected::Str(text), &self))
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let FieldType::ListOf(is) = self.field_type else {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        };
        while list.next_element_seed(ItemSeed(is))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.field_type {
            FieldType::Text => check_fields(map, BASE64),
            FieldType::Env => check_env(map),
            FieldType::Fields(table) => check_fields(map, table),
            FieldType::Stream => ensure_valid(
                StreamFields::deserialize(MapAccessDeserializer::new(map))?.is_valid(),
                self.field_type,
            ),
            FieldType::Exit => ensure_valid(
                ExitFields::deserialize(MapAccessDeserializer::new(map))?.is_valid(),
                self.field_type,
            ),
            _ => Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}

fn ensure_valid<E: Error>(holds: bool, is: &FieldType) -> Result<(), E> {
    if holds {
        Ok(())
    } else {
        Err(E::custom(format_args!("it is not {}", is.name())))
    }
}

/// An element of a list.
struct ItemSeed(&'static FieldType);

impl<'de> DeserializeSeed<'de> for ItemSeed {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(ValueVisitor {
            field_type: self.0,
            is_nullable: false,
        })
    }
}

fn check_env<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    let mut names: Vec<Cow<'de, str>> = Vec::with_capacity(16);
    while let Some(Key(name)) = map.next_key::<Key>()? {
        if names.contains(&name) {
            return Err(A::Error::custom(format_args!("`{name}` is there twice")));
        }
        names.push(name);
        map.next_value_seed(ItemSeed(&FieldType::Text))?;
    }
    Ok(())
}

/// An object's fields.
fn check_fields<'de, A: MapAccess<'de>>(
    mut map: A,
    table: &'static [Field],
) -> Result<(), A::Error> {
    let (mut seen, mut unknown) = (FieldSet::new(table), UnknownFields::default());
    while let Some(Key(name)) = map.next_key::<Key>()? {
        match seen.insert(&name)? {
            None => unknown.skip_field(&name, &mut map)?,
            Some(has) => map.next_value_seed(FieldSeed(has))?,
        }
    }
    seen.ensure_complete()
}

#[derive(Deserialize)]
struct StreamFields<'a> {
    bytes: Option<u64>,
    #[serde(borrow)]
    sha256: Option<Cow<'a, str>>,
    #[serde(borrow)]
    withheld: Option<Cow<'a, str>>,
    #[serde(rename = "derived_from")]
    _derived_from: Option<Vec<ObjectRef>>,
}

impl StreamFields<'_> {
    fn is_valid(&self) -> bool {
        match (self.bytes, &self.sha256, &self.withheld) {
            (Some(_), Some(digest), None) => FieldType::Hash.matches(digest),
            (None, None, Some(why)) => why == "secret",
            _ => false,
        }
    }
}

#[derive(Deserialize)]
struct ExitFields {
    code: Option<i64>,
    signal: Option<i64>,
}

impl ExitFields {
    fn is_valid(&self) -> bool {
        self.code.is_some() != self.signal.is_some()
    }
}
