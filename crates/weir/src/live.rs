//! Calls as they end, for those who look on: `weir logs -f`, `weir top`. Kept only while somebody asks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use weir_gateway::Metrics;
use weir_gateway::watch::{Ended, Queue, Wants};

/// How many calls are kept for those who ask.
const KEPT: usize = 5_000;
/// How many one answer has at most.
pub const MOST: usize = 1_000;
/// Nobody asked for so long: nobody looks on.
const PATIENCE: Duration = Duration::from_secs(30);

/// Calls that ended, while somebody looks on.
#[derive(Default)]
pub struct Live(Mutex<Option<Ring>>);

struct Ring {
    queue: Arc<Queue>,
    /// Latest last.
    calls: VecDeque<Arc<Ended>>,
    /// The number of the next one.
    next: u64,
    /// How many found no room.
    dropped: u64,
    asked: Instant,
}

/// What ended since the last time.
pub struct Since {
    /// The calls, in the order in which they ended.
    pub calls: Vec<Arc<Ended>>,
    /// What to ask for next.
    pub next: u64,
    /// How many are missing, since they came too fast.
    pub missed: u64,
}

impl Live {
    /// What ended from number `after` on; without one, nothing yet: looking on begins.
    pub fn since(&self, metrics: &Metrics, after: Option<u64>, now: Instant) -> Since {
        let mut live = self.0.lock();
        let ring = live.get_or_insert_with(|| {
            let queue = Queue::new(Wants::All, KEPT);
            metrics.watchers.add(&queue);
            Ring { queue, calls: VecDeque::new(), next: 0, dropped: 0, asked: now }
        });
        ring.asked = now;
        let came = ring.queue.take();
        let gap = ring.queue.dropped() - ring.dropped;
        if gap > 0 {
            // Numbers count those that found no room, too, so that whoever asks knows of them.
            ring.calls.clear();
            ring.dropped += gap;
            ring.next += gap;
        }
        ring.next += came.len() as u64;
        ring.calls.extend(came);
        let old = ring.calls.len().saturating_sub(KEPT);
        ring.calls.drain(..old);
        let Some(after) = after.filter(|after| *after <= ring.next) else {
            return Since { calls: Vec::new(), next: ring.next, missed: 0 };
        };
        let first = ring.next - ring.calls.len() as u64;
        let from = after.max(first);
        let calls: Vec<_> = ring.calls.iter().skip((from - first) as usize).take(MOST).cloned().collect();
        let next = from + calls.len() as u64;
        Since { calls, next, missed: from - after }
    }

    /// Keeps nothing any more where nobody looks on.
    pub fn tidy(&self, metrics: &Metrics, now: Instant) {
        let mut live = self.0.lock();
        if live.as_ref().is_some_and(|ring| now.duration_since(ring.asked) > PATIENCE)
            && let Some(ring) = live.take()
        {
            metrics.watchers.remove(&ring.queue);
        }
    }
}
