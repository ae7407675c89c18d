//! Metrics by the GenAI conventions, counted from the rows of attempts that ended.

use std::collections::BTreeMap;

use foldhash::fast::RandomState;
use indexmap::{Equivalent, IndexMap};
use weir_config::GenaiSemconv;
use weir_gateway::watch::Ended;
use weir_ledger::AttemptRow;
use weir_wire::Class;

use super::names::{self, Names};
use super::proto::{Attributes, CUMULATIVE, Data, Histogram, HistogramPoint, Metric, NumberPoint, Sum};
use super::spans::error_type;

/// Seconds.
const DURATION: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Seconds for each token.
const PER_TOKEN: &[f64] = &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
/// So many sets of attributes are told apart; what comes then has `overflow`.
const MOST: usize = 2_000;

/// What the attributes of a point are: operation, provider, model, kind of token, kind of error.
type Key = [String; 5];
/// The name of a metric, and the attributes of a point of it.
type Place = (&'static str, Key);
type Points<V> = IndexMap<Place, V, RandomState>;

/// A place that is looked up: each call asks for some, so nothing is copied for it. Its hash is that of a [`Place`].
#[derive(Hash)]
struct Asked<'k>(&'static str, [&'k str; 5]);

/// What comes beyond [`MOST`].
const OVERFLOW: [&str; 5] = ["", "", weir_gateway::metrics::OVERFLOW, "", ""];

impl Equivalent<Place> for Asked<'_> {
    fn equivalent(&self, (name, key): &Place) -> bool {
        self.0 == *name && self.1.iter().zip(key).all(|(asked, own)| asked == own)
    }
}

impl Asked<'_> {
    /// Its value among these, made where there is none yet and room for it.
    fn of<V>(self, points: &mut Points<V>, full: bool, empty: impl FnOnce() -> V) -> &mut V {
        let known = points.get_index_of(&self);
        let asked = if known.is_none() && full { Asked(self.0, OVERFLOW) } else { self };
        let at = known
            .or_else(|| points.get_index_of(&asked))
            .unwrap_or_else(|| points.insert_full((asked.0, asked.1.map(str::to_owned)), empty()).0);
        &mut points[at]
    }
}

/// Everything since the start.
pub struct Sums {
    names: Names,
    /// When counting began, in nanoseconds since 1970.
    start: u64,
    histograms: Points<Buckets>,
    counters: Points<i64>,
}

#[derive(Clone)]
struct Buckets {
    bounds: &'static [f64],
    unit: &'static str,
    counts: Vec<u64>,
    sum: f64,
}

impl Sums {
    /// Nothing yet.
    pub fn new(semconv: GenaiSemconv, start: u64) -> Sums {
        Sums { names: semconv.into(), start, histograms: Points::default(), counters: Points::default() }
    }

    /// A call ended.
    pub fn add(&mut self, ended: &Ended) {
        for attempt in &ended.attempts {
            let kind = ended.snapshot.providers.get(&*attempt.provider).map(|provider| &*provider.kind);
            self.attempt(attempt, names::provider(kind.unwrap_or(&attempt.provider)));
        }
    }

    fn attempt(&mut self, attempt: &AttemptRow, provider: &str) {
        let operation = names::operation(&attempt.facts.operation);
        let error = error_type(attempt).unwrap_or_default();
        let key = |token: &'static str, error| [operation, provider, &*attempt.model, token, error];
        let seconds = attempt.duration_ms as f64 / 1e3;
        let usage = &attempt.usage;
        let (input, output) = (usage.prompt_tokens(), usage.completion_tokens());
        let first = attempt.ttft_ms.filter(|_| attempt.facts.stream).map(|millis| millis as f64 / 1e3);
        if self.names.old {
            self.observe("gen_ai.client.operation.duration", "s", DURATION, key("", error), seconds);
            for (kind, count) in [("input", input), ("output", output)] {
                if count > 0 {
                    let name = "gen_ai.client.token.usage";
                    self.observe(name, "{token}", TOKENS, key(kind, ""), count as f64);
                }
            }
        }
        if self.names.new {
            self.observe("gen_ai.client.inference.duration", "s", DURATION, key("", error), seconds);
            let write = usage.tokens(Class::CacheWrite5m) + usage.tokens(Class::CacheWrite1h);
            for (name, count) in [
                ("gen_ai.client.inference.usage.input_tokens", input),
                ("gen_ai.client.inference.usage.output_tokens", output),
                ("gen_ai.client.inference.usage.cache_read.input_tokens", usage.tokens(Class::CacheRead)),
                ("gen_ai.client.inference.usage.cache_write.input_tokens", write),
                ("gen_ai.client.inference.usage.reasoning.output_tokens", usage.tokens(Class::Reasoning)),
            ] {
                self.count(name, key("", ""), count);
            }
        }
        let Some(first) = first.filter(|_| error.is_empty()) else { return };
        if self.names.old {
            let name = "gen_ai.client.operation.time_to_first_chunk";
            self.observe(name, "s", DURATION, key("", ""), first);
        }
        if self.names.new {
            let name = "gen_ai.client.inference.time_to_first_chunk";
            self.observe(name, "s", DURATION, key("", ""), first);
        }
        if output > 1 {
            let each = (seconds - first).max(0.0) / output as f64;
            self.observe("gen_ai.server.time_per_output_token", "s", PER_TOKEN, key("", ""), each);
        }
    }

