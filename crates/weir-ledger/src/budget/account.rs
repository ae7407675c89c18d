//! One budget in this process: what it may still reserve, who waits for more, and what to ask of the store.
//!
//! A lane is one lease of one window. Of what was granted to it, a part is given back, a part is settled (and will be
//! charged by the rows on their way to the store), a part is held for calls under way; the rest is free.

use std::sync::Arc;

use tokio::sync::Notify;

use super::authority::{Ask, Report};
use super::charge::{Charge, Charges};
use super::lane::Lane;
use super::period::{Period, Window};
use super::scope::Budget;
use super::table::Hub;
use crate::row::{Micros, Text};
use crate::sync::Mutex;

/// A budget that can't pay for a call.
#[derive(Debug, Clone)]
pub struct Refused {
    /// Which one.
    pub budget: Arc<Budget>,
    /// What is spent of it, in nano-dollars, as far as this process knows.
    pub spent_nanousd: i64,
    /// What calls under way in this process hold.
    pub held_nanousd: i64,
    /// The limit.
    pub limit_nanousd: i64,
    /// When the next window begins; `None`: never.
    pub resets_at: Option<Micros>,
    /// What was leased is used up, and the store can't be asked for more, or did not answer in time with what it has:
    /// nobody knows whether there would be more.
    pub unavailable: bool,
}

/// How a budget stands, as this process knows it.
#[derive(Debug, Clone)]
pub struct BudgetState {
    /// Which one.
    pub budget: Arc<Budget>,
    /// The window that counts now.
    pub window: Window,
    /// What is spent, in nano-dollars.
    pub spent_nanousd: i64,
    /// What calls under way in this process hold.
    pub held_nanousd: i64,
    /// What is leased to all processes and not yet charged.
    pub leased_nanousd: i64,
    /// The limit less what is spent and held; below 0 when it was overdrawn.
    pub free_nanousd: i64,
    /// How long ago the store said so, in milliseconds; `None`: not yet.
    pub age_ms: Option<u64>,
}

impl BudgetState {
    /// Whether a share of the limit, in millionths, is spent.
    pub fn reached(&self, millionths: u32) -> bool {
        let share = i128::from(self.budget.limit_nanousd) * i128::from(millionths);
        i128::from(self.spent_nanousd) * 1_000_000 >= share && self.spent_nanousd > 0
    }

    /// Stands for the time in which a share is told of once: the window, and of a rolling one its length.
    pub fn alert_window(&self) -> Micros {
        match self.budget.period {
            Period::Rolling(length) => {
                let length = Micros::try_from(length.as_micros()).unwrap_or(Micros::MAX).max(1);
                self.window.start.div_euclid(length)
            }
            _ => self.window.start,
        }
    }
}

/// Why an account gives nothing now.
#[derive(Debug)]
pub(crate) enum Short {
    /// It is spent: no waiting helps.
    Spent,
    /// More may come, from the store or from calls that end.
    Lacking,
    /// The account is gone, its budget has another by now.
    Gone,
}

/// One budget in this process.
pub(crate) struct Account {
    pub(crate) id: Text,
    /// Wakes those who wait for money.
    pub(crate) changed: Notify,
    /// What calls are charged to whose narrowest budget this is, as the last one was.
    pub(crate) usual: Mutex<Charges>,
    state: Mutex<State>,
    hub: Arc<Hub>,
}

struct State {
    budget: Arc<Budget>,
    /// Never goes backwards, whatever the clock does.
    window: Option<Window>,
    /// The last one is that of the window.
    lanes: Vec<Lane>,
    waiting: Vec<(u64, i64)>,
    /// How often the store was asked, and the last of these questions that it answered.
    asked: u64,
    heard: u64,
    /// Whether it stands in the hub's queue.
    queued: bool,
    /// Whether the configuration has it by name.
    declared: bool,
    gone: bool,
}

/// What of a reservation is an account's.
pub(crate) struct Part {
    pub(crate) account: Arc<Account>,
    window: Micros,
    lease: Micros,
    hard: bool,
}

impl Part {
    pub(crate) fn charge(&self) -> Charge {
        let lease = self.hard.then_some(self.lease);
        Charge { budget: self.account.id.clone(), window: self.window, lease }
    }

