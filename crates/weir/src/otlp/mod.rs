//! Traces, metrics and a log of calls for a collector that speaks OTLP, by the GenAI conventions.
//!
//! Nothing is done while a call runs but to gather its rows, and only for calls that are traced or while metrics are
//! sent. One task makes spans of them afterwards. A collector that is slow or away costs spans, never a call's time:
//! what finds no room is dropped and counted.

mod logs;
mod names;
mod proto;
mod send;
mod spans;
mod sums;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::HeaderMap;
use weir_config::Telemetry;
use weir_gateway::trace::Trace;
use weir_gateway::watch::{Queue, Wants};
use weir_ledger::CallId;

use crate::app::App;
use crate::extract::request::one;
use proto::{
    Attributes, Metric, Resource, ResourceLogs, ResourceMetrics, ResourceSpans, Scope, ScopeLogs,
    ScopeMetrics, ScopeSpans,
};
use send::{Collector, Signal};
use sums::Sums;

/// How often spans are sent.
const EVERY: Duration = Duration::from_millis(500);
/// So many calls may wait for the next export.
const MOST_CALLS: usize = 8_192;
/// So many spans or records go in one export.
const BATCH: usize = 512;
/// How often an export is tried.
const TRIES: u32 = 3;

/// What calls need to know, and what became of exports.
#[derive(Default)]
pub struct Otlp {
    /// Whether calls are traced at all.
    on: AtomicBool,
    /// Of a million traces that begin here, how many are recorded.
    sample: AtomicU32,
    spans: Count,
    logs: Count,
    dropped: AtomicU64,
    stopping: AtomicBool,
    stopped: tokio::sync::Notify,
}

/// What became of what was sent.
#[derive(Default)]
struct Count {
    sent: AtomicU64,
    lost: AtomicU64,
}

impl Count {
    /// Of so many, `refused` were not taken; `None`: nothing arrived.
    fn add(&self, all: u64, refused: Option<u64>) {
        let lost = refused.map_or(all, |refused| refused.min(all));
        self.sent.fetch_add(all - lost, Ordering::Relaxed);
        self.lost.fetch_add(lost, Ordering::Relaxed);
    }

    fn read(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }
}

impl Otlp {
    /// The trace of a call that begins with these headers; `None` where none is wanted.
    pub fn trace(&self, call: CallId, headers: &HeaderMap) -> Option<Arc<Trace>> {
        if !self.on.load(Ordering::Relaxed) {
            return None;
        }
        let given = one(headers, "traceparent").and_then(|value| value.to_str().ok());
        if let Some(mut trace) = given.and_then(|given| Trace::join(call, given)) {
            let state = one(headers, "tracestate").and_then(|value| value.to_str().ok());
            trace.state = state.filter(|state| state.len() <= 512).map(Into::into);
            return Some(Arc::new(trace));
        }
        // The last bits of an id are random.
        let drawn = ((call.as_u128() as u64 & 0xffff_ffff) * 1_000_000) >> 32;
        (drawn < u64::from(self.sample.load(Ordering::Relaxed))).then(|| Arc::new(Trace::begin(call)))
    }

    /// Spans that were sent, and that could not be.
    pub fn spans(&self) -> (u64, u64) {
        self.spans.read()
    }

    /// Log records that were sent, and that could not be.
    pub fn logs(&self) -> (u64, u64) {
        self.logs.read()
    }

    /// Calls that found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Sends what is there, and waits for that as long as `patience`.
    pub async fn stop(&self, patience: Duration) {
        if self.on.load(Ordering::Relaxed) {
            let stopped = self.stopped.notified();
            self.stopping.store(true, Ordering::Relaxed);
            drop(tokio::time::timeout(patience, stopped).await);
        }
    }
}

/// The exporter of one configuration.
struct Exporter {
    written: Telemetry,
    collector: Collector,
    queue: Arc<Queue>,
    sums: Sums,
    metrics_due: Instant,
    warned: bool,
}

/// Begins to export: calls are traced from the first one on.
pub fn start(app: Arc<App>) {
    let written = app.loaded.load().config.telemetry.clone();
    let exporter = Exporter::start(&app, &written);
    tokio::spawn(run(app, exporter));
}

/// Exports until the process ends, as the configuration says then.
async fn run(app: Arc<App>, mut exporter: Option<Exporter>) {
    let mut before = 0;
    loop {
        let stopping = app.otlp.stopping.load(Ordering::Relaxed);
        let written = app.loaded.load().config.telemetry.clone();
        let (running, wanted) = (exporter.as_ref().map(|one| &one.written), written.otlp.is_some());
        if running != Some(&written).filter(|_| wanted) {
            if let Some(old) = exporter.take() {
                app.metrics.watchers.remove(&old.queue);
                before += old.queue.dropped();
            }
            exporter = Exporter::start(&app, &written);
        }
        if let Some(exporter) = &mut exporter {
            exporter.export(&app, stopping).await;
            app.otlp.dropped.store(before + exporter.queue.dropped(), Ordering::Relaxed);
        }
        if stopping {
            return app.otlp.stopped.notify_one();
        }
        tokio::time::sleep(EVERY).await;
    }
}

