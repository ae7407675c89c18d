//! The task that talks to the store: one exchange at a time, so that they can't overtake each other.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::engine::Inner;
use super::table::Hub;

/// How long to wait after a failure before the store is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs until the engine is dropped.
pub(super) async fn run(engine: Weak<Inner>, hub: Arc<Hub>) {
    let mut looked = Instant::now();
    loop {
        let Some(inner) = engine.upgrade().filter(|inner| !inner.stopped()) else { return };
        let (look, again) = (inner.config.look, inner.config.again);
        let now = (inner.config.now)();
        if looked.elapsed() >= look {
            looked = Instant::now();
            inner.table.look(now, inner.tick(), inner.config.lease.as_millis() as u64);
        }
        let mut failed = false;
        while let Some((exchange, asked)) = inner.table.ask().filter(|_| !inner.stopped()) {
            inner.store.asked(inner.tick());
            let answer = inner.authority.exchange(&exchange).await;
            inner.store.ended(answer.is_ok());
            match answer {
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
