//! What a call used, in disjoint classes.
//!
//! Providers count differently: OpenAI's prompt tokens contain the cached ones, Anthropic's do not; Gemini's
//! candidates leave the thoughts out, OpenAI's completion contains them. Every reader of usage turns its
//! provider's counts into this one form, in which **no token is in two classes**, so that cost is a plain sum.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What was used. The token classes are disjoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Class {
    /// Fresh input: neither read from nor written to a cache, neither audio nor image.
    Input,
    /// Input read from the provider's prompt cache.
    CacheRead,
    /// Input written to a cache that lives five minutes (or whose lifetime the provider does not say).
    #[serde(rename = "cache_write_5m")]
    CacheWrite5m,
    /// Input written to a cache that lives one hour.
    #[serde(rename = "cache_write_1h")]
    CacheWrite1h,
    /// Audio input.
    AudioIn,
    /// Image input, where the provider counts it apart from text.
    ImageIn,
    /// Output that the client sees as text or tool calls.
    Output,
    /// Output spent on reasoning.
    Reasoning,
    /// Audio output.
    AudioOut,
    /// The call itself, for prices per request.
    Request,
    /// Images made.
    Image,
    /// Pages read (OCR).
    Page,
    /// Searches made by the provider.
    Search,
    /// Characters spoken or read.
    Character,
    /// Time of audio or video, in milliseconds.
    Duration,
}

/// The unit a class is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Unit {
    /// Tokens.
    Token,
    /// Requests.
    Request,
    /// Images.
    Image,
    /// Pages.
    Page,
    /// Searches.
    Search,
    /// Characters.
    Character,
    /// Milliseconds; prices are per second.
    Millisecond,
}

/// The token classes, in the order in which the ledger and the metrics list them.
pub const TOKEN_CLASSES: [Class; 9] = [
    Class::Input,
    Class::CacheRead,
    Class::CacheWrite5m,
    Class::CacheWrite1h,
    Class::AudioIn,
    Class::ImageIn,
    Class::Output,
    Class::Reasoning,
    Class::AudioOut,
];

impl Class {
    /// The name in rows, metrics and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Class::Input => "input",
            Class::CacheRead => "cache_read",
            Class::CacheWrite5m => "cache_write_5m",
            Class::CacheWrite1h => "cache_write_1h",
            Class::AudioIn => "audio_in",
            Class::ImageIn => "image_in",
            Class::Output => "output",
            Class::Reasoning => "reasoning",
            Class::AudioOut => "audio_out",
            Class::Request => "request",
            Class::Image => "image",
            Class::Page => "page",
            Class::Search => "search",
            Class::Character => "character",
            Class::Duration => "duration",
        }
    }

    /// The unit in which weir counts this class unless a provider bills it in another.
    pub fn unit(self) -> Unit {
        match self {
            Class::Request => Unit::Request,
            Class::Image => Unit::Image,
            Class::Page => Unit::Page,
            Class::Search => Unit::Search,
            Class::Character => Unit::Character,
            Class::Duration => Unit::Millisecond,
            _ => Unit::Token,
        }
    }

    /// Whether the class is part of the prompt.
    pub fn is_input(self) -> bool {
        (self as u8) <= Class::ImageIn as u8
    }
}

/// A map from (class, unit) to a count. Token counts need no allocation.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Usage {
    tokens: [u64; TOKEN_CLASSES.len()],
    others: Vec<((Class, Unit), u64)>,
}

impl Usage {
    /// Nothing used.
    pub fn new() -> Usage {
        Usage::default()
    }

    /// The count of tokens in `class`; 0 where none was reported.
    pub fn tokens(&self, class: Class) -> u64 {
        self.get(class, Unit::Token)
    }

    /// The count of `class` in `unit`; 0 where none was reported.
    pub fn get(&self, class: Class, unit: Unit) -> u64 {
        match slot(class, unit) {
            Some(slot) => self.tokens[slot],
            None => self.others.iter().find(|(key, _)| *key == (class, unit)).map_or(0, |(_, count)| *count),
        }
    }

    /// Sets the count of `class` in its usual unit.
    pub fn set(&mut self, class: Class, count: u64) {
        self.set_in(class, class.unit(), count);
    }

    /// Sets the count of `class` in `unit`.
    pub fn set_in(&mut self, class: Class, unit: Unit, count: u64) {
        match slot(class, unit) {
            Some(slot) => self.tokens[slot] = count,
            None => match self.others.iter_mut().find(|(key, _)| *key == (class, unit)) {
                Some((_, old)) => *old = count,
                None => {
                    self.others.push(((class, unit), count));
                    self.others.sort_unstable_by_key(|(key, _)| *key);
                }
            },
        }
    }

    /// The same usage with `class` set, for tests and literals.
    #[must_use]
    pub fn with(mut self, class: Class, count: u64) -> Usage {
        self.set(class, count);
        self
    }

    /// Adds another usage to this one, class by class.
    pub fn add(&mut self, other: &Usage) {
        for ((class, unit), count) in other.iter() {
            self.set_in(class, unit, self.get(class, unit).saturating_add(count));
        }
    }

    /// Every count that is not 0, tokens first.
    pub fn iter(&self) -> impl Iterator<Item = ((Class, Unit), u64)> + '_ {
        let tokens = TOKEN_CLASSES.iter().map(|class| ((*class, Unit::Token), self.tokens[*class as usize]));
        tokens.chain(self.others.iter().copied()).filter(|(_, count)| *count != 0)
    }

    /// All tokens of the prompt, cached and not.
    pub fn prompt_tokens(&self) -> u64 {
        TOKEN_CLASSES
            .iter()
            .filter(|class| class.is_input())
            .map(|class| self.tokens(*class))
            .fold(0, u64::saturating_add)
    }

    /// All tokens of the answer, reasoning included.
    pub fn completion_tokens(&self) -> u64 {
        TOKEN_CLASSES
            .iter()
            .filter(|class| !class.is_input())
            .map(|class| self.tokens(*class))
            .fold(0, u64::saturating_add)
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl fmt::Debug for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|((class, _), count)| (class.name(), count))).finish()
    }
}

/// As a list of `[class, unit, count]`, which any later class or unit can join.
impl Serialize for Usage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|((class, unit), count)| (class, unit, count)))
    }
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Usage, D::Error> {
        let mut usage = Usage::new();
        for (class, unit, count) in Vec::<(Class, Unit, u64)>::deserialize(deserializer)? {
            usage.set_in(class, unit, count);
        }
        Ok(usage)
    }
}

fn slot(class: Class, unit: Unit) -> Option<usize> {
    let slot = class as usize;
    (unit == Unit::Token && slot < TOKEN_CLASSES.len()).then_some(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_over_disjoint_classes() {
        let usage = Usage::new()
            .with(Class::Input, 10)
            .with(Class::CacheRead, 90)
            .with(Class::Output, 5)
            .with(Class::Reasoning, 7);
        assert_eq!((usage.prompt_tokens(), usage.completion_tokens()), (100, 12));
    }

    #[test]
    fn other_units_stand_beside_tokens() {
        let mut usage = Usage::new().with(Class::Search, 3);
        usage.add(&Usage::new().with(Class::Search, 2).with(Class::Input, 1));
        assert_eq!(usage.get(Class::Search, Unit::Search), 5);
        assert_eq!(serde_json::to_string(&usage).unwrap(), r#"[["input","token",1],["search","search",5]]"#);
        assert_eq!(serde_json::from_str::<Usage>(&serde_json::to_string(&usage).unwrap()).unwrap(), usage);
    }
}
