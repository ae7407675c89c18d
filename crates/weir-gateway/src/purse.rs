//! What one call may spend, from its admission to its end: what is reserved for it, what its attempts have cost, and
//! how far a stream may go.

mod watch;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use weir_catalog::Price;
use weir_ledger::Micros;
use weir_ledger::budget::{Budget, Budgets, Charges, Reservation};

use crate::bound::{Ceiling, Wanted};
use crate::error::{AttemptError, OverBudget};
use crate::snapshot::Target;

pub use watch::{Growth, Watch};

/// How long a call waits for money: for the store, for other replicas, for calls under way. Whoever is refused after that
/// has waited less than a quarter of a second, on a busy machine, too.
pub(crate) const WAIT: Duration = Duration::from_millis(170);

/// What is known of a call's cost at one of its targets.
pub struct Known {
    /// The target.
    pub target: Arc<Target>,
    /// The most that it can cost there.
    pub ceiling: Ceiling,
    /// That is so much with so many tokens of output.
    pub cost: (u64, i64),
}

impl Known {
    /// What it costs at most with this many tokens of output, where that was computed.
    pub fn cost_of(&self, output_tokens: u64) -> Option<i64> {
        (self.cost.0 == output_tokens).then_some(self.cost.1)
    }
}

/// What a stream is told that ran out of its budget; few do, so it is put into words only then.
#[derive(Clone)]
pub struct Words {
    /// The budget.
    pub budget: Arc<Budget>,
    /// When the call began.
    pub at: Micros,
    /// Says it.
    pub say: fn(&Budget, Micros) -> OverBudget,
}

/// Money that is set aside for one call.
pub trait Funds: Send {
    /// Nano-dollars set aside.
    fn amount(&self) -> i64;
    /// Sets more aside, if that can be had at once.
    fn grow(&mut self, more: i64) -> bool;
    /// The same, but waits a moment for it.
    fn grow_wait(&mut self, more: i64) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
    /// Gives back what was not spent; takes what was spent beyond it.
    fn settle(self: Box<Self>, spent: i64);
}

/// A reservation, and where it was made.
pub struct Reserved {
    /// Where.
    pub budgets: Budgets,
    /// What.
    pub reservation: Reservation,
}

impl Funds for Reserved {
    fn amount(&self) -> i64 {
        self.reservation.amount()
    }

    fn grow(&mut self, more: i64) -> bool {
        self.reservation.grow(more)
    }

    fn grow_wait(&mut self, more: i64) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(self.budgets.grow_wait(&mut self.reservation, more, WAIT))
    }

    fn settle(self: Box<Self>, spent: i64) {
        self.reservation.settle(spent);
    }
}

