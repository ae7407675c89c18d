//! Results of the last while, counted exactly.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Into how many slots a window is cut: what leaves it leaves by whole slots, so that memory is bounded however many
/// calls there are, and no call within the window is forgotten.
const SLOTS: u32 = 256;

/// Results of the last while. Each call counts, whether calls come in one burst or spread out.
#[derive(Debug, Default)]
pub struct Window {
    slots: VecDeque<Slot>,
    good: u64,
    bad: u64,
}

#[derive(Debug)]
struct Slot {
    began: Instant,
    good: u32,
    bad: u32,
}

impl Window {
    /// Counts a result.
    pub fn add(&mut self, good: bool, now: Instant, length: Duration) {
        self.forget(now, length);
        let width = length / SLOTS;
        if self.slots.back().is_none_or(|slot| now.saturating_duration_since(slot.began) >= width) {
            self.slots.push_back(Slot { began: now, good: 0, bad: 0 });
        }
        let slot = self.slots.back_mut().expect("one was just put there");
        if good {
            slot.good += 1;
            self.good += 1;
        } else {
            slot.bad += 1;
            self.bad += 1;
        }
    }

    /// How many calls there are in the window, and how many of them failed.
    pub fn counts(&mut self, now: Instant, length: Duration) -> (u64, u64) {
        self.forget(now, length);
        (self.good + self.bad, self.bad)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Window::default();
    }

    fn forget(&mut self, now: Instant, length: Duration) {
        let width = length / SLOTS;
        while let Some(slot) = self.slots.front() {
            // Its last call may be as late as its end.
            if now.saturating_duration_since(slot.began) <= length + width {
                break;
            }
            self.good -= u64::from(slot.good);
            self.bad -= u64::from(slot.bad);
            self.slots.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_the_window_counts_and_no_older_one() {
        let (start, length) = (Instant::now(), Duration::from_secs(30));
        let mut window = Window::default();
        for call in 0..3000 {
            window.add(call % 2 == 0, start + Duration::from_millis(call * 10), length);
        }
        let end = start + Duration::from_millis(29_990);
        assert_eq!(window.counts(end, length), (3000, 1500));
        assert!(window.slots.len() <= SLOTS as usize + 1);
        let (all, bad) = window.counts(end + Duration::from_secs(15), length);
        assert!((1490..=1525).contains(&all) && bad.abs_diff(all / 2) <= 1, "{all} {bad}");
        assert_eq!(window.counts(end + Duration::from_secs(31), length), (0, 0));
    }
}
