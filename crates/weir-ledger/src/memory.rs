//! A store in memory: for tests, and the plainest statement of what a store does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use uuid::Uuid;
use weir_wire::usage::TOKEN_CLASSES;

mod accounts;

use self::accounts::MemoryAccounts;
use crate::accounts::AccountStore;
use crate::budget::{Authority, Exchange, MemoryAuthority, Report, Signals};
use crate::repeats::{MemoryRepeats, RepeatStore};
use crate::responses::{MemoryResponses, ResponseStore};
use crate::row::{AttemptId, AttemptRow, CallId, CallRow, Facts, Micros, Sum, Text};
use crate::store::{
    Answer, Batch, CallRecord, Fault, Group, Page, Recent, Spend, SpendQuery, SpendRow, Store, StoreError,
    StoreHealth, Totals, Written, day_name,
};

/// Keeps rows as long as the process lives. Fails on demand.
#[derive(Debug, Default)]
pub struct MemoryStore {
    rows: Mutex<Rows>,
    budgets: MemoryAuthority,
    failures: AtomicU32,
    lost_answers: AtomicU32,
    poison: Mutex<Option<CallId>>,
    writes: AtomicU64,
    accounts: MemoryAccounts,
    responses: MemoryResponses,
    repeats: MemoryRepeats,
}

#[derive(Debug, Default)]
struct Rows {
    calls: BTreeMap<CallId, CallRow>,
    attempts: BTreeMap<AttemptId, AttemptRow>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// The next `count` writes fail without writing.
    pub fn fail(&self, count: u32) {
        self.failures.store(count, Ordering::Relaxed);
    }

    /// The next `count` writes are done, but answered with an error, as when a connection is cut after the commit.
    pub fn lose_answers(&self, count: u32) {
        self.lost_answers.store(count, Ordering::Relaxed);
    }

    /// Any write with a row of this call is refused for good.
    pub fn refuse(&self, call: CallId) {
        *self.poison.lock() = Some(call);
    }

    /// The budgets' side of it.
    pub fn budgets(&self) -> &MemoryAuthority {
        &self.budgets
    }

    /// How many writes were tried.
    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// All calls, by id.
    pub fn calls(&self) -> Vec<CallRow> {
        self.rows.lock().calls.values().cloned().collect()
    }

    /// All attempts, by id.
    pub fn attempts(&self) -> Vec<AttemptRow> {
        self.rows.lock().attempts.values().cloned().collect()
    }

    fn put(&self, batch: &Batch) -> Result<Written, StoreError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        if take_one(&self.failures) {
            return Err(failure(Fault::Unavailable, "told to fail"));
        }
        if let Some(poison) = *self.poison.lock()
            && (batch.calls.iter().any(|row| row.id == poison)
                || batch.attempts.iter().any(|row| row.id.call == poison))
        {
            return Err(failure(Fault::Rejected, "told to refuse"));
        }
        let mut rows = self.rows.lock();
        let before = rows.calls.len() + rows.attempts.len();
        let debits = batch.debits(|id| rows.attempts.contains_key(&id));
        self.budgets.charge(batch.instance, &debits);
        for row in &batch.calls {
            rows.calls.entry(row.id).or_insert_with(|| row.clone());
        }
        for row in &batch.attempts {
            rows.attempts.entry(row.id).or_insert_with(|| row.clone());
        }
        let new = (rows.calls.len() + rows.attempts.len() - before) as u64;
        if take_one(&self.lost_answers) {
            return Err(failure(Fault::Unavailable, "told to lose the answer"));
        }
        Ok(Written { new, replayed: batch.len() as u64 - new })
    }
}

impl Store for MemoryStore {
    fn write<'a>(&'a self, batch: &'a Batch) -> Answer<'a, Written> {
        Box::pin(async move { self.put(batch) })
    }

    fn call<'a>(&'a self, id_or_request_id: &'a str) -> Answer<'a, Option<CallRecord>> {
        Box::pin(async move {
            let rows = self.rows.lock();
            let by_id = id_or_request_id.parse::<CallId>().ok().and_then(|id| rows.calls.get(&id));
            let same = |row: &&CallRow| &*row.facts.request_id == id_or_request_id;
            let Some(call) = by_id.or_else(|| rows.calls.values().rev().find(same)) else { return Ok(None) };
            let attempts = rows.attempts.range(call.id.attempt(0)..=call.id.attempt(u16::MAX));
            Ok(Some(CallRecord {
                call: call.clone(),
                attempts: attempts.map(|(_, row)| row.clone()).collect(),
            }))
        })
    }

    fn recent<'a>(&'a self, page: &'a Page) -> Answer<'a, Recent> {
        Box::pin(async move {
            let rows = self.rows.lock();
            let wanted = |row: &CallRow| {
                let began = (row.id.unix_ms() as Micros) * 1_000;
                page.before.is_none_or(|before| row.id < before)
                    && page.filter.since.is_none_or(|since| began >= since - since.rem_euclid(1_000))
                    && page.filter.until.is_none_or(|until| began < until - until.rem_euclid(1_000))
                    && page.filter.is.iter().all(|(column, value)| column.of(row) == Some(value))
            };
            let mut found = rows.calls.values().rev().filter(|row| wanted(row));
            let record = |call: &CallRow| CallRecord {
                call: call.clone(),
                attempts: rows
                    .attempts
                    .range(call.id.attempt(0)..=call.id.attempt(u16::MAX))
                    .map(|(_, row)| row.clone())
                    .collect(),
            };
            let calls: Vec<CallRecord> = found.by_ref().take(page.limit as usize).map(record).collect();
            let next = calls.last().map(|record| record.call.id).filter(|_| found.next().is_some());
            Ok(Recent { calls, next })
        })
    }

