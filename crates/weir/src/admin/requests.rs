//! `/admin/v1/requests`: the ledger's rows, latest first, each call with its attempts.

use serde_json::{Map, Value};
use weir_ledger::{AttemptRow, CallColumn, CallFilter, CallId, CallRecord, CallRow, Page};

use super::input::invalid;
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

/// A call with its attempts.
pub fn line(call: &CallRow, attempts: &[AttemptRow]) -> Value {
    let mut line = Map::new();
    super::line::put(call, attempts, &mut line);
    Value::Object(line)
}
