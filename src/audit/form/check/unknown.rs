//! Fields that this version does not know: what they hold is free, but for what no record has anywhere.

use super::Key;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// The names of an object's fields that no table has; each is there once.
#[derive(Default)]
pub(super) struct UnknownFields(Vec<String>);

impl UnknownFields {
    pub(super) fn add_name<E: Error>(&mut self, name: &str) -> Result<(), E> {
        if self.0.iter().any(|known| known == name) {
            return Err(E::custom(format_args!("field `{name}` is there twice")));
        }
        self.0.push(name.to_owned());
        Ok(())
    }

    /// A name, and the value behind it.
    pub(super) fn skip_field<'de, A: MapAccess<'de>>(
        &mut self,
        name: &str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        self.add_name(name)?;
        map.next_value_seed(AnyValue)
    }
}

/// Whether JSON has no float and no name that is there twice in an object.
///
/// # Errors
/// What it has, or why it is no JSON.
pub fn check_strict_json(bytes: &[u8]) -> Result<(), String> {
    let mut input = serde_json::Deserializer::from_slice(bytes);
    AnyValue
        .deserialize(&mut input)
        .and_then(|()| input.end())
        .map_err(|error| error.to_string())
}

/// Any value without a float and without a name that is there twice.
struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("anything but a float")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(AnyValue)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = UnknownFields::default();
        while let Some(Key(name)) = map.next_key::<Key>()? {
            names.skip_field(&name, &mut map)?;
        }
        Ok(())
    }
}
