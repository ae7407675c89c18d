//! The arithmetic of one lease. Everything that was ever granted is given back, settled, held or free.

use super::account::Short;
use super::authority::{Ask, Report};
use super::period::Window;
use crate::row::{Micros, Text};

/// One lease of one window, or the window of a soft budget.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) lease: Micros,
    pub(super) hard: bool,
    /// The windows whose sums count.
    pub(super) counts: (Micros, Micros),
    granted: i64,
    returned: i64,
    /// Of `returned`, what the store has confirmed.
    confirmed: i64,
    /// What calls did cost.
    settled: i64,
    /// What calls under way may cost.
    pub(super) held: i64,
    /// Below this, another slice is asked for.
    low: i64,
    /// Whether one is asked for.
    topping: bool,
    wanted: i64,
    used_at: u64,
    /// Whether something was settled that the last report can't know.
    stale: bool,
    /// Whether a question is on its way.
    asked: bool,
    /// Whether a question got no answer, and may yet be heard.
    unsure: bool,
    pub(super) report: Option<Report>,
    /// The first window that the report's sum counts.
    report_from: Micros,
    pub(super) answered_at: Option<u64>,
}

impl Lane {
    pub(super) fn new(lease: Micros, hard: bool) -> Lane {
        Lane {
            lease,
            hard,
            counts: (lease, lease),
            granted: 0,
            returned: 0,
            confirmed: 0,
            settled: 0,
            held: 0,
            low: i64::MIN,
            topping: false,
            wanted: 0,
            used_at: 0,
            stale: false,
            asked: false,
            unsure: false,
            report: None,
            report_from: 0,
            answered_at: None,
        }
    }

    /// What may be held yet. Negative when calls did cost more than was leased.
    pub(super) fn free(&self) -> i64 {
        self.granted - self.returned - self.settled - self.held
    }

    pub(super) fn take(
        &mut self,
        amount: i64,
        tick: u64,
        limit: i64,
        window: Option<Window>,
    ) -> Result<(), Short> {
        if self.hard && amount > 0 && self.free() < amount {
            let spent =
                self.report.is_some() && window.is_none_or(|window| window.counts_from == self.report_from);
            let out = spent && limit.saturating_sub(self.spent()) < amount;
            return Err(if out { Short::Spent } else { Short::Lacking });
        }
        self.held = self.held.saturating_add(amount);
        self.used_at = tick;
        Ok(())
    }

    pub(super) fn settle(&mut self, amount: i64, cost: i64, tick: u64) {
        self.held -= amount;
        self.settled = self.settled.saturating_add(cost);
        self.used_at = tick;
        self.stale |= cost != 0;
    }

    /// Whether it is time for another slice. Says so once.
    pub(super) fn is_low(&mut self) -> bool {
        let low = self.hard && !self.topping && self.free() < self.low;
        self.topping |= low;
        low
    }

    /// Asks for another slice. Says so once.
    pub(super) fn want_slice(&mut self) -> bool {
        !std::mem::replace(&mut self.topping, true)
    }

    /// What is spent: by rows in the store, and by calls of this process whose rows are on their way.
    pub(super) fn spent(&self) -> i64 {
        let on_the_way = |report: &Report| if self.hard { (self.settled - report.drained).max(0) } else { 0 };
        self.report.as_ref().map_or(self.settled, |report| report.spent.saturating_add(on_the_way(report)))
    }

    pub(super) fn idle_ms(&self, tick: u64) -> u64 {
        tick.saturating_sub(self.used_at)
    }

    /// Whether the store knows something that this process should.
    pub(super) fn is_stale(&self) -> bool {
        let drains = self.hard && self.report.is_some_and(|report| report.drained != self.settled);
        self.stale || drains || self.gives()
    }

    fn gives(&self) -> bool {
        self.unsure || self.returned != self.confirmed
    }

    /// The store did not answer.
    pub(super) fn failed(&mut self) {
        self.unsure |= self.asked && self.hard;
        self.asked = false;
    }

    pub(super) fn want_look(&mut self) {
        self.stale = true;
    }

    /// Whether nothing is left that anybody would miss.
    pub(super) fn is_quiet(&self) -> bool {
        self.held == 0
            && !self.asked
            && !self.is_stale()
            && (!self.hard || self.granted - self.returned - self.settled == 0)
    }

    /// Gives back what is free but for `keep`; true when there is something to tell the store.
    pub(super) fn give_back(&mut self, keep: i64) -> bool {
        let slack = self.free().saturating_sub(keep);
        if !self.hard || slack <= 0 {
            return false;
        }
        self.returned += slack;
        self.topping = false;
        self.low = i64::MIN;
        true
    }

    /// What to ask now, `waiting` being the amounts in the line.
    pub(super) fn ask(&mut self, budget: &Text, limit: i64, waiting: &[(u64, i64)]) -> Option<Ask> {
        let free = self.free();
        let lacking = waiting.iter().map(|(_, amount)| *amount).filter(|amount| *amount > free);
        let need = if self.hard { lacking.min().map_or(0, |least| least.saturating_sub(free)) } else { 0 };
        let sum = waiting.iter().fold(0i64, |sum, (_, amount)| sum.saturating_add(*amount));
        let debt = if self.hard { (-free).max(0) } else { 0 };
        let wants = self.topping || need > 0 || debt > 0;
        let gives = self.gives();
        if !(wants || gives || self.is_stale() || self.report.is_none()) {
            return None;
        }
        self.asked = true;
        Some(Ask {
            budget: budget.clone(),
            lease: self.hard.then_some(self.lease),
            counts: self.counts,
            limit_nanousd: limit,
            granted: self.granted,
            returned: self.returned,
            need,
            all: if need > 0 { sum.saturating_sub(free).max(need) } else { debt },
            wants,
            gives,
        })
    }

