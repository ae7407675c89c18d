//! What the counters say of each provider, for alerts.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::{LabelPair, Metric};

use super::Metrics;

/// What was counted of one provider since the start.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProviderSample {
    /// Attempts that ended well.
    pub ok: u64,
    /// Attempts that the provider failed: errors, broken streams, no answer in time.
    pub failed: u64,
    /// Whether its last attempt got an answer.
    pub up: bool,
    /// Calls that it served, or failed last.
    pub calls: u64,
    /// How many of them took at most so many seconds.
    pub buckets: Vec<(f64, u64)>,
}

/// States of attempts that are the provider's failures.
const FAILURES: [&str; 4] = ["upstream_error", "upstream_truncated", "upstream_idle_timeout", "deadline"];

impl ProviderSample {
    /// How many calls took longer: exactly where `limit` is a bucket's bound, else at least as many.
    pub fn slower_than(&self, limit: Duration) -> u64 {
        let within = self.buckets.iter().rev().find(|(bound, _)| *bound <= limit.as_secs_f64());
        within.map_or(self.calls, |(_, count)| self.calls.saturating_sub(*count))
    }
}

impl Metrics {
    /// What was counted, by provider.
    pub fn providers(&self) -> BTreeMap<String, ProviderSample> {
        let mut found: BTreeMap<String, ProviderSample> = BTreeMap::new();
        each(self.attempts.all(), |provider, metric| {
            let count = metric.get_counter().get_value() as u64;
            let sample = found.entry(provider.to_owned()).or_default();
            match label(metric, "result") {
                "ok" => sample.ok += count,
                result if FAILURES.contains(&result) => sample.failed += count,
                _ => {}
            }
        });
        each(self.up.all(), |provider, metric| {
            found.entry(provider.to_owned()).or_default().up = metric.get_gauge().get_value() > 0.0;
        });
        each(self.duration.all(), |provider, metric| {
            let sample = found.entry(provider.to_owned()).or_default();
            let histogram = metric.get_histogram();
            sample.calls += histogram.get_sample_count();
            for (index, bucket) in histogram.get_bucket().iter().enumerate() {
                let (bound, count) = (bucket.upper_bound(), bucket.cumulative_count());
                match sample.buckets.get_mut(index) {
                    Some(sum) => sum.1 += count,
                    None => sample.buckets.push((bound, count)),
                }
            }
        });
        found
    }
}

fn each(collector: &impl Collector, mut see: impl FnMut(&str, &Metric)) {
    for family in collector.collect() {
        for metric in family.get_metric() {
            see(label(metric, "provider"), metric);
        }
    }
}

fn label<'m>(metric: &'m Metric, name: &str) -> &'m str {
    metric.get_label().iter().find(|label| label.name() == name).map_or("", LabelPair::value)
}
