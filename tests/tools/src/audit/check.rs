//! The comparison itself: pure, from rows and lines to what is wrong with them.

use std::collections::{BTreeMap, HashMap};

use super::ledger::{Attempt, Call};
use super::logs::{Tokens, Truth, TruthEnd};
use super::prices::Prices;
use crate::drive::{Line, Seen};

/// The states that an attempt can end in.
const STATES: [&str; 10] = [
    "ok",
    "upstream_error",
    "upstream_truncated",
    "upstream_idle_timeout",
    "client_gone",
    "budget_exhausted",
    "deadline",
    "internal_error",
    "orphaned",
    "superseded",
];

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// `lost`, `duplicated`, `mispriced`, `state` or `totals`.
    pub kind: &'static str,
    /// Which row, and how.
    pub what: String,
}

/// All that the audit has to say.
#[derive(Debug, Default)]
pub struct Report {
    /// What is wrong.
    pub found: Vec<Found>,
    /// How many attempts reached the simulator.
    pub truths: usize,
    /// How many of their rows have the provider's own usage.
    pub settled: usize,
    /// How many have not, by state and source.
    pub unsettled: BTreeMap<String, usize>,
    /// Cost of all settled rows, in nano-dollars.
    pub settled_nanousd: i64,
    /// What the simulator bills for all attempts that it ended, in nano-dollars: its own counts, in its own tiers, at the
    /// audit's prices. No row of the ledger has a part in it.
    pub invoiced_nanousd: i64,
}

impl Report {
    pub(super) fn add(&mut self, kind: &'static str, what: String) {
        self.found.push(Found { kind, what });
    }

    /// How many rows have no usage of the provider's.
    pub fn unsettled(&self) -> usize {
        self.unsettled.values().sum()
    }
}

/// Compares it all.
///
/// # Errors
/// Prices that cannot be read.
pub fn check(
    truths: &[Truth],
    lines: &[Line],
    calls: &[Call],
    attempts: &[Attempt],
    prices: Option<&Prices>,
) -> Result<Report, String> {
    let mut report = Report { truths: truths.len(), ..Report::default() };
    let by_id: HashMap<String, &Attempt> = attempts.iter().map(|row| (row.id(), row)).collect();
    let mut sent: HashMap<&str, u32> = HashMap::new();
    for truth in truths {
        if truth.attempt.is_empty() {
            report.add("lost", format!("a call of {} came without an attempt id", truth.model));
            continue;
        }
        if let (Some(end), Some(prices)) = (&truth.end, prices) {
            let billed = prices.cost(&truth.model, end.tier.as_deref(), &end.billed)?;
            report.invoiced_nanousd += billed.unwrap_or(0);
        }
        let times = sent.entry(&truth.attempt).or_default();
        *times += 1;
        if *times == 2 {
            report.add("duplicated", format!("attempt {} was sent twice", truth.attempt));
        }
        match by_id.get(&truth.attempt) {
            None => report.add("lost", format!("attempt {} has no row", truth.attempt)),
            Some(row) => settled(truth, row, prices, &mut report)?,
        }
    }
    for row in attempts {
        states(row, &mut report);
        if !truths.is_empty() && row.usage_source == "reported" && !sent.contains_key(row.id().as_str()) {
            report.add("duplicated", format!("attempt {} reports usage, and no provider saw it", row.id()));
        }
    }
    sums(calls, attempts, &mut report);
    clients(lines, calls, &mut report);
    Ok(report)
}

/// One attempt against what its provider knows.
fn settled(truth: &Truth, row: &Attempt, prices: Option<&Prices>, report: &mut Report) -> Result<(), String> {
    let id = &truth.attempt;
    if row.usage_source != "reported" {
        *report.unsettled.entry(format!("{} {}", row.state, row.usage_source)).or_default() += 1;
        let end = truth.end.as_ref();
        if row.state == "ok" && end.is_some_and(|end| end.usage_sent) {
            report.add(
                "state",
                format!("attempt {id} ended well, its usage was sent, and the row has {}", row.usage_source),
            );
        }
        let answered = end.is_none_or(|end| end.status == 200);
        if answered && row.reason.as_deref().is_none_or(str::is_empty) {
            report.add(
                "state",
                format!("attempt {id} ({}) has no reason for {} usage", row.state, row.usage_source),
            );
        }
        return bounded(truth, row, prices, report);
    }
    report.settled += 1;
    report.settled_nanousd += row.cost_nanousd.unwrap_or(0);
    let Some(TruthEnd { reported: Some(reported), tier, .. }) = &truth.end else {
        // A stream that is killed in the middle may have shown usage before its end; Gemini's and Anthropic's do.
        if truth.end.as_ref().is_some_and(|end| end.end == "completed") {
            report.add("mispriced", format!("attempt {id} reports usage that nobody reported"));
        }
        return Ok(());
    };
    let (expected, stored) = (comparable(reported, truth, row), comparable(&row.tokens, truth, row));
    // Gemini counts in each event: who left before the last, or was cut, has an earlier count, never a higher one.
    let early = ["client_gone", "superseded"].contains(&row.state.as_str())
        && stored.classes().iter().zip(expected.classes()).all(|(one, all)| one.1 <= all.1);
    let partial = early || truth.end.as_ref().is_some_and(|end| !end.usage_sent);
    if expected != stored && !partial {
        report.add("mispriced", format!("attempt {id}: tokens {stored:?}, reported were {expected:?}"));
    }
    let Some(prices) = prices else { return Ok(()) };
    let cost = prices.cost(&truth.model, tier.as_deref(), &row.tokens)?;
    if cost != row.cost_nanousd {
        report.add(
            "mispriced",
            format!("attempt {id} of {}: cost {:?}, should be {cost:?}", truth.model, row.cost_nanousd),
        );
    }
    Ok(())
}

