//! Answers in this process: bounded in bytes, the least useful go first.
//!
//! Each shard is a clock: a queue in the order of arrival. What was asked for since the hand last came by goes round
//! again, what was not goes out.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::{Answer, Key};

const SHARDS: usize = 16;
/// What an answer takes beside its body, in bytes: its key twice, its fields, its places in the tables.
const OVERHEAD: usize = 384;

/// Answers in this process.
pub(super) struct Memory {
    shards: [Mutex<Shard>; SHARDS],
    /// How much all shards may hold together, in bytes.
    limit: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    slots: HashMap<Key, Slot>,
    /// Keys in the order of arrival; one whose slot has another number is gone.
    queue: VecDeque<(Key, u64)>,
    bytes: usize,
    next: u64,
}

struct Slot {
    answer: Arc<Answer>,
    number: u64,
    asked: AtomicBool,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub(super) entries: usize,
    pub(super) bytes: usize,
}

impl Memory {
    pub(super) fn new(limit: usize) -> Memory {
        Memory { shards: std::array::from_fn(|_| Mutex::default()), limit: AtomicUsize::new(limit) }
    }

    /// How much may be held, in bytes. A smaller limit acts with the next answers that come.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    pub(super) fn get(&self, key: &Key, now: i64) -> Option<Arc<Answer>> {
        let mut shard = self.shard(key).lock();
        let slot = shard.slots.get(key)?;
        if slot.answer.expires > now {
            slot.asked.store(true, Ordering::Relaxed);
            return Some(slot.answer.clone());
        }
        if slot.answer.stale_until <= now {
            shard.remove(key);
        }
        None
    }

    /// An answer whose time may be over.
    pub(super) fn get_stale(&self, key: &Key, now: i64) -> Option<Arc<Answer>> {
        let shard = self.shard(key).lock();
        shard.slots.get(key).filter(|slot| slot.answer.stale_until > now).map(|slot| slot.answer.clone())
    }

    /// Keeps an answer. Returns how many others had to go.
    pub(super) fn put(&self, key: Key, answer: Arc<Answer>, now: i64) -> u64 {
        let limit = self.limit.load(Ordering::Relaxed) / SHARDS;
        let mut shard = self.shard(&key).lock();
        shard.remove(&key);
        shard.bytes += weight(&answer);
        let number = shard.next;
        shard.next += 1;
        shard.slots.insert(key, Slot { answer, number, asked: AtomicBool::new(false) });
        shard.queue.push_back((key, number));
        shard.evict(limit, now)
    }

    pub(super) fn purge(&self) -> u64 {
        let empty = |shard: &Mutex<Shard>| std::mem::take(&mut *shard.lock()).slots.len() as u64;
        self.shards.iter().map(empty).sum()
    }

    pub(super) fn held(&self) -> Held {
        self.shards.iter().map(|shard| shard.lock()).fold(Held::default(), |held, shard| Held {
            entries: held.entries + shard.slots.len(),
            bytes: held.bytes + shard.bytes,
        })
    }

    fn shard(&self, key: &Key) -> &Mutex<Shard> {
        &self.shards[usize::from(key[0]) % SHARDS]
    }
}

impl Shard {
    fn remove(&mut self, key: &Key) {
        if let Some(slot) = self.slots.remove(key) {
            self.bytes -= weight(&slot.answer);
        }
    }

    fn evict(&mut self, limit: usize, now: i64) -> u64 {
        let before = self.slots.len();
        // Places of those that are gone: the queue stays within twice of what there is.
        if self.queue.len() > 2 * self.slots.len() + 16 {
            let slots = &self.slots;
            self.queue.retain(|(key, number)| slots.get(key).is_some_and(|slot| slot.number == *number));
        }
        while self.bytes > limit
            && let Some((key, number)) = self.queue.pop_front()
        {
            let Some(slot) = self.slots.get(&key).filter(|slot| slot.number == number) else { continue };
            if slot.answer.expires > now && slot.asked.swap(false, Ordering::Relaxed) {
                self.queue.push_back((key, number));
            } else {
                self.remove(&key);
            }
        }
        (before - self.slots.len()) as u64
    }
}

fn weight(answer: &Answer) -> usize {
    answer.body.len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn answer(size: usize, expires: i64) -> Arc<Answer> {
        Arc::new(Answer {
            body: vec![b'x'; size].into(),
            provider: "p".into(),
            model: "m".into(),
            cost_nanousd: None,
            dropped: Vec::new(),
            made: 0,
            expires,
            stale_until: expires,
        })
    }

    fn key(number: u64) -> Key {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        key
    }

    #[test]
    fn an_answer_lives_as_long_as_it_may() {
        let memory = Memory::new(1 << 20);
        memory.put(key(1), answer(10, 100), 0);
        assert!(memory.get(&key(1), 99).is_some());
        assert!(memory.get(&key(1), 100).is_none());
        assert_eq!(memory.held(), Held::default());
    }

    #[test]
    fn an_answer_whose_time_is_over_is_kept_for_want_of_another() {
        let memory = Memory::new(1 << 20);
        let stale = Answer { stale_until: 200, ..(*answer(10, 100)).clone() };
        memory.put(key(1), Arc::new(stale), 0);
        assert!(memory.get(&key(1), 100).is_none());
        assert!(memory.get_stale(&key(1), 199).is_some() && memory.get_stale(&key(1), 200).is_none());
        assert!(memory.get(&key(1), 200).is_none());
        assert_eq!(memory.held(), Held::default());
    }

    #[test]
    fn what_is_asked_for_stays() {
        let memory = Memory::new(SHARDS * 10 * (100 + OVERHEAD));
        // All in one shard.
        let key = |number: u64| key(number << 8);
        for number in 0..10 {
            memory.put(key(number), answer(100, i64::MAX), 0);
        }
        assert!(memory.get(&key(0), 0).is_some());
        assert_eq!(memory.put(key(10), answer(100, i64::MAX), 0), 1);
        assert!(memory.get(&key(0), 0).is_some());
        assert!(memory.get(&key(1), 0).is_none());
    }

    #[test]
    fn stays_within_its_limit() {
        let seed = rand::random();
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let memory = Memory::new(1 << 20);
        for now in 0..100_000 {
            let number = random.random_range(0..2_000);
            if random.random_bool(0.5) {
                memory.put(
                    key(number),
                    answer(random.random_range(0..8_000), now + random.random_range(1..50_000)),
                    now,
                );
            } else {
                memory.get(&key(number), now);
            }
        }
        let held = memory.held();
        assert!(held.bytes <= 1 << 20 && held.entries > 50, "{held:?}");
        let shards = memory.shards.iter().map(|shard| shard.lock());
        let (bytes, queued) = shards.fold((0, 0), |(bytes, queued), shard| {
            let own: usize = shard.slots.values().map(|slot| weight(&slot.answer)).sum();
            assert_eq!(own, shard.bytes);
            (bytes + own, queued + shard.queue.len())
        });
        assert_eq!(bytes, held.bytes);
        assert!(queued <= 2 * held.entries + 17 * SHARDS, "{queued} {held:?}");
        assert_eq!(memory.purge(), held.entries as u64);
        assert_eq!(memory.held(), Held::default());
    }
}
