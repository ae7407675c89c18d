//! Which of a provider's keys goes with the next attempt.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use weir_adapter::{Credential, Descriptor};
use weir_config::Provider;

use crate::routing::affinity::mix;
use crate::routing::health::{Rests, TargetHealth};

/// Where credentials come from that no file has: the process brings it, as it does I/O.
pub trait Chains: Send + Sync {
    /// The chain of a provider whose descriptor names one.
    ///
    /// # Errors
    /// What to change in the provider's entry.
    fn open(&self, descriptor: &Descriptor, entry: &Provider) -> Result<Arc<dyn Chain>, String>;
}

/// A chain of credentials: finds one, and renews it ahead of its end as long as somebody holds the chain.
pub trait Chain: Send + Sync {
    /// What authorizes; holds nothing before the first [`Chain::wait`].
    fn credential(&self) -> Credential;

    /// Whether it holds something that has not ended: true for ever once it was, unless renewal fails for long.
    fn ready(&self) -> bool;

    /// Which credential it holds: another number each time.
    fn number(&self) -> u64;

    /// The provider did not take this one: it has ended early, or was withdrawn. Whether another is, or will be, there.
    fn refused(&self, number: u64) -> bool;

    /// Waits until it is ready. However many wait, one asks.
    fn wait(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

/// A provider's keys, taken in turn. A dead or throttled one rests.
#[derive(Debug)]
pub struct Credentials {
    keys: Vec<Credential>,
    next: AtomicUsize,
    /// Keys that the provider refused, at any of its models.
    pub rests: Rests,
}

/// A key, and how long it still rests: none that does not was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Its place.
    pub key: usize,
    /// How long it rests.
    pub rests: Option<Duration>,
}

impl Credentials {
    /// Keys in the order of the configuration; without any, the empty one, as local servers take it.
    pub fn new(mut keys: Vec<Credential>) -> Credentials {
        if keys.is_empty() {
            keys.push(Credential::new("none", ""));
        }
        let rests = Rests::new(keys.len(), Instant::now());
        Credentials { keys, next: AtomicUsize::new(0), rests }
    }

    /// How many there are; at least one.
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    /// The key at this place; the first where there is none.
    pub fn get(&self, key: usize) -> &Credential {
        self.keys.get(key).unwrap_or(&self.keys[0])
    }

    /// How long a key still rests at a target.
    pub fn left(&self, key: usize, target: &TargetHealth, now: Instant) -> Option<Duration> {
        self.rests.left(key, now).max(target.keys.left(key, now))
    }

    /// The next key that does not rest; with an affinity always the same, as long as it does not. Where all rest, the
    /// one that rests shortest.
    pub fn choose(&self, target: &TargetHealth, affinity: Option<u64>, now: Instant) -> Choice {
        let left = |key: usize| self.left(key, target, now);
        if self.keys.len() == 1 {
            return Choice { key: 0, rests: left(0) };
        }
        let first = match affinity {
            Some(_) => 0,
            None => self.next.fetch_add(1, Ordering::Relaxed),
        };
        let turn = (0..self.keys.len()).map(|step| (first.wrapping_add(step)) % self.keys.len());
        let free = turn.clone().filter(|key| left(*key).is_none());
        let chosen = match affinity {
            Some(affinity) => free.max_by_key(|key| mix(affinity, *key as u64)),
            None => free.into_iter().next(),
        };
        match chosen {
            Some(key) => Choice { key, rests: None },
            None => {
                let key = turn.min_by_key(|key| left(*key)).unwrap_or(0);
                Choice { key, rests: left(key) }
            }
        }
    }

    /// Whether a key is there at all.
    pub fn any(&self) -> bool {
        self.keys.iter().any(|key| !key.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: usize) -> (Credentials, TargetHealth, Instant) {
        let keys = (0..count).map(|index| Credential::new(format!("{index}"), "k")).collect();
        (Credentials::new(keys), TargetHealth::new(count, Instant::now()), Instant::now())
    }

    #[test]
    fn keys_take_turns_and_those_that_rest_are_left_out() {
        let (keys, target, now) = keys(3);
        let taken = || -> Vec<usize> { (0..4).map(|_| keys.choose(&target, None, now).key).collect() };
        assert_eq!(taken(), [0, 1, 2, 0]);
        let minute = Duration::from_secs(60);
        keys.rests.rest(1, None, minute, minute, now);
        assert!(taken().iter().all(|key| *key != 1));
        target.keys.rest(2, Some(minute / 2), minute, minute, now);
        assert_eq!(taken(), [0; 4]);
        keys.rests.rest(0, None, minute, minute, now);
        let choice = keys.choose(&target, None, now);
        assert_eq!(choice.key, 2);
        assert!(choice.rests.is_some_and(|left| left > minute / 3 && left <= minute / 2));
        assert!(!Credentials::new(Vec::new()).any());
    }

    #[test]
    fn an_affinity_keeps_its_key_and_keys_share_alike() {
        let (keys, target, now) = keys(4);
        let mut taken = [0; 4];
        for session in 0..4000_u64 {
            let affinity = Some(mix(session, 99));
            let key = keys.choose(&target, affinity, now).key;
            assert_eq!(keys.choose(&target, affinity, now).key, key);
            taken[key] += 1;
        }
        assert!(taken.iter().all(|count| (900..1100).contains(count)), "{taken:?}");
    }
}
