//! Which columns a row has, once for both databases: to be written, and to be read back.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use uuid::fmt::Hyphenated;
use weir_ledger::{AttemptRow, Cache, CallId, CallRow, End, Facts, State, Text, UsageSource};
use weir_wire::usage::{TOKEN_CLASSES, Unit, Usage};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    Bool,
    Id,
    Json,
}

/// A column's name and what it holds.
pub(crate) type Column = (&'static str, Kind);

/// A value on its way into a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    Int(Option<i64>),
    Text(Option<String>),
}

/// Takes the values of rows, column by column.
pub(crate) trait Cells {
    fn int(&mut self, value: Option<i64>);
    fn text(&mut self, value: Option<&str>);
}

impl Cells for Vec<Cell> {
    fn int(&mut self, value: Option<i64>) {
        self.push(Cell::Int(value));
    }

    fn text(&mut self, value: Option<&str>) {
        self.push(Cell::Text(value.map(str::to_owned)));
    }
}

/// No provider counts a single call higher; more would make sums overflow.
const MOST: u64 = 1_000_000_000_000;

pub(crate) const CALLS: [Column; 38] = {
    use Kind::{Bool, Id, Int, Json, Text};
    [
        ("id", Id),
        ("day", Int),
        ("request_id", Text),
        ("started_at", Int),
        ("ended_at", Int),
        ("key", Text),
        ("team", Text),
        ("user", Text),
        ("session", Text),
        ("tags", Json),
        ("dialect", Text),
        ("operation", Text),
        ("route", Text),
        ("provider", Text),
        ("model", Text),
        ("stream", Bool),
        ("status", Int),
        ("end", Text),
        ("attempts", Int),
        ("cache", Text),
        ("input", Int),
        ("cache_read", Int),
        ("cache_write_5m", Int),
        ("cache_write_1h", Int),
        ("audio_in", Int),
        ("image_in", Int),
        ("output", Int),
        ("reasoning", Int),
        ("audio_out", Int),
        ("units", Json),
        ("usage_source", Text),
        ("price_id", Text),
        ("cost_nanousd", Int),
        ("cache_saved_nanousd", Int),
        ("ttft_ms", Int),
        ("duration_ms", Int),
        ("overhead_us", Int),
        ("error_code", Text),
    ]
};

pub(crate) const ATTEMPTS: [Column; 34] = {
    use Kind::{Id, Int, Json, Text};
    [
        ("call_id", Id),
        ("n", Int),
        ("day", Int),
        ("started_at", Int),
        ("ended_at", Int),
        ("key", Text),
        ("team", Text),
        ("user", Text),
        ("session", Text),
        ("tags", Json),
        ("route", Text),
        ("provider", Text),
        ("model", Text),
        ("credential", Text),
        ("state", Text),
        ("upstream_status", Int),
        ("upstream_request_id", Text),
        ("input", Int),
        ("cache_read", Int),
        ("cache_write_5m", Int),
        ("cache_write_1h", Int),
        ("audio_in", Int),
        ("image_in", Int),
        ("output", Int),
        ("reasoning", Int),
        ("audio_out", Int),
        ("units", Json),
        ("usage_source", Text),
        ("reason", Text),
        ("price_id", Text),
        ("cost_nanousd", Int),
        ("ttft_ms", Int),
        ("duration_ms", Int),
        ("error_code", Text),
    ]
};

// === writing ===

/// The values of a call, by the order of `CALLS`.
pub(crate) fn put_call(row: &CallRow, to: &mut impl Cells) {
    let facts = &row.facts;
    to.text(Some(row.id.0.hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH])));
    to.int(Some(row.id.day()));
    to.text(Some(&facts.request_id));
    to.int(Some(facts.started_at));
    to.int(Some(row.ended_at));
    put_caller(facts, to);
    to.text(Some(&facts.dialect));
    to.text(Some(&facts.operation));
    to.text(Some(&facts.route));
    to.text(row.provider.as_deref());
    to.text(row.model.as_deref());
    to.int(Some(i64::from(facts.stream)));
    to.int(Some(i64::from(row.status)));
    to.text(Some(row.end.name()));
    to.int(Some(i64::from(row.attempts)));
    to.text(Some(row.cache.name()));
    put_usage(&row.usage, to);
    to.text(Some(row.usage_source.name()));
    to.text(row.price_id.as_deref());
    to.int(row.cost_nanousd);
    to.int(row.cache_saved_nanousd);
    to.int(row.ttft_ms.map(count));
    to.int(Some(count(row.duration_ms)));
    to.int(Some(count(row.overhead_us)));
    to.text(row.error_code.as_deref());
}

