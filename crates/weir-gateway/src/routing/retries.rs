//! How many tries beyond a call's first at each target there may be: a provider that is down must not get a storm.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

/// What each call adds: a fifth of a try.
const PER_CALL: i64 = 200;
/// What each second adds.
const PER_SECOND: u64 = 10_000;
/// What one try takes.
const TRY: i64 = 1000;
/// How much is kept at most.
const MOST: i64 = 100_000;
/// What is there at the beginning: a second's worth.
const FIRST: i64 = 10_000;

/// Tries, in thousandths: attempts stay below 1.2 times the calls, plus ten a second.
#[derive(Debug)]
pub struct RetryBudget {
    left: AtomicI64,
    /// Milliseconds since `born` up to which seconds have been added.
    filled: AtomicU64,
    born: Instant,
}

impl RetryBudget {
    /// A full one.
    pub fn new(now: Instant) -> RetryBudget {
        RetryBudget { left: AtomicI64::new(FIRST), filled: AtomicU64::new(0), born: now }
    }

    /// A call comes.
    pub fn call(&self) {
        self.add(PER_CALL);
    }

    /// Whether there may be another try; it is taken.
    pub fn take(&self, now: Instant) -> bool {
        self.fill(now);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| (left >= TRY).then_some(left - TRY));
        taken.is_ok()
    }

    fn fill(&self, now: Instant) {
        let since = u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX);
        let filled = self.filled.fetch_max(since, Ordering::Relaxed);
        let more = since.saturating_sub(filled).saturating_mul(PER_SECOND / 1000);
        self.add(i64::try_from(more).unwrap_or(MOST));
    }

    fn add(&self, more: i64) {
        if more > 0 {
            let left = self.left.fetch_add(more.min(MOST), Ordering::Relaxed);
            if left > MOST {
                self.left.fetch_min(MOST, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// W-048: whatever fails, attempts stay below 1.2 times the calls, plus ten a second.
    #[test]
    fn w048_tries_stay_within_their_budget() {
        for rate in [1, 10, 1000_u32] {
            let start = Instant::now();
            let budget = RetryBudget::new(start);
            let (seconds, mut calls, mut attempts) = (20, 0_u32, 0_u32);
            for call in 0..rate * seconds {
                let now = start + Duration::from_secs(1) * call / rate;
                budget.call();
                calls += 1;
                attempts += 1;
                (0..2).filter(|_| budget.take(now)).for_each(|_| attempts += 1);
            }
            let most = f64::from(calls) * 1.2 + 10.0 * f64::from(seconds + 1);
            assert!(f64::from(attempts) <= most, "{attempts} of {most}");
            // It is no dead letter either.
            assert!(f64::from(attempts) >= f64::from(calls) * 1.15, "{attempts} of {calls}");
        }
    }
}
