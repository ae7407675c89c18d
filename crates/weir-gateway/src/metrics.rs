//! What Prometheus sees. Names and labels are those of INTERFACE.md, section 9; every label has bounded values: a model
//! that neither the catalog nor the configuration names counts as `other`, and what comes after the most series that
//! may be counts as `overflow`.

mod family;
mod keys;
mod sample;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus::{
    CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};
use weir_ledger::{CallRow, State};
use weir_wire::Class;
use weir_wire::usage::TOKEN_CLASSES;

pub use family::OVERFLOW;
use family::{Ceiling, Family};
use keys::Keys;
pub use sample::ProviderSample;

use crate::call::Call;
use crate::dispatch::Failed;
use crate::errors::Errors;
use crate::reply::Outcome;
use crate::snapshot::Target;
use crate::watch::Watchers;

/// All metrics of one process.
pub struct Metrics {
    /// Who wants to know of calls that ended.
    pub watchers: Watchers,
    /// What went wrong, by cause.
    pub errors: Errors,
    registry: Registry,
    ceiling: Arc<Ceiling>,
    keys: Keys,
    requests: Family<IntCounterVec>,
    duration: Family<HistogramVec>,
    ttft: Family<HistogramVec>,
    per_token: Family<HistogramVec>,
    overhead: Histogram,
    attempts: Family<IntCounterVec>,
    tokens: Family<IntCounterVec>,
    cost: Family<CounterVec>,
    unknown_cost: Family<IntCounterVec>,
    /// Calls under way.
    pub inflight: IntGauge,
    up: Family<IntGaugeVec>,
    breaker: Family<IntGaugeVec>,
    reloads: Family<IntCounterVec>,
    refused: Family<IntCounterVec>,
    limited: Family<IntCounterVec>,
    cached: Family<IntCounterVec>,
    saved: prometheus::Counter,
}

/// The handles of one target of one route, looked up once.
pub struct TargetMetrics {
    all: Arc<Metrics>,
    route: Arc<str>,
    provider: Arc<str>,
    model: Arc<str>,
    attempts_ok: OnceLock<IntCounter>,
    tokens: [OnceLock<IntCounter>; TOKEN_CLASSES.len()],
    served: OnceLock<(IntCounter, Histogram)>,
    ttft: OnceLock<Histogram>,
    per_token: OnceLock<Histogram>,
    up: OnceLock<IntGauge>,
    breaker: OnceLock<IntGauge>,
    /// Of calls without a team.
    cost: OnceLock<prometheus::Counter>,
    /// Of calls of the team that called last.
    team_cost: Mutex<Option<(Box<str>, prometheus::Counter)>>,
}

/// Seconds: from a local cache's answer to a reasoning model's.
const LONG: &[f64] =
    &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0];
/// Seconds: weir's own share.
const SHORT: &[f64] = &[0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5];
/// How many series a process may have where nothing is said.
const MOST_SERIES: usize = 20_000;
/// Seconds per token.
const TOKEN: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28];

