//! The error of reading a tree into a type: what is wrong, and where on the way down.

use std::fmt::{self, Display};

use serde::de::{self, Expected, Unexpected};

use crate::nearest::nearest;
use crate::path::{KeyPath, Segment};
use crate::problem::Location;

/// Why a tree does not fit a type. Collects its path while it travels up.
#[derive(Debug)]
pub(crate) struct ReadError {
    kind: Kind,
    /// From the value up to the file, in that order.
    way_up: Vec<Segment>,
    pub(crate) location: Option<Location>,
}

#[derive(Debug)]
enum Kind {
    UnknownKey { key: String, known: &'static [&'static str] },
    MissingKey(&'static str),
    Other(String),
}

impl ReadError {
    /// Names the place, unless one closer to the cause is known already.
    pub(super) fn at(mut self, location: Location) -> Self {
        self.location.get_or_insert(location);
        self
    }

    /// Notes one step of the way up.
    pub(super) fn under(mut self, segment: Segment) -> Self {
        self.way_up.push(segment);
        self
    }

    /// Hides what a variable expanded to: it may be a secret.
    pub(super) fn hide(mut self, expanded: &str, written: &str) -> Self {
        if let Kind::Other(message) = &mut self.kind
            && !expanded.is_empty()
        {
            *message = message.replace(expanded, written);
        }
        self
    }

    /// The value (or the unknown key) that is wrong.
    pub(crate) fn path(&self) -> KeyPath {
        KeyPath(self.way_up.iter().rev().cloned().collect())
    }

    pub(super) fn is_missing_key(&self) -> bool {
        matches!(self.kind, Kind::MissingKey(_))
    }

    /// The message for the user, with the path in it.
    pub(crate) fn message(&self) -> String {
        let path = self.path();
        match &self.kind {
            Kind::UnknownKey { key, known } => {
                let place = path.parent().filter(|above| !above.is_root());
                let place = place.map(|above| format!(" in {above}")).unwrap_or_default();
                format!("unknown key `{key}`{place}{}", suggestion(key, known))
            }
            Kind::MissingKey(key) if path.is_root() => format!("missing key `{key}`"),
            Kind::MissingKey(key) => format!("{path}: missing key `{key}`"),
            Kind::Other(message) if path.is_root() => message.clone(),
            Kind::Other(message) => format!("{path}: {message}"),
        }
    }
}

/// `, did you mean …?`, or all that would be right.
fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!(", did you mean `{meant}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; known here: {}", known.join(", ")),
    }
}

impl de::Error for ReadError {
    fn custom<T: Display>(message: T) -> Self {
        Self { kind: Kind::Other(message.to_string()), way_up: Vec::new(), location: None }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        Self::custom(format_args!("expected {}, got {}", in_plain_words(&expected), describe(unexpected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let kind = Kind::UnknownKey { key: field.to_owned(), known: expected };
        Self { kind, way_up: Vec::new(), location: None }
    }

    fn missing_field(field: &'static str) -> Self {
        Self { kind: Kind::MissingKey(field), way_up: Vec::new(), location: None }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("unknown value `{variant}`{}", suggestion(variant, expected)))
    }
}

/// Serde's words for what was expected, in the words of the file's author.
fn in_plain_words(expected: &str) -> &str {
    match expected {
        "a map" => "a mapping",
        "a sequence" => "a list",
        "a string" | "path string" => "text",
        "a boolean" => "true or false",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f32" | "f64" => "a number",
        _ if expected.starts_with("struct ") => "a mapping",
        _ if expected.starts_with("enum ") => "a word",
        _ => expected,
    }
}

/// What was found, without text that could be a secret.
fn describe(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Str(_) | Unexpected::Char(_) | Unexpected::Bytes(_) => "text".to_owned(),
        Unexpected::Seq | Unexpected::TupleVariant => "a list".to_owned(),
        Unexpected::Map | Unexpected::StructVariant => "a mapping".to_owned(),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number".to_owned(),
        Unexpected::Other(other) => other.to_owned(),
        _ => "something else".to_owned(),
    }
}

impl Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for ReadError {}
