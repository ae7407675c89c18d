//! `/admin/v1/requests`: the ledger's rows, latest first, each call with its attempts.

use std::sync::LazyLock;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use weir_catalog::NanoUsd;
use weir_ledger::{AttemptRow, CallColumn, CallFilter, CallId, CallRecord, CallRow, Page};
use weir_wire::Usage;
use weir_wire::usage::TOKEN_CLASSES;

use super::input::invalid;
use super::time::text;
use super::{Answer, Ask, Desk, missing, page, unavailable};
use crate::handlers::spend::moment;

/// The parameters of the list.
pub const PARAMETERS: &[(&str, &str)] = &[
    ("limit", "how many, 1 to 200; 50 where it is not said"),
    ("cursor", "`next_cursor` of the page before"),
    ("since", "how far back, as in 7d or 12h, or a day (UTC) or time; all where it is not said"),
    ("until", "up to when, likewise, and not in it; now where it is not said"),
    ("key", "only calls with the key of this name"),
    ("team", "only calls of this team"),
    ("user", "only calls of this end user"),
    ("session", "only calls of this session"),
    ("route", "only calls that asked for this public name"),
    ("provider", "only calls that this provider answered last"),
    ("model", "only calls that this model answered last, by the provider's name for it"),
    (
        "end",
        "only calls that ended so: complete, client_gone, provider_error, timeout, cut, refused, gateway_error, orphaned",
    ),
];

/// Calls with their attempts, latest first.
pub fn list<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let before = ask.parameter("cursor").map(str::parse::<CallId>).transpose();
        let before = before
            .map_err(|_| invalid("`cursor` is none of weir's; take `next_cursor` of the page before"))?;
        let moment = |name| ask.parameter(name).map(|text| moment(name, text, ask.now)).transpose();
        let (since, until) = (moment("since")?, moment("until")?);
        let asked = |column: CallColumn| Some((column, ask.parameter(column.name())?.to_owned()));
        let is = CallColumn::ALL.into_iter().filter_map(asked).collect();
        let filter = CallFilter { is, since, until };
        let wanted = Page { limit: page::limit(ask)?, before, filter };
        let recent = desk.store.recent(&wanted).await.map_err(|error| unavailable(&error))?;
        Ok(page::page(recent.calls.iter().map(shown).collect(), recent.next.map(|id| id.to_string())))
    })
}

/// One call, by the ledger's id or the request's.
pub fn one<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let found = desk.store.call(&ask.id).await.map_err(|error| unavailable(&error))?;
        found.as_ref().map(shown).ok_or_else(|| missing("call", &ask.id))
    })
}

fn shown(record: &CallRecord) -> Value {
    line(&record.call, &record.attempts)
}

/// A call with its attempts, as a value.
pub fn line(call: &CallRow, attempts: &[AttemptRow]) -> Value {
    serde_json::to_value(Line::of(call, attempts)).expect("texts and numbers are JSON")
}

/// A call with its attempts, as the admin API and the log of calls have it. Written member by member: the log has one for
/// each call, and a tree of values costs as much as the call.
pub struct Line<'a> {
    call: &'a CallRow,
    attempts: &'a [AttemptRow],
    /// What stands there beside the row.
    more: Vec<(&'static str, Option<String>)>,
}

struct Attempt<'a>(&'a AttemptRow);

impl<'a> Line<'a> {
    /// Of these rows.
    pub fn of(call: &'a CallRow, attempts: &'a [AttemptRow]) -> Line<'a> {
        Line { call, attempts, more: Vec::new() }
    }

    /// With a further member.
    pub fn put(&mut self, name: &'static str, value: Option<String>) {
        self.more.push((name, value));
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (call, facts) = (self.call, &*self.call.facts);
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("id", &call.id)?;
        line.serialize_entry("request_id", &facts.request_id)?;
        line.serialize_entry("started_at", &text(facts.started_at))?;
        line.serialize_entry("ended_at", &text(call.ended_at))?;
        line.serialize_entry("key", &facts.key)?;
        line.serialize_entry("team", &facts.team)?;
        line.serialize_entry("user", &facts.user)?;
        line.serialize_entry("session", &facts.session)?;
        line.serialize_entry("tags", &facts.tags)?;
        line.serialize_entry("dialect", &facts.dialect)?;
        line.serialize_entry("operation", &facts.operation)?;
        line.serialize_entry("route", &facts.route)?;
        line.serialize_entry("provider", &call.provider)?;
        line.serialize_entry("model", &call.model)?;
        line.serialize_entry("stream", &facts.stream)?;
        line.serialize_entry("status", &call.status)?;
        line.serialize_entry("end", &call.end)?;
        line.serialize_entry("cache", &call.cache)?;
        line.serialize_entry("usage_source", &call.usage_source)?;
        line.serialize_entry("price_id", &call.price_id)?;
        line.serialize_entry("cost_usd", &usd(call.cost_nanousd))?;
        line.serialize_entry("cache_saved_usd", &usd(call.cache_saved_nanousd))?;
        line.serialize_entry("ttft_ms", &call.ttft_ms)?;
        line.serialize_entry("duration_ms", &call.duration_ms)?;
        line.serialize_entry("overhead_us", &call.overhead_us)?;
        line.serialize_entry("error_code", &call.error_code)?;
        tokens(&mut line, &call.usage)?;
        line.serialize_entry("attempts", &Attempts(self.attempts))?;
        for (name, value) in &self.more {
            line.serialize_entry(name, value)?;
        }
        line.end()
    }
}

struct Attempts<'a>(&'a [AttemptRow]);

impl Serialize for Attempts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Attempt))
    }
}

impl Serialize for Attempt<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let attempt = self.0;
        let mut line = serializer.serialize_map(None)?;
        line.serialize_entry("id", &attempt.id.to_text())?;
        line.serialize_entry("started_at", &text(attempt.started_at))?;
        line.serialize_entry("ended_at", &text(attempt.ended_at))?;
        line.serialize_entry("provider", &attempt.provider)?;
        line.serialize_entry("model", &attempt.model)?;
        line.serialize_entry("credential", &attempt.credential)?;
        line.serialize_entry("state", &attempt.state)?;
        line.serialize_entry("upstream_status", &attempt.upstream_status)?;
        line.serialize_entry("upstream_request_id", &attempt.upstream_request_id)?;
        line.serialize_entry("usage_source", &attempt.usage_source)?;
        line.serialize_entry("price_id", &attempt.price_id)?;
        line.serialize_entry("cost_usd", &usd(attempt.cost_nanousd))?;
        line.serialize_entry("ttft_ms", &attempt.ttft_ms)?;
        line.serialize_entry("duration_ms", &attempt.duration_ms)?;
        line.serialize_entry("error_code", &attempt.error_code)?;
        tokens(&mut line, &attempt.usage)?;
        line.end()
    }
}

/// `input_tokens` and the like, of each class.
fn tokens<M: SerializeMap>(line: &mut M, usage: &Usage) -> Result<(), M::Error> {
    static NAMES: LazyLock<Vec<String>> =
        LazyLock::new(|| TOKEN_CLASSES.iter().map(|class| format!("{}_tokens", class.name())).collect());
    NAMES
        .iter()
        .zip(TOKEN_CLASSES)
        .try_for_each(|(name, class)| line.serialize_entry(name, &usage.tokens(class)))
}

fn usd(nanousd: Option<i64>) -> Option<String> {
    nanousd.map(|cost| NanoUsd(cost).to_string())
}