    fn spend<'a>(&'a self, query: &'a SpendQuery) -> Answer<'a, Spend> {
        Box::pin(async move { Ok(spend(&self.rows.lock(), query)) })
    }

    fn close_day(&self, _: i64) -> Answer<'_, bool> {
        Box::pin(async { Ok(false) })
    }

    fn check_totals(&self) -> Answer<'_, Totals> {
        Box::pin(async move {
            let rows = self.rows.lock();
            let unbalanced = rows.calls.values().filter(|call| {
                let mut sum = Sum::default();
                rows.attempts
                    .range(call.id.attempt(0)..=call.id.attempt(u16::MAX))
                    .for_each(|(_, row)| sum.add(row));
                let cost = if sum.attempts == 0 {
                    call.cost_nanousd.filter(|cost| *cost != 0)
                } else {
                    call.cost_nanousd
                };
                let expected = sum.cost_nanousd.filter(|_| sum.attempts > 0);
                (sum.attempts, expected) != (call.attempts, cost)
            });
            Ok(Totals {
                calls: rows.calls.len() as u64,
                attempts: rows.attempts.len() as u64,
                cost_nanousd: rows.attempts.values().filter_map(|row| row.cost_nanousd).sum(),
                mismatches: Vec::new(),
                unbalanced: unbalanced.map(|call| call.id).take(100).collect(),
            })
        })
    }

    fn accounts(&self) -> &dyn AccountStore {
        &self.accounts
    }

    fn responses(&self) -> &dyn ResponseStore {
        &self.responses
    }

    fn repeats(&self) -> &dyn RepeatStore {
        &self.repeats
    }

    fn health(&self) -> Answer<'_, StoreHealth> {
        Box::pin(async { Ok(StoreHealth { kind: "memory", schema: 1, latency: Duration::ZERO }) })
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl Authority for MemoryStore {
    fn exchange<'a>(&'a self, exchange: &'a Exchange) -> Answer<'a, Vec<Report>> {
        self.budgets.exchange(exchange)
    }

    fn close_leases(&self, instance: Uuid) -> Answer<'_, ()> {
        self.budgets.close_leases(instance)
    }

    fn spent<'a>(&'a self, of: &'a [(Text, Micros, Micros)]) -> Answer<'a, Vec<i64>> {
        self.budgets.spent(of)
    }

    fn claim_alert<'a>(&'a self, budget: &'a str, window: Micros, millionths: u32) -> Answer<'a, bool> {
        self.budgets.claim_alert(budget, window, millionths)
    }

    fn signals(&self) -> Answer<'_, Box<dyn Signals>> {
        self.budgets.signals()
    }
}

fn spend(rows: &Rows, query: &SpendQuery) -> Spend {
    let mut groups: BTreeMap<Vec<Option<String>>, SpendRow> = BTreeMap::new();
    let mut total = SpendRow::default();
    let within = |id: CallId| {
        let began = i64::try_from(id.unix_ms().saturating_mul(1_000)).unwrap_or(i64::MAX);
        query.since.is_none_or(|since| began >= since) && query.until.is_none_or(|until| began < until)
    };
    for row in rows.calls.values().filter(|row| within(row.id)) {
        let add = |line: &mut SpendRow| {
            line.calls += 1;
            line.unpriced_calls += u64::from(row.cost_nanousd.is_none());
        };
        add(&mut total);
        for key in keys(&query.by, &row.facts, row.id, row.provider.as_deref(), row.model.as_deref()) {
            add(groups.entry(key).or_default());
        }
    }
    for row in rows.attempts.values().filter(|row| within(row.id.call)) {
        let add = |line: &mut SpendRow| {
            line.attempts += 1;
            line.cost_nanousd += row.cost_nanousd.unwrap_or(0);
            for class in TOKEN_CLASSES {
                line.usage.set(class, line.usage.tokens(class) + row.usage.tokens(class));
            }
        };
        add(&mut total);
        for key in keys(&query.by, &row.facts, row.id.call, Some(&row.provider), Some(&row.model)) {
            add(groups.entry(key).or_default());
        }
    }
    let mut rows: Vec<_> = groups.into_iter().map(|(group, row)| SpendRow { group, ..row }).collect();
    rows.sort_by(|a, b| b.cost_nanousd.cmp(&a.cost_nanousd).then_with(|| a.group.cmp(&b.group)));
    Spend { rows, total }
}

/// The groups a row belongs to: one, or with tags one for each.
fn keys(
    by: &[Group],
    facts: &Facts,
    call: CallId,
    provider: Option<&str>,
    model: Option<&str>,
) -> Vec<Vec<Option<String>>> {
    if by.is_empty() {
        return Vec::new();
    }
    let mut keys = vec![Vec::new()];
    for group in by {
        let one = |value: Option<&str>| vec![value.map(str::to_owned)];
        let values = match group {
            Group::Model => one(model),
            Group::Provider => one(provider),
            Group::Route => one(Some(&facts.route)),
            Group::Key => one(Some(&facts.key)),
            Group::Team => one(facts.team.as_deref()),
            Group::User => one(facts.user.as_deref()),
            Group::Session => one(facts.session.as_deref()),
            Group::Tag if facts.tags.is_empty() => one(None),
            Group::Tag => facts.tags.iter().map(|tag| Some(String::from(&**tag))).collect(),
            Group::Day => one(Some(&day_name(call.day()))),
        };
        keys = keys
            .into_iter()
            .flat_map(|key| values.iter().map(move |value| [key.clone(), vec![value.clone()]].concat()))
            .collect();
    }
    keys
}

fn take_one(counter: &AtomicU32) -> bool {
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).is_ok()
}

fn failure(fault: Fault, cause: &'static str) -> StoreError {
    StoreError { doing: "write rows", fault, cause: cause.into() }
}
