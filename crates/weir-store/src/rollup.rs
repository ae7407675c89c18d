//! Daily sums of rows that were just written, added up before they go to the database.

use std::collections::{BTreeMap, HashSet};

use weir_ledger::{AttemptId, AttemptRow, Batch, CallId, CallRow};
use weir_wire::usage::TOKEN_CLASSES;

use crate::rows::{Cell, Column, Kind, count};

/// The columns of `spend_daily`; the first six are its key, the others are added to.
pub(crate) const SPEND_DAILY: [Column; 19] = {
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

/// How many columns make the key.
pub(crate) const KEYS: usize = 6;

type Key<'a> = (i64, [&'a str; 5]);

/// What the new rows add to each line of `spend_daily`, ordered by its key: writers that take their locks in the same
/// order don't wait for each other in a circle.
#[derive(Debug, Default)]
pub(crate) struct Rollup<'a> {
    lines: BTreeMap<Key<'a>, [i64; SPEND_DAILY.len() - KEYS]>,
}

impl<'a> Rollup<'a> {
    /// The sums of the rows of `batch` but those in `old`.
    pub(crate) fn of(batch: &'a Batch, old: &Replayed) -> Rollup<'a> {
        let mut rollup = Rollup::default();
        batch.calls.iter().filter(|row| !old.calls.contains(&row.id)).for_each(|row| rollup.call(row));
        batch
            .attempts
            .iter()
            .filter(|row| !old.attempts.contains(&row.id))
            .for_each(|row| rollup.attempt(row));
        rollup
    }

    fn call(&mut self, row: &'a CallRow) {
        let facts = &row.facts;
        let key = [
            &*facts.key,
            facts.team.as_deref().unwrap_or_default(),
            &*facts.route,
            row.provider.as_deref().unwrap_or_default(),
            row.model.as_deref().unwrap_or_default(),
        ];
        let sums = self.lines.entry((row.id.day(), key)).or_default();
        sums[0] += 1;
        sums[1] += i64::from(row.cost_nanousd.is_none());
    }

    fn attempt(&mut self, row: &'a AttemptRow) {
        let facts = &row.facts;
        let team = facts.team.as_deref().unwrap_or_default();
        let key = [&*facts.key, team, &*facts.route, &*row.provider, &*row.model];
        let sums = self.lines.entry((row.id.call.day(), key)).or_default();
        sums[2] += 1;
        for (sum, class) in sums[3..12].iter_mut().zip(TOKEN_CLASSES) {
            *sum += count(row.usage.tokens(class));
        }
        // Saturated sums would be refused by the database when added, like any other that does not fit.
        sums[12] = sums[12].saturating_add(row.cost_nanousd.unwrap_or(0));
    }

    pub(crate) fn cells(&self) -> Vec<Vec<Cell<'a>>> {
        let line = |((day, key), sums): (&Key<'a>, &[i64; 13])| {
            let texts = key.iter().map(|text| Cell::Text(Some((*text).into())));
            let numbers = sums.iter().map(|sum| Cell::Int(Some(*sum)));
            std::iter::once(Cell::Int(Some(*day))).chain(texts).chain(numbers).collect()
        };
        self.lines.iter().map(line).collect()
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
    use weir_ledger::row::sample;

    use super::*;

    #[test]
    fn only_new_rows_are_added_up() {
        let mut batch = Batch::default();
        for n in 0..4 {
            let attempt = sample::settled(&sample::open(CallId::at(n, &[1; 10]), 1, &sample::facts(0)), 10);
            batch.calls.push(sample::finished(&attempt));
            batch.attempts.push(attempt);
        }
        batch.calls[1].cost_nanousd = None;
        let old = Replayed {
            calls: [batch.calls[0].id].into(),
            attempts: [batch.attempts[3].id, batch.attempts[2].id].into(),
        };
        let rollup = Rollup::of(&batch, &old);
        let [sums] = rollup.lines.values().collect::<Vec<_>>()[..] else { panic!("one line") };
        assert_eq!((sums[0], sums[1], sums[2], sums[3], sums[12]), (3, 1, 2, 24, 20));
        assert_eq!(rollup.cells()[0].len(), SPEND_DAILY.len());
    }
}
