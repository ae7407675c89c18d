//! The budgets of a process: reserving, waiting, and the one task that talks to the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::account::{Account, BudgetState, Refused, Short};
use super::authority::Authority;
use super::reservation::Reservation;
use super::scope::Budget;
use super::set::BudgetSet;
use super::table::Table;
use super::worker;
use crate::row::Micros;

/// How long a last exchange with the store may take.
const LAST: Duration = Duration::from_secs(6);

/// How much longer a call waits for a store that is at work and has not answered.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often such a call looks whether that is still so.
const AGAIN: Duration = Duration::from_millis(50);
/// A store that has a question for so long hangs, in milliseconds.
const HANGS: u64 = 1_000;

/// Whether the store answers.
#[derive(Debug, Default)]
pub(super) struct StoreWatch {
    /// When it was asked what it has not answered yet; 0: nothing.
    asked: AtomicU64,
    failed: AtomicBool,
}

impl StoreWatch {
    pub(super) fn asked(&self, tick: u64) {
        self.asked.store(tick.max(1), Ordering::Relaxed);
    }

    pub(super) fn ended(&self, answered: bool) {
        self.asked.store(0, Ordering::Relaxed);
        self.failed.store(!answered, Ordering::Relaxed);
    }

    /// Whether an answer may come soon: the last question had one, and the next has not been waiting for long.
    fn is_at_work(&self, tick: u64) -> bool {
        let asked = self.asked.load(Ordering::Relaxed);
        !self.failed.load(Ordering::Relaxed) && (asked == 0 || tick.saturating_sub(asked) < HANGS)
    }
}

/// How budgets are kept.
#[derive(Debug, Clone)]
pub struct BudgetsConfig {
    /// After how long without use a slice is given back.
    pub lease: Duration,
    /// How often to look whether something is to be asked or given back.
    pub look: Duration,
    /// How long to wait before asking again for a call that waits.
    pub again: Duration,
    /// The clock.
    pub now: fn() -> Micros,
}

impl Default for BudgetsConfig {
    fn default() -> BudgetsConfig {
        BudgetsConfig {
            lease: Duration::from_secs(30),
            look: Duration::from_millis(500),
            again: Duration::from_millis(10),
            now: crate::clock::now,
        }
    }
}

