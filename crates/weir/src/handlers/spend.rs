//! What was spent, as JSON and as CSV: for `/admin/v1/spend` and for `weir spend`.

use serde_json::{Map, Value, json};
use weir_adapter::InvalidRequest;
use weir_catalog::NanoUsd;
use weir_gateway::GatewayError;
use weir_ledger::{Fault, Group, MICROS_PER_DAY, Micros, Spend, SpendQuery, SpendRow, Store};
use weir_wire::usage::TOKEN_CLASSES;

/// The longest span that is added up from rows, for groups that no sums are kept of.
const ROWS_SPAN: Micros = 31 * MICROS_PER_DAY;

/// The query that these words ask for, at the moment `now`.
///
/// # Errors
/// A group or a time that is none; groups that need rows, over too long a span.
pub fn query(
    group_by: &[String],
    since: Option<&str>,
    until: Option<&str>,
    now: Micros,
) -> Result<SpendQuery, GatewayError> {
    let group = |name: &String| {
        let known = || Group::ALL.map(Group::name).join(", ");
        Group::from_name(name).ok_or_else(|| {
            InvalidRequest::value("group_by", format!("`{name}` is no group; there are {}", known()))
        })
    };
    let by = group_by.iter().map(group).collect::<Result<Vec<_>, _>>()?;
    if (1..by.len()).any(|at| by[..at].contains(&by[at])) {
        return Err(InvalidRequest::value("group_by", "a group stands twice; name each once").into());
    }
    let since = since.map(|text| moment("since", text, now).map(|at| whole_day(text, at))).transpose()?;
    let until = until.map(|text| moment("until", text, now).map(|at| whole_day(text, at))).transpose()?;
    let span = until.unwrap_or(now).saturating_sub(since.unwrap_or(0));
    if SpendQuery::crosses_names(&by) && span > ROWS_SPAN {
        let message = "user, session and tag together are added up call by call; take one of them, or a `since` and `until` at most 30 days apart";
        return Err(InvalidRequest::value("group_by", message).into());
    }
    Ok(SpendQuery { by, since, until })
}

/// The moment that a text names: a span back from `now`, such as `12h`, a day (UTC), or a time.
///
/// # Errors
/// A text that is none of these.
pub fn moment(name: &'static str, text: &str, now: Micros) -> Result<Micros, GatewayError> {
    if let Ok(back) = text.parse::<weir_config::Duration>() {
        return Ok(now.saturating_sub(i64::try_from(back.get().as_micros()).unwrap_or(i64::MAX)));
    }
    let day = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    // A date alone would be read as a time, too, but not a time as a date.
    let at = match text.contains(':') {
        true => text.parse::<jiff::Timestamp>().ok(),
        false => day().map(|zoned| zoned.timestamp()),
    };
    at.map(jiff::Timestamp::as_microsecond).ok_or_else(|| {
        let message = "write how far back, as in `7d` or `12h`, a day (UTC), as in `2027-01-31`, or a time, as in `2027-01-31T12:00:00Z`";
        InvalidRequest::value(name, message).into()
    })
}

/// Spans of days begin with a day (UTC): sums are kept of days.
fn whole_day(text: &str, at: Micros) -> Micros {
    if text.ends_with('d') { at - at.rem_euclid(MICROS_PER_DAY) } else { at }
}

/// Asks the store. With `top`, the dearest lines are kept, and how many are not is said.
///
/// # Errors
/// A store that does not answer; more lines than an answer may have.
pub async fn ask(store: &dyn Store, query: &SpendQuery, top: Option<usize>) -> Result<Value, GatewayError> {
    let mut spend = store.spend(query).await.map_err(|error| {
        if error.fault == Fault::Rejected {
            let message =
                format!("{}; take fewer groups, a later `since` or an earlier `until`", error.cause);
            return InvalidRequest::value("group_by", message).into();
        }
        tracing::warn!(%error, cause = %error.cause, "the store did not answer");
        GatewayError::Overloaded {
            code: "overloaded",
            message: "the store does not answer now",
            retry_after: std::time::Duration::from_secs(1),
        }
    })?;
    let left_out = top.map(|top| spend.rows.len().saturating_sub(top));
    spend.rows.truncate(top.unwrap_or(usize::MAX));
    let mut answer = shape(&spend, &query.by);
    if let Some(left_out) = left_out {
        answer["left_out"] = left_out.into();
    }
    Ok(answer)
}

