//! Alerts: budgets near their end, providers that fail, are down or slow. Fired once, resolved once, with the cause.
//!
//! What one replica alone sees (its providers) it tells of alone. Budgets are seen by all: the one that claims a share in
//! the store first tells of it, for the receiver, the window and the limit; it is told of once, also through restarts.

mod board;
mod sink;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};
use weir_ledger::budget::BudgetState;

use crate::app::App;
use crate::seal::{hash, hex};
use board::{Alert, Board, Reading};
use sink::{Shape, Sink};
use watch::{Rules, Watch};

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

/// All alerts of the process, by receiver.
#[derive(Default)]
pub struct Alerts(Mutex<Vec<Receiver>>);

/// One receiver, what it is told about, and what it has been told.
struct Receiver {
    written: weir_config::Alert,
    on: Vec<String>,
    sink: Sink,
    watch: Watch,
    board: Board,
    /// What stands for it in the store.
    name: String,
    /// Of all replicas one tells of these: which is not known yet.
    unclaimed: Vec<Alert>,
}

/// After how long what is known of a budget is old.
const FRESH: Duration = Duration::from_secs(3);
/// How many budgets the store is asked for at once.
const ASKED: usize = 500;
/// The most alerts that wait for the store.
const UNCLAIMED: usize = 1_000;

impl Alerts {
    /// Those that fire, then those that are over, latest first; by receiver, in the order of the configuration.
    pub fn list(&self) -> Vec<Value> {
        let receivers = self.0.lock();
        let all = receivers.iter().enumerate().flat_map(|(index, receiver)| {
            receiver.board.list().into_iter().map(move |mut alert| {
                alert["receiver"] = json!(index);
                alert
            })
        });
        all.collect()
    }

    /// Takes over what a reload changed; who stays the same goes on.
    fn configure(&self, client: &reqwest::Client, written: &[weir_config::Alert]) {
        let mut receivers = self.0.lock();
        if receivers.iter().map(|receiver| &receiver.written).eq(written) {
            return;
        }
        let mut before = std::mem::take(&mut *receivers);
        *receivers = written
            .iter()
            .map(|alert| {
                let same = before.iter().position(|receiver| receiver.written == *alert);
                same.map_or_else(|| Receiver::new(client, alert), |index| before.swap_remove(index))
            })
            .collect();
    }
}

impl Receiver {
    fn new(client: &reqwest::Client, alert: &weir_config::Alert) -> Receiver {
        let shape = if alert.kind == "slack" { Shape::Slack } else { Shape::Webhook };
        let all = || weir_config::ALERTS_ON.iter().map(|kind| (*kind).to_owned()).collect();
        let rules = Rules {
            error_rate_ppm: u64::from(alert.error_rate.millionths),
            latency: alert.latency.get(),
            window: alert.window.get(),
        };
        Receiver {
            written: alert.clone(),
            on: if alert.on.is_empty() { all() } else { alert.on.clone() },
            sink: Sink::start(client.clone(), alert.url.expose().to_owned(), shape),
            watch: Watch::new(rules),
            board: Board::default(),
            // The address may be a secret.
            name: hex(&hash("receiver of alerts", &[&alert.kind, alert.url.expose()]))[..16].to_owned(),
            unclaimed: Vec::new(),
        }
    }
}

/// Looks until the process ends. Receivers are those of the configuration as it is then.
pub async fn watch(app: Arc<App>) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
    let Ok(client) = client else {
        return tracing::error!("alerts can't be sent: no HTTP client could be made");
    };
    loop {
        app.alerts.configure(&client, &app.loaded.load().config.alerts);
        let budgets = budgets(&app).await;
        look(&app, &budgets);
        claim(&app).await;
        app.live.tidy(&app.metrics, Instant::now());
        tokio::time::sleep(EVERY).await;
    }
}

/// How budgets stand that shall alert. What this process has not heard of lately, since nobody asked it to spend of it, it
/// asks the store for.
async fn budgets(app: &App) -> Vec<Reading> {
    let wanted = |receiver: &Receiver| receiver.on.iter().any(|kind| kind == "budget");
    if !app.alerts.0.lock().iter().any(wanted) {
        return Vec::new();
    }
    let mut states = app.budgets.view();
    let now = crate::clock::unix_micros();
    let stale = |state: &&mut BudgetState| {
        !state.budget.alert_at.is_empty() && state.age_ms.is_none_or(|age| age > FRESH.as_millis() as u64)
    };
    let mut stale: Vec<_> = states.iter_mut().filter(stale).take(ASKED).collect();
    let asked: Vec<_> = stale.iter().map(|state| state.budget.clone()).collect();
    if !asked.is_empty()
        && let Ok(spent) = app.budgets.spent(&asked).await
    {
        for (state, spent) in stale.iter_mut().zip(spent) {
            state.window = state.budget.window(now);
            // Rows that are still on their way count here already.
            state.spent_nanousd = state.spent_nanousd.max(spent);
            state.age_ms = Some(0);
        }
    }
    watch::budgets(&states)
}

fn look(app: &App, budgets: &[Reading]) {
    let mut receivers = app.alerts.0.lock();
    if receivers.is_empty() {
        return;
    }
    let (now, at) = (Instant::now(), crate::clock::unix_micros());
    let sample = app.metrics.providers();
    for receiver in receivers.iter_mut() {
        let mut readings = receiver.watch.providers(now, sample.clone());
        readings.extend(budgets.iter().cloned());
        readings.retain(|reading| receiver.on.iter().any(|kind| kind == reading.kind));
        for alert in receiver.board.take(readings, at) {
            match alert.shared {
                None => receiver.sink.send(&alert),
                Some(_) if receiver.unclaimed.len() < UNCLAIMED => receiver.unclaimed.push(alert),
                Some(_) => tracing::error!("an alert was dropped: too many wait for the store"),
            }
        }
    }
}

/// Tells of what all replicas see, where this one is the first to claim it. What can't be claimed now waits.
async fn claim(app: &App) {
    let waiting: Vec<_> = app
        .alerts
        .0
        .lock()
        .iter_mut()
        .map(|receiver| {
            (receiver.name.clone(), receiver.sink.clone(), std::mem::take(&mut receiver.unclaimed))
        })
        .collect();
    for (name, sink, alerts) in waiting {
        let mut left = alerts.into_iter();
        while let Some(alert) = left.next() {
            match first(app, &name, &alert).await {
                Ok(true) => sink.send(&alert),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, cause = %error.cause, "an alert waits for the store");
                    let mut receivers = app.alerts.0.lock();
                    if let Some(receiver) = receivers.iter_mut().find(|receiver| receiver.name == name) {
                        receiver.unclaimed = std::iter::once(alert).chain(left).collect();
                    }
                    break;
                }
            }
        }
    }
}

async fn first(app: &App, receiver: &str, alert: &Alert) -> Result<bool, weir_ledger::StoreError> {
    let Some(shared) = &alert.shared else { return Ok(true) };
    let what = if alert.resolved_at.is_some() { "over" } else { "fired" };
    let claim = format!("alert {receiver} {what} {}", shared.budget);
    app.ledger.store().claim_alert(&claim, shared.window, shared.millionths).await
}