/// What is charged as the bound of an attempt must not be below what its provider bills.
fn bounded(truth: &Truth, row: &Attempt, prices: Option<&Prices>, report: &mut Report) -> Result<(), String> {
    let (Some(prices), Some(end), "bound") = (prices, &truth.end, row.usage_source.as_str()) else {
        return Ok(());
    };
    let billed = prices.cost(&truth.model, end.tier.as_deref(), &end.billed)?;
    if billed > row.cost_nanousd {
        let what = format!(
            "attempt {} is charged {:?} at most, billed were {billed:?}",
            truth.attempt, row.cost_nanousd
        );
        report.add("mispriced", what);
    }
    Ok(())
}

/// The tokens without distinctions that one side cannot make.
fn comparable(tokens: &Tokens, truth: &Truth, row: &Attempt) -> Tokens {
    let mut tokens = *tokens;
    if truth.provider == "anthropic" {
        tokens.output += std::mem::take(&mut tokens.reasoning);
    }
    if row.tokens.image_in == 0 {
        tokens.input += std::mem::take(&mut tokens.image_in);
    }
    tokens
}

fn states(row: &Attempt, report: &mut Report) {
    if !STATES.contains(&row.state.as_str()) {
        report.add("state", format!("attempt {} has state `{}`", row.id(), row.state));
    }
    if !["reported", "estimated", "bound", "none"].contains(&row.usage_source.as_str()) {
        report.add("state", format!("attempt {} has usage from `{}`", row.id(), row.usage_source));
    }
    if row.ended_at <= 0 {
        report.add("state", format!("attempt {} has no end", row.id()));
    }
}

/// Each call is the sum of its attempts.
fn sums(calls: &[Call], attempts: &[Attempt], report: &mut Report) {
    let mut of_call: HashMap<&str, Vec<&Attempt>> = HashMap::new();
    for row in attempts {
        of_call.entry(&row.call_id).or_default().push(row);
    }
    for call in calls {
        let rows = of_call.remove(call.id.as_str()).unwrap_or_default();
        if call.attempts != i64::try_from(rows.len()).unwrap_or(-1) {
            report.add(
                "lost",
                format!("call {} had {} attempts, {} have rows", call.id, call.attempts, rows.len()),
            );
        }
        let cost = rows.iter().map(|row| row.cost_nanousd).sum::<Option<i64>>();
        if call.cost_nanousd != cost && !(rows.is_empty() && call.cost_nanousd.is_none()) {
            report.add(
                "totals",
                format!("call {} cost {:?}, its attempts {cost:?}", call.id, call.cost_nanousd),
            );
        }
        for (index, (class, stored)) in call.tokens.classes().into_iter().enumerate() {
            let sum: i64 = rows.iter().map(|row| row.tokens.classes()[index].1).sum();
            if sum != stored {
                report.add(
                    "totals",
                    format!("call {} has {stored} tokens of {class}, its attempts {sum}", call.id),
                );
            }
        }
    }
    for id in of_call.keys() {
        report.add("lost", format!("attempts of call {id} have rows, the call has none"));
    }
}

/// Each request that was answered has exactly one call, and it says what the client saw.
fn clients(lines: &[Line], calls: &[Call], report: &mut Report) {
    let mut by_request: HashMap<&str, Vec<&Call>> = HashMap::new();
    for call in calls {
        by_request.entry(&call.request_id).or_default().push(call);
    }
    for line in lines {
        let rows = by_request.get(line.id.as_str()).map_or(&[][..], Vec::as_slice);
        if rows.len() > 1 {
            report.add("duplicated", format!("request {} has {} calls", line.id, rows.len()));
        }
        match rows.first() {
            None if line.end == Seen::Complete => {
                report.add("lost", format!("request {} was answered in full and has no call", line.id));
            }
            Some(call) if line.end == Seen::Complete => answered(line, call, report),
            _ => {}
        }
    }
}