/// The values of an attempt, by the order of `ATTEMPTS`.
pub(crate) fn put_attempt(row: &AttemptRow, to: &mut impl Cells) {
    let facts = &row.facts;
    to.text(Some(row.id.call.0.hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH])));
    to.int(Some(i64::from(row.id.n)));
    to.int(Some(row.id.call.day()));
    to.int(Some(row.started_at));
    to.int(Some(row.ended_at));
    put_caller(facts, to);
    to.text(Some(&facts.route));
    to.text(Some(&row.provider));
    to.text(Some(&row.model));
    to.text(row.credential.as_deref());
    to.text(Some(row.state.name()));
    to.int(row.upstream_status.map(i64::from));
    to.text(row.upstream_request_id.as_deref());
    put_usage(&row.usage, to);
    to.text(Some(row.usage_source.name()));
    to.text(row.reason.as_deref());
    to.text(row.price_id.as_deref());
    to.int(row.cost_nanousd);
    to.int(row.ttft_ms.map(count));
    to.int(Some(count(row.duration_ms)));
    to.text(row.error_code.as_deref());
}

/// A row's values, apart.
pub(crate) fn cells<R>(put: impl FnOnce(&R, &mut Vec<Cell>), row: &R) -> Vec<Cell> {
    let mut cells = Vec::with_capacity(CALLS.len());
    put(row, &mut cells);
    cells
}

/// A count as a column holds it.
pub(crate) fn count(count: u64) -> i64 {
    count.min(MOST) as i64
}

/// Who called, as both kinds of rows have it.
fn put_caller(facts: &Facts, to: &mut impl Cells) {
    to.text(Some(&facts.key));
    to.text(facts.team.as_deref());
    to.text(facts.user.as_deref());
    to.text(facts.session.as_deref());
    let tags = &facts.tags;
    let json = (!tags.is_empty()).then(|| serde_json::to_string(tags).expect("strings are plain JSON"));
    to.text(json.as_deref());
}

fn put_usage(usage: &Usage, to: &mut impl Cells) {
    for class in TOKEN_CLASSES {
        to.int(Some(count(usage.tokens(class))));
    }
    let mut units = Usage::new();
    for ((class, unit), count) in usage.iter().filter(|((_, unit), _)| *unit != Unit::Token) {
        units.set_in(class, unit, count);
    }
    let json = (!units.is_empty()).then(|| serde_json::to_string(&units).expect("counts are plain JSON"));
    to.text(json.as_deref());
}

// === reading ===

/// A row as a database gives it, by the place of its columns.
pub(crate) trait Columns {
    fn int(&self, at: usize) -> Result<Option<i64>, sqlx::Error>;
    fn text(&self, at: usize) -> Result<Option<String>, sqlx::Error>;
}

/// Reads the columns of a row, first to last.
pub(crate) struct Take<'a, R> {
    row: &'a R,
    at: usize,
}

type Taken<T> = Result<T, sqlx::Error>;

