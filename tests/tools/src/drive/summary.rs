//! The sums of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Line, Seen};

/// What a run came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// How long it took.
    pub seconds: f64,
    /// How many ended how.
    pub ends: BTreeMap<String, u64>,
    /// How many had which status.
    pub statuses: BTreeMap<u16, u64>,
    /// Some of the errors.
    pub errors: Vec<String>,
    bytes: u64,
    events: u64,
    /// Of complete ones, in microseconds.
    totals: Vec<u64>,
    firsts: Vec<u64>,
    /// Of refused ones.
    refusals: Vec<u64>,
    /// Between two reads of a stream.
    gaps: Vec<u32>,
}

impl Summary {
    /// How many ended so.
    pub fn ended(&self, seen: Seen) -> u64 {
        self.ends.get(&name(seen)).copied().unwrap_or(0)
    }

    /// How long complete requests took: so many in a thousand took no longer.
    pub fn took(&self, per_mille: usize) -> Duration {
        at(&self.totals, per_mille)
    }

    /// The same of refused ones.
    pub fn refused_after(&self, per_mille: usize) -> Duration {
        at(&self.refusals, per_mille)
    }

    pub(super) fn count(&mut self, line: &Line) {
        *self.ends.entry(name(line.end)).or_default() += 1;
        *self.statuses.entry(line.status).or_default() += 1;
        self.bytes += line.bytes;
        self.events += line.events;
        if line.end == Seen::Complete {
            self.totals.push(line.total_us);
            self.firsts.extend(line.first_us);
        }
        if line.end == Seen::Refused {
            self.refusals.push(line.total_us);
        }
        self.gaps.extend(&line.gaps_us);
        if let Some(error) = &line.error
            && self.errors.len() < 5
        {
            self.errors.push(error.clone());
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        for (key, count) in other.ends {
            *self.ends.entry(key).or_default() += count;
        }
        for (key, count) in other.statuses {
            *self.statuses.entry(key).or_default() += count;
        }
        self.bytes += other.bytes;
        self.events += other.events;
        self.totals.extend(other.totals);
        self.firsts.extend(other.firsts);
        self.refusals.extend(other.refusals);
        self.gaps.extend(other.gaps);
        self.errors.extend(other.errors);
        self.errors.truncate(10);
    }

    /// All of it as JSON; times in microseconds.
    pub fn json(mut self) -> Value {
        let requests: u64 = self.ends.values().sum();
        json!({
            "requests": requests,
            "seconds": self.seconds,
            "per_second": requests as f64 / self.seconds.max(1e-9),
            "ends": self.ends,
            "statuses": self.statuses,
            "bytes": self.bytes,
            "events": self.events,
            "total_us": quantiles(&mut self.totals),
            "first_us": quantiles(&mut self.firsts),
            "refused_us": quantiles(&mut self.refusals),
            "gaps_us": quantiles(&mut self.gaps),
            "errors": self.errors,
        })
    }
}

fn name(seen: Seen) -> String {
    serde_json::to_value(seen).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn at(values: &[u64], per_mille: usize) -> Duration {
    let mut values = values.to_vec();
    values.sort_unstable();
    let position = (values.len() * per_mille / 1000).min(values.len().saturating_sub(1));
    Duration::from_micros(values.get(position).copied().unwrap_or(0))
}

fn quantiles<T: Ord + Copy + serde::Serialize>(values: &mut [T]) -> Value {
    values.sort_unstable();
    let at =
        |per_mille: usize| values.get((values.len() * per_mille / 1000).min(values.len().saturating_sub(1)));
    json!({"p50": at(500), "p90": at(900), "p99": at(990), "p999": at(999), "max": values.last()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_few_and_many() {
        assert_eq!(
            quantiles::<u64>(&mut []),
            json!({"p50": null, "p90": null, "p99": null, "p999": null, "max": null})
        );
        let mut many: Vec<u64> = (0..1000).rev().collect();
        assert_eq!(
            quantiles(&mut many),
            json!({"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 999})
        );
    }
}
