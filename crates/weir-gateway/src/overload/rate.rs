//! How many calls may begin in a tick, while there is overload: so many as end, and fewer where work waits too long for a
//! processor.
//!
//! What is steered is the number of calls under way. A rate would answer too late: a stream that began seconds ago still
//! has its work to do.

use std::time::Duration;

use super::TICK;

/// So many ticks in a row must be late before calls are refused: a burst is no overload.
const LATE_TICKS: u32 = 2;
/// So many ticks without lateness and refusals end the limit.
const CALM_TICKS: u32 = 10;
/// The least that is admitted in a tick.
const LEAST: usize = 10;

/// In so many of a hundred parts of the time processors have work where there may be too much of it.
pub const BUSY: u8 = 80;
/// In which time what waits shall be worked off.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a tick came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tick {
    /// How long work waited for a processor, and nothing less; zero where none had to.
    pub delay: Duration,
    /// Of a hundred parts of the time, those in which processors had work.
    pub busy: u8,
    /// Calls under way at its end.
    pub under_way: usize,
    pub admitted: usize,
    pub refused: usize,
}

/// The rate at which calls are admitted.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Calls under way that can be served in time; `None`: whatever comes.
    room: Option<usize>,
    /// Calls in a tick, by that.
    limit: Option<usize>,
    /// Calls that ended in a tick, of late.
    ended: usize,
    before: Tick,
    late: u32,
    calm: u32,
}

impl Rate {
    pub(super) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Whether calls may be refused from the next tick on.
    pub(super) fn is_near(&self) -> bool {
        self.limit.is_some() || self.late > 0
    }

    /// The limit of the next tick, after this one. `most` is the delay that is allowed; `None` where none counts.
    pub(super) fn next(&mut self, most: Option<Duration>, tick: Tick) -> Option<usize> {
        let is_late = most.is_some_and(|most| tick.delay > most);
        self.late = if is_late { self.late + 1 } else { 0 };
        self.calm = if is_late || tick.refused > 0 || tick.busy >= BUSY { 0 } else { self.calm + 1 };
        let ended = (self.before.under_way + tick.admitted).saturating_sub(tick.under_way);
        self.ended = (3 * self.ended + ended).div_ceil(4);
        self.room = match self.room {
            None if self.late < LATE_TICKS => None,
            Some(_) if self.calm >= CALM_TICKS => None,
            _ if is_late => Some(can_be_served(self.before.delay, tick)),
            // Only what was used up is raised.
            Some(room) if tick.refused > 0 && room < tick.under_way / 5 * 6 + LEAST => {
                let room = room.max(tick.under_way);
                Some(room + room / if tick.busy < BUSY { 10 } else { 100 } + 1)
            }
            room => room,
        };
        self.before = tick;
        self.limit = self.room.map(|room| {
            let (more, less) = (room.saturating_sub(tick.under_way), tick.under_way.saturating_sub(room));
            (self.ended + more / 4).saturating_sub(less / 4).max(LEAST)
        });
        self.limit
    }
}

