//! `GET /admin/v1/spend?group_by=&since=`: what was spent.

use serde_json::{Map, Value, json};
use weir_adapter::InvalidRequest;
use weir_catalog::NanoUsd;
use weir_gateway::GatewayError;
use weir_ledger::{Group, Spend, SpendQuery, SpendRow, Store};
use weir_wire::usage::TOKEN_CLASSES;

/// The query that these words ask for. `since` is a duration that counts back from `now` (microseconds since 1970).
///
/// # Errors
/// A group or a time that is none.
pub fn query(group_by: &[String], since: Option<&str>, now: i64) -> Result<SpendQuery, GatewayError> {
    let group = |name: &String| {
        let known = || Group::ALL.map(Group::name).join(", ");
        Group::from_name(name).ok_or_else(|| {
            InvalidRequest::value("group_by", format!("`{name}` is no group; there are {}", known()))
        })
    };
    let by = group_by.iter().map(group).collect::<Result<Vec<_>, _>>()?;
    let since = since.map(|text| moment(text, now)).transpose()?;
    Ok(SpendQuery { by, since, until: None })
}

/// The moment that lies `back` before `now` (microseconds since 1970).
///
/// # Errors
/// A text that is no duration.
pub fn moment(back: &str, now: i64) -> Result<i64, GatewayError> {
    let back: weir_config::Duration = back
        .parse()
        .map_err(|_| InvalidRequest::value("since", "write how far back, as in `7d` or `12h`"))?;
    Ok(now.saturating_sub(i64::try_from(back.get().as_micros()).unwrap_or(i64::MAX)))
}

/// Asks the store.
///
/// # Errors
/// A store that does not answer.
pub async fn ask(store: &dyn Store, query: &SpendQuery) -> Result<Value, GatewayError> {
    let spend = store.spend(query).await.map_err(|error| {
        tracing::warn!(%error, cause = %error.cause, "the store did not answer");
        GatewayError::Overloaded {
            code: "overloaded",
            message: "the store does not answer now",
            retry_after: std::time::Duration::from_secs(1),
        }
    })?;
    Ok(shape(&spend, &query.by))
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
