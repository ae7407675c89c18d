//! More than can be done: what is refused, at once, so that the rest is done well.
//!
//! Three things run out. *Time*: work waits for a processor; then calls are admitted at a rate that is found by how long
//! it waits, shared fairly among tenants. *Memory for bodies*: a body is paid for before it is read. *Memory of the
//! process*: above its limit no call is taken. A call that is admitted costs two counters; everything else happens on
//! a tick, or while there is overload.

mod fair;
mod rate;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::error::GatewayError;
pub use fair::Tenant;
use fair::Window;
pub use rate::BUSY;
use rate::{Rate, Tick};

/// How often the rate is set anew.
pub const TICK: Duration = Duration::from_millis(100);
/// When a client that was refused should come again.
const COME_AGAIN: Duration = Duration::from_secs(1);
/// A body of this many bytes or fewer is not counted: the number of calls bounds them.
const SMALL: usize = 16 << 10;
/// While so many calls are under way, or fewer, work may wait ten times as long: that is their own doing only where each is
/// much work, and elsewhere the machine's, which has no time for others' sake.
const FEW: usize = 256;
/// So few calls are never too many.
const LEAST: usize = 16;

/// The bounds, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// How long work may wait for a processor before calls are refused; `None`: as long as it takes.
    pub max_delay: Option<Duration>,
    /// Bytes of bodies that may be held.
    pub max_body_memory: usize,
    /// Bytes that the process may take before no call is admitted.
    pub max_memory: usize,
}

/// What the process has to do, and what it refuses.
pub struct Overload {
    /// Calls that wait for their answer's beginning.
    waiting: AtomicUsize,
    /// Calls admitted since the last tick.
    admitted: AtomicUsize,
    /// Bytes of bodies.
    bodies: AtomicUsize,
    max_bodies: AtomicUsize,
    /// Bytes that the process took at the last tick.
    memory: AtomicUsize,
    memory_full: AtomicBool,
    /// Whether calls are counted by tenant, and admitted by the rate if there is one.
    counted: AtomicBool,
    /// The tenants of this tick; looked at only while calls are counted.
    window: Mutex<Window>,
    rate: Mutex<Rate>,
}

/// What was seen since the last tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How long work waited for a processor: the wait that nobody escaped. Zero where processors were idle.
    pub delay: Duration,
    /// Of a hundred parts of the time, those in which processors had work.
    pub busy: u8,
    /// Calls under way, streams among them.
    pub under_way: usize,
    /// Bytes that the process takes.
    pub memory: usize,
}

/// A call that was admitted, till its answer begins.
pub struct Admitted(Arc<Overload>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Room for a body. It is given back with the last copy of the bytes.
pub struct BodyRoom {
    overload: Arc<Overload>,
    bytes: usize,
}

impl Overload {
    /// Nothing to do yet.
    pub fn new() -> Arc<Overload> {
        Arc::new(Overload {
            waiting: AtomicUsize::new(0),
            admitted: AtomicUsize::new(0),
            bodies: AtomicUsize::new(0),
            max_bodies: AtomicUsize::new(usize::MAX),
            memory: AtomicUsize::new(0),
            memory_full: AtomicBool::new(false),
            counted: AtomicBool::new(false),
            window: Mutex::default(),
            rate: Mutex::default(),
        })
    }

    /// Takes a call on.
    ///
    /// # Errors
    /// There is no memory for it, or its tenant has had its share of a process that can't keep up.
    pub fn admit(self: &Arc<Overload>, tenant: Tenant<'_>) -> Result<Admitted, GatewayError> {
        if self.memory_full.load(Ordering::Relaxed) {
            return Err(overloaded("weir has no memory for another call"));
        }
        if self.counted.load(Ordering::Relaxed) && !self.window.lock().admit(tenant, Instant::now()) {
            return Err(overloaded("weir has more calls than it can answer in time"));
        }
        self.admitted.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Ok(Admitted(self.clone()))
    }

    /// Room for a body of so many bytes.
    ///
    /// # Errors
    /// The bodies of other calls take all of it.
    pub fn body_room(self: &Arc<Overload>, bytes: usize) -> Result<BodyRoom, GatewayError> {
        let mut room = BodyRoom { overload: self.clone(), bytes: 0 };
        if bytes > SMALL {
            room.grow_to(bytes)?;
        }
        Ok(room)
    }

    /// Sets the bounds, and what becomes of the next calls. Called once each [`TICK`].
    pub fn tick(&self, bounds: &Bounds, seen: Seen) {
        self.max_bodies.store(bounds.max_body_memory, Ordering::Relaxed);
        self.memory.store(seen.memory, Ordering::Relaxed);
        // A little less than full before calls are taken again, so that it doesn't flutter.
        let full = match self.memory_full.load(Ordering::Relaxed) {
            true => seen.memory > bounds.max_memory / 20 * 19,
            false => seen.memory > bounds.max_memory,
        };
        if full != self.memory_full.swap(full, Ordering::Relaxed) {
            tracing::warn!(memory = seen.memory, limit = bounds.max_memory, full, "memory limit");
        }
        let admitted = self.admitted.swap(0, Ordering::Relaxed);
        let mut window = self.window.lock();
        let mut rate = self.rate.lock();
        let was_limited = rate.limit().is_some();
        let most = bounds.max_delay.filter(|_| was_limited || seen.under_way > LEAST);
        let patient = !was_limited && seen.under_way <= FEW;
        let most = most.map(|most| if patient { most * 10 } else { most });
        let Seen { delay, busy, under_way, .. } = seen;
        let tick = Tick { delay, busy, under_way, admitted, refused: window.refused() };
        let limit = rate.next(most, tick);
        window.next(limit, Instant::now());
        self.counted.store(rate.is_near(), Ordering::Relaxed);
        if limit.is_some() != was_limited {
            let delay_ms = u64::try_from(seen.delay.as_millis()).unwrap_or(u64::MAX);
            let refused = tick.refused;
            tracing::warn!(delay_ms, admitted, refused, limited = limit.is_some(), "overload");
        }
    }

    /// Bytes of bodies held.
    pub fn body_bytes(&self) -> usize {
        self.bodies.load(Ordering::Relaxed)
    }

    /// Bytes that the process took at the last tick.
    pub fn memory(&self) -> usize {
        self.memory.load(Ordering::Relaxed)
    }

    /// Calls that wait for their answer's beginning.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Calls a second that are admitted; `None` where all are.
    pub fn rate(&self) -> Option<usize> {
        self.rate.lock().limit().map(|limit| limit * 10)
    }
}

fn overloaded(message: &'static str) -> GatewayError {
    GatewayError::Overloaded { code: "overloaded", message, retry_after: COME_AGAIN }
}

impl BodyRoom {
    /// Takes room for so many bytes altogether.
    ///
    /// # Errors
    /// There is none.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), GatewayError> {
        let more = bytes.saturating_sub(self.bytes);
        if bytes <= SMALL || more == 0 {
            return Ok(());
        }
        let held = &self.overload.bodies;
        let limit = self.overload.max_bodies.load(Ordering::Relaxed);
        let before = held.fetch_add(more, Ordering::Relaxed);
        // One body alone always has room: the limit of its size is another.
        if before > 0 && before + more > limit {
            held.fetch_sub(more, Ordering::Relaxed);
            return Err(overloaded("the bodies of other calls take all memory that there is for bodies"));
        }
        self.bytes = bytes;
        Ok(())
    }

    /// The body in its room: both go together.
    pub fn keep(self, body: Bytes) -> Bytes {
        if self.bytes == 0 { body } else { Bytes::from_owner(Kept { body, _room: self }) }
    }
}