fn shape(spend: &Spend, by: &[Group]) -> Value {
    let rows: Vec<Value> = spend.rows.iter().map(|row| Value::Object(line(row, by))).collect();
    json!({ "rows": rows, "total": line(&spend.total, &[]) })
}

fn line(row: &SpendRow, by: &[Group]) -> Map<String, Value> {
    let mut line = Map::new();
    for (group, value) in by.iter().zip(&row.group) {
        line.insert(group.name().to_owned(), json!(value));
    }
    line.insert("calls".to_owned(), row.calls.into());
    line.insert("attempts".to_owned(), row.attempts.into());
    for class in TOKEN_CLASSES {
        line.insert(format!("{}_tokens", class.name()), row.usage.tokens(class).into());
    }
    line.insert("cost_usd".to_owned(), NanoUsd(row.cost_nanousd).to_string().into());
    line.insert("unpriced_calls".to_owned(), row.unpriced_calls.into());
    line
}

/// An answer as CSV (RFC 4180): the names of its columns, then its lines; without groups, the total.
pub fn csv(answer: &Value) -> String {
    let mut text = String::new();
    let rows = answer["rows"].as_array().filter(|rows| !rows.is_empty());
    let total = [answer["total"].clone()];
    let rows = rows.map_or(&total[..], Vec::as_slice);
    let titles = rows.first().and_then(Value::as_object).into_iter().flat_map(Map::keys);
    push_line(&mut text, titles.map(String::as_str));
    for row in rows.iter().filter_map(Value::as_object) {
        let cells: Vec<String> = row.values().map(cell).collect();
        push_line(&mut text, cells.iter().map(String::as_str));
    }
    text
}

fn push_line<'a>(text: &mut String, cells: impl Iterator<Item = &'a str>) {
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            text.push(',');
        }
        if cell.contains(['"', ',', '\r', '\n']) {
            text.push_str(&format!("\"{}\"", cell.replace('"', "\"\"")));
        } else {
            text.push_str(cell);
        }
    }
    text.push_str("\r\n");
}

/// A value in a cell. Names are what callers wrote: one that a spreadsheet would take for a formula gets a `'` in front.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Micros = 20_000 * MICROS_PER_DAY + 5;

    #[test]
    fn moments_are_spans_days_and_times() {
        let at = |text: &str| moment("since", text, NOW).ok();
        assert_eq!(at("1h"), Some(NOW - 3_600_000_000));
        assert_eq!(at("2024-10-04"), Some(20_000 * MICROS_PER_DAY));
        assert_eq!(at("2024-10-04T02:00:00+02:00"), Some(20_000 * MICROS_PER_DAY));
        for odd in ["", "yesterday", "2024-13-01", "2024-10-04T00:00:00", "7", "-1d"] {
            assert_eq!(at(odd), None, "{odd}");
        }
        let since = |text| query(&[], Some(text), None, NOW).unwrap().since;
        assert_eq!(since("2d"), Some(19_998 * MICROS_PER_DAY));
        assert_eq!(since("48h"), Some(NOW - 2 * MICROS_PER_DAY));
    }

    #[test]
    fn names_crossed_with_names_need_a_span() {
        let both = ["user".to_owned(), "tag".to_owned()];
        assert!(query(&both, None, None, NOW).is_err());
        assert!(query(&both, Some("2024-01-01"), Some("2024-01-20"), NOW).is_ok());
        assert!(query(&both, Some("30d"), None, NOW).is_ok());
        assert!(query(&both[..1], None, None, NOW).is_ok());
        assert!(query(&[both[0].clone(), both[0].clone()], None, None, NOW).is_err());
    }

    #[test]
    fn csv_keeps_what_callers_wrote_and_runs_none_of_it() {
        let row = SpendRow {
            group: vec![Some("=1+1,\"x\"".into()), None],
            calls: 2,
            cost_nanousd: 1_500_000_000,
            ..SpendRow::default()
        };
        let spend = Spend { total: row.clone(), rows: vec![row] };
        let text = csv(&shape(&spend, &[Group::User, Group::Team]));
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert!(lines[0].starts_with("user,team,calls,attempts,input_tokens,"), "{text}");
        assert!(lines[1].starts_with("\"'=1+1,\"\"x\"\"\",,2,0,0,"), "{text}");
        assert!(lines[1].ends_with(",1.5,0") && lines[2].is_empty(), "{text}");
        let total = csv(&shape(&Spend::default(), &[]));
        assert_eq!(total.lines().count(), 2, "{total}");
    }
}
