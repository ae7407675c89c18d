//! From the process's counters to readings: a window of samples, taken now and then, off the calls' path.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use weir_gateway::metrics::ProviderSample;
use weir_ledger::budget::{BudgetState, Period};

use super::board::{Reading, Shared};

/// Fewer attempts than these say nothing about a rate.
const ENOUGH: u64 = 20;
/// So many failures in a row, and nothing else, and a provider is down.
const DOWN: u64 = 3;

/// What counts as wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// The share of failed attempts, in millionths.
    pub error_rate_ppm: u64,
    /// The time within which 95 in 100 calls must have ended.
    pub latency: Duration,
    /// How far back attempts and calls are looked at.
    pub window: Duration,
}

/// Samples of the last while.
pub struct Watch {
    rules: Rules,
    samples: VecDeque<(Instant, BTreeMap<String, ProviderSample>)>,
}

impl Watch {
    /// Without any sample.
    pub fn new(rules: Rules) -> Watch {
        Watch { rules, samples: VecDeque::new() }
    }

    /// Takes a sample of all providers, and says how they stand.
    pub fn providers(&mut self, now: Instant, sample: BTreeMap<String, ProviderSample>) -> Vec<Reading> {
        let before = self.samples.iter().rev().find(|(at, _)| now.duration_since(*at) >= self.rules.window);
        let before = before.or(self.samples.front()).map(|(_, sample)| sample);
        let mut readings = Vec::new();
        for (name, now) in &sample {
            let then = before.and_then(|before| before.get(name));
            self.judge(name, now, then, &mut readings);
        }
        self.samples.push_back((now, sample));
        // One sample older than the window stays, to compare with.
        while self.samples.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= self.rules.window) {
            self.samples.pop_front();
        }
        readings
    }

    fn judge(
        &self,
        name: &str,
        now: &ProviderSample,
        then: Option<&ProviderSample>,
        readings: &mut Vec<Reading>,
    ) {
        let zero = ProviderSample::default();
        let then = then.unwrap_or(&zero);
        let (ok, failed) = (now.ok.saturating_sub(then.ok), now.failed.saturating_sub(then.failed));
        let all = ok + failed;
        let window = self.rules.window.as_secs();
        let percent = |part: u64| part as f64 * 100.0 / all.max(1) as f64;
        readings.push(Reading {
            kind: "error_rate",
            name: name.to_owned(),
            wrong: match all {
                0 => Some(false),
                1..ENOUGH => None,
                _ => Some(failed.saturating_mul(1_000_000) > self.rules.error_rate_ppm.saturating_mul(all)),
            },
            cause: format!(
                "{failed} of {all} attempts failed within {window} s ({:.1} %; the limit is {:.1} %)",
                percent(failed),
                self.rules.error_rate_ppm as f64 / 10_000.0
            ),
            shared: None,
        });
        readings.push(Reading {
            kind: "provider_down",
            name: name.to_owned(),
            wrong: match (now.up, ok, failed) {
                (true, ..) => Some(false),
                (false, 0, DOWN..) => Some(true),
                _ => None,
            },
            cause: match now.up {
                true => "the last attempt got an answer".to_owned(),
                false => format!("the last {failed} attempts within {window} s got no answer"),
            },
            shared: None,
        });
        let calls = now.calls.saturating_sub(then.calls);
        let slow = now.slower_than(self.rules.latency).saturating_sub(then.slower_than(self.rules.latency));
        readings.push(Reading {
            kind: "latency",
            name: name.to_owned(),
            wrong: match calls {
                0 => Some(false),
                1..ENOUGH => None,
                _ => Some(slow * 20 > calls),
            },
            cause: format!(
                "{slow} of {calls} calls within {window} s took longer than {:?}; 1 in 20 may",
                self.rules.latency
            ),
            shared: None,
        });
    }
}

fn period(period: Period) -> String {
    match period {
        Period::Day => "day".to_owned(),
        Period::Week => "week".to_owned(),
        Period::Month => "month".to_owned(),
        Period::Total => "total".to_owned(),
        Period::Rolling(span) => format!("{span:?}"),
    }
}