fn answered(line: &Line, call: &Call, report: &mut Report) {
    if call.end != "complete" && call.end != "orphaned" && call.end != "client_gone" {
        report.add("state", format!("request {} was answered in full, its call ended {}", line.id, call.end));
    }
    if call.end == "complete" && call.status != i64::from(line.status) {
        report
            .add("state", format!("request {} got {}, its call says {}", line.id, line.status, call.status));
    }
    // Output is counted alike in both dialects; Anthropic's input leaves out what was cached.
    let tokens = &call.tokens;
    let output = tokens.output + tokens.reasoning + tokens.audio_out;
    let seen = line.output.and_then(|output| i64::try_from(output).ok());
    if call.usage_source == "reported" && call.attempts == 1 && seen.is_some_and(|seen| seen != output) {
        report.add(
            "mispriced",
            format!("request {} saw {seen:?} output tokens, its call has {output}", line.id),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn truth(attempt: &str) -> Truth {
        let reported = Tokens { input: 10, output: 5, ..Tokens::default() };
        let end = TruthEnd {
            status: 200,
            end: "completed".into(),
            usage_sent: true,
            reported: Some(reported),
            billed: reported,
            tier: None,
        };
        Truth { attempt: attempt.into(), provider: "openai".into(), model: "m".into(), end: Some(end) }
    }

    fn rows(changes: &Value) -> (Vec<Call>, Vec<Attempt>) {
        let mut attempt = json!({"call_id": "c", "n": 1, "ended_at": 5, "provider": "p", "model": "m", "state": "ok",
            "upstream_status": 200, "usage_source": "reported", "reason": null, "price_id": "x", "cost_nanousd": 4500,
            "input": 10, "output": 5});
        let mut call = json!({"id": "c", "request_id": "r", "status": 200, "end": "complete", "attempts": 1, "stream": 1, "operation": "chat",
            "usage_source": "reported", "cost_nanousd": 4500, "input": 10, "output": 5});
        for (key, value) in changes["attempt"].as_object().into_iter().flatten() {
            attempt[key] = value.clone();
        }
        for (key, value) in changes["call"].as_object().into_iter().flatten() {
            call[key] = value.clone();
        }
        (vec![serde_json::from_value(call).unwrap()], vec![serde_json::from_value(attempt).unwrap()])
    }

    fn line() -> Line {
        serde_json::from_value(json!({"id": "r", "kind": "chat", "model": "m", "at_us": 1, "total_us": 1, "first_us": 1,
            "status": 200, "end": "complete", "bytes": 1, "events": 0, "text_hash": null, "input": 10, "output": 5, "cost": null}))
        .unwrap()
    }

    #[track_caller]
    fn kinds(truths: &[Truth], changes: Value) -> Vec<&'static str> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prices.json");
        std::fs::write(&file, r#"{"m": {"input": "0.15", "output": "0.6"}}"#).unwrap();
        let prices = Prices::read(&file).unwrap();
        let (calls, attempts) = rows(&changes);
        let report = check(truths, &[line()], &calls, &attempts, Some(&prices)).unwrap();
        report.found.iter().map(|found| found.kind).collect()
    }

    #[test]
    fn good_books_pass_and_each_wrong_is_found() {
        let good = || vec![truth("c-1")];
        assert_eq!(kinds(&good(), json!({})), [""; 0]);
        assert_eq!(kinds(&[truth("c-1"), truth("c-2")], json!({})), ["lost"]);
        assert_eq!(kinds(&[truth("c-1"), truth("c-1")], json!({})), ["duplicated"]);
        assert_eq!(kinds(&[truth("")], json!({})), ["lost", "duplicated"]);
        assert_eq!(
            kinds(&good(), json!({"attempt": {"input": 11}, "call": {"input": 11}})),
            ["mispriced", "mispriced"]
        );
        let cost = json!({"attempt": {"cost_nanousd": 4501}, "call": {"cost_nanousd": 4501}});
        assert_eq!(kinds(&good(), cost), ["mispriced"]);
        assert_eq!(kinds(&good(), json!({"attempt": {"state": "open"}})), ["state"]);
        assert_eq!(
            kinds(
                &good(),
                json!({"attempt": {"usage_source": "estimated"}, "call": {"usage_source": "estimated"}})
            ),
            ["state", "state"]
        );
        let orphaned = json!({"attempt": {"state": "orphaned", "usage_source": "estimated", "reason": "crash"},
            "call": {"end": "orphaned", "usage_source": "estimated"}});
        assert_eq!(kinds(&good(), orphaned), [""; 0]);
        let bound = |cost: i64| {
            json!({"attempt": {"state": "orphaned", "usage_source": "bound", "reason": "crash", "cost_nanousd": cost},
            "call": {"end": "orphaned", "usage_source": "bound", "cost_nanousd": cost}})
        };
        assert_eq!(kinds(&good(), bound(4500)), [""; 0]);
        assert_eq!(kinds(&good(), bound(4499)), ["mispriced"]);
        assert_eq!(kinds(&good(), json!({"call": {"cost_nanousd": 1}})), ["totals"]);
        assert_eq!(kinds(&good(), json!({"call": {"attempts": 2}})), ["lost"]);
        assert_eq!(kinds(&good(), json!({"call": {"request_id": "other"}})), ["lost"]);
        assert_eq!(kinds(&good(), json!({"call": {"end": "provider_error"}})), ["state"]);
        assert_eq!(
            kinds(
                &good(),
                json!({"attempt": {"output": 6, "cost_nanousd": 5100}, "call": {"output": 6, "cost_nanousd": 5100}})
            ),
            ["mispriced", "mispriced"]
        );
    }
}
