//! All budgets of this process, without any waiting: everything here answers at once.
//!
//! `ask` says what to send to the store, `answered` takes in what came back. Who calls them, and when, is `engine`'s, or
//! that of a simulation.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use foldhash::fast::RandomState;
use tokio::sync::Notify;
use uuid::Uuid;

use super::account::{Account, BudgetState, Short};
use super::authority::{Exchange, Report};
use super::reservation::Reservation;
use super::scope::Budget;
use super::set::BudgetSet;
use crate::row::{Micros, Text};
use crate::sync::Mutex;

/// The most questions of one exchange.
const MOST_ASKS: usize = 256;

static ENGINES: AtomicU64 = AtomicU64::new(1);

/// Which accounts have something to ask, and who is woken for it.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    queue: Mutex<Vec<Arc<Account>>>,
    pub(crate) wake: Notify,
}

impl Hub {
    pub(crate) fn queue(&self, account: Arc<Account>) {
        self.queue.lock().push(account);
        self.wake.notify_one();
    }
}

/// All budgets of this process.
#[derive(Debug)]
pub(crate) struct Table {
    number: u64,
    pub(crate) instance: Uuid,
    pub(crate) hub: Arc<Hub>,
    accounts: Mutex<HashMap<Text, Arc<Account>, RandomState>>,
    tickets: AtomicU64,
    exchanges: AtomicI64,
}

/// Those of an exchange whose answers are waited for.
pub(crate) type Asked = Vec<Arc<Account>>;

impl Table {
    pub(crate) fn new(instance: Uuid) -> Table {
        Table {
            number: ENGINES.fetch_add(1, Ordering::Relaxed),
            instance,
            hub: Arc::default(),
            accounts: Mutex::default(),
            tickets: AtomicU64::new(0),
            exchanges: AtomicI64::new(0),
        }
    }

    /// The account of a budget.
    pub(crate) fn account(&self, budget: &Arc<Budget>) -> Arc<Account> {
        match budget.account.get() {
            Some((number, account)) if *number == self.number => account.clone(),
            _ => self.look_up(budget),
        }
    }

    /// The same, whatever the budget remembers.
    pub(crate) fn look_up(&self, budget: &Arc<Budget>) -> Arc<Account> {
        let mut accounts = self.accounts.lock();
        let made = || Arc::new(Account::new(budget.clone(), false, self.hub.clone()));
        let account = accounts.entry(budget.id.clone()).or_insert_with(made).clone();
        let _ = budget.account.set((self.number, account.clone()));
        account
    }

    /// Takes over the budgets of a configuration.
    pub(crate) fn adopt(&self, set: &BudgetSet) {
        let mut gone: HashMap<Text, Arc<Account>, RandomState> = self.accounts.lock().clone();
        for budget in set.all().iter().filter(|budget| budget.scope.name() != "*") {
            self.look_up(budget).adopt(budget);
            gone.remove(&budget.id);
        }
        gone.values().for_each(Account::retire);
    }

    /// Reserves `amount` in all of `budgets`, or in none; then says which is short.
    pub(crate) fn try_reserve(
        &self,
        budgets: &[Arc<Budget>],
        amount: i64,
        now: Micros,
        tick: u64,
    ) -> Result<Reservation, (Arc<Account>, Short)> {
        let mut reservation = Reservation::empty(amount.max(0), tick);
        for budget in budgets {
            let account = self.account(budget);
            let taken = match account.take(budget, amount.max(0), now, tick) {
                Err(Short::Gone) => {
                    let account = self.look_up(budget);
                    account.take(budget, amount.max(0), now, tick).map_err(|short| (account, short))
                }
                taken => taken.map_err(|short| (account, short)),
            };
            // Dropped, it gives back what it has.
            reservation.push(taken?);
        }
        Ok(reservation)
    }

    /// A number for a call that waits.
    pub(crate) fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// What to ask of the store now, if anything.
    pub(crate) fn ask(&self) -> Option<(Exchange, Asked)> {
        let accounts = {
            let mut queue = self.hub.queue.lock();
            let count = queue.len().min(MOST_ASKS);
            queue.drain(..count).collect::<Vec<_>>()
        };
        let mut asks = Vec::new();
        for account in accounts {
            asks.extend(account.asks().into_iter().map(|ask| (ask, account.clone())));
        }
        if asks.is_empty() {
            return None;
        }
        // Processes that lock in the same order don't wait for each other in a circle.
        asks.sort_by(|(a, _), (b, _)| (&a.budget, a.lease, a.counts).cmp(&(&b.budget, b.lease, b.counts)));
        let (asks, asked) = asks.into_iter().unzip();
        let number = self.exchanges.fetch_add(1, Ordering::Relaxed) + 1;
        Some((Exchange { instance: self.instance, number, asks }, asked))
    }

    /// Takes in what the store answered.
    pub(crate) fn answered(&self, exchange: &Exchange, asked: &Asked, reports: &[Report], tick: u64) {
        for ((ask, account), report) in exchange.asks.iter().zip(asked).zip(reports) {
            account.answered(ask, report, tick);
        }
    }

    /// The store did not answer: the same is to be asked again.
    pub(crate) fn failed(&self, asked: &Asked) {
        asked.iter().for_each(Account::failed);
    }

    /// The regular look at everything.
    pub(crate) fn look(&self, now: Micros, tick: u64, idle_ms: u64) {
        self.accounts.lock().retain(|_, account| !account.look(now, tick, idle_ms));
    }

    /// Those in which calls wait, asked about anew.
    pub(crate) fn ask_again(&self, now: Micros) -> bool {
        let waiting: Vec<_> = self.all().into_iter().filter(|account| account.waits()).collect();
        waiting.iter().for_each(|account| account.ask_soon(now));
        !waiting.is_empty()
    }

    /// Has the store asked about all that hold something of its.
    pub(crate) fn ask_holders(&self, now: Micros) {
        self.all().iter().filter(|account| account.leased() != 0).for_each(|account| account.ask_soon(now));
    }

    pub(crate) fn has_leases(&self) -> bool {
        self.accounts.lock().values().any(|account| account.leased() != 0)
    }

    pub(crate) fn give_back_all(&self) {
        self.all().iter().for_each(Account::give_back);
    }

    pub(crate) fn all(&self) -> Vec<Arc<Account>> {
        self.accounts.lock().values().cloned().collect()
    }

    pub(crate) fn view(&self, now: Micros, tick: u64) -> Vec<BudgetState> {
        let mut states: Vec<_> = self.all().iter().map(|account| account.view(now, tick)).collect();
        states.sort_by(|a, b| a.budget.id.cmp(&b.budget.id));
        states
    }

    /// What calls hold in all budgets.
    pub(crate) fn held(&self) -> i64 {
        self.all().iter().map(|account| account.held()).sum()
    }
}
