//! From the merged tree to a configuration's types. The type of a key decides what a variable's text is: a string key
//! takes it as it is, a number must be one, a list or table is written as in TOML.

use std::collections::btree_map;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use toml::{Value, de::Error};

use super::overlay::{Node, Section, Variable};

impl<'de> Deserializer<'de> for Section {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Entries { left: self.entries.into_iter(), node: None })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Entries {
    left: btree_map::IntoIter<String, Node>,
    node: Option<Node>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, node)) = self.left.next() else { return Ok(None) };
        self.node = Some(node);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.node.take() {
            Some(node) => seed.deserialize(node),
            None => Err(Error::custom("a value without its key")),
        }
    }
}

impl Variable {
    /// The text read as TOML, where all of it is one value.
    fn toml(&self) -> Option<Value> {
        self.text.parse().ok()
    }

    /// Where the type is free: as the file has it, else TOML if it reads as TOML, and a string if not.
    fn free(self) -> Value {
        let read = if self.is_string_in_file { None } else { self.toml() };
        read.unwrap_or(Value::String(self.text))
    }

    fn number(&self) -> Result<Value, Error> {
        let is_number = |value: &Value| value.is_integer() || value.is_float();
        self.toml().filter(is_number).ok_or_else(|| Error::custom("not a number"))
    }
}

macro_rules! number {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self {
                Node::Variable(variable) => variable.number()?.$method(visitor),
                node => node.deserialize_any(visitor),
            }
        }
    )*};
}

macro_rules! text {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self {
                Node::Variable(variable) => visitor.visit_string(variable.text),
                node => node.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Node {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::File(value) => value.deserialize_any(visitor),
            Self::Variable(variable) => variable.free().deserialize_any(visitor),
            Self::Section(section) => section.deserialize_any(visitor),
        }
    }

    number! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    text! { deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Variable(variable) => match variable.text.as_str() {
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                _ => Err(Error::custom("neither true nor false")),
            },
            node => node.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let value = match self {
            Self::File(value) => value,
            Self::Variable(variable) => Value::String(variable.text),
            Self::Section(section) => section.into_value(),
        };
        value.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! { unit unit_struct seq tuple tuple_struct map struct identifier ignored_any }
}

impl Section {
    fn into_value(self) -> Value {
        let value = |node| match node {
            Node::File(value) => value,
            Node::Variable(variable) => variable.free(),
            Node::Section(section) => section.into_value(),
        };
        Value::Table(self.entries.into_iter().map(|(key, node)| (key, value(node))).collect())
    }
}
