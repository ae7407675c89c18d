//! A sliding window: how much was taken in the time that ends now, exactly up to a coarseness of 1/120 of the span.
//!
//! Amounts that come close together share a slot, which counts until the last of them has left the window: no span of
//! time ever holds more than the limit, and a lone amount leaves on the millisecond. Memory is bounded by the slots.

use std::collections::VecDeque;

/// Milliseconds since some beginning.
pub type Millis = u64;

/// How many slots a window has at most, beside the one that is leaving.
const SLOTS: u64 = 120;

/// Amounts that came close together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    first: Millis,
    last: Millis,
    amount: u64,
    /// What of it others know, too.
    shared: u64,
}

/// What was taken in the span that ends now.
#[derive(Debug, Clone)]
pub struct Window {
    span: Millis,
    slots: VecDeque<Slot>,
    sum: u64,
    hint: Option<Hint>,
}

/// What a shared store said last.
#[derive(Debug, Clone, Copy)]
struct Hint {
    at: Millis,
    /// What was left for all replicas together.
    remaining: u64,
    /// What of it all was this replica's.
    own: u64,
}

/// Something taken that others don't know of yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unshared {
    /// When it was taken.
    pub at: Millis,
    /// How much.
    pub amount: u64,
}

impl Window {
    /// An empty one over `span`.
    pub fn new(span: Millis) -> Window {
        Window { span: span.max(1), slots: VecDeque::new(), sum: 0, hint: None }
    }

    /// How long something counts.
    pub fn span(&self) -> Millis {
        self.span
    }

    /// Forgets what has left, and returns what still counts.
    pub fn used(&mut self, now: Millis) -> u64 {
        while let Some(slot) = self.slots.front().filter(|slot| slot.last.saturating_add(self.span) <= now) {
            self.sum = self.sum.saturating_sub(slot.amount);
            self.slots.pop_front();
        }
        self.sum
    }

    /// Takes `amount`, whatever is left.
    pub fn take(&mut self, now: Millis, amount: u64) {
        self.used(now);
        self.sum = self.sum.saturating_add(amount);
        let grain = self.span / SLOTS;
        match self.slots.back_mut() {
            // Clocks of threads may differ by a little: a slot never goes backwards.
            Some(slot) if now < slot.first.saturating_add(grain) => {
                slot.last = slot.last.max(now);
                slot.amount = slot.amount.saturating_add(amount);
            }
            _ => self.slots.push_back(Slot { first: now, last: now, amount, shared: 0 }),
        }
    }

    /// Corrects what was taken at `at` from `taken` to `truth`. What has left the window by now stays out; what the
    /// truth has more than was taken counts from now then.
    pub fn correct(&mut self, now: Millis, at: Millis, taken: u64, truth: u64) {
        self.used(now);
        let index = self.slots.partition_point(|slot| slot.first <= at);
        let slot = index.checked_sub(1).and_then(|index| self.slots.get_mut(index));
        match slot.filter(|slot| at <= slot.last) {
            Some(slot) => {
                self.sum = self.sum.saturating_sub(slot.amount);
                slot.amount = slot.amount.saturating_sub(taken).saturating_add(truth);
                if slot.shared >= taken {
                    slot.shared = slot.shared - taken + truth;
                }
                self.sum = self.sum.saturating_add(slot.amount);
            }
            None if truth > taken => self.take(now, truth - taken),
            None => {}
        }
    }

    /// How long until `amount` more stays within `limit`, if nothing else is taken; at once where it does now. An
    /// amount above the whole limit waits for all to leave.
    pub fn wait(&mut self, now: Millis, amount: u64, limit: u64) -> Millis {
        let mut excess = self.used(now).saturating_add(amount.min(limit)).saturating_sub(limit);
        for slot in &self.slots {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(slot.amount);
            if excess == 0 {
                return (slot.last + self.span).saturating_sub(now);
            }
        }
        0
    }

    /// How long until nothing counts any more.
    pub fn reset(&self, now: Millis) -> Millis {
        self.slots.back().map_or(0, |slot| (slot.last + self.span).saturating_sub(now))
    }

    /// What others don't know of, or, with `all`, everything.
    pub fn unshared(&mut self, now: Millis, all: bool) -> Vec<Unshared> {
        self.used(now);
        let mut found = Vec::new();
        for slot in &mut self.slots {
            let amount = if all { slot.amount } else { slot.amount.saturating_sub(slot.shared) };
            if amount > 0 {
                found.push(Unshared { at: slot.last, amount });
            }
        }
        found
    }

    /// Others know of `amount` that was taken at `at`.
    pub fn share(&mut self, at: Millis, amount: u64) {
        let index = self.slots.partition_point(|slot| slot.first <= at);
        if let Some(slot) = index.checked_sub(1).and_then(|index| self.slots.get_mut(index)) {
            slot.shared = slot.shared.saturating_add(amount);
        }
    }