    fn observe(
        &mut self,
        name: &'static str,
        unit: &'static str,
        bounds: &'static [f64],
        key: [&str; 5],
        value: f64,
    ) {
        let full = self.histograms.len() + self.counters.len() >= MOST;
        let empty = || Buckets { bounds, unit, counts: vec![0; bounds.len() + 1], sum: 0.0 };
        let buckets = Asked(name, key).of(&mut self.histograms, full, empty);
        let at = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        buckets.counts[at] += 1;
        buckets.sum += value;
    }

    fn count(&mut self, name: &'static str, key: [&str; 5], by: u64) {
        if by == 0 {
            return;
        }
        let full = self.histograms.len() + self.counters.len() >= MOST;
        *Asked(name, key).of(&mut self.counters, full, i64::default) += i64::try_from(by).unwrap_or(0);
    }

    /// All of it, at this time in nanoseconds since 1970.
    pub fn metrics(&self, at: u64) -> Vec<Metric> {
        let mut metrics: BTreeMap<&'static str, Metric> = BTreeMap::new();
        for ((name, key), buckets) in &self.histograms {
            let empty = Data::Histogram(Histogram { points: Vec::new(), temporality: CUMULATIVE });
            let metric = metrics.entry(name).or_insert_with(|| new(name, buckets.unit, empty));
            if let Some(Data::Histogram(histogram)) = &mut metric.data {
                histogram.points.push(HistogramPoint {
                    start: self.start,
                    at,
                    count: buckets.counts.iter().sum(),
                    sum: Some(buckets.sum),
                    counts: buckets.counts.clone(),
                    bounds: buckets.bounds.to_vec(),
                    attributes: attributes(key),
                });
            }
        }
        for ((name, key), value) in &self.counters {
            let empty = Data::Sum(Sum { points: Vec::new(), temporality: CUMULATIVE, monotonic: true });
            let metric = metrics.entry(name).or_insert_with(|| new(name, "{token}", empty));
            if let Some(Data::Sum(sum)) = &mut metric.data {
                let attributes = attributes(key);
                sum.points.push(NumberPoint { start: self.start, at, value: *value, attributes });
            }
        }
        metrics.into_values().collect()
    }
}

fn new(name: &str, unit: &str, data: Data) -> Metric {
    Metric { name: name.to_owned(), description: String::new(), unit: unit.to_owned(), data: Some(data) }
}

fn attributes(key: &Key) -> Vec<super::proto::KeyValue> {
    let names = [
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.token.type",
        "error.type",
    ];
    let mut attributes = Attributes::default();
    for (name, value) in names.iter().zip(key).filter(|(_, value)| !value.is_empty()) {
        attributes.put(name, value.as_str());
    }
    attributes.0
}

#[cfg(test)]
mod tests {
    use weir_ledger::CallId;
    use weir_ledger::row::sample;

    use super::*;

    fn attempt(model: &str) -> AttemptRow {
        let facts = sample::facts(1_000_000);
        let row = sample::settled(&sample::open(CallId::at(1, &[1; 10]), 1, &facts), 5);
        AttemptRow { model: model.into(), ..row }
    }

    fn names(sums: &Sums) -> Vec<String> {
        sums.metrics(2).into_iter().map(|metric| metric.name).collect()
    }

    #[test]
    fn each_generation_has_its_metrics() {
        let of = |semconv| {
            let mut sums = Sums::new(semconv, 1);
            sums.attempt(&attempt("m"), "openai");
            names(&sums)
        };
        let (old, new) = (of(GenaiSemconv::V1_41), of(GenaiSemconv::Latest));
        assert_eq!(
            old,
            [
                "gen_ai.client.operation.duration",
                "gen_ai.client.operation.time_to_first_chunk",
                "gen_ai.client.token.usage",
                "gen_ai.server.time_per_output_token",
            ]
        );
        assert_eq!(
            new,
            [
                "gen_ai.client.inference.duration",
                "gen_ai.client.inference.time_to_first_chunk",
                "gen_ai.client.inference.usage.input_tokens",
                "gen_ai.client.inference.usage.output_tokens",
                "gen_ai.server.time_per_output_token",
            ]
        );
        let mut all = [old, new].concat();
        all.sort();
        all.dedup();
        assert_eq!(of(GenaiSemconv::Both), all);
    }

    #[test]
    fn counts_and_sums_are_those_of_the_rows() {
        let mut sums = Sums::new(GenaiSemconv::V1_41, 1);
        for _ in 0..3 {
            sums.attempt(&attempt("m"), "openai");
        }
        let metrics = sums.metrics(2);
        let duration = metrics.iter().find(|one| one.name == "gen_ai.client.operation.duration").unwrap();
        let Some(Data::Histogram(histogram)) = &duration.data else { panic!("{duration:?}") };
        let point = &histogram.points[0];
        // A quarter of a second each: the sixth bucket.
        assert_eq!((point.count, point.sum, point.counts[5]), (3, Some(0.75), 3));
        assert_eq!(point.counts.len(), point.bounds.len() + 1);
    }

    #[test]
    fn models_without_end_end_in_one_point() {
        let mut sums = Sums::new(GenaiSemconv::V1_41, 1);
        for n in 0..MOST * 2 {
            sums.attempt(&attempt(&format!("model-{n}")), "openai");
        }
        assert!(sums.histograms.len() <= MOST + 5, "{}", sums.histograms.len());
    }
}
