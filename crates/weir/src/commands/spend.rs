//! `weir spend`: what was spent, from the running gateway, or from the store where nothing listens.

use serde_json::Value;
use weir_config::Environment;

use super::gateway::over_http;
use super::{CommandError, Global, Output, SpendArgs};
use crate::app::with_cause;
use crate::handlers::spend;

/// Prints what was spent.
///
/// # Errors
/// A gateway that refuses, a store that can't be opened.
pub async fn run(
    args: &SpendArgs,
    global: &Global,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let loaded = global.load(environment)?;
    let url = global.admin_url(environment, Some(&loaded));
    let mut path = format!("/admin/v1/spend?group_by={}&since={}", args.by.join(","), escaped(&args.since));
    if let Some(until) = &args.until {
        path += &format!("&until={}", escaped(until));
    }
    if let Some(top) = args.top {
        path += &format!("&top={top}");
    }
    let answer = match over_http(&url, global.gateway_key(environment), "GET", &path, None).await? {
        Some(answer) => answer,
        None if global.url.is_some() => {
            return Err(CommandError::Failed(format!("nothing listens at {url}")));
        }
        None => ask_store(args, &loaded.config).await?,
    };
    if args.csv {
        return Ok(output.text(&spend::csv(&answer))?);
    }
    if output.json {
        return Ok(output.json(&answer)?);
    }
    print(args, &answer, output)
}

async fn ask_store(args: &SpendArgs, config: &weir_config::Config) -> Result<Value, CommandError> {
    let failed = |error: String| CommandError::Failed(error);
    let store = weir_store::open(config.store.url.expose(), &config.data_dir)
        .await
        .map_err(|error| failed(with_cause(&error).to_string()))?;
    let now = crate::clock::unix_micros();
    let query = spend::query(&args.by, Some(&args.since), args.until.as_deref(), now)
        .map_err(|error| failed(error.to_string()))?;
    let top = args.top.map(|top| usize::try_from(top).unwrap_or(usize::MAX));
    spend::ask(store.as_ref(), &query, top).await.map_err(|error| failed(error.to_string()))
}

/// A value in a query, where `+` would be a space.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('+', "%2B").replace('&', "%26").replace('#', "%23").replace(' ', "%20")
}

fn print(args: &SpendArgs, answer: &Value, output: &mut Output<'_>) -> Result<(), CommandError> {
    let rows = answer["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        output.note(&format!("no calls since {}; send one, then look again", args.since))?;
        return Ok(());
    }
    let mut titles: Vec<&str> = args.by.iter().map(String::as_str).collect();
    titles.extend(["calls", "input", "cached", "output", "reasoning", "cost (USD)"]);
    let right: Vec<usize> = (args.by.len()..titles.len()).collect();
    let line = |row: &Value, head: Vec<String>| {
        let number = |name: &str| row[name].as_u64().unwrap_or(0);
        let cost = row["cost_usd"].as_str().unwrap_or("0").to_owned();
        let unpriced = number("unpriced_calls");
        let cost = if unpriced > 0 { format!("{cost} + {unpriced} of unknown price") } else { cost };
        let cached =
            number("cache_read_tokens") + number("cache_write_5m_tokens") + number("cache_write_1h_tokens");
        let counts = [
            number("calls"),
            number("input_tokens"),
            cached,
            number("output_tokens"),
            number("reasoning_tokens"),
        ];
        head.into_iter().chain(counts.map(|count| count.to_string())).chain([cost]).collect::<Vec<_>>()
    };
    let mut lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            line(row, args.by.iter().map(|group| row[group].as_str().unwrap_or("–").to_owned()).collect())
        })
        .collect();
    let head = (0..args.by.len()).map(|index| if index == 0 { "total".to_owned() } else { String::new() });
    lines.push(line(&answer["total"], head.collect()));
    output.table(&titles, &right, lines)?;
    match answer["left_out"].as_u64() {
        Some(more) if more > 0 => Ok(output.note(&format!("{more} further lines are in the total"))?),
        _ => Ok(()),
    }
}
