//! How long something took lately, exactly: a percentile of the last times.

use std::time::Duration;

use parking_lot::Mutex;

/// How many times are kept.
const KEPT: usize = 256;
/// Fewer say nothing.
const LEAST: usize = 20;

/// The last times.
#[derive(Debug, Default)]
pub struct Latency(Mutex<Times>);

#[derive(Debug, Default)]
struct Times {
    /// In microseconds, the oldest at `next` once it is full.
    list: Vec<u32>,
    next: usize,
}

impl Latency {
    /// It took so long.
    pub fn add(&self, took: Duration) {
        let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let mut times = self.0.lock();
        let next = times.next;
        match times.list.len() < KEPT {
            true => times.list.push(micros),
            false => times.list[next] = micros,
        }
        times.next = (next + 1) % KEPT;
    }

    /// So many of a hundred took no longer; `None` while too few are known.
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        let mut list = {
            let times = self.0.lock();
            (times.list.len() >= LEAST).then(|| times.list.clone())?
        };
        let at = (list.len() * usize::from(percent)).div_ceil(100).clamp(1, list.len()) - 1;
        let (_, micros, _) = list.select_nth_unstable(at);
        Some(Duration::from_micros(u64::from(*micros)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_the_last_times_say() {
        let latency = Latency::default();
        for millis in (1..=100).rev() {
            assert_eq!(latency.percentile(95).is_some(), millis <= 80);
            latency.add(Duration::from_millis(millis));
        }
        assert_eq!(latency.percentile(95), Some(Duration::from_millis(95)));
        assert_eq!(latency.percentile(1), Some(Duration::from_millis(1)));
        for _ in 0..KEPT {
            latency.add(Duration::from_millis(7));
        }
        assert_eq!(latency.percentile(99), Some(Duration::from_millis(7)), "what is long ago is forgotten");
    }
}