    pub(super) fn answered(&mut self, ask: &Ask, report: &Report, tick: u64) {
        if self.report.is_none() && self.granted == 0 && report.granted > 0 {
            // An earlier account of the same budget in this process may have had leases, all done with by now.
            self.returned = self.returned.max(report.returned);
            self.settled = self.settled.saturating_add(report.drained);
            self.wanted = report.wanted;
        }
        self.asked = false;
        self.unsure &= ask.only_reads();
        self.granted = self.granted.max(report.granted);
        self.confirmed = self.confirmed.max(ask.returned).max(report.returned).min(self.returned);
        if self.held == 0 && report.drained > self.settled {
            // Rows were charged that nobody settled.
            self.settled = report.drained;
        }
        self.stale = false;
        self.topping = false;
        self.report = Some(*report);
        self.report_from = ask.counts.0;
        self.answered_at = Some(tick);
        // Half of what a process may have at hand; nothing when there is hardly anything left to ask for.
        let left = ask.limit_nanousd.saturating_sub(report.spent).saturating_sub(report.leased);
        let share = left / (2 * (report.holders + 1));
        let at_hand = self.granted - self.returned - self.settled;
        let in_vain = ask.wants && report.granted == ask.granted;
        self.low = if share > at_hand / 8 && !in_vain { share.min(at_hand) / 2 } else { i64::MIN };
    }

    /// Gives back what isn't needed here when somebody else asked in vain. `waiting` are the amounts in the line.
    pub(super) fn recall(&mut self, report: &Report, waiting: &[i64]) -> bool {
        let others = report.wanted != self.wanted;
        self.wanted = report.wanted + i64::from(report.in_vain);
        if !others || !self.hard {
            return false;
        }
        let free = self.free();
        let served = waiting.iter().any(|amount| *amount <= free);
        let keep =
            if served { waiting.iter().fold(0i64, |sum, amount| sum.saturating_add(*amount)) } else { 0 };
        self.give_back(keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(lane: &mut Lane, granted: i64, report: Report) {
        let ask = lane.ask(&"b".into(), 1_000, &[(1, 10)]).unwrap();
        lane.answered(&ask, &Report { granted, ..report }, 0);
    }

    #[test]
    fn all_that_was_granted_is_somewhere() {
        let mut lane = Lane::new(0, true);
        assert!(matches!(lane.take(10, 0, 1_000, None), Err(Short::Lacking)));
        granted(&mut lane, 100, Report::default());
        lane.take(60, 0, 1_000, None).unwrap();
        assert!(matches!(lane.take(60, 0, 1_000, None), Err(Short::Lacking)));
        lane.settle(60, 25, 0);
        assert_eq!((lane.free(), lane.held, lane.spent()), (75, 0, 25));
        assert!(lane.give_back(5));
        assert_eq!((lane.free(), lane.is_quiet()), (5, false));
        // A call that cost more than it held.
        lane.take(5, 0, 1_000, None).unwrap();
        lane.settle(5, 9, 0);
        assert_eq!(lane.free(), -4);
        assert_eq!(lane.ask(&"b".into(), 1_000, &[]).unwrap().all, 4);
    }

    #[test]
    fn spent_is_known_without_asking() {
        let mut lane = Lane::new(0, true);
        granted(&mut lane, 0, Report { spent: 995, ..Report::default() });
        assert!(matches!(lane.take(6, 0, 1_000, None), Err(Short::Spent)));
        assert!(matches!(lane.take(5, 0, 1_000, None), Err(Short::Lacking)));
        assert!(matches!(lane.take(6, 0, 2_000, None), Err(Short::Lacking)), "the limit was raised");
    }

    #[test]
    fn a_recall_gives_back_what_nobody_here_can_use() {
        let recalled = |waiting: &[i64]| {
            let mut lane = Lane::new(0, true);
            granted(&mut lane, 100, Report::default());
            let report = Report { granted: 100, wanted: 1, ..Report::default() };
            (lane.recall(&report, waiting), lane.free())
        };
        assert_eq!(recalled(&[]), (true, 0));
        assert_eq!(recalled(&[150]), (true, 0), "too little for those who wait");
        assert_eq!(recalled(&[30]), (true, 30));
        assert_eq!(recalled(&[30, 80]), (false, 100));
    }

    #[test]
    fn a_slice_whose_answer_was_lost_is_taken_up() {
        let mut lane = Lane::new(0, true);
        granted(&mut lane, 100, Report::default());
        let ask = lane.ask(&"b".into(), 1_000, &[(1, 500)]).unwrap();
        assert_eq!((ask.granted, ask.need), (100, 400));
        lane.answered(&ask, &Report { granted: 600, ..Report::default() }, 1);
        assert_eq!(lane.free(), 600);
    }
}
