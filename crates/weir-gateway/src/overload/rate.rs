//! How many calls may begin in a tick: found by trying. Less when work waits too long for a processor, more when it
//! doesn't.

use std::time::Duration;

/// So many ticks in a row must be late before calls are refused: a burst is no overload.
const LATE_TICKS: u32 = 5;
/// So many ticks without lateness and refusals end the limit.
const CALM_TICKS: u32 = 10;
/// The least that is admitted in a tick.
const LEAST: usize = 20;

/// The rate at which calls are admitted.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// Calls in a tick; `None`: all.
    limit: Option<usize>,
    late: u32,
    calm: u32,
}

impl Rate {
    pub(super) fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// The limit of the next tick, after one that admitted and refused so many, with this delay. `most` is the delay
    /// that is allowed; `None` where none counts.
    pub(super) fn next(
        &mut self,
        most: Option<Duration>,
        delay: Duration,
        admitted: usize,
        refused: usize,
    ) -> Option<usize> {
        let is_late = most.is_some_and(|most| delay > most);
        self.late = if is_late { self.late + 1 } else { 0 };
        self.calm = if is_late || refused > 0 { 0 } else { self.calm + 1 };
        self.limit = match self.limit {
            None if self.late >= LATE_TICKS => Some((admitted / 10 * 8).max(LEAST)),
            None => None,
            Some(_) if self.calm >= CALM_TICKS => None,
            // The further off, the more goes; never more than a third at once.
            Some(limit) if is_late => {
                let most = most.unwrap_or_default().as_micros();
                let share = (most * 100 / delay.as_micros().max(1)).clamp(67, 95);
                Some((limit.min(admitted.max(LEAST)) * usize::try_from(share).unwrap_or(67) / 100).max(LEAST))
            }
            // Only what was used up is raised.
            Some(limit) if refused > 0 => Some(limit + limit / 20 + 1),
            Some(limit) => Some(limit),
        };
        self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that does `capacity` calls in a tick, at `offered` calls a tick: what it admits in the end, and the
    /// delay.
    fn settle(capacity: usize, offered: usize) -> (usize, Duration) {
        let most = Duration::from_millis(20);
        let (mut rate, mut queue, mut delay, mut done) =
            (Rate::default(), 0usize, Duration::ZERO, Vec::new());
        let (mut admitted, mut refused) = (0, 0);
        for _ in 0..600 {
            let limit = rate.next(Some(most), delay, admitted, refused);
            admitted = offered.min(limit.unwrap_or(usize::MAX));
            refused = offered - admitted;
            queue += admitted;
            done.push(queue.min(capacity));
            queue = queue.saturating_sub(capacity);
            delay = Duration::from_millis(u64::try_from(100 * queue / capacity).unwrap());
        }
        (done[300..].iter().sum::<usize>() / 300, delay)
    }

    #[test]
    fn what_can_be_done_is_done_and_no_more_waits() {
        for capacity in [100, 500, 3_000] {
            let (done, delay) = settle(capacity, 3 * capacity);
            assert!(done >= capacity * 9 / 10, "{done} of {capacity}");
            assert!(delay <= Duration::from_millis(60), "{delay:?}");
            assert_eq!(settle(capacity, capacity / 2), (capacity / 2, Duration::ZERO));
        }
    }

    #[test]
    fn the_limit_ends_when_the_load_does() {
        let mut rate = Rate::default();
        let (most, late) = (Some(Duration::from_millis(20)), Duration::from_millis(100));
        for _ in 0..LATE_TICKS - 1 {
            assert_eq!(rate.next(most, late, 1000, 0), None);
        }
        assert_eq!(rate.next(most, late, 1000, 0), Some(800));
        assert!(rate.next(most, late, 800, 400) < Some(800));
        for _ in 0..CALM_TICKS {
            rate.next(most, Duration::ZERO, 10, 0);
        }
        assert_eq!(rate.limit(), None);
    }
}
