//! A YAML file as a tree that remembers where each value stood and how it was written.
//!
//! The tree sits between parser and types for four reasons: numbers keep their text (money is never read through
//! a float), variables expand in values only, every problem can name its line, and one problem does not hide the
//! next. The parser's limits on depth, size and aliases apply while it is built.

use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::path::{KeyPath, Segment};
use crate::problem::Location;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) location: Location,
    /// The value's bytes in the source, for scalars; quotes included.
    pub(crate) bytes: Range<usize>,
    pub(crate) value: Value,
    /// Taken out of the tree because of a problem with it.
    pub(crate) removed: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A scalar as written.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    pub(crate) form: Form,
    /// The text before variables were expanded, where that changed it. Errors show this one.
    pub(crate) written: Option<String>,
}

/// What YAML takes a scalar for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Bool,
    Number,
    Text,
}

/// A key of a mapping and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) location: Location,
    /// The key's bytes in the source; quotes included.
    pub(crate) bytes: Range<usize>,
    pub(crate) node: Node,
}

/// One step further: turns what serde hands over into a [`Value`], without the number texts.
enum Raw {
    Null,
    Bool,
    Number,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl Node {
    /// The entry of a mapping with this key, if it is there and was not taken out.
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == key && !entry.node.removed)
    }

    /// The node at a path, even one taken out.
    pub(crate) fn find(&self, path: &[Segment]) -> Option<&Node> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        self.child(first)?.find(rest)
    }

    pub(crate) fn find_mut(&mut self, path: &[Segment]) -> Option<&mut Node> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        let child = match (&mut self.value, first) {
            (Value::Map(entries), Segment::Key(key)) => {
                entries.iter_mut().find(|entry| entry.key == *key).map(|entry| &mut entry.node)
            }
            (Value::List(nodes), Segment::Index(index)) => nodes.get_mut(*index),
            _ => None,
        };
        child?.find_mut(rest)
    }

    fn child(&self, segment: &Segment) -> Option<&Node> {
        match (&self.value, segment) {
            (Value::Map(entries), Segment::Key(key)) => {
                entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.node)
            }
            (Value::List(nodes), Segment::Index(index)) => nodes.get(*index),
            _ => None,
        }
    }

    /// Whether something in this mapping or list was taken out.
    pub(crate) fn has_gaps(&self) -> bool {
        match &self.value {
            Value::Map(entries) => entries.iter().any(|entry| entry.node.removed),
            Value::List(nodes) => nodes.iter().any(|node| node.removed),
            _ => false,
        }
    }

    /// Calls `visit` with every value under this one, itself first, and its path.
    pub(crate) fn walk(&self, path: &KeyPath, visit: &mut impl FnMut(&KeyPath, &Node)) {
        if self.removed {
            return;
        }
        visit(path, self);
        match &self.value {
            Value::Map(entries) => entries.iter().for_each(|e| e.node.walk(&path.key(&e.key), visit)),
            Value::List(nodes) => nodes.iter().enumerate().for_each(|(i, n)| n.walk(&path.index(i), visit)),
            Value::Null | Value::Scalar(_) => {}
        }
    }

    /// As [`Node::walk`], over scalars that may be changed.
    pub(crate) fn walk_scalars(
        &mut self,
        path: &KeyPath,
        visit: &mut impl FnMut(&KeyPath, Location, &mut Scalar) -> bool,
    ) {
        let keep = match &mut self.value {
            Value::Map(entries) => {
                entries.iter_mut().for_each(|e| e.node.walk_scalars(&path.key(&e.key), visit));
                true
            }
            Value::List(nodes) => {
                nodes.iter_mut().enumerate().for_each(|(i, n)| n.walk_scalars(&path.index(i), visit));
                true
            }
            Value::Scalar(scalar) => visit(path, self.location, scalar),
            Value::Null => true,
        };
        self.removed |= !keep;
    }

    /// Puts the text of every number and truth value in, sliced out of the source.
    pub(crate) fn fill(&mut self, source: &str) {
        match &mut self.value {
            Value::Map(entries) => entries.iter_mut().for_each(|entry| entry.node.fill(source)),
            Value::List(nodes) => nodes.iter_mut().for_each(|node| node.fill(source)),
            Value::Scalar(scalar) if scalar.form != Form::Text => {
                source.get(self.bytes.clone()).unwrap_or_default().clone_into(&mut scalar.text);
            }
            Value::Scalar(_) | Value::Null => {}
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Raw>::deserialize(deserializer)?;
        let scalar = |form, text| Value::Scalar(Scalar { text, form, written: None });
        let value = match spanned.value {
            Raw::Null => Value::Null,
            Raw::Bool => scalar(Form::Bool, String::new()),
            Raw::Number => scalar(Form::Number, String::new()),
            Raw::Text(text) => scalar(Form::Text, text),
            Raw::List(nodes) => Value::List(nodes),
            Raw::Map(entries) => Value::Map(entries),
        };
        Ok(Node {
            location: location(&spanned.referenced),
            bytes: bytes(&spanned.defined),
            value,
            removed: false,
        })
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Bool)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element()? {
            nodes.push(node);
        }
        Ok(Raw::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let node = access.next_value()?;
            let (location, bytes) = (location(&key.referenced), bytes(&key.defined));
            entries.push(Entry { key: key.value, location, bytes, node });
        }
        Ok(Raw::Map(entries))
    }
}

fn location(at: &serde_saphyr::Location) -> Location {
    let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Location { line: short(at.line()), column: short(at.column()) }
}

fn bytes(at: &serde_saphyr::Location) -> Range<usize> {
    let span = at.span();
    let (Some(start), Some(length)) = (span.byte_offset(), span.byte_len()) else { return 0..0 };
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    start..start.saturating_add(usize::try_from(length).unwrap_or(0))
}
