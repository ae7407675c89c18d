//! How each target does: its breaker, its keys that rest, how busy and how fast it is.
//!
//! A target's health belongs to its provider and outlives reloads that leave the provider as it was. Each has a lock of
//! its own, held for a few instructions.

mod breaker;
mod latency;
mod window;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use breaker::{Admit, Breaker, BreakerSettings, MAX_REST, Why};
pub use latency::Latency;

/// How many conversations a target is remembered for.
const WARM_SLOTS: usize = 256;
/// A measurement that is older says little.
const OLD: Duration = Duration::from_secs(2);
/// How long a prompt stays in a provider's cache, in seconds.
const WARM_FOR: u64 = 300;

/// The health of a provider's models.
#[derive(Debug, Default)]
pub struct Book(Mutex<HashMap<Box<str>, Weak<TargetHealth>>>);

/// How one target does.
#[derive(Debug)]
pub struct TargetHealth {
    breaker: Mutex<Breaker>,
    /// Its provider's keys, as far as they rest at this target alone.
    pub keys: Rests,
    inflight: AtomicU32,
    /// Microseconds from dispatch to the first content of a stream, smoothed; 0 before the first.
    ttft: AtomicU64,
    /// Nanoseconds per token of a stream, smoothed.
    per_token: AtomicU64,
    /// Microseconds of a whole answer, smoothed.
    whole: AtomicU64,
    /// When it last told how fast it is, in milliseconds since `born`.
    told: AtomicU64,
    /// What belongs together and was here lately, as a tag and a second each.
    warm: OnceLock<Box<[AtomicU64]>>,
    /// How long whole answers and streams take to begin; known where calls may be sent twice.
    begins: [OnceLock<Box<Latency>>; 2],
    born: Instant,
}

/// How fast a target is, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Speed {
    /// To the first content of a stream.
    pub ttft: Option<Duration>,
    /// Between tokens.
    pub per_token: Option<Duration>,
    /// For a whole answer.
    pub whole: Option<Duration>,
    /// Since it last told.
    pub age: Duration,
}

impl Book {
    /// The health of a model, made when it is first asked for. `keys`: how many its provider has.
    pub fn of(&self, model: &str, keys: usize) -> Arc<TargetHealth> {
        let mut book = self.0.lock();
        if let Some(known) = book.get(model).and_then(Weak::upgrade) {
            return known;
        }
        if book.len() >= 64 && book.len().is_power_of_two() {
            book.retain(|_, health| health.strong_count() > 0);
        }
        let made = Arc::new(TargetHealth::new(keys, Instant::now()));
        book.insert(model.into(), Arc::downgrade(&made));
        made
    }

    /// Models that have been asked for, with their health.
    pub fn all(&self) -> Vec<(String, Arc<TargetHealth>)> {
        let book = self.0.lock();
        let alive = book.iter().filter_map(|(name, health)| Some((name.to_string(), health.upgrade()?)));
        alive.collect()
    }
}

impl TargetHealth {
    /// Of a target that was never asked.
    pub fn new(keys: usize, now: Instant) -> TargetHealth {
        TargetHealth {
            breaker: Mutex::default(),
            keys: Rests::new(keys, now),
            inflight: AtomicU32::new(0),
            ttft: AtomicU64::new(0),
            per_token: AtomicU64::new(0),
            whole: AtomicU64::new(0),
            told: AtomicU64::new(0),
            warm: OnceLock::new(),
            begins: Default::default(),
            born: now,
        }
    }

    /// Its breaker, for a moment.
    pub fn breaker(&self) -> parking_lot::MutexGuard<'_, Breaker> {
        self.breaker.lock()
    }

    /// Attempts under way.
    pub fn inflight(&self) -> u32 {
        self.inflight.load(Ordering::Relaxed)
    }

    /// An attempt begins.
    pub fn begin(&self) {
        self.inflight.fetch_add(1, Ordering::Relaxed);
    }

    /// It ended.
    pub fn end(&self) {
        self.inflight.fetch_sub(1, Ordering::Relaxed);
    }

    /// A stream's first content took so long, and its tokens so long each.
    pub fn streamed(&self, ttft: Duration, per_token: Option<Duration>, now: Instant) {
        let old = self.speed(now).age >= OLD;
        smooth(&self.ttft, ttft.as_micros(), old);
        if let Some(per_token) = per_token {
            smooth(&self.per_token, per_token.as_nanos(), old);
        }
        self.told(now);
    }

    /// A whole answer took so long.
    pub fn answered(&self, took: Duration, now: Instant) {
        smooth(&self.whole, took.as_micros(), self.speed(now).age >= OLD);
        self.told(now);
    }

    /// A prompt that belongs to `affinity` lies in the provider's cache now.
    pub fn warmed(&self, affinity: u64, now: Instant) {
        let slots = self.warm.get_or_init(|| (0..WARM_SLOTS).map(|_| AtomicU64::new(0)).collect());
        let second = now.saturating_duration_since(self.born).as_secs() + 1;
        let slot = &slots[affinity as usize % WARM_SLOTS];
        slot.store(affinity >> 24 << 24 | second & 0xff_ffff, Ordering::Relaxed);
    }

    /// Whether it most likely still does.
    pub fn is_warm(&self, affinity: u64, now: Instant) -> bool {
        let Some(slots) = self.warm.get() else { return false };
        let value = slots[affinity as usize % WARM_SLOTS].load(Ordering::Relaxed);
        let second = now.saturating_duration_since(self.born).as_secs() + 1;
        value >> 24 == affinity >> 24 && second.saturating_sub(value & 0xff_ffff) <= WARM_FOR
    }

    /// How long it takes to begin an answer: a stream its first content, else the whole.
    pub fn begins(&self, stream: bool) -> &Latency {
        self.begins[usize::from(stream)].get_or_init(Box::default)
    }

    fn told(&self, now: Instant) {
        let since = now.saturating_duration_since(self.born).as_millis();
        self.told.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How fast it is.
    pub fn speed(&self, now: Instant) -> Speed {
        let read = |value: &AtomicU64, unit: fn(u64) -> Duration| match value.load(Ordering::Relaxed) {
            0 => None,
            value => Some(unit(value)),
        };
        let told = self.born + Duration::from_millis(self.told.load(Ordering::Relaxed));
        Speed {
            ttft: read(&self.ttft, Duration::from_micros),
            per_token: read(&self.per_token, Duration::from_nanos),
            whole: read(&self.whole, Duration::from_micros),
            age: now.saturating_duration_since(told),
        }
    }
}

