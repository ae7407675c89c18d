//! A call with its attempts as one JSON object, for the admin API and for the log of calls.
//!
//! The log has a line for each call, and a tree of values costs as much as the call does: so which members there are
//! stands here once, and where they go, a tree or a line of text, is the reader's choice.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use weir_catalog::NanoUsd;
use weir_ledger::{AttemptRow, CallRow, Text};
use weir_wire::Usage;
use weir_wire::usage::TOKEN_CLASSES;

use super::time;

/// Takes the members of an object.
pub trait Members: Sized {
    /// A text, or null.
    fn text(&mut self, name: &str, value: Option<&str>);
    /// A count, or null.
    fn count(&mut self, name: &str, value: Option<u64>);
    /// Yes or no.
    fn flag(&mut self, name: &str, value: bool);
    /// Texts.
    fn texts(&mut self, name: &str, values: &[Text]);
    /// Objects.
    fn objects<T>(&mut self, name: &str, items: &[T], put: fn(&T, &mut Self));
}

/// Puts a call with its attempts.
pub fn put(call: &CallRow, attempts: &[AttemptRow], to: &mut impl Members) {
    let facts = &call.facts;
    to.text("id", Some(&call.id.to_text()));
    to.text("request_id", Some(&facts.request_id));
    to.text("started_at", Some(&time::text(facts.started_at)));
    to.text("ended_at", Some(&time::text(call.ended_at)));
    to.text("key", Some(&facts.key));
    to.text("team", facts.team.as_deref());
    to.text("user", facts.user.as_deref());
    to.text("session", facts.session.as_deref());
    to.texts("tags", &facts.tags);
    to.text("dialect", Some(&facts.dialect));
    to.text("operation", Some(&facts.operation));
    to.text("route", Some(&facts.route));
    to.text("provider", call.provider.as_deref());
    to.text("model", call.model.as_deref());
    to.flag("stream", facts.stream);
    to.count("status", Some(call.status.into()));
    to.text("end", Some(call.end.name()));
    to.text("cache", Some(call.cache.name()));
    to.text("usage_source", Some(call.usage_source.name()));
    to.text("price_id", call.price_id.as_deref());
    put_usd("cost_usd", call.cost_nanousd, to);
    put_usd("cache_saved_usd", call.cache_saved_nanousd, to);
    to.count("ttft_ms", call.ttft_ms);
    to.count("duration_ms", Some(call.duration_ms));
    to.count("overhead_us", Some(call.overhead_us));
    to.text("error_code", call.error_code.as_deref());
    put_tokens(&call.usage, to);
    to.objects("attempts", attempts, put_attempt);
}

fn put_attempt<M: Members>(attempt: &AttemptRow, to: &mut M) {
    to.text("id", Some(&attempt.id.to_text()));
    to.text("started_at", Some(&time::text(attempt.started_at)));
    to.text("ended_at", Some(&time::text(attempt.ended_at)));
    to.text("provider", Some(&attempt.provider));
    to.text("model", Some(&attempt.model));
    to.text("credential", attempt.credential.as_deref());
    to.text("state", Some(attempt.state.name()));
    to.count("upstream_status", attempt.upstream_status.map(u64::from));
    to.text("upstream_request_id", attempt.upstream_request_id.as_deref());
    to.text("usage_source", Some(attempt.usage_source.name()));
    to.text("price_id", attempt.price_id.as_deref());
    put_usd("cost_usd", attempt.cost_nanousd, to);
    to.count("ttft_ms", attempt.ttft_ms);
    to.count("duration_ms", Some(attempt.duration_ms));
    to.text("error_code", attempt.error_code.as_deref());
    put_tokens(&attempt.usage, to);
}

/// `input_tokens` and the like, of each class.
fn put_tokens(usage: &Usage, to: &mut impl Members) {
    static NAMES: LazyLock<Vec<String>> =
        LazyLock::new(|| TOKEN_CLASSES.iter().map(|class| format!("{}_tokens", class.name())).collect());
    for (name, class) in NAMES.iter().zip(TOKEN_CLASSES) {
        to.count(name, Some(usage.tokens(class)));
    }
}

fn put_usd(name: &str, nanousd: Option<i64>, to: &mut impl Members) {
    let text = nanousd.map(|cost| {
        let mut text = String::with_capacity(24);
        NanoUsd(cost).put(&mut text);
        text
    });
    to.text(name, text.as_deref());
}

/// As a tree.
impl Members for Map<String, Value> {
    fn text(&mut self, name: &str, value: Option<&str>) {
        self.insert(name.to_owned(), value.into());
    }

    fn count(&mut self, name: &str, value: Option<u64>) {
        self.insert(name.to_owned(), value.into());
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.insert(name.to_owned(), value.into());
    }

    fn texts(&mut self, name: &str, values: &[Text]) {
        self.insert(name.to_owned(), values.iter().map(|value| Value::from(&**value)).collect());
    }

    fn objects<T>(&mut self, name: &str, items: &[T], put: fn(&T, &mut Self)) {
        let object = |item| {
            let mut object = Map::new();
            put(item, &mut object);
            Value::Object(object)
        };
        self.insert(name.to_owned(), items.iter().map(object).collect());
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

    /// Names are weir's own: nothing in them is escaped.
    fn name(&mut self, name: &str) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[')) {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn string(&mut self, text: &str) {
        if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            // Writing to memory does not fail.
            drop(serde_json::to_writer(&mut self.0, text));
            return;
        }
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
    }

    fn null(&mut self) {
        self.0.extend_from_slice(b"null");
    }
}

impl Members for Json {
    fn text(&mut self, name: &str, value: Option<&str>) {
        self.name(name);
        match value {
            Some(text) => self.string(text),
            None => self.null(),
        }
    }

    fn count(&mut self, name: &str, value: Option<u64>) {
        self.name(name);
        match value {
            Some(count @ 0..=9) => self.0.push(b'0' + count as u8),
            Some(count) => drop(serde_json::to_writer(&mut self.0, &count)),
            None => self.null(),
        }
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn texts(&mut self, name: &str, values: &[Text]) {
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

    fn objects<T>(&mut self, name: &str, items: &[T], put: fn(&T, &mut Self)) {
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
