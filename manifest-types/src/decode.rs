//! Reads a JSON value into a type and finds *all* that is wrong with it, not only the first.
//!
//! serde stops at the first error. So the value is read again and again: the place of each error is noted and left out of
//! the next reading, until a reading succeeds or the root itself is left out. A document with `n` problems is read at most `n + 1` times.
//!
//! No problem quotes the value that is wrong: it may be a secret that stands in the wrong place, and what is told ends up in a
//! status and in a log. A type that makes errors of its own says what is right, and quotes at most a name.

use std::{collections::BTreeSet, fmt};

use serde::{
    Deserialize,
    de::{
        self, DeserializeSeed, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
        VariantAccess, Visitor, value::StrDeserializer,
    },
};
use serde_json::Value;

use crate::problem::{JsonPath, Problem};

mod place;

use place::{Gaps, Place};

/// So many problems of one document are told; a person mends no more at a time.
const MOST_PROBLEMS: usize = 100;

/// Reads `value`; the paths of problems start at `value`.
pub fn decode<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, Vec<Problem>> {
    let mut left_out = BTreeSet::new();
    let mut problems = Vec::new();
    loop {
        let root = Node { value, place: &Place::Root, left_out: &left_out };
        let error = match T::deserialize(root) {
            Ok(read) if problems.is_empty() => return Ok(read),
            Ok(_) => return Err(problems),
            Err(error) => error,
        };
        let place = error.path.unwrap_or_default();
        let follows_from_another = match &error.fault {
            Fault::Missing(field) => left_out.contains(&place.key(*field)),
            // A whole whose part was left out may be found wrong for that alone.
            Fault::Wrong(_) => left_out.iter().any(|part: &JsonPath| part.0.starts_with(&place.0)),
        };
        if !follows_from_another {
            problems.push(match error.fault {
                Fault::Missing(field) => Problem::new(place.key(field), "is required"),
                Fault::Wrong(message) => Problem::new(place.clone(), message),
            });
        }
        // What cannot be left out by itself (the content of a variant) is left out with what holds it.
        let mut place = place;
        while place != JsonPath::root() && left_out.contains(&place) {
            place = place.parent();
        }
        if place == JsonPath::root() || problems.len() == MOST_PROBLEMS {
            return Err(problems);
        }
        left_out.insert(place);
    }
}

#[derive(Debug)]
enum Fault {
    Missing(&'static str),
    Wrong(String),
}

#[derive(Debug)]
struct Error {
    path: Option<JsonPath>,
    fault: Fault,
}

impl Error {
    fn wrong(message: String) -> Self {
        Self { path: None, fault: Fault::Wrong(message) }
    }