/// The budgets of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Budgets {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) table: Table,
    pub(super) authority: Arc<dyn Authority>,
    pub(super) config: BudgetsConfig,
    began: Instant,
    stopped: AtomicBool,
    pub(super) store: StoreWatch,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl Inner {
    pub(super) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Milliseconds since the engine was made; never goes backwards.
    pub(super) fn tick(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Budgets {
    /// The budgets of the process that is called `instance` in the store: the name of its spool. To be called within a
    /// tokio runtime; one task runs there until the last clone is gone.
    pub fn start(config: BudgetsConfig, authority: Arc<dyn Authority>, instance: Uuid) -> Budgets {
        let inner = Arc::new(Inner {
            table: Table::new(instance),
            authority,
            config,
            began: Instant::now(),
            stopped: AtomicBool::new(false),
            store: StoreWatch::default(),
            worker: Mutex::new(None),
        });
        let worker = tokio::spawn(worker::run(Arc::downgrade(&inner), inner.table.hub.clone()));
        *inner.worker.lock() = Some(worker);
        tokio::spawn(worker::listen(Arc::downgrade(&inner)));
        Budgets { inner }
    }

    /// Takes over the budgets of a configuration, at the start and whenever it changes. What was leased by other terms
    /// goes back; calls under way go on.
    pub fn adopt(&self, set: &BudgetSet) {
        self.inner.table.adopt(set);
    }

    /// Reserves `bound_nanousd` in all of these budgets at once, of what this process has at hand.
    ///
    /// # Errors
    /// The first budget that has not so much at hand.
    pub fn try_reserve(
        &self,
        budgets: &[Arc<Budget>],
        bound_nanousd: i64,
        now: Micros,
    ) -> Result<Reservation, Refused> {
        let tick = self.inner.tick();
        let reserved = self.inner.table.try_reserve(budgets, bound_nanousd, now, tick);
        reserved.map_err(|(account, _)| account.refusal(now, tick, None, i64::MAX))
    }

    /// Reserves `bound_nanousd` in all of these budgets at once. Where that is not at hand, waits up to `wait` for the
    /// store, for other processes to give back what they don't use, and for calls under way to end. A store that is at
    /// work and has not answered yet gets up to two seconds more, since without its answer nobody knows.
    ///
    /// # Errors
    /// The budget that can't pay; at once where it is known to be spent.
    pub async fn reserve(
        &self,
        budgets: &[Arc<Budget>],
        bound_nanousd: i64,
        now: Micros,
        wait: Duration,
    ) -> Result<Reservation, Refused> {
        let inner = &*self.inner;
        let began = inner.tick();
        let mut short = match inner.table.try_reserve(budgets, bound_nanousd, now, began) {
            Ok(reservation) => return Ok(reservation),
            Err((account, Short::Spent)) => return Err(account.refusal(now, began, None, i64::MAX)),
            Err((account, _)) => account,
        };
        let mut deadline = Instant::now() + wait;
        let last = deadline + PATIENCE;
        let accounts = budgets.iter().map(|budget| inner.table.look_up(budget)).collect();
        let place = Place::take(&inner.table, accounts, bound_nanousd);
        loop {
            let waited = short.clone();
            let changed = waited.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let tick = inner.tick();
            let blocking = match inner.table.try_reserve(budgets, bound_nanousd, now, tick) {
                Ok(reservation) => return Ok(reservation),
                Err((account, Short::Spent)) => return Err(account.refusal(now, tick, None, i64::MAX)),
                Err((account, _)) => account,
            };
            if !Arc::ptr_eq(&blocking, &short) {
                short = blocking;
                continue;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                let tick = inner.tick();
                let refused = match inner.table.try_reserve(budgets, bound_nanousd, now, tick) {
                    Ok(reservation) => return Ok(reservation),
                    Err((account, _)) => account.refusal(now, tick, place.since(&account), bound_nanousd),
                };
                if !refused.unavailable || Instant::now() >= last || !inner.store.is_at_work(tick) {
                    return Err(refused);
                }
                deadline = (Instant::now() + AGAIN).min(last);
            }
        }
    }

    /// Holds `extra` more, as [`Reservation::grow`], but waits up to `wait` for it.
    pub async fn grow_wait(&self, reservation: &mut Reservation, extra: i64, wait: Duration) -> bool {
        let mut short = match reservation.try_grow(extra) {
            Ok(()) => return true,
            Err((_, Short::Spent)) => return false,
            Err((account, _)) => account,
        };
        let deadline = Instant::now() + wait;
        let _place = Place::take(&self.inner.table, reservation.accounts().cloned().collect(), extra);
        loop {
            let waited = short.clone();
            let changed = waited.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let blocking = match reservation.try_grow(extra) {
                Ok(()) => return true,
                Err((_, Short::Spent)) => return false,
                Err((account, _)) => account,
            };
            if !Arc::ptr_eq(&blocking, &short) {
                short = blocking;
                continue;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return reservation.grow(extra);
            }
        }
    }

    /// How all budgets stand that were declared or used, by id, as this process knows it.
    pub fn view(&self) -> Vec<BudgetState> {
        self.inner.table.view((self.inner.config.now)(), self.inner.tick())
    }

    /// What calls under way hold in all budgets together, in nano-dollars; 0 at rest.
    pub fn held(&self) -> i64 {
        self.inner.table.held()
    }

    /// Gives back to the store what no call holds.
    pub fn give_back(&self) {
        self.inner.table.give_back_all();
    }

    /// Asks the store for nothing more. To be called when no call is under way, before the ledger is stopped: that gives
    /// back all that is leased.
    pub async fn stop(&self) {
        self.inner.stopped.store(true, Ordering::Relaxed);
        self.inner.table.hub.wake.notify_one();
        let worker = self.inner.worker.lock().take();
        if let Some(mut worker) = worker
            && tokio::time::timeout(LAST, &mut worker).await.is_err()
        {
            worker.abort();
        }
    }

    /// What is spent of these budgets now, by rows in the store.
    ///
    /// # Errors
    /// The store can't be asked.
    pub async fn spent(&self, budgets: &[Arc<Budget>]) -> Result<Vec<i64>, crate::StoreError> {
        let now = (self.inner.config.now)();
        let of: Vec<_> = budgets
            .iter()
            .map(|budget| {
                let window = budget.window(now);
                (budget.id.clone(), window.counts_from, budget.period.counts_until(window))
            })
            .collect();
        self.inner.authority.spent(&of).await
    }
}

/// A call's place in the lines of its budgets.
struct Place {
    ticket: u64,
    /// Each with the last question that was asked before.
    accounts: Vec<(Arc<Account>, u64)>,
}

impl Place {
    fn take(table: &Table, accounts: Vec<Arc<Account>>, amount: i64) -> Place {
        let ticket = table.ticket();
        let enlist = |account: Arc<Account>| {
            let since = account.enlist(ticket, amount);
            (account, since)
        };
        Place { ticket, accounts: accounts.into_iter().map(enlist).collect() }
    }

    /// The last question about this account that was asked before the call came.
    fn since(&self, account: &Arc<Account>) -> Option<u64> {
        let (_, since) = self.accounts.iter().find(|(other, _)| Arc::ptr_eq(other, account))?;
        Some(*since)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.accounts.iter().for_each(|(account, _)| account.delist(self.ticket));
    }
}
