//! The check of a line's values against the tables, in one pass.

mod unknown;

use super::{BASE64, EVERY, Has, Is, Kind, Needs, PROCESS, Previous, Shape, digest};
use crate::tool::invocation::Object;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use std::borrow::Cow;
use std::fmt;
use unknown::Unknown;
pub use unknown::strict;
use uuid::Uuid;

/// A whole record, of this type where it is known before.
pub(super) struct Whole(pub(super) Option<Kind>);

impl<'de> DeserializeSeed<'de> for Whole {
    type Value = Shape;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Shape, D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Whole {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        let mut shape = Shape {
            kind: self.0,
            ..Shape::default()
        };
        let mut every = Seen::of(EVERY);
        let mut own = self.0.map(|kind| Seen::of(kind.fields()));
        let mut unknown = Unknown::default();
        while let Some(Key(name)) = map.next_key::<Key>()? {
            if let Some(has) = every.see(&name)? {
                match has.name {
                    "v" => shape.version = map.next_value()?,
                    "seq" => shape.seq = map.next_value()?,
                    "prev" => shape.prev = Some(kept(&mut map, has, digest)?),
                    "log" => {
                        shape.log = Some(kept(&mut map, has, |text| Uuid::try_parse(text).ok())?)
                    }
                    "type" => {
                        let kind = kept(&mut map, has, Kind::named)?;
                        shape.kind = Some(kind);
                        own.get_or_insert_with(|| Seen::of(kind.fields()));
                    }
                    _ => map.next_value_seed(Nullable(has))?,
                }
                continue;
            }
            let seen = own
                .as_mut()
                .ok_or_else(|| A::Error::custom("the type comes after what depends on it"))?;
            match seen.see(&name)? {
                None => unknown.take(&name, &mut map)?,
                Some(has) => shape.keep(has, &mut map)?,
            }
        }
        every.all_there()?;
        if let Some(own) = &own {
            own.all_there()?;
            if shape.kind == Some(Kind::Intent) {
                own.one_act()?;
            }
        }
        Ok(shape)
    }
}

impl Shape {
    /// Takes what a verification follows of a type's own fields; the others are only looked at.
    fn keep<'de, A: MapAccess<'de>>(
        &mut self,
        has: &'static Has,
        map: &mut A,
    ) -> Result<(), A::Error> {
        match has.name {
            "run" => self.run = Some(kept(map, has, |text| Uuid::try_parse(text).ok())?),
            "step" => self.step = Some(map.next_value()?),
            "intent" => self.intent = Some(map.next_value()?),
            "torn" => self.torn = Some(map.next_value()?),
            "previous" => self.previous = previous(map)?,
            _ => map.next_value_seed(Nullable(has))?,
        }
        Ok(())
    }
}

/// A name, without a copy of it where that can be.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
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
        input.deserialize_str(Take)
    }
}

/// Which fields of a table were there.
struct Seen {
    table: &'static [Has],
    mask: u32,
    /// Where the next one is looked for first: a program writes them in their order.
    next: usize,
}

impl Seen {
    fn of(table: &'static [Has]) -> Self {
        Self {
            table,
            mask: 0,
            next: 0,
        }
    }

    fn see<E: Error>(&mut self, name: &str) -> Result<Option<&'static Has>, E> {
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

    fn all_there<E: Error>(&self) -> Result<(), E> {
        let missing = self
            .table
            .iter()
            .enumerate()
            .find(|(index, has)| has.needs != Needs::Nothing && self.mask & 1 << index == 0);
        missing.map_or(Ok(()), |(_, has)| {
            Err(E::custom(format_args!("field `{}` is missing", has.name)))
        })
    }

    fn saw(&self, name: &str) -> bool {
        self.table
            .iter()
            .position(|has| has.name == name)
            .is_some_and(|index| self.mask & 1 << index != 0)
    }

    /// An intent is of a process or of a file.
    fn one_act<E: Error>(&self) -> Result<(), E> {
        let missing = PROCESS.iter().find(|name| !self.saw(name));
        match (self.saw("file"), missing) {
            (false, None) => Ok(()),
            (false, Some(name)) => Err(E::custom(format_args!("field `{name}` is missing"))),
            (true, _) => match PROCESS.iter().find(|name| self.saw(name)) {
                Some(name) => Err(E::custom(format_args!(
                    "field `{name}` is there beside `file`"
                ))),
                None => Ok(()),
            },
        }
    }
}

