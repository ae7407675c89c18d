//! `GET /metrics`, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::app::App;

/// Everything that is counted.
pub fn text(app: &App) -> String {
    let mut text = app.metrics.text();
    let stats = app.ledger.stats();
    let mut gauge = |name: &str, help: &str, value: u64| {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
    };
    gauge(
        "weir_ledger_queue_entries",
        "Rows of this process that are not in the store yet.",
        stats.queue_entries,
    );
    gauge(
        "weir_ledger_spooled_entries",
        "Rows in the spool that are not in the store yet, those of dead processes included.",
        stats.spooled_entries,
    );
    gauge("weir_ledger_spool_bytes", "Bytes that the spool takes on the disk.", stats.bytes);
    let most = app.loaded.load().config.ledger.max_spool.bytes();
    gauge("weir_ledger_spool_limit_bytes", "Bytes that the spool may take.", most);
    let ready = super::health::ready(app).0.is_success();
    gauge("weir_ready", "Whether this replica takes calls.", u64::from(ready));
    let (series, overflow) = app.metrics.series();
    gauge("weir_metrics_series", "Series of metrics with labels.", series as u64);
    gauge("weir_memory_bytes", "Memory that the process takes.", app.overload.memory() as u64);
    gauge("weir_body_bytes", "Memory that the bodies of calls take.", app.overload.body_bytes() as u64);
    gauge(
        "weir_waiting_requests",
        "Calls that wait for their answer's beginning.",
        app.overload.waiting() as u64,
    );
    if let Some(rate) = app.overload.rate() {
        gauge("weir_admitted_per_second", "Calls that are admitted in a second of overload.", rate as u64);
    }
    gauge("weir_ledger_reserved_bytes", "Bytes set aside for calls under way.", stats.reserved_bytes);
    gauge(
        "weir_ledger_quarantined_segments",
        "Damaged spool segments that stand in quarantine.",
        stats.quarantined,
    );
    let redis = app.redis.as_ref().map(weir_redis::Redis::stats);
    if let Some(redis) = &redis {
        gauge("weir_coordination_up", "Whether Redis answers.", u64::from(redis.up));
        gauge("weir_coordination_replicas", "Replicas that Redis has heard of.", redis.replicas);
    }
    let mut counter = |name: &str, help: &str, samples: &[(&str, u64)]| {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let written =
        [("{result=\"new\"}", stats.written_new), ("{result=\"replayed\"}", stats.written_replayed)];
    counter("weir_ledger_written_total", "Rows written to the store.", &written);
    counter(
        "weir_ledger_write_failures_total",
        "Writes to the store that failed.",
        &[("", stats.write_failures)],
    );
    counter(
        "weir_metrics_overflow_total",
        "What counted as `overflow`, since there may be no more series (`telemetry.max_series`).",
        &[("", overflow)],
    );
    counter("weir_ledger_orphaned_total", "Attempts that a crash left open.", &[("", stats.orphaned)]);
    counter(
        "weir_ledger_torn_segments_total",
        "Spool segments that ended in the middle of a record, as after a crash.",
        &[("", stats.torn)],
    );
    counter(
        "weir_ledger_refused_total",
        "Calls refused because the ledger was full.",
        &[("", stats.refused)],
    );
    if app.loaded.load().config.logging.calls.is_some() {
        let lost = app.calls_not_logged.count();
        let help = "Calls that are not in the log of calls, since it can't be written fast enough.";
        counter("weir_call_log_dropped_total", help, &[("", lost)]);
    }
    if app.loaded.load().config.telemetry.otlp.is_some() {
        let results = |(sent, lost)| [("{result=\"sent\"}", sent), ("{result=\"lost\"}", lost)];
        let (spans, logs) = (results(app.otlp.spans()), results(app.otlp.logs()));
        counter("weir_otlp_spans_total", "Spans, by whether the collector took them.", &spans);
        counter("weir_otlp_logs_total", "Log records, by whether the collector took them.", &logs);
        counter(
            "weir_otlp_dropped_total",
            "Calls that are in no export, since the collector was too slow.",
            &[("", app.otlp.dropped())],
        );
    }
    if let Some(redis) = &redis {
        counter("weir_coordination_lost_total", "How often Redis was lost.", &[("", redis.losses)]);
        let mode = format!("{{mode=\"{}\"}}", redis.on_loss.name());
        counter(
            "weir_coordination_without_total",
            "Calls whose limits were decided without Redis, by what holds then.",
            &[(&mode, redis.without)],
        );
    }
    budgets(app, &mut text);
    text
}

/// How many budgets are shown: those of single users and sessions may be without number.
const MOST_BUDGETS: usize = 1_000;

/// How much of each budget is used: spent, or held by calls under way.
fn budgets(app: &App, text: &mut String) {
    let mut used: BTreeMap<(&'static str, String), f64> = BTreeMap::new();
    for state in app.budgets.view() {
        let (scope, limit) = (&state.budget.scope, state.budget.limit_nanousd);
        let share = match limit {
            0 => 1.0,
            limit => (limit - state.free_nanousd) as f64 / limit as f64,
        };
        let place = (scope.kind(), scope.name().to_owned());
        if used.len() < MOST_BUDGETS || used.contains_key(&place) {
            // Of several periods, the one that is nearest to its limit.
            let most = used.entry(place).or_insert(share);
            *most = most.max(share);
        }
    }
    if used.is_empty() {
        return;
    }
    text.push_str("# HELP weir_budget_used_ratio How much of a budget is used, as this process knows it; of several periods, the fullest.\n# TYPE weir_budget_used_ratio gauge\n");
    for ((scope, name), share) in used {
        let name = name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = writeln!(text, "weir_budget_used_ratio{{scope=\"{scope}\",name=\"{name}\"}} {share}");
    }
}
