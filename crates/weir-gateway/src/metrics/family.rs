//! Metrics with labels, of which the process has no more series than it is allowed: what comes beyond counts as
//! `overflow`.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::quality::RandomState;
use parking_lot::RwLock;
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};

/// What every label says of series beyond the ceiling.
pub const OVERFLOW: &str = "overflow";

/// How many series the process may have, and has.
#[derive(Debug)]
pub(super) struct Ceiling {
    most: AtomicUsize,
    used: AtomicUsize,
    refused: AtomicU64,
}

impl Ceiling {
    pub(super) fn new(most: usize) -> Arc<Ceiling> {
        Arc::new(Ceiling {
            most: AtomicUsize::new(most),
            used: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Lets that many be; those that are there stay.
    pub(super) fn set(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How often something counted as `overflow` for want of room.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn take(&self, series: usize) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            Some(used + series).filter(|after| *after <= most)
        });
        if taken.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken.is_ok()
    }
}

/// A metric with labels.
pub(super) struct Family<V> {
    vec: V,
    /// How many series one set of labels makes.
    series: usize,
    hasher: RandomState,
    known: RwLock<HashSet<u64>>,
    ceiling: Arc<Ceiling>,
}

/// What a family is made of.
pub(super) trait Labelled: Collector {
    /// With labels.
    type One;

    fn one(&self, labels: &[&str]) -> Self::One;
}

impl<B: MetricVecBuilder> Labelled for MetricVec<B> {
    type One = B::M;

    fn one(&self, labels: &[&str]) -> B::M {
        self.with_label_values(labels)
    }
}

impl<V: Labelled> Family<V> {
    pub(super) fn new(vec: V, series: usize, ceiling: &Arc<Ceiling>) -> Family<V> {
        Family {
            vec,
            series,
            hasher: RandomState::default(),
            known: RwLock::default(),
            ceiling: ceiling.clone(),
        }
    }

    /// The metric of these labels; that of `overflow` where there is no room for another.
    pub(super) fn with(&self, labels: &[&str]) -> V::One {
        let hash = self.hasher.hash_one(labels);
        let known = self.known.read().contains(&hash);
        if known || self.learn(hash) {
            return self.vec.one(labels);
        }
        self.vec.one(&vec![OVERFLOW; labels.len()])
    }

    fn learn(&self, hash: u64) -> bool {
        let mut known = self.known.write();
        if known.contains(&hash) {
            return true;
        }
        let room = self.ceiling.take(self.series);
        if room {
            known.insert(hash);
        }
        room
    }

    /// What was counted.
    pub(super) fn all(&self) -> &V {
        &self.vec
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{IntCounterVec, Opts};

    use super::*;

    #[test]
    fn beyond_the_ceiling_everything_counts_as_overflow() {
        let ceiling = Ceiling::new(3);
        let make = |name: &str, labels: &[&str]| {
            let vec = IntCounterVec::new(Opts::new(name, "calls"), labels).unwrap();
            Family::new(vec, 1, &ceiling)
        };
        let (calls, keys) = (make("calls", &["route", "model"]), make("keys", &["key"]));
        for n in 0..100 {
            calls.with(&["route", &format!("model-{n}")]).inc();
        }
        keys.with(&["a"]).inc();
        // Those that had their place go on.
        calls.with(&["route", "model-2"]).inc();
        let count = |labels: &[&str]| calls.vec.with_label_values(labels).get();
        assert_eq!((count(&["route", "model-0"]), count(&["route", "model-2"])), (1, 2));
        assert_eq!(count(&[OVERFLOW, OVERFLOW]), 97);
        assert_eq!(keys.vec.with_label_values(&[OVERFLOW]).get(), 1);
        let series = calls.all().collect()[0].get_metric().len();
        assert_eq!((series, ceiling.used(), ceiling.refused()), (4, 3, 98));
        // More room lets further ones in.
        ceiling.set(4);
        keys.with(&["b"]).inc();
        assert_eq!(keys.vec.with_label_values(&["b"]).get(), 1);
    }

    #[test]
    fn threads_together_keep_the_ceiling() {
        let ceiling = Ceiling::new(10);
        let vec = IntCounterVec::new(Opts::new("calls", "calls"), &["n"]).unwrap();
        let calls = Family::new(vec, 1, &ceiling);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let calls = &calls;
                scope.spawn(move || (0..200).for_each(|n| calls.with(&[&format!("{thread}-{n}")]).inc()));
            }
        });
        let families = calls.all().collect();
        let counted: f64 =
            families[0].get_metric().iter().map(|metric| metric.get_counter().get_value()).sum();
        assert_eq!((families[0].get_metric().len(), counted), (11, 1_600.0));
    }
}
