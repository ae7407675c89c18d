//! Daily sums of rows that were just written, added up before they go to the database.

use std::collections::{BTreeMap, HashSet};

use weir_ledger::{AttemptId, AttemptRow, Batch, CallId, CallRow, Facts};
use weir_wire::usage::TOKEN_CLASSES;

use crate::rows::{Cell, Column, Kind, count};

/// A table of sums.
pub(crate) struct Sums {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static [Column],
    /// How many columns make the key; the others are added to.
    pub(crate) keys: usize,
}

/// Sums by what every call has.
pub(crate) const DAILY: Sums = Sums { table: "spend_daily", columns: &SPEND_DAILY, keys: 6 };
/// Sums by what callers name themselves, for calls that have such a name.
pub(crate) const BY: Sums = Sums { table: "spend_by", columns: &SPEND_BY, keys: 8 };

const SPEND_DAILY: [Column; 19] = {
    use Kind::{Int, Text};
    [
        ("day", Int),
        ("key", Text),
        ("team", Text),
        ("route", Text),
        ("provider", Text),
        ("model", Text),
        ("calls", Int),
        ("unpriced_calls", Int),
        ("attempts", Int),
        ("input", Int),
        ("cache_read", Int),
        ("cache_write_5m", Int),
        ("cache_write_1h", Int),
        ("audio_in", Int),
        ("image_in", Int),
        ("output", Int),
        ("reasoning", Int),
        ("audio_out", Int),
        ("cost_nanousd", Int),
    ]
};

const SPEND_BY: [Column; 21] = {
    let mut columns = [("kind", Kind::Text); 21];
    columns[1] = SPEND_DAILY[0];
    columns[2] = ("value", Kind::Text);
    let mut at = 1;
    while at < SPEND_DAILY.len() {
        columns[at + 2] = SPEND_DAILY[at];
        at += 1;
    }
    columns
};

impl Sums {
    /// What an insert does where the line is there: it adds to it.
    pub(crate) fn on_conflict(&self) -> String {
        let keys: Vec<_> = self.columns[..self.keys].iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let table = self.table;
        let sums = self.columns[self.keys..]
            .iter()
            .map(|(name, _)| format!("\"{name}\" = {table}.\"{name}\" + excluded.\"{name}\""));
        format!("ON CONFLICT ({}) DO UPDATE SET {}", keys.join(", "), sums.collect::<Vec<_>>().join(", "))
    }
}

/// Key, team, route, provider, model.
type Dimensions<'a> = [&'a str; 5];
/// Calls, unpriced calls, attempts, tokens of each class, cost.
type Numbers = [i64; 13];

