//! A call with its attempts as one JSON object, for the admin API and for the log of calls.
//!
//! The log has a line for each call, and a tree of values costs as much as the call does: so which members there are
//! stands here once, and where they go, a tree or a line of text, is the reader's choice.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use weir_catalog::NanoUsd;
use weir_gateway::watch::Content;
use weir_ledger::{AttemptRow, CallRow, Text};
use weir_wire::Usage;
use weir_wire::usage::TOKEN_CLASSES;

use super::time::Moment;
use crate::redact;

/// The name of a member, and how a line of text has it. A line has fifty.
#[derive(Debug, Clone, Copy)]
pub struct Name<'n> {
    plain: &'n str,
    written: &'n str,
}

/// A name. They are weir's own: nothing in them is escaped.
macro_rules! name {
    ($plain:literal) => {
        $crate::admin::line::Name::new($plain, concat!("\"", $plain, "\":"))
    };
}
pub(crate) use name;

impl<'n> Name<'n> {
    /// A name, and the same in quotes with a colon.
    pub const fn new(plain: &'n str, written: &'n str) -> Name<'n> {
        Name { plain, written }
    }
}

/// Takes the members of an object.
pub trait Members: Sized {
    /// A text, or null.
    fn text(&mut self, name: Name<'_>, value: Option<&str>);
    /// A text of weir's own, in which nothing is to be escaped.
    fn own(&mut self, name: Name<'_>, value: &str) {
        self.text(name, Some(value));
    }
    /// A count, or null.
    fn count(&mut self, name: Name<'_>, value: Option<u64>);
    /// Yes or no.
    fn flag(&mut self, name: Name<'_>, value: bool);
    /// Texts.
    fn texts(&mut self, name: Name<'_>, values: &[Text]);
    /// Objects.
    fn objects<T>(&mut self, name: Name<'_>, items: &[T], put: fn(&T, &mut Self));
}

/// Puts a call with its attempts.
pub fn put(call: &CallRow, attempts: &[AttemptRow], to: &mut impl Members) {
    let facts = &call.facts;
    to.own(name!("id"), &call.id.to_text());
    to.text(name!("request_id"), Some(&facts.request_id));
    to.own(name!("started_at"), &Moment::of(facts.started_at));
    to.own(name!("ended_at"), &Moment::of(call.ended_at));
    to.text(name!("key"), Some(&facts.key));
    to.text(name!("team"), facts.team.as_deref());
    to.text(name!("user"), facts.user.as_deref());
    to.text(name!("session"), facts.session.as_deref());
    to.texts(name!("tags"), &facts.tags);
    to.text(name!("dialect"), Some(&facts.dialect));
    to.text(name!("operation"), Some(&facts.operation));
    to.text(name!("route"), Some(&facts.route));
    to.text(name!("provider"), call.provider.as_deref());
    to.text(name!("model"), call.model.as_deref());
    to.flag(name!("stream"), facts.stream);
    to.count(name!("status"), Some(call.status.into()));
    to.own(name!("end"), call.end.name());
    to.own(name!("cache"), call.cache.name());
    to.own(name!("usage_source"), call.usage_source.name());
    to.text(name!("price_id"), call.price_id.as_deref());
    put_usd(name!("cost_usd"), call.cost_nanousd, to);
    put_usd(name!("cache_saved_usd"), call.cache_saved_nanousd, to);
    to.count(name!("ttft_ms"), call.ttft_ms);
    to.count(name!("duration_ms"), Some(call.duration_ms));
    to.count(name!("overhead_us"), Some(call.overhead_us));
    to.text(name!("error_code"), call.error_code.as_deref());
    put_tokens(&call.usage, to);
    to.objects(name!("attempts"), attempts, put_attempt);
}

/// Puts what was said, redacted, at most so many bytes of each.
pub fn put_said(said: &Content, most: usize, to: &mut impl Members) {
    to.text(name!("request"), Some(&redact::text(&said.request, most)));
    let answer = said.answer.as_ref().map(|answer| redact::text(answer, most));
    to.text(name!("answer"), answer.as_deref());
}

fn put_attempt<M: Members>(attempt: &AttemptRow, to: &mut M) {
    to.own(name!("id"), &attempt.id.to_text());
    to.own(name!("started_at"), &Moment::of(attempt.started_at));
    to.own(name!("ended_at"), &Moment::of(attempt.ended_at));
    to.text(name!("provider"), Some(&attempt.provider));
    to.text(name!("model"), Some(&attempt.model));
    to.text(name!("credential"), attempt.credential.as_deref());
    to.own(name!("state"), attempt.state.name());
    to.count(name!("upstream_status"), attempt.upstream_status.map(u64::from));
    to.text(name!("upstream_request_id"), attempt.upstream_request_id.as_deref());
    to.own(name!("usage_source"), attempt.usage_source.name());
    to.text(name!("price_id"), attempt.price_id.as_deref());
    put_usd(name!("cost_usd"), attempt.cost_nanousd, to);
    to.count(name!("ttft_ms"), attempt.ttft_ms);
    to.count(name!("duration_ms"), Some(attempt.duration_ms));
    to.text(name!("error_code"), attempt.error_code.as_deref());
    put_tokens(&attempt.usage, to);
}

/// `input_tokens` and the like, of each class.
fn put_tokens(usage: &Usage, to: &mut impl Members) {
    static NAMES: LazyLock<Vec<String>> =
        LazyLock::new(|| TOKEN_CLASSES.iter().map(|class| format!("\"{}_tokens\":", class.name())).collect());
    for (written, class) in NAMES.iter().zip(TOKEN_CLASSES) {
        let plain = &written[1..written.len() - 2];
        to.count(Name { plain, written }, Some(usage.tokens(class)));
    }
}

fn put_usd(name: Name<'_>, nanousd: Option<i64>, to: &mut impl Members) {
    let Some(cost) = nanousd else { return to.text(name, None) };
    let mut text = String::with_capacity(24);
    NanoUsd(cost).put(&mut text);
    to.own(name, &text);
}

/// As a tree.
impl Members for Map<String, Value> {
    fn text(&mut self, name: Name<'_>, value: Option<&str>) {
        self.insert(name.plain.to_owned(), value.into());
    }

    fn count(&mut self, name: Name<'_>, value: Option<u64>) {
        self.insert(name.plain.to_owned(), value.into());
    }

    fn flag(&mut self, name: Name<'_>, value: bool) {
        self.insert(name.plain.to_owned(), value.into());
    }

    fn texts(&mut self, name: Name<'_>, values: &[Text]) {
        self.insert(name.plain.to_owned(), values.iter().map(|value| Value::from(&**value)).collect());
    }

    fn objects<T>(&mut self, name: Name<'_>, items: &[T], put: fn(&T, &mut Self)) {
        let object = |item| {
            let mut object = Map::new();
            put(item, &mut object);
            Value::Object(object)
        };
        self.insert(name.plain.to_owned(), items.iter().map(object).collect());
    }
}

/// As text: an object that is open until [`Json::close`].
#[derive(Debug, Default)]
pub struct Json(Vec<u8>);

impl Json {
    /// An object without members, in memory that is used again.
    pub fn open(mut memory: Vec<u8>) -> Json {
        memory.push(b'{');
        Json(memory)
    }

    /// The object as it is now.
    pub fn close(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }

    fn name(&mut self, name: Name<'_>) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[')) {
            self.0.push(b',');
        }
        self.0.extend_from_slice(name.written.as_bytes());
    }

    fn string(&mut self, text: &str) {
        if !is_plain(text.as_bytes()) {
            // Writing to memory does not fail.
            drop(serde_json::to_writer(&mut self.0, text));
            return;
        }
        self.quoted(text);
    }

    fn quoted(&mut self, text: &str) {
        self.0.reserve(text.len() + 2);
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    fn null(&mut self) {
        self.0.extend_from_slice(b"null");
    }
}

/// Whether nothing in a text is to be escaped. Eight bytes at a time: of each, the highest bit tells.
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let is_zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let special = |word: u64| {
        let control = word.wrapping_sub(ONES * 32) & !word;
        (control | is_zero(word ^ (ONES * u64::from(b'"'))) | is_zero(word ^ (ONES * u64::from(b'\\'))))
            & (ONES << 7)
    };
    let mut words = text.chunks_exact(8);
    let any = words
        .by_ref()
        .fold(0, |any, word| any | word.first_chunk().map_or(0, |bytes| special(u64::from_le_bytes(*bytes))));
    let rest = words.remainder();
    // What is not there is taken for letters.
    let mut last = [b'a'; 8];
    last[..rest.len()].copy_from_slice(rest);
    any | special(u64::from_le_bytes(last)) == 0
}

impl Members for Json {
    fn own(&mut self, name: Name<'_>, value: &str) {
        self.name(name);
        self.quoted(value);
    }

    fn text(&mut self, name: Name<'_>, value: Option<&str>) {
        self.name(name);
        match value {
            Some(text) => self.string(text),
            None => self.null(),
        }
    }

    fn count(&mut self, name: Name<'_>, value: Option<u64>) {
        self.name(name);
        match value {
            Some(count @ 0..=9) => self.0.push(b'0' + count as u8),
            Some(count) => drop(serde_json::to_writer(&mut self.0, &count)),
            None => self.null(),
        }
    }

    fn flag(&mut self, name: Name<'_>, value: bool) {
        self.name(name);
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn texts(&mut self, name: Name<'_>, values: &[Text]) {
        self.name(name);
        self.0.push(b'[');
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                self.0.push(b',');
            }
            self.string(value);
        }
        self.0.push(b']');
    }

    fn objects<T>(&mut self, name: Name<'_>, items: &[T], put: fn(&T, &mut Self)) {
        self.name(name);
        self.0.push(b'[');
        for (at, item) in items.iter().enumerate() {
            self.0.extend_from_slice(if at > 0 { b",{" } else { b"{" });
            put(item, self);
            self.0.push(b'}');
        }
        self.0.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_ledger::CallId;
    use weir_ledger::row::sample;

    use super::*;

    #[test]
    fn whatever_is_to_be_escaped_is_seen_wherever_it_stands() {
        for length in 0..40 {
            let mut text = vec![b'x'; length];
            assert!(is_plain(&text));
            for at in 0..length {
                for byte in 0..=255 {
                    text[at] = byte;
                    assert_eq!(
                        is_plain(&text),
                        byte >= b' ' && byte != b'"' && byte != b'\\',
                        "{byte} at {at}"
                    );
                }
                text[at] = b'x';
            }
        }
    }

    #[test]
    fn a_line_of_text_says_what_the_tree_says() {
        let mut facts = (*sample::facts(5)).clone();
        facts.tags = vec!["a".into(), "quote \" and \\ and \n and é".into()];
        facts.team = Some("t\u{1}".into());
        let facts = Arc::new(facts);
        let attempts: Vec<_> = (1..=2)
            .map(|n| sample::settled(&sample::open(CallId::at(9, &[1; 10]), n, &facts), 1_230_000_000))
            .collect();
        let mut call = sample::finished(&attempts[1]);
        (call.cost_nanousd, call.duration_ms) = (None, 12_345);
        for attempts in [&attempts[..], &[]] {
            let (mut tree, mut json) = (Map::new(), Json::open(Vec::new()));
            put(&call, attempts, &mut tree);
            put(&call, attempts, &mut json);
            let text = String::from_utf8(json.close()).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), Value::Object(tree.clone()));
            assert_eq!(text, serde_json::to_string(&tree).unwrap(), "in the same order");
        }
    }
}
