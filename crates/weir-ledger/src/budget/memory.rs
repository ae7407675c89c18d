//! An authority in memory: for tests, and the plainest statement of what one does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use super::authority::{Authority, Debits, Exchange, Holding, Report, Signals, grant};
use crate::row::{Micros, Text};
use crate::store::Answer;

/// Counts as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryAuthority {
    books: Mutex<Books>,
    in_vain: Arc<Notify>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Lease {
    granted: i64,
    returned: i64,
    drained: i64,
    said: i64,
}

impl Lease {
    fn outstanding(self) -> i64 {
        (self.granted - self.returned - self.drained).max(0)
    }
}

#[derive(Debug, Default)]
struct Books {
    spent: BTreeMap<(Text, Micros), i64>,
    leases: BTreeMap<(Text, Micros, Uuid), Lease>,
    wanted: BTreeMap<Text, i64>,
    alerts: BTreeSet<(Text, Micros, u32)>,
    closed: BTreeSet<Uuid>,
}

impl MemoryAuthority {
    /// An empty one.
    pub fn new() -> MemoryAuthority {
        MemoryAuthority::default()
    }

    /// Charges what new rows of a process cost.
    pub fn charge(&self, instance: Option<Uuid>, debits: &Debits) {
        let mut books = self.books.lock();
        for (at, cost) in &debits.spent {
            *books.spent.entry(at.clone()).or_default() += cost;
        }
        let Some(instance) = instance else { return };
        for ((budget, lease), cost) in &debits.drained {
            if let Some(lease) = books.leases.get_mut(&(budget.clone(), *lease, instance)) {
                lease.drained += cost;
            }
        }
    }

    /// What is leased of a budget to all processes.
    pub fn leased(&self, budget: &str) -> i64 {
        let books = self.books.lock();
        books
            .leases
            .iter()
            .filter(|((id, ..), _)| **id == *budget)
            .map(|(_, lease)| lease.outstanding())
            .sum()
    }

    /// What is spent of a budget in all windows.
    pub fn spent_ever(&self, budget: &str) -> i64 {
        let books = self.books.lock();
        books.spent.iter().filter(|((id, _), _)| **id == *budget).map(|(_, spent)| *spent).sum()
    }

    /// Does at once what [`Authority::exchange`] answers.
    pub fn exchange_now(&self, exchange: &Exchange) -> Vec<Report> {
        let mut books = self.books.lock();
        let reports: Vec<Report> = exchange.asks.iter().map(|ask| books.answer(exchange, ask)).collect();
        if reports.iter().any(|report| report.in_vain) {
            self.in_vain.notify_waiters();
        }
        reports
    }

    /// Does at once what [`Authority::close_leases`] answers.
    pub fn close_now(&self, instance: Uuid) {
        let mut books = self.books.lock();
        books.closed.insert(instance);
        books.leases.retain(|(_, _, holder), _| *holder != instance);
    }
}

impl Books {
    fn spent(&self, budget: &Text, from: Micros, until: Micros) -> i64 {
        if from > until {
            return 0;
        }
        self.spent.range((budget.clone(), from)..=(budget.clone(), until)).map(|(_, spent)| *spent).sum()
    }

    fn answer(&mut self, exchange: &Exchange, ask: &super::Ask) -> Report {
        let instance = exchange.instance;
        let spent = self.spent(&ask.budget, ask.counts.0, ask.counts.1);
        let Some(lease) = ask.lease else { return Report { spent, ..Report::default() } };
        let key = |instance| (ask.budget.clone(), lease, instance);
        let mut own = self.leases.get(&key(instance)).copied().unwrap_or_default();
        let late = self.closed.contains(&instance) || own.said > exchange.number;
        let only_reads = ask.only_reads() || late;
        if !only_reads {
            own.returned = own.returned.max(ask.returned);
        }
        let others = self.leases.range(key(Uuid::nil())..=key(Uuid::max()));
        let others = others.filter(|((_, _, holder), held)| *holder != instance && held.outstanding() > 0);
        let (held, holders) =
            others.fold((0, 0), |(sum, count), (_, held)| (sum + held.outstanding(), count + 1));
        let Lease { granted, returned, drained, .. } = own;
        let holding = Holding { spent, others: held, holders, granted, returned, drained };
        let more = if only_reads { 0 } else { grant(ask, &holding) };
        own.granted += more;
        if !only_reads {
            own.said = exchange.number;
            self.leases.insert(key(instance), own);
        }
        let in_vain = !only_reads && ask.need > 0 && own.granted == ask.granted;
        let before = self.wanted.get(&ask.budget).copied().unwrap_or_default();
        if in_vain {
            self.wanted.insert(ask.budget.clone(), before + 1);
        }
        let leased = held + own.outstanding();
        Report { granted: own.granted, returned, drained, spent, leased, holders, wanted: before, in_vain }
    }
}

impl Authority for MemoryAuthority {
    fn exchange<'a>(&'a self, exchange: &'a Exchange) -> Answer<'a, Vec<Report>> {
        Box::pin(async move { Ok(self.exchange_now(exchange)) })
    }

    fn close_leases(&self, instance: Uuid) -> Answer<'_, ()> {
        self.close_now(instance);
        Box::pin(async { Ok(()) })
    }

    fn spent<'a>(&'a self, of: &'a [(Text, Micros, Micros)]) -> Answer<'a, Vec<i64>> {
        let books = self.books.lock();
        let sums = of.iter().map(|(budget, from, until)| books.spent(budget, *from, *until)).collect();
        Box::pin(async { Ok(sums) })
    }

    fn claim_alert<'a>(&'a self, budget: &'a str, window: Micros, millionths: u32) -> Answer<'a, bool> {
        let new = self.books.lock().alerts.insert((budget.into(), window, millionths));
        Box::pin(async move { Ok(new) })
    }

    fn signals(&self) -> Answer<'_, Box<dyn Signals>> {
        let waiting: Box<dyn Signals> = Box::new(Waiting(self.in_vain.clone()));
        Box::pin(async { Ok(waiting) })
    }
}

struct Waiting(Arc<Notify>);

impl Signals for Waiting {
    fn next(&mut self) -> Answer<'_, ()> {
        Box::pin(async {
            // One that comes between two waits is found by the next look, a little later.
            let _ = tokio::time::timeout(Duration::from_millis(50), self.0.notified()).await;
            Ok(())
        })
    }
}