impl<'a, R: Columns> Take<'a, R> {
    pub(crate) fn new(row: &'a R) -> Take<'a, R> {
        Take { row, at: 0 }
    }

    pub(crate) fn opt_int(&mut self) -> Taken<Option<i64>> {
        self.at += 1;
        self.row.int(self.at - 1)
    }

    pub(crate) fn opt_string(&mut self) -> Taken<Option<String>> {
        self.at += 1;
        self.row.text(self.at - 1)
    }

    pub(crate) fn int(&mut self) -> Taken<i64> {
        self.opt_int()?.ok_or_else(|| strange("a number is missing"))
    }

    pub(crate) fn unsigned<T: TryFrom<i64>>(&mut self) -> Taken<T> {
        T::try_from(self.int()?).map_err(|_| strange("a number is out of range"))
    }

    pub(crate) fn string(&mut self) -> Taken<String> {
        self.opt_string()?.ok_or_else(|| strange("a text is missing"))
    }

    fn opt_unsigned<T: TryFrom<i64>>(&mut self) -> Taken<Option<T>> {
        let value = self.opt_int()?;
        value.map(|value| T::try_from(value).map_err(|_| strange("a number is out of range"))).transpose()
    }

    fn text(&mut self) -> Taken<Text> {
        Ok(self.string()?.into())
    }

    fn opt_text(&mut self) -> Taken<Option<Text>> {
        Ok(self.opt_string()?.map(Text::from))
    }

    fn word<T>(&mut self, from: fn(&str) -> Option<T>) -> Taken<T> {
        let word = self.string()?;
        from(&word).ok_or_else(|| strange("an unknown word; was it written by a newer version?"))
    }

    pub(crate) fn call_id(&mut self) -> Taken<CallId> {
        CallId::from_str(&self.string()?).map_err(|_| strange("not an id"))
    }

    fn tags(&mut self) -> Taken<Vec<Text>> {
        let json = self.opt_string()?;
        let tags = json.map(|json| serde_json::from_str(&json).map_err(|_| strange("tags are not JSON")));
        Ok(tags.transpose()?.unwrap_or_default())
    }

    pub(crate) fn tokens(&mut self) -> Taken<Usage> {
        let mut usage = Usage::new();
        for class in TOKEN_CLASSES {
            usage.set(class, self.unsigned()?);
        }
        Ok(usage)
    }

    fn usage(&mut self) -> Taken<Usage> {
        let mut usage = self.tokens()?;
        if let Some(json) = self.opt_string()? {
            usage.add(&serde_json::from_str(&json).map_err(|_| strange("units are not JSON"))?);
        }
        Ok(usage)
    }

    /// A call; the columns are those of `CALLS`.
    pub(crate) fn call(mut self) -> Taken<CallRow> {
        let id = self.call_id()?;
        let _day = self.int()?;
        let request_id = self.text()?;
        let started_at = self.int()?;
        let ended_at = self.int()?;
        let (key, team, user) = (self.text()?, self.opt_text()?, self.opt_text()?);
        let (session, tags) = (self.opt_text()?, self.tags()?);
        let (dialect, operation) = (Cow::Owned(self.string()?), Cow::Owned(self.string()?));
        let route = self.text()?;
        let (provider, model) = (self.opt_text()?, self.opt_text()?);
        let stream = self.int()? != 0;
        let facts = Facts {
            request_id,
            started_at,
            key,
            team,
            user,
            session,
            tags,
            dialect,
            operation,
            route,
            stream,
        };
        Ok(CallRow {
            id,
            facts: Arc::new(facts),
            ended_at,
            provider,
            model,
            status: self.unsigned()?,
            end: self.word(End::from_name)?,
            attempts: self.unsigned()?,
            cache: self.word(Cache::from_name)?,
            usage: self.usage()?,
            usage_source: self.word(UsageSource::from_name)?,
            price_id: self.opt_text()?,
            cost_nanousd: self.opt_int()?,
            cache_saved_nanousd: self.opt_int()?,
            ttft_ms: self.opt_unsigned()?,
            duration_ms: self.unsigned()?,
            overhead_us: self.unsigned()?,
            error_code: self.opt_text()?,
        })
    }

    /// An attempt of a call with these facts; the columns are those of `ATTEMPTS`.
    pub(crate) fn attempt(mut self, facts: &Arc<Facts>) -> Taken<AttemptRow> {
        let id = self.call_id()?.attempt(self.unsigned()?);
        let _day = self.int()?;
        let (started_at, ended_at) = (self.int()?, self.int()?);
        // Key, team, user, session, tags and route stand here for sums; they are the call's.
        self.at += 6;
        Ok(AttemptRow {
            id,
            facts: facts.clone(),
            started_at,
            ended_at,
            provider: self.text()?,
            model: self.text()?,
            credential: self.opt_text()?,
            state: self.word(State::from_name)?,
            upstream_status: self.opt_unsigned()?,
            upstream_request_id: self.opt_text()?,
            usage: self.usage()?,
            usage_source: self.word(UsageSource::from_name)?,
            reason: self.opt_text()?,
            price_id: self.opt_text()?,
            cost_nanousd: self.opt_int()?,
            ttft_ms: self.opt_unsigned()?,
            duration_ms: self.unsigned()?,
            error_code: self.opt_text()?,
            charges: weir_ledger::budget::Charges::default(),
        })
    }
}

fn strange(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

#[cfg(test)]
mod tests {
    use weir_ledger::row::sample;

    use super::*;

    impl Columns for Vec<Cell> {
        fn int(&self, at: usize) -> Taken<Option<i64>> {
            let Cell::Int(value) = &self[at] else { panic!("column {at} is text") };
            Ok(*value)
        }

        fn text(&self, at: usize) -> Taken<Option<String>> {
            let Cell::Text(value) = &self[at] else { panic!("column {at} is a number") };
            Ok(value.clone())
        }
    }

    #[test]
    fn rows_are_read_as_they_were_written() {
        let mut facts = (*sample::facts(5)).clone();
        facts.tags = vec!["a".into(), "name:\"value\"".into()];
        facts.session = Some("s".into());
        let attempt = sample::settled(&sample::open(CallId::at(9, &[1; 10]), 3, &Arc::new(facts)), 77);
        let call = sample::finished(&attempt);
        let cells = super::cells(put_call, &call);
        assert_eq!(cells.len(), CALLS.len());
        assert_eq!(Take::new(&cells).call().unwrap(), call);
        let cells = super::cells(put_attempt, &attempt);
        assert_eq!(cells.len(), ATTEMPTS.len());
        assert_eq!(Take::new(&cells).attempt(&attempt.facts).unwrap(), attempt);
    }

    #[test]
    fn each_cell_fits_its_column() {
        let attempt = sample::settled(&sample::open(CallId::at(9, &[1; 10]), 3, &sample::facts(5)), 77);
        let call = sample::finished(&attempt);
        let pairs =
            CALLS.iter().zip(cells(put_call, &call)).chain(ATTEMPTS.iter().zip(cells(put_attempt, &attempt)));
        for ((name, kind), cell) in pairs {
            assert_eq!(matches!(cell, Cell::Int(_)), matches!(kind, Kind::Int | Kind::Bool), "{name}");
        }
    }
}
