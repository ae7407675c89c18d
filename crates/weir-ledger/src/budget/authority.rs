//! What a store does for budgets: it counts what is spent, and leases what is free.
//!
//! A process talks to it in [`Exchange`]s, one at a time. Each is one transaction, and may be done twice: sums that only
//! the process itself changes are sent as they shall be, not as changes, and a slice whose answer was lost is handed out
//! again at the next question instead of another.

use std::fmt;

use uuid::Uuid;

use super::charge::Charge;
use crate::row::{Micros, Text};
use crate::store::Answer;

/// What one process says and asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The process.
    pub instance: Uuid,
    /// Counts its exchanges. One that is done after a later one about the same lease changes nothing.
    pub number: i64,
    /// Per budget and lease, ordered by both, each once.
    pub asks: Vec<Ask>,
}

/// What one process says and asks of one budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The budget's id.
    pub budget: Text,
    /// The lease; `None` for a soft budget, of which only the sum is read.
    pub lease: Option<Micros>,
    /// The first and the last beginning of a window that counts.
    pub counts: (Micros, Micros),
    /// The limit in nano-dollars, as this process knows it.
    pub limit_nanousd: i64,
    /// All that it knows it was ever leased.
    pub granted: i64,
    /// All that it ever gave back.
    pub returned: i64,
    /// The least that helps a call that waits; 0 when none does.
    pub need: i64,
    /// What all calls that wait need together.
    pub all: i64,
    /// Whether it wants a slice at hand. Without it and without `need` nothing is leased.
    pub wants: bool,
    /// Whether `returned` is more than the store confirmed.
    pub gives: bool,
}

impl Ask {
    /// Whether nothing is changed by it, so that nobody has to wait for anybody.
    pub fn only_reads(&self) -> bool {
        self.lease.is_none() || !(self.wants || self.gives || self.need > 0)
    }
}

/// The answer to one [`Ask`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// All that this process was ever leased.
    pub granted: i64,
    /// All that this process gave back.
    pub returned: i64,
    /// All that rows charged to this process's lease.
    pub drained: i64,
    /// What is spent in the windows that count, by rows in the store.
    pub spent: i64,
    /// What is leased to all processes, this one too, and neither given back nor charged.
    pub leased: i64,
    /// How many other processes hold a part of that.
    pub holders: i64,
    /// How often somebody asked in vain, before this time.
    pub wanted: i64,
    /// Whether this process has just asked in vain.
    pub in_vain: bool,
}

/// What a store knows of a budget when somebody asks for a slice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Holding {
    /// What is spent in the windows that count.
    pub spent: i64,
    /// What other processes hold, those that overdrew counted as nothing.
    pub others: i64,
    /// How many of them hold something.
    pub holders: i64,
    /// All that this process was ever leased.
    pub granted: i64,
    /// All that it gave back, with what this ask says.
    pub returned: i64,
    /// All that rows charged to it.
    pub drained: i64,
}

/// How much more to lease: what waits is served first; beyond it a share of what is left, which gets smaller towards
/// the limit and with more processes.
pub fn grant(ask: &Ask, holding: &Holding) -> i64 {
    if holding.granted > ask.granted {
        // It was leased already, and the answer got lost.
        return 0;
    }
    let own = holding.granted.saturating_sub(holding.returned).saturating_sub(holding.drained).max(0);
    let free =
        ask.limit_nanousd.saturating_sub(holding.spent).saturating_sub(holding.others).saturating_sub(own);
    if free <= 0 || free < ask.need || !(ask.wants || ask.need > 0) {
        return 0;
    }
    let share = (free / (2 * (holding.holders + 1))).saturating_sub(if ask.need > 0 { 0 } else { own });
    share.max(ask.all).max(ask.need).clamp(0, free)
}

/// What a store does for budgets.
pub trait Authority: Send + Sync + fmt::Debug + 'static {
    /// Takes back what is given back, leases what is asked for, and reports; in one transaction, in the order asked.
    fn exchange<'a>(&'a self, exchange: &'a Exchange) -> Answer<'a, Vec<Report>>;
    /// Closes all leases of a process whose rows are all in the store.
    fn close_leases(&self, instance: Uuid) -> Answer<'_, ()>;
    /// What is spent in windows from the first to the last beginning, by budget.
    fn spent<'a>(&'a self, of: &'a [(Text, Micros, Micros)]) -> Answer<'a, Vec<i64>>;
    /// Whether nobody has yet claimed this alert of a budget, for the window that begins then.
    fn claim_alert<'a>(&'a self, budget: &'a str, window: Micros, millionths: u32) -> Answer<'a, bool>;
    /// Tells when somebody asks in vain.
    fn signals(&self) -> Answer<'_, Box<dyn Signals>>;
}

/// Tells when somebody asks in vain.
pub trait Signals: Send {
    /// Waits until somebody did, or may have.
    fn next(&mut self) -> Answer<'_, ()>;
}

/// What rows of a batch charge, added up: spent by budget and window, and taken off leases by budget and lease.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Debits {
    /// Spent, by budget and the window's beginning.
    pub spent: std::collections::BTreeMap<(Text, Micros), i64>,
    /// Drained, by budget and lease.
    pub drained: std::collections::BTreeMap<(Text, Micros), i64>,
}

impl Debits {
    /// Adds the cost of a row.
    pub fn add(&mut self, charges: &[Charge], cost_nanousd: Option<i64>) {
        let Some(cost) = cost_nanousd.filter(|cost| *cost != 0) else { return };
        for charge in charges {
            let spent = self.spent.entry((charge.budget.clone(), charge.window)).or_default();
            *spent = spent.saturating_add(cost);
            if let Some(lease) = charge.lease {
                let drained = self.drained.entry((charge.budget.clone(), lease)).or_default();
                *drained = drained.saturating_add(cost);
            }
        }
    }

    /// Whether nothing is charged.
    pub fn is_empty(&self) -> bool {
        self.spent.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_serve_what_waits_and_shrink_towards_the_limit() {
        let ask = |need, all, wants| Ask {
            budget: "b".into(),
            lease: Some(0),
            counts: (0, 0),
            limit_nanousd: 1_000,
            granted: 0,
            returned: 0,
            need,
            all,
            wants,
            gives: false,
        };
        let holding = |spent, others, holders| Holding { spent, others, holders, ..Holding::default() };
        for (ask, holding, expected) in [
            (ask(10, 10, true), holding(0, 0, 0), 500),
            (ask(10, 10, true), holding(0, 400, 2), 100),
            (ask(10, 300, true), holding(0, 400, 2), 300),
            (ask(10, 900, true), holding(900, 0, 0), 100),
            (ask(101, 900, true), holding(900, 0, 0), 0),
            (ask(0, 0, true), holding(999, 0, 0), 0),
            (ask(0, 0, false), holding(0, 0, 0), 0),
            (ask(1, 1, true), holding(1_200, 0, 0), 0),
            (ask(0, 0, true), Holding { granted: 5, ..Holding::default() }, 0),
            // A process that overdrew holds nothing, and what it gets first fills that up.
            (ask(10, 10, true), Holding { drained: 50, spent: 50, ..Holding::default() }, 475),
        ] {
            assert_eq!(grant(&ask, &holding), expected, "{ask:?} {holding:?}");
        }
    }
}
