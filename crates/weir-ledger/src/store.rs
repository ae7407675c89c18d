//! Where rows end up, as a trait: `weir-store` has it for SQLite and for Postgres, [`MemoryStore`](crate::MemoryStore)
//! for tests.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;
use weir_wire::usage::Usage;

use crate::accounts::AccountStore;
use crate::budget::{Authority, Debits};
use crate::repeats::RepeatStore;
use crate::responses::ResponseStore;
use crate::row::{AttemptId, AttemptRow, CallId, CallRow, Micros};

/// What a store answers, later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// A database of rows. Every answer comes within a bounded time, whatever the database does.
pub trait Store: Authority + Send + Sync + fmt::Debug + 'static {
    /// Writes rows, their daily sums, and what they charge to budgets, all or nothing. Rows that are there already stay
    /// as they are, and charge nothing.
    fn write<'a>(&'a self, batch: &'a Batch) -> Answer<'a, Written>;
    /// The call of this id, or the latest one of this request id, with its attempts.
    fn call<'a>(&'a self, id_or_request_id: &'a str) -> Answer<'a, Option<CallRecord>>;
    /// Calls, latest first.
    fn recent<'a>(&'a self, page: &'a Page) -> Answer<'a, Recent>;
    /// What was spent.
    fn spend<'a>(&'a self, query: &'a SpendQuery) -> Answer<'a, Spend>;
    /// Adds up one of the days before `before` (in days since 1970-01-01 UTC) by each name, so that spans of many days are
    /// read from few lines; rows that come later open it again. False when there is none left.
    fn close_day(&self, before: i64) -> Answer<'_, bool>;
    /// Adds everything up again and compares: the daily sums with the rows, each call with its attempts.
    fn check_totals(&self) -> Answer<'_, Totals>;
    /// Keys, teams, users and budgets.
    fn accounts(&self) -> &dyn AccountStore;
    /// Answers that clients go on from.
    fn responses(&self) -> &dyn ResponseStore;
    /// Calls with an idempotency key.
    fn repeats(&self) -> &dyn RepeatStore;
    /// Whether the database answers.
    fn health(&self) -> Answer<'_, StoreHealth>;
    /// Closes all connections.
    fn close(&self) -> Answer<'_, ()>;
}

/// Rows to be written together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Ended calls.
    pub calls: Vec<CallRow>,
    /// Ended attempts.
    pub attempts: Vec<AttemptRow>,
    /// The process that made them, whose leases pay.
    pub instance: Option<Uuid>,
}

impl Batch {
    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.calls.len() + self.attempts.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Orders the rows by id, so that indexes grow at their end, and drops repeated ones.
    pub fn sort(&mut self) {
        // By a list of keys: rows are large, and moved once this way.
        self.calls.sort_by_cached_key(|row| row.id);
        self.calls.dedup_by_key(|row| row.id);
        self.attempts.sort_by_cached_key(|row| row.id);
        self.attempts.dedup_by_key(|row| row.id);
    }

    /// What its attempts charge to budgets, but for those that were there already.
    pub fn debits(&self, mut is_old: impl FnMut(AttemptId) -> bool) -> Debits {
        let mut debits = Debits::default();
        for row in self.attempts.iter().filter(|row| !row.charges.is_none() && !is_old(row.id)) {
            debits.add(&row.charges, row.cost_nanousd);
        }
        debits
    }

    /// Splits it into two of about the same size; the second is empty where there is but one row.
    pub fn halves(mut self) -> (Batch, Batch) {
        let calls = self.calls.split_off(self.calls.len().div_ceil(2));
        // With one row of each kind, the halves take one each.
        let keep = if self.calls.len() == 1 && self.attempts.len() == 1 {
            0
        } else {
            self.attempts.len().div_ceil(2)
        };
        let attempts = self.attempts.split_off(keep);
        let instance = self.instance;
        (self, Batch { calls, attempts, instance })
    }
}

/// What writing a batch did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows that were not there before.
    pub new: u64,
    /// Rows that were.
    pub replayed: u64,
}

/// A call and its attempts, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CallRecord {
    /// The call.
    pub call: CallRow,
    /// Its attempts, by number.
    pub attempts: Vec<AttemptRow>,
}

