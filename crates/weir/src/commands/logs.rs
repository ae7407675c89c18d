//! `weir logs`: calls, one a line; with `-f` those that end from now on.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use weir_config::Environment;

use super::gateway::{Gateway, piece};
use super::{CommandError, Global, Output};

/// How often is asked for more.
const EVERY: Duration = Duration::from_millis(500);

/// Options of `weir logs`.
#[derive(Debug, Clone, Default, Args)]
pub struct LogsArgs {
    /// Go on with calls as they end, of the replica that answers
    #[arg(short, long)]
    pub follow: bool,
    /// How many calls to begin with
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20)]
    pub lines: u32,
    /// How far back
    #[arg(long, value_name = "DURATION")]
    pub since: Option<weir_config::Duration>,
    /// Only calls with the key of this name
    #[arg(long = "of-key", value_name = "NAME")]
    pub of_key: Option<String>,
    /// Only calls of this team
    #[arg(long, value_name = "NAME")]
    pub team: Option<String>,
    /// Only calls of this end user
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only calls of this session
    #[arg(long, value_name = "NAME")]
    pub session: Option<String>,
    /// Only calls that asked for this public name
    #[arg(long, value_name = "NAME")]
    pub route: Option<String>,
    /// Only calls that this provider answered last
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Only calls that this model answered last
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Only calls that ended so: complete, provider_error, refused, timeout, …
    #[arg(long, value_name = "END")]
    pub end: Option<String>,
    /// Only calls that failed
    #[arg(long)]
    pub failed: bool,
}

impl LogsArgs {
    fn filters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let filters = [
            ("key", &self.of_key),
            ("team", &self.team),
            ("user", &self.user),
            ("session", &self.session),
            ("route", &self.route),
            ("provider", &self.provider),
            ("model", &self.model),
            ("end", &self.end),
        ];
        filters.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    fn wants(&self, call: &Value) -> bool {
        let failed =
            call["status"].as_u64().is_none_or(|status| status >= 400) || !call["error_code"].is_null();
        (!self.failed || failed) && self.filters().all(|(name, value)| call[name] == value)
    }
}

/// Prints calls.
///
/// # Errors
/// Nobody answers, or refuses.
pub async fn run(
    args: &LogsArgs,
    global: &Global,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let gateway = Gateway::of(global, environment)?;
    // Looking on begins before the past is asked for: nothing gets lost between the two.
    let mut after = match args.follow {
        true => Some(gateway.ask("GET", "/admin/v1/live", None).await?["next"].as_u64().unwrap_or(0)),
        false => None,
    };
    let past = past(args, &gateway).await?;
    if past.is_empty() && !args.follow {
        return Ok(output.note("no such calls; send one, or look further back with --since")?);
    }
    for call in past.iter().rev() {
        print(call, output)?;
    }
    while let Some(number) = after {
        let answer = gateway.ask("GET", &format!("/admin/v1/live?after={number}"), None).await?;
        if let Some(missed @ 1..) = answer["missed"].as_u64() {
            output.note(&format!("{missed} calls came too fast to be shown"))?;
        }
        let calls = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
        for call in calls.iter().filter(|call| args.wants(call)) {
            print(call, output)?;
        }
        output.flush()?;
        after = answer["next"].as_u64();
        if calls.is_empty() {
            tokio::time::sleep(EVERY).await;
        }
    }
    Ok(())
}

/// The last calls, latest first.
async fn past(args: &LogsArgs, gateway: &Gateway) -> Result<Vec<Value>, CommandError> {
    let mut found = Vec::new();
    let mut query: String = args.filters().map(|(name, value)| format!("&{name}={}", piece(value))).collect();
    if let Some(since) = args.since {
        query.push_str(&format!("&since={since}"));
    }
    let mut cursor = String::new();
    // A filter that few pass is not looked for through all of the ledger.
    for _ in 0..20 {
        let mut page =
            gateway.ask("GET", &format!("/admin/v1/requests?limit=200{query}{cursor}"), None).await?;
        if let Value::Array(calls) = page["data"].take() {
            found.extend(calls.into_iter().filter(|call| args.wants(call)));
        }
        let Some(next) = page["next_cursor"].as_str().filter(|_| found.len() < args.lines as usize) else {
            break;
        };
        cursor = format!("&cursor={}", piece(next));
    }
    found.truncate(args.lines as usize);
    Ok(found)
}

fn print(call: &Value, output: &mut Output<'_>) -> Result<(), CommandError> {
    if output.json {
        return Ok(output.text(&format!("{call}\n"))?);
    }
    Ok(output.text(&format!("{}\n", line(call)))?)
}

/// One call on one line.
fn line(call: &Value) -> String {
    let text = |name: &str| call[name].as_str().unwrap_or("–").to_owned();
    let number = |name: &str| call[name].as_u64().unwrap_or(0);
    let time: String = text("ended_at").chars().skip(11).take(8).collect();
    let served = match call["provider"].as_str() {
        Some(provider) => format!("{provider}/{}", text("model")),
        None => "–".to_owned(),
    };
    let input: u64 = ["input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"]
        .iter()
        .map(|name| number(name))
        .sum();
    let output = number("output_tokens") + number("reasoning_tokens");
    let attempts = call["attempts"].as_array().map_or(0, Vec::len);
    let mut line = format!(
        "{time} {} {:>7} ms  {} → {served}  {input}+{output} tokens  {}  {}",
        number("status"),
        number("duration_ms"),
        text("route"),
        call["cost_usd"].as_str().map_or_else(|| "cost unknown".to_owned(), |cost| format!("${cost}")),
        text("key"),
    );
    if attempts > 1 {
        line.push_str(&format!("  {attempts} attempts"));
    }
    if call["cache"] == "hit" {
        line.push_str("  stored");
    }
    if let Some(code) = call["error_code"].as_str() {
        line.push_str(&format!("  {code}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_is_one_line() {
        let call = json!({
            "ended_at": "2026-11-30T12:00:01.5Z", "status": 200, "duration_ms": 1234, "route": "smart", "provider": "openai",
            "model": "gpt-4o", "input_tokens": 10, "cache_read_tokens": 5, "output_tokens": 7, "reasoning_tokens": 3,
            "cost_usd": "0.000012", "key": "ci", "attempts": [{}, {}], "cache": "miss", "error_code": null,
        });
        assert_eq!(
            line(&call),
            "12:00:01 200    1234 ms  smart → openai/gpt-4o  15+10 tokens  $0.000012  ci  2 attempts"
        );
        let refused =
            json!({ "status": 429, "route": "smart", "key": "ci", "error_code": "rate_limit_exceeded" });
        assert!(line(&refused).ends_with("cost unknown  ci  rate_limit_exceeded"), "{}", line(&refused));
    }

    #[test]
    fn filters_hold_for_calls_that_come_too() {
        let args = LogsArgs { of_key: Some("ci".to_owned()), failed: true, ..LogsArgs::default() };
        let call = |key: &str, status: u16| json!({ "key": key, "status": status, "error_code": null });
        assert!(args.wants(&call("ci", 500)));
        assert!(!args.wants(&call("ci", 200)) && !args.wants(&call("other", 500)));
    }
}
