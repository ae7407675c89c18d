//! The daily sums against the sums of their rows.

use std::collections::BTreeMap;

use super::check::Report;
use super::ledger::{Books, Daily};

/// What makes a line of `spend_daily`.
const KEY: [&str; 6] = ["day", "key", "team", "route", "provider", "model"];
/// The token columns.
const TOKENS: &str = "\"input\" + \"cache_read\" + \"cache_write_5m\" + \"cache_write_1h\" + \"audio_in\" + \"image_in\" + \"output\" + \"reasoning\" + \"audio_out\"";

/// Adds each line whose stored sums are not those of the rows.
///
/// # Errors
/// When the database cannot be read.
pub async fn check_totals(books: &Books, report: &mut Report) -> Result<(), String> {
    let stored = "SELECT LINE AS line, \"calls\" AS calls, \"unpriced_calls\" AS unpriced_calls, \"attempts\" AS attempts, TOKENS AS tokens, \"cost_nanousd\" AS cost FROM spend_daily";
    let calls = "SELECT LINE AS line, COUNT(*) AS calls, SUM(CASE WHEN \"cost_nanousd\" IS NULL THEN 1 ELSE 0 END) AS unpriced_calls, 0 AS attempts, 0 AS tokens, 0 AS cost FROM calls GROUP BY 1";
    let attempts = "SELECT LINE AS line, 0 AS calls, 0 AS unpriced_calls, COUNT(*) AS attempts, SUM(TOKENS) AS tokens, COALESCE(SUM(\"cost_nanousd\"), 0) AS cost FROM attempts GROUP BY 1";
    let mut sums: BTreeMap<String, [i64; 5]> = BTreeMap::new();
    for daily in lines(books, stored).await? {
        add(&mut sums, daily, 1);
    }
    for sql in [calls, attempts] {
        for daily in lines(books, sql).await? {
            add(&mut sums, daily, -1);
        }
    }
    for (line, differences) in sums {
        if differences != [0; 5] {
            let what = format!(
                "daily sums of {line} differ by {differences:?} (calls, unpriced, attempts, tokens, nano-dollars)"
            );
            report.add("totals", what);
        }
    }
    Ok(())
}

fn add(sums: &mut BTreeMap<String, [i64; 5]>, daily: Daily, sign: i64) {
    let values = [daily.calls, daily.unpriced_calls, daily.attempts, daily.tokens, daily.cost];
    let sum = sums.entry(daily.line).or_default();
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += sign * value;
    }
}

async fn lines(books: &Books, sql: &str) -> Result<Vec<Daily>, String> {
    let key: Vec<String> = KEY.iter().map(|name| format!("COALESCE(CAST(\"{name}\" AS TEXT), '')")).collect();
    let sql = sql.replace("LINE", &key.join(" || '/' || ")).replace("TOKENS", TOKENS);
    let sql = match books {
        Books::Sqlite(_) => format!(
            "SELECT json_object('line', line, 'calls', calls, 'unpriced_calls', unpriced_calls, 'attempts', attempts, 'tokens', tokens, 'cost', cost) FROM ({sql}) AS t"
        ),
        Books::Postgres(_) => format!("SELECT row_to_json(t)::text FROM ({sql}) AS t"),
    };
    books.json(sql).await
}