impl Drop for BodyRoom {
    fn drop(&mut self) {
        self.overload.bodies.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Kept {
    body: Bytes,
    _room: BodyRoom,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds =
        Bounds { max_delay: Some(Duration::from_millis(20)), max_body_memory: 100 << 10, max_memory: 1000 };
    const CALM: Seen = Seen { delay: Duration::ZERO, busy: 0, under_way: 0, memory: 0 };

    #[test]
    fn a_body_is_paid_for_before_it_is_read() {
        let overload = Overload::new();
        overload.tick(&BOUNDS, CALM);
        let one = overload.body_room(60 << 10).ok().unwrap();
        assert!(overload.body_room(60 << 10).is_err());
        assert!(overload.body_room(SMALL).is_ok());
        let mut grows = overload.body_room(0).ok().unwrap();
        assert!(grows.grow_to(40 << 10).is_ok() && grows.grow_to(41 << 10).is_err());
        assert_eq!(overload.body_bytes(), 100 << 10);
        let body = one.keep(vec![0; 60 << 10].into());
        let part = body.slice(10..20);
        drop((body, grows));
        assert_eq!(overload.body_bytes(), 60 << 10);
        drop(part);
        assert_eq!(overload.body_bytes(), 0);
        // Larger than all there is, but alone.
        assert!(overload.body_room(1 << 20).is_ok());
    }

    #[test]
    fn a_full_memory_takes_no_calls_until_there_is_room_again() {
        let overload = Overload::new();
        let admits = |memory| {
            overload.tick(&BOUNDS, Seen { memory, ..CALM });
            overload.admit(Tenant::of("a")).is_ok()
        };
        assert_eq!([900, 1001, 970, 940, 970].map(admits), [true, false, false, true, true]);
    }

    #[test]
    fn lateness_counts_only_where_there_is_much_to_do() {
        let check = |millis, under_way, refuses| {
            let overload = Overload::new();
            let seen = Seen { delay: Duration::from_millis(millis), busy: 100, under_way, memory: 0 };
            for _ in 0..50 {
                overload.tick(&BOUNDS, seen);
            }
            assert_eq!(overload.rate().is_some(), refuses, "{millis} ms with {under_way}");
            for _ in 0..100 {
                overload.tick(&BOUNDS, CALM);
            }
            assert_eq!(overload.rate(), None);
        };
        check(5_000, LEAST, false);
        check(150, FEW, false);
        check(250, FEW, true);
        check(30, FEW + 1, true);
        check(15, 10_000, false);
    }

    #[test]
    fn the_first_tick_of_overload_is_shared_by_what_was_asked_before() {
        let overload = Overload::new();
        let late = Seen { delay: Duration::from_millis(300), busy: 100, under_way: 1000, memory: 0 };
        overload.tick(&BOUNDS, late);
        // Nobody is refused yet, but all are counted.
        let ask =
            |name, times: usize| (0..times).filter(|_| overload.admit(Tenant::of(name)).is_ok()).count();
        assert_eq!((ask("loud", 900), ask("calm", 9)), (900, 9));
        overload.tick(&BOUNDS, late);
        let (loud, calm) = (ask("loud", 9000), ask("calm", 1));
        assert!(loud < 500, "{loud}");
        assert_eq!(calm, 1);
    }
}
