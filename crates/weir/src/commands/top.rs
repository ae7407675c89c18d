//! `weir top`: what goes on now, from calls as they end.

use std::collections::{BTreeMap, VecDeque};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use weir_config::Environment;

use super::gateway::Gateway;
use super::{CommandError, Global, Output};

/// Options of `weir top`.
#[derive(Debug, Clone, Args)]
pub struct TopArgs {
    /// What a line is of: model, provider, route, key, team, user
    #[arg(long, value_name = "GROUP", default_value = "model")]
    #[arg(value_parser = ["model", "provider", "route", "key", "team", "user"])]
    pub by: String,
    /// How long calls count
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub window: weir_config::Duration,
    /// Watch for one window, print, and end
    #[arg(long)]
    pub once: bool,
}

/// How often the picture is drawn.
const EVERY: Duration = Duration::from_secs(1);
/// So many lines fit on a screen.
const LINES: usize = 25;

/// A call, as far as it counts.
struct Seen {
    at: Instant,
    group: String,
    failed: bool,
    millis: u64,
    tokens: u64,
    usd: f64,
}

/// Shows it until it is interrupted.
///
/// # Errors
/// Nobody answers, or refuses.
pub async fn run(
    args: &TopArgs,
    global: &Global,
    environment: &Environment,
    output: &mut Output<'_>,
) -> Result<(), CommandError> {
    let gateway = Gateway::of(global, environment)?;
    let window = args.window.get().max(EVERY);
    let mut after = gateway.ask("GET", "/admin/v1/live", None).await?["next"].as_u64().unwrap_or(0);
    let (begun, mut seen) = (Instant::now(), VecDeque::new());
    let once = args.once || output.json || !std::io::stdout().is_terminal();
    loop {
        tokio::time::sleep(EVERY.min(window)).await;
        let mut full = true;
        while full {
            let answer = gateway.ask("GET", &format!("/admin/v1/live?after={after}"), None).await?;
            let calls = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
            let at = Instant::now();
            seen.extend(calls.iter().map(|call| read(call, &args.by, at)));
            after = answer["next"].as_u64().unwrap_or(after);
            full = calls.len() >= crate::live::MOST;
        }
        while seen.front().is_some_and(|call: &Seen| call.at.elapsed() > window) {
            seen.pop_front();
        }
        let span = begun.elapsed().min(window).as_secs_f64();
        if once && begun.elapsed() < window {
            continue;
        }
        let lines = lines(&seen, span);
        if output.json {
            let names = [
                "name",
                "calls_per_second",
                "failed_share",
                "p50_ms",
                "p95_ms",
                "tokens_per_second",
                "usd_per_hour",
            ];
            let objects: Vec<Value> = lines
                .iter()
                .map(|line| {
                    names
                        .iter()
                        .zip(line)
                        .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
                        .collect::<serde_json::Map<_, _>>()
                        .into()
                })
                .collect();
            return Ok(output.json(&objects)?);
        }
        if !once {
            // Home, and everything below is cleared.
            output.text("\x1b[H\x1b[J")?;
        }
        output
            .text(&format!("{}, the last {span:.0} s; the replica that answers\n\n", gateway.client_url))?;
        let titles = [args.by.as_str(), "calls/s", "failed", "p50 ms", "p95 ms", "tokens/s", "USD/h"];
        output.table(&titles, &[1, 2, 3, 4, 5, 6], lines)?;
        output.flush()?;
        if once {
            return Ok(());
        }
    }
}

fn read(call: &Value, by: &str, at: Instant) -> Seen {
    let name = |name: &str| call[name].as_str().unwrap_or("–");
    let group = match by {
        "model" => format!("{}/{}", name("provider"), name("model")),
        other => name(other).to_owned(),
    };
    let number = |name: &str| call[name].as_u64().unwrap_or(0);
    let tokens =
        weir_wire::usage::TOKEN_CLASSES.iter().map(|class| number(&format!("{}_tokens", class.name())));
    Seen {
        at,
        group,
        failed: number("status") >= 500,
        millis: number("duration_ms"),
        tokens: tokens.sum(),
        usd: call["cost_usd"].as_str().and_then(|cost| cost.parse().ok()).unwrap_or(0.0),
    }
}

/// A line for all, then one for each group, the busiest first.
fn lines(seen: &VecDeque<Seen>, span: f64) -> Vec<Vec<String>> {
    let mut groups: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    for call in seen {
        groups.entry(&call.group).or_default().push(call);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, calls)| std::cmp::Reverse(calls.len()));
    let mut lines = vec![line("all", &seen.iter().collect::<Vec<_>>(), span)];
    lines.extend(groups.iter().take(LINES).map(|(name, calls)| line(name, calls, span)));
    lines
}

fn line(name: &str, calls: &[&Seen], span: f64) -> Vec<String> {
    let count = calls.len();
    let failed = calls.iter().filter(|call| call.failed).count();
    let mut millis: Vec<u64> = calls.iter().map(|call| call.millis).collect();
    millis.sort_unstable();
    let quantile = |share: f64| match count {
        0 => "–".to_owned(),
        _ => millis[((count - 1) as f64 * share).round() as usize].to_string(),
    };
    let tokens: u64 = calls.iter().map(|call| call.tokens).sum();
    let usd: f64 = calls.iter().map(|call| call.usd).sum();
    vec![
        name.to_owned(),
        format!("{:.1}", count as f64 / span),
        format!("{:.1} %", failed as f64 * 100.0 / count.max(1) as f64),
        quantile(0.5),
        quantile(0.95),
        format!("{:.0}", tokens as f64 / span),
        format!("{:.4}", usd * 3_600.0 / span),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_rates_of_the_window() {
        let call = |model: &str, status: u16, millis: u64| {
            let call = json!({
                "provider": "p", "model": model, "status": status, "duration_ms": millis, "input_tokens": 10,
                "output_tokens": 10, "cost_usd": "0.001",
            });
            read(&call, "model", Instant::now())
        };
        let mut seen: VecDeque<Seen> = (1..=19).map(|n| call("a", 200, n * 10)).collect();
        seen.push_back(call("b", 503, 5));
        let lines = lines(&seen, 10.0);
        assert_eq!(lines[0], ["all", "2.0", "5.0 %", "100", "180", "40", "7.2000"]);
        assert_eq!(lines[1][..3], ["p/a", "1.9", "0.0 %"]);
        assert_eq!(lines[2][..3], ["p/b", "0.1", "100.0 %"]);
        assert_eq!(super::lines(&VecDeque::new(), 1.0)[0][3], "–");
    }
}
