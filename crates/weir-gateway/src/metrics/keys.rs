//! What each key did, where that is wanted: there may be many of them.

use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::{CounterVec, IntCounterVec};
use weir_ledger::CallRow;
use weir_wire::usage::TOKEN_CLASSES;

use super::family::Family;

/// Counters by key.
pub(super) struct Keys {
    on: AtomicBool,
    requests: Family<IntCounterVec>,
    tokens: Family<IntCounterVec>,
    cost: Family<CounterVec>,
}

impl Keys {
    pub(super) fn new(
        counter: impl Fn(&str, &str, &[&str]) -> Family<IntCounterVec>,
        usd: impl Fn(&str, &str, &[&str]) -> Family<CounterVec>,
    ) -> Keys {
        Keys {
            on: AtomicBool::new(false),
            requests: counter(
                "weir_key_requests_total",
                "Calls of each key, by the status that the client got.",
                &["key", "team", "status"],
            ),
            tokens: counter("weir_key_tokens_total", "Tokens of each key.", &["key", "team"]),
            cost: usd(
                "weir_key_cost_usd_total",
                "What the calls of each key cost, in USD. The ledger has the exact sums.",
                &["key", "team"],
            ),
        }
    }

    pub(super) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// A call that ended.
    pub(super) fn call(&self, row: &CallRow) {
        if !self.on.load(Ordering::Relaxed) {
            return;
        }
        let (key, team) = (&*row.facts.key, row.facts.team.as_deref().unwrap_or(""));
        self.requests.with(&[key, team, &row.status.to_string()]).inc();
        let tokens = TOKEN_CLASSES.into_iter().map(|class| row.usage.tokens(class)).sum();
        if tokens > 0 {
            self.tokens.with(&[key, team]).inc_by(tokens);
        }
        if let Some(cost) = row.cost_nanousd.filter(|cost| *cost > 0) {
            self.cost.with(&[key, team]).inc_by(cost as f64 / 1e9);
        }
    }
}