    fn at(mut self, place: &Place<'_>) -> Self {
        self.path.get_or_insert_with(|| place.path());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.fault)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::wrong(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self { path: None, fault: Fault::Missing(field) }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::wrong(format!("must be {}, not {}", plainly(expected), type_of(unexpected)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::wrong(format!("must be {}", plainly(expected)))
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::wrong(format!("is not known here; known: {}", expected.join(", ")))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::wrong(format!("must be one of {}", expected.join(", ")))
    }
}

/// What serde expects, in words for people who do not write Rust.
fn plainly(expected: &dyn de::Expected) -> String {
    match expected.to_string().as_str() {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" | "u64" | "usize" => "a whole number, 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a string" => "a text".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "an array".into(),
        "a map" => "an object".into(),
        other => other.to_owned(),
    }
}

/// What a value is, never the value itself.
fn type_of(value: Unexpected<'_>) -> &'static str {
    match value {
        Unexpected::Unit => "null",
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) => "an integer",
        // Zero and above are read as unsigned.
        Unexpected::Signed(_) => "a negative integer",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) => "a text",
        Unexpected::Seq => "an array",
        Unexpected::Map => "an object",
        _ => "this",
    }
}

#[derive(Clone, Copy)]
struct Node<'a, 'de> {
    value: &'de Value,
    place: &'a Place<'a>,
    left_out: &'a BTreeSet<JsonPath>,
}

impl<'de> Node<'_, 'de> {
    fn unexpected(&self) -> Unexpected<'de> {
        match self.value {
            Value::Null => Unexpected::Unit,
            Value::Bool(value) => Unexpected::Bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => Unexpected::Unsigned(value),
                (_, Some(value)) => Unexpected::Signed(value),
                _ => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }
}

impl<'de> de::Deserializer<'de> for Node<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let gaps = match self.value {
            Value::Array(_) | Value::Object(_) => Gaps::of(self.place, self.left_out),
            _ => Gaps::default(),
        };
        let result = match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (_, Some(value)) => visitor.visit_i64(value),
                _ => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(elements) => {
                visitor.visit_seq(Elements { node: self, gaps, rest: elements.iter().enumerate() })
            }
            Value::Object(members) => {
                visitor.visit_map(Members { node: self, gaps, rest: members.iter(), next: None })
            }
        };
        result.map_err(|error| error.at(self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::Object(_) => self.deserialize_any(visitor),
            _ => Err(Error::invalid_type(self.unexpected(), &"an object").at(self.place)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (name, content) = match self.value {
            Value::String(name) => (name, None),
            Value::Object(members) if members.len() == 1 => {
                let (name, content) = members.iter().next().expect("it has one member");
                (name, Some(content))
            }
            _ => {
                let error = Error::invalid_type(self.unexpected(), &"one of its names");
                return Err(error.at(self.place));
            }
        };
        let inner = Place::Key(self.place, name);
        let chosen = Chosen {
            name,
            content: content.map(|value| Node { value, place: &inner, left_out: self.left_out }),
        };
        visitor.visit_enum(chosen).map_err(|error| error.at(self.place))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map identifier
    }

    /// What nobody looks at is not walked through.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

struct Elements<'a, 'de> {
    node: Node<'a, 'de>,
    gaps: Gaps<'a>,
    rest: std::iter::Enumerate<std::slice::Iter<'de, Value>>,
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        for (index, value) in self.rest.by_ref() {
            let place = Place::Index(self.node.place, index);
            if self.gaps.indices.contains(&index) {
                continue;
            }
            let element = Node { value, place: &place, left_out: self.node.left_out };
            return match seed.deserialize(element) {
                Ok(read) => Ok(Some(read)),
                Err(error) => Err(error.at(&place)),
            };
        }
        Ok(None)
    }
}

struct Members<'a, 'de> {
    node: Node<'a, 'de>,
    gaps: Gaps<'a>,
    rest: serde_json::map::Iter<'de>,
    next: Option<(&'de str, &'de Value)>,
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        for (key, value) in self.rest.by_ref() {
            let place = Place::Key(self.node.place, key);
            if self.gaps.keys.contains(key.as_str()) {
                continue;
            }
            self.next = Some((key, value));
            let text: StrDeserializer<'_, Error> = key.as_str().into_deserializer();
            return match seed.deserialize(text) {
                Ok(read) => Ok(Some(read)),
                Err(error) => Err(error.at(&place)),
            };
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (key, value) = self.next.take().expect("serde asks for a value after its key");
        let place = Place::Key(self.node.place, key);
        seed.deserialize(Node { value, place: &place, left_out: self.node.left_out })
            .map_err(|error| error.at(&place))
    }
}

struct Chosen<'a, 'de> {
    name: &'de str,
    content: Option<Node<'a, 'de>>,
}

impl<'a, 'de> EnumAccess<'de> for Chosen<'a, 'de> {
    type Error = Error;
    type Variant = Content<'a, 'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant), Error> {
        let name: StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, Content(self.content)))
    }
}

struct Content<'a, 'de>(Option<Node<'a, 'de>>);

impl<'a, 'de> Content<'a, 'de> {
    fn node(self) -> Result<Node<'a, 'de>, Error> {
        self.0.ok_or_else(|| Error::wrong("must be an object with this name and its value".into()))
    }
}

impl<'de> VariantAccess<'de> for Content<'_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.0 {
            None => Ok(()),
            Some(node) => Err(Error::wrong("must be a plain name".into()).at(node.place)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        let node = self.node()?;
        let place = node.place;
        seed.deserialize(node).map_err(|error| error.at(place))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(self.node()?, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        de::Deserializer::deserialize_any(self.node()?, visitor)
    }
}

#[cfg(test)]
mod tests;
