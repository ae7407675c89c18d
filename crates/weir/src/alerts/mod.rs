//! Alerts: budgets near their end, providers that fail, are down or slow. Fired once, resolved once, with the cause.

mod board;
mod sink;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::app::App;
use board::Board;
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
}

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
        look(&app);
        tokio::time::sleep(EVERY).await;
    }
}

fn look(app: &App) {
    let mut receivers = app.alerts.0.lock();
    if receivers.is_empty() {
        return;
    }
    let (now, at) = (Instant::now(), crate::clock::unix_micros());
    let sample = app.metrics.providers();
    let budgets = watch::budgets(&app.budgets.view());
    for receiver in receivers.iter_mut() {
        let mut readings = receiver.watch.providers(now, sample.clone());
        readings.extend(budgets.iter().cloned());
        readings.retain(|reading| receiver.on.iter().any(|kind| kind == reading.kind));
        for alert in receiver.board.take(readings, at) {
            receiver.sink.send(&alert);
        }
    }
}