impl Exporter {
    fn start(app: &App, written: &Telemetry) -> Option<Exporter> {
        let Some(otlp) = &written.otlp else {
            app.otlp.on.store(false, Ordering::Relaxed);
            app.metrics.watchers.want_content("otlp", 0);
            return None;
        };
        let collector = match Collector::new(otlp) {
            Ok(collector) => collector,
            Err(error) => {
                tracing::error!(%error, "nothing can be sent to the collector");
                return None;
            }
        };
        let queue =
            Queue::new(if otlp.metrics.0 || otlp.logs.0 { Wants::All } else { Wants::Traced }, MOST_CALLS);
        app.metrics.watchers.add(&queue);
        app.metrics.watchers.want_content("otlp", if otlp.content.0 { spans::CONTENT } else { 0 });
        app.otlp.sample.store(otlp.sample.millionths, Ordering::Relaxed);
        app.otlp.on.store(otlp.traces.0, Ordering::Relaxed);
        Some(Exporter {
            written: written.clone(),
            collector,
            queue,
            sums: Sums::new(written.genai_semconv, now()),
            metrics_due: Instant::now() + otlp.interval.get(),
            warned: false,
        })
    }

    async fn export(&mut self, app: &App, last: bool) {
        let Some(otlp) = self.written.otlp.clone() else { return };
        let (mut made, mut records) = (Vec::new(), Vec::new());
        for ended in self.queue.take() {
            if otlp.logs.0 {
                records.push(logs::of(&ended, otlp.content.0));
            }
            if otlp.metrics.0 {
                self.sums.add(&ended);
            }
            if otlp.traces.0 {
                made.extend(spans::of(&ended, self.written.genai_semconv, otlp.content.0));
            }
        }
        for batch in batches(made) {
            self.spans(app, batch).await;
        }
        for batch in batches(records) {
            self.logs(app, batch).await;
        }
        if otlp.metrics.0 && (last || Instant::now() >= self.metrics_due) {
            self.metrics_due = Instant::now() + otlp.interval.get();
            self.metrics(app).await;
        }
    }

    async fn spans(&mut self, app: &App, spans: Vec<proto::Span>) {
        let count = spans.len() as u64;
        let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans }];
        let message = proto::Traces {
            resource_spans: vec![ResourceSpans { resource: Some(resource(app)), scope_spans }],
        };
        app.otlp.spans.add(count, self.send(app, Signal::Traces, &message).await);
    }

    async fn logs(&mut self, app: &App, records: Vec<proto::LogRecord>) {
        let count = records.len() as u64;
        let scope_logs = vec![ScopeLogs { scope: Some(scope()), records }];
        let message =
            proto::Logs { resource_logs: vec![ResourceLogs { resource: Some(resource(app)), scope_logs }] };
        app.otlp.logs.add(count, self.send(app, Signal::Logs, &message).await);
    }

    async fn metrics(&mut self, app: &App) {
        let metrics: Vec<Metric> = self.sums.metrics(now());
        if metrics.is_empty() {
            return;
        }
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics }];
        let message = proto::Metrics {
            resource_metrics: vec![ResourceMetrics { resource: Some(resource(app)), scope_metrics }],
        };
        // They are sums since the start: the next ones make up for those that did not arrive.
        self.send(app, Signal::Metrics, &message).await;
    }

    /// How many of it were refused; `None` where nothing arrived.
    async fn send(&mut self, app: &App, signal: Signal, message: &impl prost::Message) -> Option<u64> {
        for attempt in 1..=TRIES {
            match self.collector.send(signal, message).await {
                Ok(refused) => {
                    self.warned = false;
                    return Some(refused);
                }
                Err(failed) => {
                    if !std::mem::replace(&mut self.warned, true) {
                        tracing::warn!(why = failed.why, ?signal, "the collector did not take an export");
                    }
                    let stopping = app.otlp.stopping.load(Ordering::Relaxed);
                    if !failed.again || attempt == TRIES || stopping {
                        return None;
                    }
                    tokio::time::sleep(EVERY * attempt).await;
                }
            }
        }
        None
    }
}

/// What goes in one export each.
fn batches<T>(mut all: Vec<T>) -> impl Iterator<Item = Vec<T>> {
    std::iter::from_fn(move || {
        let rest = all.split_off(all.len().min(BATCH));
        let batch = std::mem::replace(&mut all, rest);
        (!batch.is_empty()).then_some(batch)
    })
}

fn scope() -> Scope {
    Scope { name: "weir".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

fn resource(app: &App) -> Resource {
    let mut attributes = Attributes::default();
    attributes.put("service.name", "weir");
    attributes.put("service.version", env!("CARGO_PKG_VERSION"));
    attributes.put("service.instance.id", app.ledger.instance().to_string());
    Resource { attributes: attributes.0 }
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    spans::nanos(crate::clock::unix_micros())
}
