//! The task that talks to the store: one exchange at a time, so that they can't overtake each other.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::account::BudgetState;
use super::engine::{Crossing, Inner};
use super::period::Period;
use super::table::Hub;
use crate::row::{Micros, Text};

/// How long to wait after a failure before the store is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs until the engine is dropped.
pub(super) async fn run(engine: Weak<Inner>, hub: Arc<Hub>) {
    let mut looked = Instant::now();
    let mut told = Told::default();
    loop {
        let Some(inner) = engine.upgrade().filter(|inner| !inner.stopped()) else { return };
        let (look, again) = (inner.config.look, inner.config.again);
        let now = (inner.config.now)();
        if looked.elapsed() >= look {
            looked = Instant::now();
            inner.table.look(now, inner.tick(), inner.config.lease.as_millis() as u64);
            told.alert(&inner, now).await;
        }
        let mut failed = false;
        while let Some((exchange, asked)) = inner.table.ask().filter(|_| !inner.stopped()) {
            match inner.authority.exchange(&exchange).await {
                Ok(reports) => inner.table.answered(&exchange, &asked, &reports, inner.tick()),
                Err(error) => {
                    tracing::debug!(cause = %error.cause, "the store doesn't answer about budgets");
                    inner.table.failed(&asked);
                    failed = true;
                    break;
                }
            }
        }
        if failed {
            sleep(PAUSE).await;
        }
        let waiting = inner.table.all().iter().any(|account| account.waits());
        drop(inner);
        if waiting {
            sleep(again).await;
            let Some(inner) = engine.upgrade() else { return };
            inner.table.ask_again((inner.config.now)());
        } else {
            let _ = timeout_at(looked + look, hub.wake.notified()).await;
        }
    }
}

/// Asks about all leases whenever some process asked in vain, and every few seconds, should that not be heard.
pub(super) async fn listen(engine: Weak<Inner>) {
    const LONG: Duration = Duration::from_secs(5);
    loop {
        let Some(inner) = engine.upgrade().filter(|inner| !inner.stopped()) else { return };
        let (authority, look) = (inner.authority.clone(), inner.config.look);
        // Without a lease nobody can want anything of this process.
        let leases = inner.table.has_leases();
        drop(inner);
        if !leases {
            sleep(look).await;
            continue;
        }
        let Ok(mut signals) = authority.signals().await else {
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        loop {
            let heard = timeout(LONG, signals.next()).await;
            let Some(inner) = engine.upgrade().filter(|inner| !inner.stopped()) else { return };
            inner.table.ask_holders((inner.config.now)());
            if matches!(heard, Ok(Err(_))) {
                break;
            }
        }
        sleep(PAUSE).await;
    }
}

/// Which alerts this process need not claim again: by budget and millionths, the window.
#[derive(Default)]
struct Told(HashMap<(Text, u32), Micros>);

impl Told {
    async fn alert(&mut self, inner: &Inner, now: Micros) {
        if self.0.len() > 100_000 {
            self.0.clear();
        }
        for state in inner.table.view(now, inner.tick()) {
            for millionths in &state.budget.alert_at {
                if state.age_ms.is_some() && reached(&state, *millionths) {
                    self.one(inner, &state, *millionths).await;
                }
            }
        }
    }

    async fn one(&mut self, inner: &Inner, state: &BudgetState, millionths: u32) {
        let window = alert_window(state);
        let key = (state.budget.id.clone(), millionths);
        if self.0.get(&key) == Some(&window) {
            return;
        }
        let Ok(first) = inner.authority.claim_alert(&state.budget.id, window, millionths).await else {
            return;
        };
        self.0.insert(key, window);
        if first {
            let crossing = Crossing {
                budget: state.budget.clone(),
                millionths,
                spent_nanousd: state.spent_nanousd,
                resets_at: state.window.end,
            };
            // Nobody may be listening.
            let _ = inner.crossings.send(crossing);
        }
    }
}

fn reached(state: &BudgetState, millionths: u32) -> bool {
    let share = i128::from(state.budget.limit_nanousd) * i128::from(millionths);
    i128::from(state.spent_nanousd) * 1_000_000 >= share && state.spent_nanousd > 0
}

/// Alerts of a rolling window come at most once in its length.
fn alert_window(state: &BudgetState) -> Micros {
    match state.budget.period {
        Period::Rolling(length) => {
            let length = Micros::try_from(length.as_micros()).unwrap_or(Micros::MAX).max(1);
            state.window.start.div_euclid(length)
        }
        _ => state.window.start,
    }
}