/// The end of another log, of whose form nothing is taken for granted: what it says is compared with that log.
fn previous<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<Previous>, A::Error> {
    let previous: Option<Previous> = map.next_value()?;
    let holds =
        |previous: &Previous| Is::Uuid.holds(&previous.log) && Is::Head.holds(&previous.head);
    if previous.as_ref().is_none_or(holds) {
        return Ok(previous);
    }
    Err(A::Error::custom("`previous` is not a UUID and SEQ:HASH"))
}

/// A field's value, or null where it may be.
struct Nullable(&'static Has);

impl<'de> DeserializeSeed<'de> for Nullable {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        let null = self.0.needs != Needs::Value;
        input.deserialize_any(Value {
            is: &self.0.is,
            null,
        })
    }
}

/// A text, as what it stands for.
fn kept<'de, T, A: MapAccess<'de>>(
    map: &mut A,
    has: &Has,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, A::Error> {
    let Key(text) = map.next_value()?;
    parse(&text).ok_or_else(|| {
        A::Error::custom(format_args!(
            "`{}` is `{text}`, not {}",
            has.name,
            has.is.name()
        ))
    })
}

/// A value that has to be of its kind.
struct Value {
    is: &'static Is,
    null: bool,
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.is.name())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.null {
            Ok(())
        } else {
            Err(E::invalid_type(Unexpected::Unit, &self))
        }
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        if matches!(self.is, Is::Flag) {
            Ok(())
        } else {
            Err(E::invalid_type(Unexpected::Bool(flag), &self))
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        if matches!(self.is, Is::Count) {
            Ok(())
        } else {
            Err(E::invalid_type(Unexpected::Unsigned(number), &self))
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.is.holds(text) {
            Ok(())
        } else {
            Err(E::invalid_value(Unexpected::Str(text), &self))
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Is::Each(is) = self.is else {
            return Err(A::Error::invalid_type(Unexpected::Seq, &self));
        };
        while list.next_element_seed(Item(is))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.is {
            Is::Text => fields(map, BASE64),
            Is::Env => env(map),
            Is::Fields(table) => fields(map, table),
            Is::Stream => held(
                Stream::deserialize(MapAccessDeserializer::new(map))?.holds(),
                self.is,
            ),
            Is::Exit => held(
                Exit::deserialize(MapAccessDeserializer::new(map))?.holds(),
                self.is,
            ),
            _ => Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}

fn held<E: Error>(holds: bool, is: &Is) -> Result<(), E> {
    if holds {
        Ok(())
    } else {
        Err(E::custom(format_args!("it is not {}", is.name())))
    }
}

/// An element of a list.
struct Item(&'static Is);

impl<'de> DeserializeSeed<'de> for Item {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(Value {
            is: self.0,
            null: false,
        })
    }
}

fn env<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    let mut names: Vec<Cow<'de, str>> = Vec::with_capacity(16);
    while let Some(Key(name)) = map.next_key::<Key>()? {
        if names.contains(&name) {
            return Err(A::Error::custom(format_args!("`{name}` is there twice")));
        }
        names.push(name);
        map.next_value_seed(Item(&Is::Text))?;
    }
    Ok(())
}

/// An object's fields.
fn fields<'de, A: MapAccess<'de>>(mut map: A, table: &'static [Has]) -> Result<(), A::Error> {
    let (mut seen, mut unknown) = (Seen::of(table), Unknown::default());
    while let Some(Key(name)) = map.next_key::<Key>()? {
        match seen.see(&name)? {
            None => unknown.take(&name, &mut map)?,
            Some(has) => map.next_value_seed(Nullable(has))?,
        }
    }
    seen.all_there()
}

#[derive(Deserialize)]
struct Stream<'a> {
    bytes: Option<u64>,
    #[serde(borrow)]
    sha256: Option<Cow<'a, str>>,
    #[serde(borrow)]
    withheld: Option<Cow<'a, str>>,
    #[serde(rename = "made_from")]
    _made_from: Option<Vec<Object>>,
}

impl Stream<'_> {
    fn holds(&self) -> bool {
        match (self.bytes, &self.sha256, &self.withheld) {
            (Some(_), Some(digest), None) => Is::Hash.holds(digest),
            (None, None, Some(why)) => why == "secret",
            _ => false,
        }
    }
}

#[derive(Deserialize)]
struct Exit {
    code: Option<i64>,
    signal: Option<i64>,
}

impl Exit {
    fn holds(&self) -> bool {
        self.code.is_some() != self.signal.is_some()
    }
}
