//! `/admin/v1/spend`: what was spent, as `weir spend --json` and `--csv` have it.

use serde_json::Value;

use super::input::invalid;
use super::{Answer, Ask, Desk};
use crate::handlers::spend;

/// The parameters.
pub const PARAMETERS: &[(&str, &str)] = &[
    (
        "group_by",
        "one or several, with commas: model, provider, route, key, team, user, session, tag, day; of user, session and tag one, or a span of at most 30 days",
    ),
    ("since", "how far back, as in 7d (whole days, UTC) or 12h, or a day or time; all where it is not said"),
    ("until", "up to when, likewise, and not in it; now where it is not said"),
    ("top", "only so many lines, those that cost most; `left_out` says how many there are beyond"),
    ("format", "json, or csv: a table without the total"),
];

/// What was spent.
pub fn sums<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let groups = ask.parameter("group_by").unwrap_or_default().split(',');
        let groups: Vec<String> = groups.filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let top = ask
            .parameter("top")
            .map(|text| text.parse().ok().filter(|top| *top > 0))
            .map(|top| top.ok_or_else(|| invalid("`top` is a number from 1 on")));
        let as_csv = match ask.parameter("format").unwrap_or("json") {
            "json" => false,
            "csv" => true,
            _ => return Err(invalid("`format` is json or csv")),
        };
        let top: Option<usize> = top.transpose()?;
        let query = spend::query(&groups, ask.parameter("since"), ask.parameter("until"), ask.now)?;
        let answer = spend::ask(desk.store, &query, top).await?;
        // A text is answered as CSV.
        Ok(if as_csv { Value::String(spend::csv(&answer)) } else { answer })
    })
}
