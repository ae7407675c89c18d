//! When a call may be sent a second time because the first attempt is slow, and how often that may be.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use weir_config::{After, OrOff};

use super::health::TargetHealth;

/// What one second attempt takes.
const ONE: i64 = 1_000_000;
/// How many are saved up at most.
const MOST: i64 = 20 * ONE;

/// `models.*.hedge`, with what is left of it.
#[derive(Debug)]
pub struct Hedge {
    after: After,
    /// What each call adds, in millionths of a second attempt.
    share: i64,
    left: AtomicI64,
}

impl Hedge {
    /// As written; `None` where it is off.
    pub fn of(written: Option<&OrOff<weir_config::Hedge>>) -> Option<Hedge> {
        let written = written.and_then(OrOff::value)?;
        let share = i64::from(written.max_extra.millionths);
        Some(Hedge { after: written.after, share, left: AtomicI64::new(0) })
    }

    /// A call comes.
    pub fn call(&self) {
        let left = self.left.fetch_add(self.share, Ordering::Relaxed);
        if left > MOST {
            self.left.fetch_min(MOST, Ordering::Relaxed);
        }
    }

    /// How long an attempt may take to begin before another is sent; `None` while that is not known.
    pub fn after(&self, target: &TargetHealth, stream: bool) -> Option<Duration> {
        match self.after {
            After::Percentile(percent) => target.begins(stream).percentile(percent),
            After::Time(time) => Some(time.get()),
        }
    }

    /// Whether there may be a second attempt now; it is taken.
    pub fn take(&self) -> bool {
        let take = |left: i64| (left >= ONE).then_some(left - ONE);
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// It was not sent after all.
    pub fn give_back(&self) {
        self.left.fetch_add(ONE, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W-057: however many calls are slow, no more than their share is sent twice.
    #[test]
    fn w057_second_attempts_stay_within_their_share() {
        let written = weir_config::Hedge { after: "1s".parse().unwrap(), max_extra: "0.05".parse().unwrap() };
        let hedge = Hedge::of(Some(&OrOff::On(written))).unwrap();
        let mut extra = 0;
        for call in 1..=10_000 {
            hedge.call();
            extra += usize::from(hedge.take());
            assert!(extra * 20 <= call, "{extra} of {call}");
        }
        assert_eq!(extra, 500);
        assert!(Hedge::of(Some(&OrOff::Off)).is_none() && Hedge::of(None).is_none());
    }
}