    /// Whether this is its charge.
    pub(crate) fn makes(&self, charge: &Charge) -> bool {
        Arc::ptr_eq(&charge.budget, &self.account.id)
            && charge.window == self.window
            && charge.lease == self.hard.then_some(self.lease)
    }

    /// Takes `extra` more from the lane that it began in.
    pub(crate) fn grow(&self, extra: i64, tick: u64) -> Result<(), Short> {
        let mut state = self.account.state.lock();
        let (limit, window) = (state.budget.limit_nanousd, state.window);
        let Some(lane) = state.lane(self.lease, self.hard) else { return Err(Short::Lacking) };
        let result = lane.take(extra, tick, limit, window);
        let low = result.is_ok() && lane.is_low();
        state.queue_if(low, &self.account);
        result
    }

    /// Gives back `amount` that was held, `cost` of it spent.
    pub(crate) fn settle(&self, amount: i64, cost: i64, tick: u64) {
        let mut state = self.account.state.lock();
        let Some(lane) = state.lane(self.lease, self.hard) else { return };
        lane.settle(amount, cost, tick);
        let overdrawn = self.hard && lane.free() < 0;
        let past = state.window.is_some_and(|window| window.lease != self.lease);
        let wake = !state.waiting.is_empty();
        state.queue_if(overdrawn || past, &self.account);
        drop(state);
        if wake {
            self.account.changed.notify_waiters();
        }
    }
}

impl Account {
    pub(crate) fn new(budget: Arc<Budget>, declared: bool, hub: Arc<Hub>) -> Account {
        let id = budget.id.clone();
        let (window, lanes, waiting) = (None, Vec::new(), Vec::new());
        let (asked, heard) = (0, 0);
        let state =
            State { budget, window, lanes, waiting, asked, heard, queued: false, declared, gone: false };
        Account {
            id,
            changed: Notify::new(),
            usual: Mutex::new(Charges::default()),
            state: Mutex::new(state),
            hub,
        }
    }

    /// Holds `amount` for a call.
    pub(crate) fn take(
        self: &Arc<Account>,
        budget: &Arc<Budget>,
        amount: i64,
        now: Micros,
        tick: u64,
    ) -> Result<Part, Short> {
        let mut state = self.state.lock();
        if state.gone {
            return Err(Short::Gone);
        }
        if !state.declared && !Arc::ptr_eq(&state.budget, budget) && state.differs(budget) {
            state.change(budget.clone(), self);
        }
        let window = state.window_at(now, self);
        let (hard, limit) = (state.budget.hard, state.budget.limit_nanousd);
        let lane = state.current(window);
        let taken = lane.take(amount, tick, limit, Some(window));
        let low = if matches!(taken, Err(Short::Lacking)) { lane.want_slice() } else { lane.is_low() };
        state.queue_if(low, self);
        taken?;
        Ok(Part { account: self.clone(), window: window.start, lease: window.lease, hard })
    }

    /// Puts a call into the line for `amount`. What the store is asked from now on has more than this number.
    pub(crate) fn enlist(self: &Arc<Account>, ticket: u64, amount: i64) -> u64 {
        let mut state = self.state.lock();
        state.waiting.push((ticket, amount));
        state.queue_if(true, self);
        state.asked
    }

    /// Takes it out again. What others in the line lack may be less now.
    pub(crate) fn delist(self: &Arc<Account>, ticket: u64) {
        let mut state = self.state.lock();
        state.waiting.retain(|(other, _)| *other != ticket);
        let others = !state.waiting.is_empty();
        state.queue_if(others, self);
    }

    /// Takes over what the configuration says now.
    pub(crate) fn adopt(self: &Arc<Account>, budget: &Arc<Budget>) {
        let mut state = self.state.lock();
        state.declared = true;
        if state.differs(budget) {
            state.change(budget.clone(), self);
        }
        state.budget = budget.clone();
        drop(state);
        self.changed.notify_waiters();
    }

    /// The configuration has it no more: what it holds of the store's goes back.
    pub(crate) fn retire(self: &Arc<Account>) {
        let mut state = self.state.lock();
        state.declared = false;
        state.give_back_all(self);
    }