/// Of the calls under way, those that a processor has the time for: by how much longer work waits than a tick before, which
/// is what it lacked, and by how long it waits, which it has to catch up with.
fn can_be_served(before: Duration, tick: Tick) -> usize {
    let asked = (TICK + tick.delay).saturating_sub(before).max(TICK / 2).as_micros();
    let catch_up =
        (TICK.as_micros() * tick.delay.as_micros() / PATIENCE.as_micros()).min(TICK.as_micros() / 2);
    let share = ((TICK.as_micros() - catch_up) * 100 / asked).clamp(67, 100);
    (tick.under_way * usize::try_from(share).unwrap_or(67) / 100).max(LEAST)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const MOST: Duration = Duration::from_millis(20);

    /// A machine that does so much work in a tick. A call's work comes in equal parts, one a tick, after its provider has
    /// taken its time; what can't be done in a tick waits.
    struct Machine {
        capacity: usize,
        /// Work of a call: ticks that its provider takes, then so many parts of so much.
        call: (usize, usize, usize),
        /// Calls that began, by tick, the latest first.
        began: VecDeque<usize>,
        waiting: usize,
        done: usize,
    }

    impl Machine {
        fn tick(&mut self, admitted: usize) -> Tick {
            let (silent, parts, work) = self.call;
            self.began.push_front(admitted);
            self.began.truncate(silent + parts);
            let speaking: usize = self.began.iter().skip(silent).sum();
            self.waiting += speaking * work;
            self.done = self.waiting.min(self.capacity);
            self.waiting -= self.done;
            let delay = Duration::from_micros(100_000 * self.waiting as u64 / self.capacity as u64);
            let under_way = self.began.iter().sum::<usize>() + self.waiting / (parts * work);
            let busy = (100 * self.done / self.capacity) as u8;
            Tick { delay, busy, under_way, admitted, refused: 0 }
        }
    }

    /// What of the machine's capacity is used in the end, in percent, and the delay that nine in ten ticks keep.
    fn settle(capacity: usize, call: (usize, usize, usize), times: f64) -> (usize, Duration) {
        let (_, parts, work) = call;
        let offered = (times * capacity as f64 / (parts * work) as f64) as usize;
        let mut machine = Machine { capacity, call, began: VecDeque::new(), waiting: 0, done: 0 };
        let (mut rate, mut tick) = (Rate::default(), Tick::default());
        let (mut done, mut delays) = (0, Vec::new());
        for number in 0..900 {
            let limit = rate.next(Some(MOST), tick);
            let admitted = offered.min(limit.unwrap_or(usize::MAX));
            tick = Tick { refused: offered - admitted, ..machine.tick(admitted) };
            if number >= 300 {
                done += machine.done;
                delays.push(tick.delay);
            }
        }
        delays.sort_unstable();
        (done / 6 / capacity, delays[delays.len() * 9 / 10])
    }

    #[test]
    fn what_can_be_done_is_done_and_little_waits() {
        let check = |call, most: u64, times: f64| {
            for capacity in [5_000, 50_000] {
                let (used, delay) = settle(capacity, call, times);
                assert!(used >= 80, "{used} % of {capacity} by {call:?} at {times}");
                let most = Duration::from_millis(most);
                assert!(delay <= most, "{delay:?} of {capacity} by {call:?} at {times}");
                let (used, delay) = settle(capacity, call, 0.5);
                assert!((48..=50).contains(&used) && delay == Duration::ZERO, "{used} {delay:?}");
            }
        };
        for times in [1.3, 3.0, 10.0] {
            // Calls that their provider answers at once, and in 300 ms.
            check((0, 1, 10), 30, times);
            check((3, 1, 10), 50, times);
            // Streams of a second: what one has begun to say can't be refused any more.
            check((2, 10, 1), 200, times);
        }
        check((5, 50, 1), 400, 1.3);
    }

    #[test]
    fn the_limit_comes_at_once_and_ends_when_the_load_does() {
        let mut rate = Rate::default();
        let tick = |delay, under_way, admitted, refused| Tick {
            delay: Duration::from_millis(delay),
            busy: if delay > 0 { 100 } else { 50 },
            under_way,
            admitted,
            refused,
        };
        assert_eq!(rate.next(Some(MOST), tick(100, 1000, 1000, 0)), None);
        assert!(rate.is_near());
        let first = rate.next(Some(MOST), tick(200, 1500, 1000, 0)).unwrap();
        assert!(first < 500, "{first}");
        assert_eq!(rate.next(None, tick(0, 100, 10, 0)).map(|limit| limit > first), Some(true));
        for _ in 0..CALM_TICKS {
            rate.next(Some(MOST), tick(0, 10, 10, 0));
        }
        assert_eq!((rate.limit(), rate.is_near()), (None, false));
    }
}