/// What the new rows add to each line, ordered by the lines' keys: writers that take their locks in the same order don't
/// wait for each other in a circle.
#[derive(Debug, Default)]
pub(crate) struct Rollup<'a> {
    daily: BTreeMap<(i64, Dimensions<'a>), Numbers>,
    by: BTreeMap<(&'static str, i64, &'a str, Dimensions<'a>), Numbers>,
}

impl<'a> Rollup<'a> {
    /// The sums of the rows of `batch` but those in `old`.
    pub(crate) fn of(batch: &'a Batch, old: &Replayed) -> Rollup<'a> {
        let mut rollup = Rollup::default();
        for row in batch.calls.iter().filter(|row| !old.calls.contains(&row.id)) {
            let target =
                (row.provider.as_deref().unwrap_or_default(), row.model.as_deref().unwrap_or_default());
            rollup.add(row.id.day(), &row.facts, target, &of_call(row));
        }
        for row in batch.attempts.iter().filter(|row| !old.attempts.contains(&row.id)) {
            rollup.add(row.id.call.day(), &row.facts, (&row.provider, &row.model), &of_attempt(row));
        }
        rollup
    }

    fn add(&mut self, day: i64, facts: &'a Facts, target: (&'a str, &'a str), numbers: &Numbers) {
        let team = facts.team.as_deref().unwrap_or_default();
        let key: Dimensions<'a> = [&facts.key, team, &facts.route, target.0, target.1];
        sum(self.daily.entry((day, key)).or_default(), numbers);
        let mut named = |kind, value| sum(self.by.entry((kind, day, value, key)).or_default(), numbers);
        if let Some(user) = &facts.user {
            named("user", user);
        }
        if let Some(session) = &facts.session {
            named("session", session);
        }
        if !facts.tags.is_empty() {
            named("tagged", "");
        }
        for tag in &facts.tags {
            named("tag", tag);
        }
    }

    /// The lines of `spend_daily`.
    pub(crate) fn daily(&self) -> Vec<Vec<Cell>> {
        let line = |((day, key), numbers): (&(i64, Dimensions<'a>), &Numbers)| {
            cells(vec![Cell::Int(Some(*day))], key, numbers)
        };
        self.daily.iter().map(line).collect()
    }

    /// The lines of `spend_by`.
    pub(crate) fn by(&self) -> Vec<Vec<Cell>> {
        let lines = self.by.iter().map(|((kind, day, value, key), numbers)| {
            cells(vec![text(kind), Cell::Int(Some(*day)), text(value)], key, numbers)
        });
        lines.collect()
    }
}

fn cells(mut cells: Vec<Cell>, key: &Dimensions<'_>, numbers: &Numbers) -> Vec<Cell> {
    cells.extend(key.iter().map(|value| text(value)));
    cells.extend(numbers.iter().map(|number| Cell::Int(Some(*number))));
    cells
}

fn text(value: &str) -> Cell {
    Cell::Text(Some(value.to_owned()))
}

fn of_call(row: &CallRow) -> Numbers {
    let mut numbers = Numbers::default();
    numbers[0] = 1;
    numbers[1] = i64::from(row.cost_nanousd.is_none());
    numbers
}

fn of_attempt(row: &AttemptRow) -> Numbers {
    let mut numbers = Numbers::default();
    numbers[2] = 1;
    for (number, class) in numbers[3..12].iter_mut().zip(TOKEN_CLASSES) {
        *number = count(row.usage.tokens(class));
    }
    numbers[12] = row.cost_nanousd.unwrap_or(0);
    numbers
}

fn sum(line: &mut Numbers, numbers: &Numbers) {
    for (sum, number) in line.iter_mut().zip(numbers) {
        // Saturated sums would be refused by the database when added, like any other that does not fit.
        *sum = sum.saturating_add(*number);
    }
}

/// Rows of a batch that the database had already.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) calls: HashSet<CallId>,
    pub(crate) attempts: HashSet<AttemptId>,
}

impl Replayed {
    pub(crate) fn len(&self) -> u64 {
        (self.calls.len() + self.attempts.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use weir_ledger::row::sample;

    use super::*;

    fn batch(facts: &Arc<Facts>) -> Batch {
        let mut batch = Batch::default();
        for n in 0..4 {
            let attempt = sample::settled(&sample::open(CallId::at(n, &[1; 10]), 1, facts), 10);
            batch.calls.push(sample::finished(&attempt));
            batch.attempts.push(attempt);
        }
        batch
    }

    #[test]
    fn only_new_rows_are_added_up() {
        let mut batch = batch(&sample::facts(0));
        batch.calls[1].cost_nanousd = None;
        let old = Replayed {
            calls: [batch.calls[0].id].into(),
            attempts: [batch.attempts[3].id, batch.attempts[2].id].into(),
        };
        let rollup = Rollup::of(&batch, &old);
        let [sums] = rollup.daily.values().collect::<Vec<_>>()[..] else { panic!("one line") };
        assert_eq!((sums[0], sums[1], sums[2], sums[3], sums[12]), (3, 1, 2, 24, 20));
        assert_eq!(rollup.daily()[0].len(), SPEND_DAILY.len());
    }

    #[test]
    fn names_that_callers_chose_are_added_up_beside_and_cost_nothing_where_there_are_none() {
        let mut facts = (*sample::facts(0)).clone();
        (facts.user, facts.session, facts.tags) = (None, None, Vec::new());
        assert_eq!(Rollup::of(&batch(&Arc::new(facts.clone())), &Replayed::default()).by().len(), 0);
        (facts.user, facts.tags) = (Some("ann".into()), vec!["a".into(), "b".into()]);
        let batch = batch(&Arc::new(facts));
        let rollup = Rollup::of(&batch, &Replayed::default());
        let lines: Vec<_> =
            rollup.by.iter().map(|((kind, _, value, _), sums)| (*kind, *value, sums[0], sums[2])).collect();
        assert_eq!(
            lines,
            [("tag", "a", 4, 4), ("tag", "b", 4, 4), ("tagged", "", 4, 4), ("user", "ann", 4, 4)]
        );
        assert!(rollup.by().iter().all(|line| line.len() == SPEND_BY.len()));
        assert_eq!(SPEND_BY[BY.keys..], SPEND_DAILY[DAILY.keys..]);
    }
}