    /// What to ask of the store now; takes it off the queue.
    pub(crate) fn asks(&self) -> Vec<Ask> {
        let mut state = self.state.lock();
        state.queued = false;
        state.asked += 1;
        let (last, limit) = (state.lanes.len().wrapping_sub(1), state.budget.limit_nanousd);
        let waiting = std::mem::take(&mut state.waiting);
        let lanes = state.lanes.iter_mut().enumerate();
        let asks = lanes.filter_map(|(at, lane)| {
            let waiting = if at == last { &waiting[..] } else { &[] };
            lane.ask(&self.id, limit, waiting)
        });
        let asks = asks.collect();
        state.waiting = waiting;
        asks
    }

    /// Takes in what the store answered.
    pub(crate) fn answered(self: &Arc<Account>, ask: &Ask, report: &Report, tick: u64) {
        let mut state = self.state.lock();
        // One exchange follows the other, so this answers the last question.
        state.heard = state.asked;
        let hard = ask.lease.is_some();
        let current = state.window;
        let key = ask.lease.unwrap_or(ask.counts.0);
        let waiting: Vec<i64> = state.waiting.iter().map(|(_, amount)| *amount).collect();
        let is_current = |window: Window| window.lease == key || !hard;
        let Some(lane) = (if hard { state.lane(key, true) } else { state.soft_lane(ask.counts.0) }) else {
            return;
        };
        lane.answered(ask, report, tick);
        let waiting = if current.is_some_and(is_current) { &waiting[..] } else { &[] };
        let give = lane.recall(report, waiting);
        state.queue_if(give, self);
        let wake = !state.waiting.is_empty();
        drop(state);
        if wake {
            self.changed.notify_waiters();
        }
    }

    /// The regular look: what lies idle goes back, what is done with is forgotten, what changed is asked about. True
    /// when the account itself can go.
    pub(crate) fn look(self: &Arc<Account>, now: Micros, tick: u64, idle_ms: u64) -> bool {
        let mut state = self.state.lock();
        let current = state.window_at(now, self);
        let waits = !state.waiting.is_empty();
        let hard = state.budget.hard;
        let mut ask = waits;
        state.lanes.retain_mut(|lane| {
            let is_current = lane.lease == current.lease && lane.hard == hard;
            let idle = !is_current || lane.idle_ms(tick) >= idle_ms;
            if idle && !(is_current && waits) {
                ask |= lane.give_back(0);
            }
            ask |= lane.is_stale();
            !idle || !lane.is_quiet()
        });
        state.queue_if(ask, self);
        let done = !state.declared && state.lanes.is_empty() && !waits;
        state.gone |= done;
        done
    }

    /// Gives back what nobody holds.
    pub(crate) fn give_back(self: &Arc<Account>) {
        self.state.lock().give_back_all(self);
    }

    /// Has the store asked how the budget stands.
    pub(crate) fn ask_soon(self: &Arc<Account>, now: Micros) {
        let mut state = self.state.lock();
        let window = state.window_at(now, self);
        state.current(window).want_look();
        state.queue_if(true, self);
    }

    /// The store did not answer: the same is to be asked again.
    pub(crate) fn failed(self: &Arc<Account>) {
        let mut state = self.state.lock();
        state.lanes.iter_mut().for_each(Lane::failed);
        state.queue_if(true, self);
    }

    /// How it stands.
    pub(crate) fn view(self: &Arc<Account>, now: Micros, tick: u64) -> BudgetState {
        let mut state = self.state.lock();
        let window = state.window_at(now, self);
        let budget = state.budget.clone();
        let lane = state.current(window);
        let (spent, held) = (lane.spent(), lane.held);
        BudgetState {
            window,
            spent_nanousd: spent,
            held_nanousd: held,
            leased_nanousd: lane.report.map_or(0, |report| report.leased),
            free_nanousd: budget.limit_nanousd.saturating_sub(spent).saturating_sub(held),
            age_ms: lane.answered_at.map(|at| tick.saturating_sub(at)),
            budget,
        }
    }

