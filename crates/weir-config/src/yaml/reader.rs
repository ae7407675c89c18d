//! Reads a tree into any type that serde knows.
//!
//! Stricter and kinder than a plain YAML reader: text is not taken for a number unless a variable expanded to it,
//! a number is handed out as its text where text is asked for, and a section with nothing in it is an empty one.

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use super::error::ReadError;
use super::node::{Entry, Form, Node, Scalar, Value};
use crate::path::Segment;

type Result<T> = std::result::Result<T, ReadError>;

/// A view of one value.
#[derive(Clone, Copy)]
pub(super) struct Reader<'n>(pub(super) &'n Node);

impl<'n> Reader<'n> {
    /// Adds place to an error, and hides what variables expanded to.
    fn finish<T>(self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let error = error.at(self.0.location);
            match &self.0.value {
                Value::Scalar(Scalar { text, written: Some(written), .. }) => error.hide(text, written),
                _ => error,
            }
        })
    }

    fn refuse<'de, V: Visitor<'de>>(self, visitor: &V) -> Result<V::Value> {
        let unexpected = match &self.0.value {
            Value::Null => Unexpected::Unit,
            Value::List(_) => Unexpected::Seq,
            Value::Map(_) => Unexpected::Map,
            Value::Scalar(scalar) => match scalar.form {
                Form::Text => Unexpected::Str(&scalar.text),
                Form::Bool => Unexpected::Other("`true` or `false`"),
                Form::Number => Unexpected::Other("a number"),
            },
        };
        self.finish(Err(ReadError::invalid_type(unexpected, visitor)))
    }

    /// The text of a scalar that may be read as a number or truth value.
    fn unquoted(self) -> Option<&'n str> {
        match &self.0.value {
            Value::Scalar(s) if s.form != Form::Text || s.written.is_some() => Some(s.text.trim()),
            _ => None,
        }
    }

    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let Some(text) = self.unquoted() else { return self.refuse(&visitor) };
        let digits = text.replace('_', "");
        if let Ok(number) = digits.parse::<u64>() {
            self.finish(visitor.visit_u64(number))
        } else if let Ok(number) = digits.parse::<i64>() {
            self.finish(visitor.visit_i64(number))
        } else if let Ok(number) = digits.parse::<i128>() {
            self.finish(visitor.visit_i128(number))
        } else {
            self.refuse(&visitor)
        }
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let number = self.unquoted().and_then(|text| text.parse::<f64>().ok()).filter(|n| n.is_finite());
        match number {
            Some(number) => self.finish(visitor.visit_f64(number)),
            None => self.refuse(&visitor),
        }
    }

    fn truth<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.unquoted() {
            Some(text) if text.eq_ignore_ascii_case("true") => self.finish(visitor.visit_bool(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => self.finish(visitor.visit_bool(false)),
            _ => self.refuse(&visitor),
        }
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &self.0.value {
            Value::List(nodes) => self.finish(visitor.visit_seq(List { nodes: nodes.iter(), index: 0 })),
            Value::Null => self.finish(visitor.visit_seq(List { nodes: [].iter(), index: 0 })),
            _ => self.refuse(&visitor),
        }
    }

    fn map<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &self.0.value {
            Value::Map(entries) => self.finish(visitor.visit_map(Map::new(entries))),
            Value::Null => self.finish(visitor.visit_map(Map::new(&[]))),
            _ => self.refuse(&visitor),
        }
    }
}

macro_rules! forward {
    ($to:ident: $($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> { self.$to(visitor) })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &self.0.value {
            Value::Null => self.finish(visitor.visit_unit()),
            Value::List(_) => self.list(visitor),
            Value::Map(_) => self.map(visitor),
            Value::Scalar(scalar) => match scalar.form {
                Form::Text => self.finish(visitor.visit_str(&scalar.text)),
                Form::Bool => self.truth(visitor),
                Form::Number if scalar.text.contains(['.', 'e', 'E']) => self.float(visitor),
                Form::Number => self.integer(visitor),
            },
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &self.0.value {
            Value::Scalar(scalar) => self.finish(visitor.visit_str(&scalar.text)),
            _ => self.refuse(&visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &self.0.value {
            Value::Null => self.finish(visitor.visit_none()),
            _ => self.finish(visitor.visit_some(self)),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match &self.0.value {
            Value::Null => self.finish(visitor.visit_unit()),
            _ => self.refuse(&visitor),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value> {
        self.finish(visitor.visit_newtype_struct(self))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match &self.0.value {
            Value::Scalar(scalar) => {
                let name: StrDeserializer<'_, ReadError> = scalar.text.as_str().into_deserializer();
                self.finish(visitor.visit_enum(name))
            }
            Value::Map(entries) if entries.len() == 1 => {
                self.finish(visitor.visit_enum(Variant(&entries[0])))
            }
            _ => self.refuse(&visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    forward!(integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128);
    forward!(integer: deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128);
    forward!(float: deserialize_f32 deserialize_f64);
    forward!(truth: deserialize_bool);
    forward!(deserialize_str: deserialize_char deserialize_string deserialize_identifier deserialize_bytes deserialize_byte_buf);
    forward!(list: deserialize_seq);
    forward!(map: deserialize_map);
}

/// Walks the entries of a list, leaving out what was taken out.
struct List<'n> {
    nodes: std::slice::Iter<'n, Node>,
    index: usize,
}

impl<'de> SeqAccess<'de> for List<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        for node in self.nodes.by_ref() {
            let index = self.index;
            self.index += 1;
            if !node.removed {
                let reader = Reader(node);
                let element = reader.finish(seed.deserialize(reader));
                return element.map(Some).map_err(|error| error.under(Segment::Index(index)));
            }
        }
        Ok(None)
    }
}

/// Walks the entries of a mapping, leaving out what was taken out.
struct Map<'n> {
    entries: std::slice::Iter<'n, Entry>,
    current: Option<&'n Entry>,
}

impl<'n> Map<'n> {
    fn new(entries: &'n [Entry]) -> Self {
        Self { entries: entries.iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Map<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let Some(entry) = self.entries.by_ref().find(|entry| !entry.node.removed) else { return Ok(None) };
        self.current = Some(entry);
        let name: StrDeserializer<'_, ReadError> = entry.key.as_str().into_deserializer();
        let key = seed.deserialize(name);
        key.map(Some).map_err(|error| error.at(entry.location).under(Segment::Key(entry.key.clone())))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let entry = self.current.take().ok_or_else(|| ReadError::custom("value asked for before its key"))?;
        let reader = Reader(&entry.node);
        reader.finish(seed.deserialize(reader)).map_err(|error| error.under(Segment::Key(entry.key.clone())))
    }
}

/// A variant written as a mapping with one key.
struct Variant<'n>(&'n Entry);

impl<'de, 'n> EnumAccess<'de> for Variant<'n> {
    type Error = ReadError;
    type Variant = Content<'n>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'n>)> {
        let name: StrDeserializer<'_, ReadError> = self.0.key.as_str().into_deserializer();
        Ok((seed.deserialize(name)?, Content(self.0)))
    }
}

/// What stands under a variant's name.
struct Content<'n>(&'n Entry);

impl Content<'_> {
    fn under<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.under(Segment::Key(self.0.key.clone())))
    }
}

impl<'de> VariantAccess<'de> for Content<'_> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<()> {
        self.under(de::Deserialize::deserialize(Reader(&self.0.node)))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        self.under(seed.deserialize(Reader(&self.0.node)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.under(Reader(&self.0.node).list(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.under(Reader(&self.0.node).map(visitor))
    }
}