/// What one call may spend.
pub struct Purse {
    /// The most that the client wants to pay (`x-weir-max-cost`).
    max_cost: Option<i64>,
    /// What is wanted of the output's limit.
    wanted: Wanted,
    /// Whether a hard budget of the caller's pays: what it does not pay for is not sent.
    hard: bool,
    /// Who pays for each attempt.
    charges: Charges,
    /// How a stream is told that the budget is spent.
    spent_words: Option<Words>,
    /// What the call can cost at most at each of its targets, as far as that was looked at.
    ceilings: Vec<Known>,
    /// Tokens that a stream reserves at a time; `None`: all at once.
    step: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` without a budget, and after the end.
    funds: Option<Box<dyn Funds>>,
    /// What attempts that have ended cost.
    spent: i64,
    /// What attempts under way can cost at most.
    running: i64,
    /// The call has ended.
    ended: bool,
}

impl Purse {
    /// A purse that nobody has put anything into.
    pub fn new(max_cost: Option<i64>, wanted: Wanted) -> Purse {
        Purse {
            max_cost,
            wanted,
            hard: false,
            charges: Charges::default(),
            spent_words: None,
            ceilings: Vec::new(),
            step: None,
            state: Mutex::default(),
        }
    }

    /// With what was set aside for the call; `hard`: and nothing else may be spent. `spent_words` is what a
    /// stream is told that runs out of it.
    #[must_use]
    pub fn with(
        mut self,
        funds: Box<dyn Funds>,
        charges: Charges,
        hard: bool,
        spent_words: Option<Words>,
    ) -> Purse {
        self.state.get_mut().funds = Some(funds);
        (self.charges, self.hard, self.spent_words) = (charges, hard, spent_words);
        self
    }

    /// Knows what the call can cost at most at these targets.
    #[must_use]
    pub fn knowing(mut self, ceilings: Vec<Known>) -> Purse {
        self.ceilings = ceilings;
        self
    }

    /// What the call can cost at most at `target` by this price, where that was looked at.
    pub fn ceiling(&self, target: &Arc<Target>, price: Option<&Arc<Price>>) -> Option<&Known> {
        let known = self.ceilings.iter().find(|known| Arc::ptr_eq(&known.target, target))?;
        Some(known).filter(|known| price.is_some_and(|price| known.ceiling.is_by(price)))
    }

    /// Lets streams reserve so many tokens at a time.
    #[must_use]
    pub fn in_steps(mut self, tokens: u64) -> Purse {
        self.step = Some(tokens);
        self
    }

    /// What is wanted of the output's limit.
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// The most that the client wants to pay.
    pub fn max_cost(&self) -> Option<i64> {
        self.max_cost
    }

    /// Who pays for each attempt, the provider's own budgets aside.
    pub fn charges(&self) -> &Charges {
        &self.charges
    }

    /// Tokens that a stream reserves at a time.
    pub fn step(&self) -> Option<u64> {
        self.step
    }

    /// Whether an attempt that costs up to `running` beside what earlier ones cost is paid for. Sets more aside where
    /// that is needed and can be had.
    pub fn covers(&self, running: i64) -> bool {
        let mut state = self.state.lock();
        let need = state.spent.saturating_add(running);
        let Some(funds) = state.funds.as_mut().filter(|_| self.hard) else { return true };
        let lacks = need.saturating_sub(funds.amount());
        lacks <= 0 || funds.grow(lacks)
    }

    /// The same for an attempt beside others that are under way, which may all cost what they can. Where money is being
    /// waited for it is not.
    pub fn covers_beside(&self, running: i64) -> bool {
        let mut state = self.state.lock();
        let need = state.spent.saturating_add(state.running).saturating_add(running);
        let Some(funds) = state.funds.as_mut().filter(|_| self.hard) else { return !self.hard };
        let lacks = need.saturating_sub(funds.amount());
        lacks <= 0 || funds.grow(lacks)
    }

    /// An attempt that can cost so much begins.
    pub fn begin(&self, running: i64) {
        let mut state = self.state.lock();
        state.running = state.running.saturating_add(running);
    }

    /// It has ended.
    pub fn end(&self, running: i64) {
        let mut state = self.state.lock();
        state.running = state.running.saturating_sub(running);
    }

    /// What attempts under way can cost at most.
    pub fn running(&self) -> i64 {
        self.state.lock().running
    }

    /// An attempt has ended.
    pub fn spend(&self, nanousd: i64) {
        let mut state = self.state.lock();
        state.spent = state.spent.saturating_add(nanousd);
    }

    /// What attempts that have ended cost.
    pub fn spent(&self) -> i64 {
        self.state.lock().spent
    }

    /// The call has ended. Only the first time counts.
    pub fn settle(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        if let Some(funds) = state.funds.take() {
            funds.settle(state.spent);
        }
    }

    /// As [`Purse::covers`], but waits a moment for money. Nothing else may be asked of the purse meanwhile.
    pub async fn covers_soon(self: Arc<Purse>, running: i64) -> bool {
        if self.covers(running) {
            return true;
        }
        let (funds, spent) = {
            let mut state = self.state.lock();
            (state.funds.take(), state.spent)
        };
        let mut taken = Taken { purse: self, funds };
        let Some(funds) = &mut taken.funds else { return false };
        let lacks = spent.saturating_add(running).saturating_sub(funds.amount());
        funds.grow_wait(lacks).await
    }

    /// What a stream is told whose budget is spent.
    pub fn exhausted(&self) -> AttemptError {
        let words = self.spent_words.as_ref().map(|words| (words.say)(&words.budget, words.at));
        let words = words.unwrap_or_default();
        AttemptError::OverBudget(Box::new(words))
    }
}

/// Money out of the purse, for as long as somebody waits for more.
struct Taken {
    purse: Arc<Purse>,
    funds: Option<Box<dyn Funds>>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let Some(funds) = self.funds.take() else { return };
        let mut state = self.purse.state.lock();
        // The call may have ended while its stream waited.
        match state.ended {
            true => funds.settle(state.spent),
            false => state.funds = Some(funds),
        }
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed {
        amount: i64,
        more: i64,
        settled: Arc<Mutex<Option<i64>>>,
    }

    impl Funds for Fixed {
        fn amount(&self) -> i64 {
            self.amount
        }

        fn grow(&mut self, more: i64) -> bool {
            if more > self.more {
                return false;
            }
            self.more -= more;
            self.amount += more;
            true
        }

        fn grow_wait(&mut self, more: i64) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
            let grown = self.grow(more);
            Box::pin(std::future::ready(grown))
        }

        fn settle(self: Box<Self>, spent: i64) {
            *self.settled.lock() = Some(spent);
        }
    }

    #[test]
    fn attempts_share_what_is_set_aside() {
        let settled = Arc::new(Mutex::new(None));
        let funds = Fixed { amount: 100, more: 20, settled: settled.clone() };
        let purse = Purse::new(None, Wanted::default()).with(Box::new(funds), Charges::default(), true, None);
        assert!(purse.covers(100));
        purse.spend(30);
        assert!(purse.covers(70) && purse.covers(90) && !purse.covers(91));
        purse.spend(60);
        purse.settle();
        assert_eq!(*settled.lock(), Some(90));
        *settled.lock() = None;
        drop(purse);
        assert_eq!(*settled.lock(), None, "settled once");
    }

    #[test]
    fn attempts_at_the_same_time_are_all_paid_for() {
        let funds = Fixed { amount: 100, more: 20, settled: Arc::default() };
        let purse = Purse::new(None, Wanted::default()).with(Box::new(funds), Charges::default(), true, None);
        assert!(purse.covers(70));
        purse.begin(70);
        assert!(purse.covers_beside(50) && !purse.covers_beside(51));
        purse.spend(60);
        purse.end(70);
        assert!(purse.covers_beside(60) && !purse.covers_beside(61));
        assert!(Purse::new(None, Wanted::default()).covers_beside(i64::MAX), "nothing holds it");
        let mut poor = Purse::new(None, Wanted::default());
        poor.hard = true;
        assert!(!poor.covers_beside(1), "its money is being waited for");
    }

    #[test]
    fn without_a_hard_budget_everything_is_paid_for() {
        let purse = Purse::new(None, Wanted::default());
        assert!(purse.covers(i64::MAX));
    }

    #[test]
    fn a_stream_is_cut_when_it_passes_what_the_client_pays() {
        let purse = Arc::new(Purse::new(Some(1_000), Wanted::default()));
        let mut watch = Watch::new(purse, None, u64::MAX);
        assert!(watch.look(10, || Some(1_000)).is_ok());
        let error = watch.look(11, || Some(1_001)).unwrap_err();
        assert_eq!(error.code(), "max_cost_exceeded");
        assert!(error.to_string().contains("0.000001"), "{error}");
    }
}