    /// What to say to a call that is not paid for: at once, or after it waited for `amount` in vain since question `since`.
    pub(crate) fn refusal(
        self: &Arc<Account>,
        now: Micros,
        tick: u64,
        since: Option<u64>,
        amount: i64,
    ) -> Refused {
        let view = self.view(now, tick);
        let limit = view.budget.limit_nanousd;
        let (at_hand, in_store, heard) = {
            let mut state = self.state.lock();
            let heard = since.is_none_or(|since| state.heard > since);
            let lane = state.current(view.window);
            let left = |report: Report| limit.saturating_sub(report.spent).saturating_sub(report.leased);
            (lane.free(), lane.report.map_or(limit, left), heard)
        };
        // It is there, and did not come in time.
        let slow = at_hand.saturating_add(in_store.max(0)) >= amount;
        let answered = view.age_ms.is_some();
        let known_spent = limit <= view.spent_nanousd && answered;
        Refused {
            spent_nanousd: view.spent_nanousd,
            held_nanousd: view.held_nanousd,
            limit_nanousd: view.budget.limit_nanousd,
            resets_at: view.window.end,
            unavailable: (slow || !heard || !answered) && !known_spent,
            budget: view.budget,
        }
    }

    /// What calls hold, over all windows.
    pub(crate) fn held(&self) -> i64 {
        self.state.lock().lanes.iter().map(|lane| lane.held).sum()
    }

    /// What this process has leased and not settled, over all windows.
    pub(crate) fn leased(&self) -> i64 {
        self.state.lock().lanes.iter().filter(|lane| lane.hard).map(|lane| lane.free() + lane.held).sum()
    }

    pub(crate) fn waits(&self) -> bool {
        !self.state.lock().waiting.is_empty()
    }
}

impl State {
    fn queue_if(&mut self, wanted: bool, account: &Arc<Account>) {
        if wanted && !self.queued {
            self.queued = true;
            account.hub.queue(account.clone());
        }
    }

    fn differs(&self, budget: &Budget) -> bool {
        let mine = &self.budget;
        mine.limit_nanousd != budget.limit_nanousd
            || mine.hard != budget.hard
            || mine.period != budget.period
            || mine.zone != budget.zone
    }

    /// Other terms: what is leased by the old ones goes back, and is asked for anew.
    fn change(&mut self, budget: Arc<Budget>, account: &Arc<Account>) {
        if self.budget.period != budget.period || self.budget.zone != budget.zone {
            self.window = None;
        }
        self.budget = budget;
        self.give_back_all(account);
    }

    fn give_back_all(&mut self, account: &Arc<Account>) {
        for lane in &mut self.lanes {
            lane.give_back(0);
        }
        self.queue_if(true, account);
    }

    fn window_at(&mut self, now: Micros, account: &Arc<Account>) -> Window {
        match self.window {
            Some(window) if window.end.is_none_or(|end| now < end) => window,
            before => {
                let window = self.budget.window(now);
                self.window = Some(window);
                self.queue_if(before.is_some_and(|before| before.lease != window.lease), account);
                window
            }
        }
    }

    /// The lane of the current window, which comes last.
    fn current(&mut self, window: Window) -> &mut Lane {
        let hard = self.budget.hard;
        let until = self.budget.period.counts_until(window);
        let is_last = self.lanes.last().is_some_and(|lane| lane.lease == window.lease && lane.hard == hard);
        if !is_last {
            let at = self.lanes.iter().position(|lane| lane.lease == window.lease && lane.hard == hard);
            let lane = at.map(|at| self.lanes.remove(at));
            self.lanes.push(lane.unwrap_or_else(|| Lane::new(window.lease, hard)));
        }
        let at = self.lanes.len() - 1;
        let lane = &mut self.lanes[at];
        lane.counts = (window.counts_from, until);
        lane
    }

    fn lane(&mut self, lease: Micros, hard: bool) -> Option<&mut Lane> {
        self.lanes.iter_mut().rev().find(|lane| lane.lease == lease && lane.hard == hard)
    }

    fn soft_lane(&mut self, counts_from: Micros) -> Option<&mut Lane> {
        self.lanes.iter_mut().rev().find(|lane| !lane.hard && lane.counts.0 == counts_from)
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("id", &self.id).finish_non_exhaustive()
    }
}