/// A quarter of the new, three quarters of what was; what was long ago counts no more. Two at once may lose one of them: it is an estimate.
fn smooth(value: &AtomicU64, sample: u128, forget: bool) {
    let sample = u64::try_from(sample).unwrap_or(u64::MAX).max(1);
    let old = value.load(Ordering::Relaxed);
    let new = if old == 0 || forget { sample } else { old - old / 4 + sample / 4 };
    value.store(new.max(1), Ordering::Relaxed);
}

// === impl Rests ===

/// Until when each of a provider's keys rests.
#[derive(Debug)]
pub struct Rests {
    keys: Vec<Rest>,
    born: Instant,
}

#[derive(Debug, Default)]
struct Rest {
    /// Milliseconds since `born`.
    until: AtomicU64,
    /// How often in a row it had to.
    strikes: AtomicU32,
    /// When it last had to, in milliseconds since `born`.
    since: AtomicU64,
}

impl Rests {
    /// None rests.
    pub fn new(keys: usize, now: Instant) -> Rests {
        Rests { keys: (0..keys).map(|_| Rest::default()).collect(), born: now }
    }

    /// How long a key still rests.
    pub fn left(&self, key: usize, now: Instant) -> Option<Duration> {
        let until = Duration::from_millis(self.keys.get(key)?.until.load(Ordering::Relaxed));
        until.checked_sub(now.saturating_duration_since(self.born)).filter(|left| !left.is_zero())
    }

    /// A key rests: as long as asked, else from `base` up, twice as long each time in a row, `most` at most. A longer
    /// rest extends, a shorter one never shortens.
    pub fn rest(&self, key: usize, asked: Option<Duration>, base: Duration, most: Duration, now: Instant) {
        let Some(rest) = self.keys.get(key) else { return };
        let strikes = rest.strikes.fetch_add(1, Ordering::Relaxed).min(16);
        let pause = asked.unwrap_or_else(|| base.saturating_mul(1 << strikes).min(most)).min(MAX_REST);
        rest.since.fetch_max(self.millis(now), Ordering::Relaxed);
        rest.until.fetch_max(self.millis(now + pause), Ordering::Relaxed);
    }

    /// A key works, as an attempt shows that `began` then. One that was under way when the key was sent to rest says
    /// nothing of it.
    pub fn works(&self, key: usize, began: Instant) {
        if let Some(rest) = self.keys.get(key)
            && rest.strikes.load(Ordering::Relaxed) > 0
            && self.millis(began) > rest.since.load(Ordering::Relaxed)
        {
            rest.strikes.store(0, Ordering::Relaxed);
            rest.until.store(0, Ordering::Relaxed);
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_rests_longer_each_time_and_until_it_works() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let rests = Rests::new(2, now);
        assert_eq!(rests.left(0, now), None);
        for expected in [1, 2, 4, 8, 8] {
            rests.rest(0, None, second, 8 * second, now);
            assert_eq!(rests.left(0, now), Some(expected * second));
        }
        rests.rest(0, Some(3 * second), second, 8 * second, now);
        assert_eq!(rests.left(0, now), Some(8 * second), "a shorter one does not shorten");
        assert_eq!(rests.left(0, now + 8 * second), None);
        assert_eq!(rests.left(1, now), None);
        rests.works(0, now);
        assert_eq!(rests.left(0, now), Some(8 * second), "an answer that was on its way ends no rest");
        rests.works(0, now + second);
        assert_eq!(rests.left(0, now), None);
        rests.rest(7, None, second, second, now);
        assert_eq!(rests.left(7, now), None, "a key that is not there");
    }

    #[test]
    fn health_is_one_per_model_and_forgotten_with_its_last_target() {
        let book = Book::default();
        let one = book.of("m", 1);
        assert!(Arc::ptr_eq(&one, &book.of("m", 1)));
        one.begin();
        assert_eq!(book.of("m", 1).inflight(), 1);
        drop(one);
        assert_eq!(book.of("m", 1).inflight(), 0);
    }

    #[test]
    fn speed_follows_what_was_measured() {
        let now = Instant::now();
        let health = TargetHealth::new(1, now);
        assert_eq!(health.speed(now), Speed::default());
        for _ in 0..30 {
            health.streamed(Duration::from_millis(200), Some(Duration::from_micros(500)), now);
        }
        let speed = health.speed(now + Duration::from_secs(2));
        assert!(
            speed.ttft.unwrap().abs_diff(Duration::from_millis(200)) < Duration::from_millis(1),
            "{speed:?}"
        );
        assert_eq!((speed.whole, speed.age), (None, Duration::from_secs(2)));
    }
}