impl Metrics {
    /// Metrics in a registry of their own.
    pub fn new(version: &str) -> Arc<Metrics> {
        let registry = Registry::new();
        let ceiling = Ceiling::new(MOST_SERIES);
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let made = register(&registry, IntCounterVec::new(Opts::new(name, help), labels));
            Family::new(made, 1, &ceiling)
        };
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let made = register(&registry, IntGaugeVec::new(Opts::new(name, help), labels));
            Family::new(made, 1, &ceiling)
        };
        let histogram = |name: &str, help: &str, labels: &[&str], buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let made = register(&registry, HistogramVec::new(options, labels));
            // Each bucket, the one without bound, the sum and the count.
            Family::new(made, buckets.len() + 3, &ceiling)
        };
        let usd = |name: &str, help: &str, labels: &[&str]| {
            let made = register(&registry, CounterVec::new(Opts::new(name, help), labels));
            Family::new(made, 1, &ceiling)
        };
        let target = ["provider", "model"];
        gauge("weir_build_info", "The version that runs.", &["version"]).with(&[version]).set(1);
        let reloads =
            counter("weir_config_reloads_total", "Loads of the configuration after the first.", &["result"]);
        // From the start on: an increase from nothing to one is none.
        for result in ["ok", "refused"] {
            reloads.with(&[result]);
        }
        Arc::new(Metrics {
            keys: Keys::new(counter, usd),
            requests: counter(
                "weir_requests_total",
                "Calls, by the status that the client got.",
                &["route", "provider", "model", "operation", "status"],
            ),
            duration: histogram(
                "weir_request_duration_seconds",
                "From the call's beginning to its end.",
                &["route", "provider", "model"],
                LONG,
            ),
            ttft: histogram(
                "weir_time_to_first_token_seconds",
                "From dispatch to the first content of a stream.",
                &target,
                LONG,
            ),
            per_token: histogram(
                "weir_time_per_output_token_seconds",
                "Between tokens of a stream, on average.",
                &target,
                TOKEN,
            ),
            overhead: register(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new("weir_overhead_seconds", "weir's own share of a call's time.")
                        .buckets(SHORT.to_vec()),
                ),
            ),
            attempts: counter(
                "weir_upstream_attempts_total",
                "Attempts, by how they ended.",
                &["provider", "model", "result"],
            ),
            tokens: counter(
                "weir_tokens_total",
                "Tokens, in disjoint classes.",
                &["provider", "model", "class"],
            ),
            cost: usd(
                "weir_cost_usd_total",
                "What attempts cost, in USD. The ledger has the exact sums.",
                &["provider", "model", "team"],
            ),
            unknown_cost: counter("weir_cost_unknown_total", "Attempts whose price is not known.", &target),
            inflight: register(&registry, IntGauge::new("weir_inflight_requests", "Calls under way.")),
            up: gauge(
                "weir_provider_up",
                "Whether the provider's last attempt got an answer.",
                &["provider"],
            ),
            breaker: gauge(
                "weir_breaker_state",
                "Whether a target is asked: 0 closed, 1 half-open, 2 open.",
                &target,
            ),
            reloads,
            refused: counter(
                "weir_refused_requests_total",
                "Requests refused before they were calls: no valid key, an unreadable or too large body.",
                &["code"],
            ),
            limited: counter(
                "weir_rate_limited_total",
                "Requests refused because a limit was reached: whose and which.",
                &["limit"],
            ),
            cached: counter(
                "weir_cache_requests_total",
                "Calls of routes that store answers: `hit` or `miss`.",
                &["route", "result"],
            ),
            saved: register(
                &registry,
                prometheus::Counter::new(
                    "weir_cache_saved_usd_total",
                    "What stored answers had cost without the cache, in USD. The ledger has the exact sums.",
                ),
            ),
            ceiling,
            registry,
            watchers: Watchers::default(),
            errors: Errors::default(),
        })
    }

    /// How many series there may be, and whether each key is counted by itself.
    pub fn configure(&self, most_series: u32, each_key: bool) {
        self.ceiling.set(most_series as usize);
        self.keys.switch(each_key);
    }

    /// How many series there are, and how often something counted as `overflow` because there could be no more.
    pub fn series(&self) -> (usize, u64) {
        (self.ceiling.used(), self.ceiling.refused())
    }

    /// A request that was refused before it became a call.
    pub fn refused(&self, code: &str) {
        self.refused.with(&[code]).inc();
    }

    /// A call that was refused because a limit was reached.
    pub fn rate_limited(&self, scope: crate::limits::Scope, kind: crate::limits::Kind) {
        self.limited(&format!("{}_{}", scope.name(), kind.name()));
    }

    /// A request that was refused because of this limit: one of a few names.
    pub fn limited(&self, limit: &str) {
        self.limited.with(&[limit]).inc();
    }

    /// A call of a route that stores answers: `hit` or `miss`, and what it saved in nano-dollars.
    pub(crate) fn cache(&self, route: &str, result: &str, saved_nanousd: Option<i64>) {
        self.cached.with(&[route, result]).inc();
        self.saved.inc_by(saved_nanousd.unwrap_or(0).max(0) as f64 / 1e9);
    }

    /// A load of the configuration after the first: `ok` or `refused`.
    pub fn reload(&self, result: &str) {
        self.reloads.with(&[result]).inc();
    }

    /// A call that ended.
    pub(crate) fn call(
        &self,
        call: &Call,
        target: Option<&Target>,
        row: &CallRow,
        duration: Duration,
        overhead: Duration,
    ) {
        self.overhead.observe(overhead.as_secs_f64());
        self.keys.call(row);
        let operation = call.request.operation.name();
        match target {
            Some(target) => target.metrics.call(operation, row.status, duration),
            None => {
                let route = call.snapshot.resolve(call.request.model()).map(|route| route.label.clone());
                let labels =
                    [route.as_deref().unwrap_or("other"), "", "", operation, &row.status.to_string()];
                self.requests.with(&labels).inc();
            }
        }
    }

    /// Everything in Prometheus' text format, without the ledger's own numbers.
    pub fn text(&self) -> String {
        prometheus::TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

fn register<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> C {
    let collector = made.expect("the names and labels above are well-formed");
    registry.register(Box::new(collector.clone())).expect("each name above stands once");
    collector
}

impl TargetMetrics {
    /// Handles for a target.
    pub fn new(all: &Arc<Metrics>, route: &Arc<str>, provider: &Arc<str>, model: &Arc<str>) -> TargetMetrics {
        TargetMetrics {
            all: all.clone(),
            route: route.clone(),
            provider: provider.clone(),
            model: model.clone(),
            attempts_ok: OnceLock::new(),
            tokens: Default::default(),
            served: OnceLock::new(),
            ttft: OnceLock::new(),
            per_token: OnceLock::new(),
            up: OnceLock::new(),
            breaker: OnceLock::new(),
            cost: OnceLock::new(),
            team_cost: Mutex::default(),
        }
    }

    /// An attempt failed before it gave anything.
    pub(crate) fn failed(&self, call: &Call, failed: &Failed) {
        self.all.errors.failed(call, &self.provider, failed);
    }

    /// An answer that had begun ended so.
    pub(crate) fn broke(&self, call: &Call, outcome: &Outcome) {
        if !matches!(outcome.state, State::Ok | State::ClientGone) {
            self.all.errors.broke(call, &self.provider, outcome);
        }
    }

    pub(crate) fn attempt(&self, state: State) {
        let up = self.up.get_or_init(|| self.all.up.with(&[&*self.provider]));
        match state {
            State::Ok => {
                up.set(1);
                self.attempts_ok
                    .get_or_init(|| self.all.attempts.with(&[&*self.provider, &*self.model, "ok"]))
                    .inc();
            }
            state => {
                if matches!(state, State::UpstreamError | State::UpstreamIdleTimeout) {
                    up.set(0);
                }
                self.all.attempts.with(&[&*self.provider, &*self.model, state.name()]).inc();
            }
        }
    }

    /// Its breaker's state: 0 closed, 1 half-open, 2 open.
    pub(crate) fn breaker(&self, state: i64) {
        let gauge = self.breaker.get_or_init(|| self.all.breaker.with(&[&*self.provider, &*self.model]));
        gauge.set(state);
    }

    pub(crate) fn tokens(&self, class: Class, count: u64) {
        if count > 0 {
            let handle = &self.tokens[class as usize];
            handle
                .get_or_init(|| self.all.tokens.with(&[&*self.provider, &*self.model, class.name()]))
                .inc_by(count);
        }
    }

    pub(crate) fn cost(&self, team: Option<&str>, nanousd: Option<i64>) {
        match nanousd {
            Some(0) => {}
            Some(nanousd) => {
                let of = |team: &str| self.all.cost.with(&[&*self.provider, &*self.model, team]);
                let usd = nanousd as f64 / 1e9;
                match team {
                    None => self.cost.get_or_init(|| of("")).inc_by(usd),
                    Some(team) => {
                        let mut last = self.team_cost.lock();
                        if last.as_ref().is_none_or(|(last, _)| &**last != team) {
                            *last = Some((team.into(), of(team)));
                        }
                        last.iter().for_each(|(_, counter)| counter.inc_by(usd));
                    }
                }
            }
            None => self.all.unknown_cost.with(&[&*self.provider, &*self.model]).inc(),
        }
    }

    pub(crate) fn ttft(&self, ttft: Duration) {
        self.ttft
            .get_or_init(|| self.all.ttft.with(&[&*self.provider, &*self.model]))
            .observe(ttft.as_secs_f64());
    }

    pub(crate) fn per_token(&self, per_token: Duration) {
        self.per_token
            .get_or_init(|| self.all.per_token.with(&[&*self.provider, &*self.model]))
            .observe(per_token.as_secs_f64());
    }

    fn call(&self, operation: &str, status: u16, duration: Duration) {
        let target = [&*self.route, &*self.provider, &*self.model];
        let counter =
            |status: &str| self.all.requests.with(&[target[0], target[1], target[2], operation, status]);
        if status == 200 && operation == "chat" {
            let (served, histogram) =
                self.served.get_or_init(|| (counter("200"), self.all.duration.with(&target)));
            served.inc();
            histogram.observe(duration.as_secs_f64());
        } else {
            counter(&status.to_string()).inc();
            self.all.duration.with(&target).observe(duration.as_secs_f64());
        }
    }
}