    /// A shared store said how much is left for all replicas together.
    pub fn hear(&mut self, now: Millis, remaining: u64) {
        self.used(now);
        let own = self.known_to_others();
        self.hint = Some(Hint { at: now, remaining, own });
    }

    fn known_to_others(&self) -> u64 {
        self.slots.iter().map(|slot| slot.shared.min(slot.amount)).sum()
    }

    /// How much may be in the window while the shared store can't be asked: this replica's share of the limit, and no
    /// more than its share of what was left when the store was last heard, plus what has left of its own since. All
    /// replicas together then stay within the limit.
    pub fn leased(&mut self, now: Millis, limit: u64, share: impl Fn(u64) -> u64) -> u64 {
        self.used(now);
        let own = share(limit);
        match self.hint.filter(|hint| now < hint.at.saturating_add(self.span)) {
            Some(hint) => own.min(share(hint.remaining).saturating_add(hint.own)),
            None => own,
        }
    }

    /// Nobody else knows of anything any more.
    pub fn forget_shared(&mut self) {
        for slot in &mut self.slots {
            slot.shared = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_lone_amount_leaves_on_the_millisecond() {
        let mut window = Window::new(60_000);
        window.take(1_000, 1);
        assert_eq!(window.wait(1_000, 1, 1), 60_000);
        assert_eq!(window.used(60_999), 1);
        assert_eq!(window.used(61_000), 0);
    }

    #[test]
    fn a_correction_finds_its_slot_and_what_left_stays_out() {
        let mut window = Window::new(60_000);
        window.take(0, 100);
        window.take(10_000, 50);
        window.correct(20_000, 0, 100, 7);
        assert_eq!(window.used(20_000), 57);
        window.correct(65_000, 0, 7, 5);
        assert_eq!(window.used(65_000), 50);
        // More than was taken counts from now, though its slot is gone.
        window.correct(65_000, 0, 7, 27);
        assert_eq!(window.used(65_000), 70);
        assert_eq!(window.reset(65_000), 60_000);
    }

    #[test]
    fn without_the_shared_store_a_share_of_what_was_left_remains() {
        let mut window = Window::new(60_000);
        let third = |limit: u64| limit / 3;
        assert_eq!(window.leased(0, 900, third), 300);
        window.take(0, 200);
        window.share(0, 200);
        // 90 were left for three replicas: 30 more here.
        window.hear(0, 90);
        assert_eq!(window.leased(1, 900, third), 230);
        // What is old says nothing.
        assert_eq!(window.leased(60_000, 900, third), 300);
    }

    #[test]
    fn what_others_know_is_told_once() {
        let mut window = Window::new(60_000);
        window.take(0, 5);
        window.share(0, 3);
        assert_eq!(window.unshared(0, false), [Unshared { at: 0, amount: 2 }]);
        window.share(0, 2);
        assert_eq!(window.unshared(0, false), []);
        window.forget_shared();
        assert_eq!(window.unshared(0, false), [Unshared { at: 0, amount: 5 }]);
    }

    proptest! {
        /// Against the plain truth, a list of all moments: never more than the limit in any span; what is refused is
        /// let in after the wait that was told, and the coarseness costs no more than 1/120 of the span.
        #[test]
        fn no_span_holds_more_than_the_limit(
            limit in 1u64..20,
            steps in prop::collection::vec((0u64..4_000, 1u64..4), 1..200),
        ) {
            const SPAN: u64 = 60_000;
            let mut window = Window::new(SPAN);
            let (mut now, mut taken): (u64, Vec<(u64, u64)>) = (0, Vec::new());
            for (pause, amount) in steps {
                now += pause;
                let amount = amount.min(limit);
                let truth: u64 = taken.iter().filter(|(at, _)| at + SPAN > now).map(|(_, amount)| amount).sum();
                if window.used(now) + amount <= limit {
                    prop_assert!(truth + amount <= limit);
                    window.take(now, amount);
                    taken.push((now, amount));
                } else {
                    let wait = window.wait(now, amount, limit);
                    prop_assert!(wait > 0 && wait <= SPAN);
                    prop_assert!(window.clone().used(now + wait) + amount <= limit, "the wait was too short");
                    let early = taken.iter().filter(|(at, _)| at + SPAN + SPAN / SLOTS > now);
                    let coarse: u64 = early.map(|(_, amount)| amount).sum();
                    prop_assert!(coarse + amount > limit, "refused without need");
                }
                prop_assert!(window.slots.len() as u64 <= SLOTS + 2);
            }
        }
    }
}