/// Which calls to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// How many, at most 1,000.
    pub limit: u32,
    /// Only calls before this one, as [`Recent::next`] said.
    pub before: Option<CallId>,
    /// Only calls of which this is so.
    pub filter: CallFilter,
}

/// Which calls are wanted: all that is set must be so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFilter {
    /// A column's value, by the column's name.
    pub is: Vec<(CallColumn, String)>,
    /// Only calls that began at or after this moment, as their ids say (to the millisecond).
    pub since: Option<Micros>,
    /// Only calls that began before it.
    pub until: Option<Micros>,
}

/// What calls can be filtered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallColumn {
    /// The caller's key.
    Key,
    /// The key's team.
    Team,
    /// The end user.
    User,
    /// The agent run.
    Session,
    /// The public name asked for.
    Route,
    /// The provider.
    Provider,
    /// The upstream's model.
    Model,
    /// How it ended.
    End,
}

impl CallColumn {
    /// All of them.
    pub const ALL: [CallColumn; 8] = [
        CallColumn::Key,
        CallColumn::Team,
        CallColumn::User,
        CallColumn::Session,
        CallColumn::Route,
        CallColumn::Provider,
        CallColumn::Model,
        CallColumn::End,
    ];

    /// The word in queries.
    pub fn name(self) -> &'static str {
        match self {
            CallColumn::Key => "key",
            CallColumn::Team => "team",
            CallColumn::User => "user",
            CallColumn::Session => "session",
            CallColumn::Route => "route",
            CallColumn::Provider => "provider",
            CallColumn::Model => "model",
            CallColumn::End => "end",
        }
    }

    /// What stands there in a row.
    pub fn of(self, row: &CallRow) -> Option<&str> {
        match self {
            CallColumn::Key => Some(&row.facts.key),
            CallColumn::Team => row.facts.team.as_deref(),
            CallColumn::User => row.facts.user.as_deref(),
            CallColumn::Session => row.facts.session.as_deref(),
            CallColumn::Route => Some(&row.facts.route),
            CallColumn::Provider => row.provider.as_deref(),
            CallColumn::Model => row.model.as_deref(),
            CallColumn::End => Some(row.end.name()),
        }
    }
}

/// A page of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recent {
    /// The calls with their attempts, latest first.
    pub calls: Vec<CallRecord>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<CallId>,
}

/// What spend can be grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// The upstream's model.
    Model,
    /// The provider.
    Provider,
    /// The public name asked for.
    Route,
    /// The caller's key.
    Key,
    /// The key's team.
    Team,
    /// The end user.
    User,
    /// The agent run.
    Session,
    /// Each label; a call with two stands in two rows, one without in that of `None`.
    Tag,
    /// The day, UTC, as `2026-01-31`.
    Day,
}

impl Group {
    /// All of them.
    pub const ALL: [Group; 9] = [
        Group::Model,
        Group::Provider,
        Group::Route,
        Group::Key,
        Group::Team,
        Group::User,
        Group::Session,
        Group::Tag,
        Group::Day,
    ];

    /// The word in commands and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Group::Model => "model",
            Group::Provider => "provider",
            Group::Route => "route",
            Group::Key => "key",
            Group::Team => "team",
            Group::User => "user",
            Group::Session => "session",
            Group::Tag => "tag",
            Group::Day => "day",
        }
    }

    /// Whether callers name it as they like, so that there may be very many.
    pub fn named_by_callers(self) -> bool {
        matches!(self, Group::User | Group::Session | Group::Tag)
    }

    /// The group that `name` names.
    pub fn from_name(name: &str) -> Option<Group> {
        Group::ALL.into_iter().find(|group| group.name() == name)
    }
}

/// Which spend to add up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpendQuery {
    /// By what, in the order of the answer's groups; each at most once.
    pub by: Vec<Group>,
    /// Only calls that began at or after this moment, as their ids say (to the millisecond).
    pub since: Option<Micros>,
    /// Only calls that began before it.
    pub until: Option<Micros>,
}