/// How budgets stand: one reading for each share that shall alert.
pub fn budgets(states: &[BudgetState]) -> Vec<Reading> {
    let shares =
        states.iter().flat_map(|state| state.budget.alert_at.iter().map(move |share| (state, *share)));
    shares.map(|(state, share)| budget(state, share)).collect()
}

fn budget(state: &BudgetState, millionths: u32) -> Reading {
    let limit = state.budget.limit_nanousd;
    let usd = |nano: i64| weir_catalog::NanoUsd(nano).to_string();
    let percent = state.spent_nanousd as f64 * 100.0 / limit.max(1) as f64;
    let until = state.window.end.and_then(|end| jiff::Timestamp::from_microsecond(end).ok());
    let until = until.map(|end| format!("; its window ends {end:.0}")).unwrap_or_default();
    Reading {
        kind: "budget",
        name: format!(
            "{} per {} at {} %",
            state.budget.scope,
            period(state.budget.period),
            f64::from(millionths) / 10_000.0
        ),
        // Until the store has said so nobody knows.
        wrong: state.age_ms.map(|_| state.reached(millionths)),
        cause: format!(
            "{} of {} USD are spent ({percent:.1} %){until}",
            usd(state.spent_nanousd),
            usd(limit)
        ),
        shared: Some(Shared {
            budget: format!("{}@{limit}", state.budget.id).into(),
            window: state.alert_window(),
            millionths,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules { error_rate_ppm: 100_000, latency: Duration::from_secs(5), window: Duration::from_secs(60) }
    }

    fn sample(ok: u64, failed: u64, up: bool, fast: u64, slow: u64) -> BTreeMap<String, ProviderSample> {
        let buckets = vec![(1.0, fast), (10.0, fast + slow)];
        BTreeMap::from([("p".to_owned(), ProviderSample { ok, failed, up, calls: fast + slow, buckets })])
    }

    fn wrong(readings: &[Reading], kind: &str) -> Option<bool> {
        readings.iter().find(|reading| reading.kind == kind).unwrap().wrong
    }

    #[test]
    fn rates_are_those_of_the_window() {
        let (mut watch, start) = (Watch::new(rules()), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        watch.providers(at(0), sample(0, 0, true, 0, 0));
        assert_eq!(wrong(&watch.providers(at(10), sample(3, 3, false, 3, 0)), "error_rate"), None);
        assert_eq!(wrong(&watch.providers(at(20), sample(30, 10, true, 30, 0)), "error_rate"), Some(true));
        // A minute later those failures no longer count.
        watch.providers(at(80), sample(30, 10, true, 30, 0));
        assert_eq!(wrong(&watch.providers(at(141), sample(60, 10, true, 60, 0)), "error_rate"), Some(false));
    }

    #[test]
    fn a_provider_is_down_when_nothing_but_failures_came() {
        let (mut watch, start) = (Watch::new(rules()), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        watch.providers(at(0), sample(10, 0, true, 10, 0));
        assert_eq!(wrong(&watch.providers(at(1), sample(10, 2, false, 12, 0)), "provider_down"), None);
        assert_eq!(wrong(&watch.providers(at(2), sample(10, 3, false, 13, 0)), "provider_down"), Some(true));
        assert_eq!(wrong(&watch.providers(at(3), sample(11, 3, true, 14, 0)), "provider_down"), Some(false));
    }

    #[test]
    fn one_in_twenty_may_be_slow() {
        let (mut watch, start) = (Watch::new(rules()), Instant::now());
        watch.providers(start, sample(0, 0, true, 0, 0));
        let later = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(wrong(&watch.providers(later(1), sample(100, 0, true, 95, 5)), "latency"), Some(false));
        assert_eq!(wrong(&watch.providers(later(2), sample(100, 0, true, 94, 6)), "latency"), Some(true));
    }
}
