//! What a call holds in its budgets, until its cost is known.

use std::sync::Arc;

use smallvec::SmallVec;

use super::account::{Account, Part, Short};
use super::charge::Charges;

/// Money held for one attempt. Dropped, it is all given back; [`Reservation::settle`] says what the attempt did cost.
///
/// The row of the attempt must carry [`Reservation::charges`] and that cost: its way into the store is what finally
/// takes the money.
pub struct Reservation {
    parts: SmallVec<[Part; 4]>,
    amount: i64,
    tick: u64,
}

impl Reservation {
    pub(crate) fn empty(amount: i64, tick: u64) -> Reservation {
        Reservation { parts: SmallVec::new(), amount, tick }
    }

    pub(crate) fn push(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// What the attempt's records have to carry.
    pub fn charges(&self) -> Charges {
        let Some(narrowest) = self.parts.last() else { return Charges::default() };
        // From call to call of a key they are the same, until a window ends or another lease pays.
        let mut usual = narrowest.account.usual.lock();
        let is_usual = usual.len() == self.parts.len()
            && usual.iter().zip(&self.parts).all(|(charge, part)| part.makes(charge));
        if !is_usual {
            *usual = self.parts.iter().map(Part::charge).collect::<Vec<_>>().into();
        }
        usual.clone()
    }

    /// What is held in each budget, in nano-dollars.
    pub fn amount(&self) -> i64 {
        self.amount
    }

    /// Holds `extra` more in all budgets at once, of what this process has at hand; or nothing more.
    pub fn grow(&mut self, extra: i64) -> bool {
        self.try_grow(extra).is_ok()
    }

    pub(crate) fn try_grow(&mut self, extra: i64) -> Result<(), (Arc<Account>, Short)> {
        let extra = extra.max(0);
        for (at, part) in self.parts.iter().enumerate() {
            if let Err(short) = part.grow(extra, self.tick) {
                self.parts[..at].iter().for_each(|part| part.settle(extra, 0, self.tick));
                return Err((part.account.clone(), short));
            }
        }
        self.amount = self.amount.saturating_add(extra);
        Ok(())
    }

    /// Holds no more than `amount`.
    pub fn shrink(&mut self, amount: i64) {
        let less = self.amount - amount.clamp(0, self.amount);
        self.parts.iter().for_each(|part| part.settle(less, 0, self.tick));
        self.amount -= less;
    }

    /// Ends it: the attempt did cost `cost_nanousd`. Where that is more than was held, the rest is owed, and is paid by
    /// what is leased next.
    pub fn settle(mut self, cost_nanousd: i64) {
        self.end(cost_nanousd.max(0));
    }

    /// The accounts it holds something in.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.parts.iter().map(|part| &part.account)
    }

    fn end(&mut self, cost: i64) {
        for part in self.parts.drain(..) {
            part.settle(self.amount, cost, self.tick);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.end(0);
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation").field("amount", &self.amount).finish_non_exhaustive()
    }
}