impl SpendQuery {
    /// Whether these groups cross end users, sessions and tags: no sums are kept of that, so each row is read.
    pub fn crosses_names(by: &[Group]) -> bool {
        by.iter().filter(|group| group.named_by_callers()).count() > 1
    }
}

/// What was spent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spend {
    /// A row for each group, ordered by cost, highest first.
    pub rows: Vec<SpendRow>,
    /// All of it, each call once.
    pub total: SpendRow,
}

/// One line of spend.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpendRow {
    /// The values of the query's groups; `None` where a call has none.
    pub group: Vec<Option<String>>,
    /// Calls. By provider or model: of the last attempt.
    pub calls: u64,
    /// Attempts.
    pub attempts: u64,
    /// The attempts' usage; only token classes.
    pub usage: Usage,
    /// The attempts' cost, where it is known.
    pub cost_nanousd: i64,
    /// Calls whose cost is not known.
    pub unpriced_calls: u64,
}

/// What [`Store::check_totals`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Rows of calls.
    pub calls: u64,
    /// Rows of attempts.
    pub attempts: u64,
    /// The attempts' known cost.
    pub cost_nanousd: i64,
    /// Daily sums that differ from their rows.
    pub mismatches: Vec<Mismatch>,
    /// Calls whose attempts, or whose cost, are not what their attempts add up to; up to 100 ids.
    pub unbalanced: Vec<CallId>,
}

impl Totals {
    /// Whether everything adds up.
    pub fn is_exact(&self) -> bool {
        self.mismatches.is_empty() && self.unbalanced.is_empty()
    }
}

/// A daily sum that differs from its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The day, counted from 1970-01-01.
    pub day: i64,
    /// The key.
    pub key: String,
    /// The team; empty for none.
    pub team: String,
    /// The end user, session or tag, such as `user ann`, where it is a sum by these.
    pub name: Option<String>,
    /// The stored cost.
    pub stored_nanousd: i64,
    /// The rows' cost.
    pub summed_nanousd: i64,
    /// The stored numbers of calls and attempts.
    pub stored_rows: (i64, i64),
    /// The numbers of rows.
    pub summed_rows: (i64, i64),
}

/// How a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreHealth {
    /// What it is: `sqlite`, `postgres`.
    pub kind: &'static str,
    /// The version of its schema.
    pub schema: i64,
    /// How long it took to answer.
    pub latency: Duration,
}

/// The name of a day counted from 1970-01-01, UTC: `2026-01-31`.
pub fn day_name(day: i64) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day of the Gregorian calendar of a day counted from 1970-01-01.
pub fn civil(day: i64) -> (i64, i64, i64) {
    // Days since 0000-03-01, in 400-year eras: the year then ends with February, so leap days come last.
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year_of_era + era * 400 + carry, month, day)
}

/// What a failure says about a second try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The database can't be reached, is busy, or did not answer in time. Try again later.
    Unavailable,
    /// The database refuses these rows and will always do so.
    Rejected,
}

/// What a store failed to do.
#[derive(Debug, thiserror::Error)]
#[error("the store could not {doing}")]
pub struct StoreError {
    /// What it was doing: `write rows`, ….
    pub doing: &'static str,
    /// Whether trying again can help.
    pub fault: Fault,
    /// Why.
    #[source]
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::sample;

    #[test]
    fn days_have_their_names() {
        let days = [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (19_782, "2024-02-29"),
            (19_783, "2024-03-01"),
            (20_819, "2027-01-01"),
        ];
        for (day, name) in days {
            assert_eq!(day_name(day), name);
        }
    }

    #[test]
    fn halving_ends_at_single_rows() {
        let mut whole = Batch::default();
        for ms in 0..5 {
            let attempt = sample::settled(&sample::open(CallId::at(ms, &[1; 10]), 1, &sample::facts(0)), 1);
            whole.calls.push(sample::finished(&attempt));
            whole.attempts.push(attempt);
        }
        let mut parts = vec![whole];
        let mut singles = 0;
        while let Some(part) = parts.pop() {
            if part.len() == 1 {
                singles += 1;
                continue;
            }
            let (first, second) = part.halves();
            assert!(!first.is_empty() && !second.is_empty());
            parts.extend([first, second]);
        }
        assert_eq!(singles, 10);
    }
}
