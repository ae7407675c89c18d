//! Records as bytes: compact, versioned, written by hand because every call pays for it.
//!
//! Integers are LEB128 varints, signed ones zigzag, strings length-prefixed UTF-8. A record's fields stand in a fixed
//! order. Fields may be added **at the end** within a version (a reader takes missing ones as absent and ignores what
//! it doesn't know); any other change needs a new version number in the frame.
//!
//! Strings are cut at their caps, so that a record's size has a bound and room for it can be set aside beforehand;
//! NUL becomes `?`, because Postgres can't store it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use uuid::Uuid;
use weir_wire::usage::{Class, TOKEN_CLASSES, Unit, Usage};

use crate::budget::{Charge, Charges};
use crate::row::{
    AttemptId, AttemptRow, Cache, CallId, CallRow, End, Facts, Micros, Open, State, Text, UsageSource,
};

/// The version of the records that this program writes.
pub(crate) const VERSION: u8 = 1;

const NAME_CAP: usize = 256;
const WORD_CAP: usize = 64;
const PRICE_CAP: usize = 128;
const REASON_CAP: usize = 200;
const TAG_CAP: usize = 256;
const TAGS_CAP: usize = 64;
const UNITS_CAP: usize = 16;
const CHARGES_CAP: usize = 32;

/// The most that a terminal attempt row is longer than the `Open` of the same attempt.
pub(crate) const SETTLE_EXTRA: u64 = 900;
/// The most that a call row is longer than the `Open` of its longest attempt.
pub(crate) const CALL_EXTRA: u64 = 600;
/// The most bytes that all tags of one call take.
const ALL_TAGS_CAP: usize = 2_048;

const OTHER_CLASSES: [Class; 6] =
    [Class::Request, Class::Image, Class::Page, Class::Search, Class::Character, Class::Duration];
const UNITS: [Unit; 7] =
    [Unit::Token, Unit::Request, Unit::Image, Unit::Page, Unit::Search, Unit::Character, Unit::Millisecond];

// === writing ===

pub(crate) fn put_open(out: &mut Vec<u8>, open: &Open) {
    put_attempt_id(out, open.id);
    put_facts(out, &open.facts);
    put_signed(out, open.started_at);
    put_text(out, &open.provider, NAME_CAP);
    put_text(out, &open.model, NAME_CAP);
    put_opt_text(out, &open.credential, NAME_CAP);
    put_opt_signed(out, open.bound_nanousd);
    put_opt_text(out, &open.price_id, PRICE_CAP);
    open.charges.put(out, put_charges);
}

pub(crate) fn put_attempt(out: &mut Vec<u8>, row: &AttemptRow) {
    put_attempt_id(out, row.id);
    put_facts(out, &row.facts);
    put_signed(out, row.started_at);
    put_signed(out, row.ended_at);
    put_text(out, &row.provider, NAME_CAP);
    put_text(out, &row.model, NAME_CAP);
    put_opt_text(out, &row.credential, NAME_CAP);
    out.push(row.state as u8);
    put_opt_unsigned(out, row.upstream_status.map(u64::from));
    put_opt_text(out, &row.upstream_request_id, PRICE_CAP);
    put_usage(out, &row.usage);
    out.push(row.usage_source as u8);
    put_opt_text(out, &row.reason, REASON_CAP);
    put_opt_text(out, &row.price_id, PRICE_CAP);
    put_opt_signed(out, row.cost_nanousd);
    put_opt_unsigned(out, row.ttft_ms);
    put_unsigned(out, row.duration_ms);
    put_opt_text(out, &row.error_code, WORD_CAP);
    row.charges.put(out, put_charges);
}

pub(crate) fn put_call(out: &mut Vec<u8>, row: &CallRow) {
    out.extend_from_slice(row.id.0.as_bytes());
    put_facts(out, &row.facts);
    put_signed(out, row.ended_at);
    put_opt_text(out, &row.provider, NAME_CAP);
    put_opt_text(out, &row.model, NAME_CAP);
    put_unsigned(out, u64::from(row.status));
    out.push(row.end as u8);
    put_unsigned(out, u64::from(row.attempts));
    out.push(row.cache as u8);
    put_usage(out, &row.usage);
    out.push(row.usage_source as u8);
    put_opt_text(out, &row.price_id, PRICE_CAP);
    put_opt_signed(out, row.cost_nanousd);
    put_opt_signed(out, row.cache_saved_nanousd);
    put_opt_unsigned(out, row.ttft_ms);
    put_unsigned(out, row.duration_ms);
    put_unsigned(out, row.overhead_us);
    put_opt_text(out, &row.error_code, WORD_CAP);
}

fn put_facts(out: &mut Vec<u8>, facts: &Facts) {
    put_text(out, &facts.request_id, NAME_CAP);
    put_signed(out, facts.started_at);
    put_text(out, &facts.key, NAME_CAP);
    put_opt_text(out, &facts.team, NAME_CAP);
    put_opt_text(out, &facts.user, NAME_CAP);
    put_opt_text(out, &facts.session, NAME_CAP);
    put_tags(out, &facts.tags);
    put_text(out, &facts.dialect, WORD_CAP);
    put_text(out, &facts.operation, WORD_CAP);
    put_text(out, &facts.route, NAME_CAP);
    out.push(u8::from(facts.stream));
}

fn put_tags(out: &mut Vec<u8>, tags: &[Text]) {
    let mut left = ALL_TAGS_CAP;
    let fits = |tag: &&Text| {
        let cost = tag.len().min(TAG_CAP) + 2;
        let fits = cost <= left;
        left = if fits { left - cost } else { 0 };
        fits
    };
    let count = tags.iter().take(TAGS_CAP).take_while(fits).count();
    put_unsigned(out, count as u64);
    for tag in &tags[..count] {
        put_text(out, tag, TAG_CAP);
    }
}

/// Token classes as a bit set with their counts, then the others one by one.
fn put_usage(out: &mut Vec<u8>, usage: &Usage) {
    let counts = TOKEN_CLASSES.map(|class| usage.tokens(class));
    let mut mask = 0u64;
    for (bit, count) in counts.iter().enumerate() {
        mask |= u64::from(*count != 0) << bit;
    }
    put_unsigned(out, mask);
    for count in counts.into_iter().filter(|count| *count != 0) {
        put_unsigned(out, count);
    }
    let others =
        || usage.iter().filter_map(|((class, unit), count)| Some((other_number(class, unit)?, unit, count)));
    put_unsigned(out, others().take(UNITS_CAP).count() as u64);
    for (class, unit, count) in others().take(UNITS_CAP) {
        out.extend_from_slice(&[class, unit as u8]);
        put_unsigned(out, count);
    }
}

/// A class counted in something else than tokens, as one byte; token classes come after the others.
fn other_number(class: Class, unit: Unit) -> Option<u8> {
    if let Some(number) = OTHER_CLASSES.iter().position(|other| *other == class) {
        return Some(number as u8);
    }
    (unit != Unit::Token).then(|| OTHER_CLASSES.len() as u8 + class as u8)
}

/// Only where something pays: records without budgets are as they were before there were any.
fn put_charges(out: &mut Vec<u8>, charges: &[Charge]) {
    let charges = &charges[..charges.len().min(CHARGES_CAP)];
    put_unsigned(out, charges.len() as u64);
    for charge in charges {
        put_text(out, &charge.budget, NAME_CAP);
        put_signed(out, charge.window);
        put_opt_signed(out, charge.lease);
    }
}

fn put_attempt_id(out: &mut Vec<u8>, id: AttemptId) {
    out.extend_from_slice(id.call.0.as_bytes());
    put_unsigned(out, u64::from(id.n));
}

fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    if value < 0x80 {
        return out.push(value as u8);
    }
    let (mut bytes, mut len) = ([0; 10], 0);
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    out.extend_from_slice(&bytes[..=len]);
}

fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn put_opt_unsigned(out: &mut Vec<u8>, value: Option<u64>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put_unsigned(out, value);
    }
}

fn put_opt_signed(out: &mut Vec<u8>, value: Option<i64>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put_signed(out, value);
    }
}

fn put_text(out: &mut Vec<u8>, text: &str, cap: usize) {
    let text = &text[..text.floor_char_boundary(cap)];
    put_unsigned(out, text.len() as u64);
    let from = out.len();
    out.extend_from_slice(text.as_bytes());
    if out[from..].contains(&0) {
        out[from..].iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'?');
    }
}

fn put_opt_text(out: &mut Vec<u8>, text: &Option<Text>, cap: usize) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(out, text, cap);
    }
}

// === reading ===

/// A payload that its checksum accepts but that is no record of its kind: written by a faulty or a newer program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

type Read<T> = Result<T, Malformed>;

thread_local! {
    /// Texts read lately, each at a place that its length and ends give: rows repeat them, and a copy of each costs an
    /// allocation.
    static LATELY: RefCell<[Option<Text>; 64]> = const { RefCell::new([const { None }; 64]) };
}

/// The facts of a call as one of its records had them. Its other records begin with the same bytes.
struct Known {
    call: CallId,
    bytes: Vec<u8>,
    facts: Arc<Facts>,
}

thread_local! {
    /// What calls read lately had, each at a place that its id gives.
    static KNOWN: RefCell<[Option<Known>; 256]> = const { RefCell::new([const { None }; 256]) };
}

/// A text, shared with an equal one that was read lately.
fn shared(bytes: &[u8]) -> Read<Text> {
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return Ok("".into()) };
    let place = usize::from(first.wrapping_mul(31) ^ last.wrapping_mul(7)) ^ bytes.len();
    LATELY.with_borrow_mut(|lately| {
        let lately = &mut lately[place % 64];
        if let Some(text) = lately.as_ref().filter(|text| text.as_bytes() == bytes) {
            return Ok(text.clone());
        }
        let text: Text = std::str::from_utf8(bytes).map_err(|_| Malformed)?.into();
        Ok(lately.insert(text).clone())
    })
}

/// Reads the fields of one payload, first to last.
struct Fields<'a>(&'a [u8]);

/// The attempt that a record of one is about.
pub(crate) fn attempt_id(payload: &[u8]) -> Read<AttemptId> {
    Fields(payload).attempt_id()
}

pub(crate) fn get_open(payload: &[u8]) -> Read<Open> {
    let mut fields = Fields(payload);
    let id = fields.attempt_id()?;
    Ok(Open {
        id,
        facts: fields.facts(id.call)?,
        started_at: fields.signed()?,
        provider: fields.text()?,
        model: fields.text()?,
        credential: fields.opt(Fields::text)?,
        bound_nanousd: fields.opt(Fields::signed)?,
        price_id: fields.opt(Fields::text)?,
        charges: fields.charges()?,
    })
}

pub(crate) fn get_attempt(payload: &[u8]) -> Read<AttemptRow> {
    let mut fields = Fields(payload);
    let id = fields.attempt_id()?;
    Ok(AttemptRow {
        id,
        facts: fields.facts(id.call)?,
        started_at: fields.signed()?,
        ended_at: fields.signed()?,
        provider: fields.text()?,
        model: fields.text()?,
        credential: fields.opt(Fields::text)?,
        state: State::from_number(fields.byte()?).ok_or(Malformed)?,
        upstream_status: fields.opt(Fields::short)?,
        upstream_request_id: fields.opt(Fields::text)?,
        usage: fields.usage()?,
        usage_source: UsageSource::from_number(fields.byte()?).ok_or(Malformed)?,
        reason: fields.opt(Fields::text)?,
        price_id: fields.opt(Fields::text)?,
        cost_nanousd: fields.opt(Fields::signed)?,
        ttft_ms: fields.opt(Fields::unsigned)?,
        duration_ms: fields.unsigned()?,
        error_code: fields.opt(Fields::text)?,
        charges: fields.charges()?,
    })
}

pub(crate) fn get_call(payload: &[u8]) -> Read<CallRow> {
    let mut fields = Fields(payload);
    let id = fields.call_id()?;
    Ok(CallRow {
        id,
        facts: fields.facts(id)?,
        ended_at: fields.signed()?,
        provider: fields.opt(Fields::text)?,
        model: fields.opt(Fields::text)?,
        status: fields.short()?,
        end: End::from_number(fields.byte()?).ok_or(Malformed)?,
        attempts: fields.short()?,
        cache: Cache::from_number(fields.byte()?).ok_or(Malformed)?,
        usage: fields.usage()?,
        usage_source: UsageSource::from_number(fields.byte()?).ok_or(Malformed)?,
        price_id: fields.opt(Fields::text)?,
        cost_nanousd: fields.opt(Fields::signed)?,
        cache_saved_nanousd: fields.opt(Fields::signed)?,
        ttft_ms: fields.opt(Fields::unsigned)?,
        duration_ms: fields.unsigned()?,
        overhead_us: fields.unsigned()?,
        error_code: fields.opt(Fields::text)?,
    })
}

impl Fields<'_> {
    fn take(&mut self, count: usize) -> Read<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Read<u8> {
        Ok(self.take(1)?[0])
    }

    fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn unsigned(&mut self) -> Read<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn short(&mut self) -> Read<u16> {
        u16::try_from(self.unsigned()?).map_err(|_| Malformed)
    }

    fn signed(&mut self) -> Read<Micros> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn text(&mut self) -> Read<Text> {
        let len = usize::try_from(self.unsigned()?).map_err(|_| Malformed)?;
        shared(self.take(len)?)
    }

    /// One of a few words that rows are full of, or another.
    fn word(&mut self) -> Read<Cow<'static, str>> {
        const WORDS: [&str; 6] = ["openai", "chat", "anthropic", "embeddings", "completions", "responses"];
        let len = usize::try_from(self.unsigned()?).map_err(|_| Malformed)?;
        let word = self.take(len)?;
        if let Some(known) = WORDS.into_iter().find(|known| known.as_bytes() == word) {
            return Ok(Cow::Borrowed(known));
        }
        Ok(Cow::Owned(std::str::from_utf8(word).map_err(|_| Malformed)?.to_owned()))
    }

    fn opt<T>(&mut self, get: fn(&mut Self) -> Read<T>) -> Read<Option<T>> {
        // A record that ends here was written before this field was added.
        if self.0.is_empty() || !self.flag()? { Ok(None) } else { get(self).map(Some) }
    }

    fn call_id(&mut self) -> Read<CallId> {
        Uuid::from_slice(self.take(16)?).map(CallId).map_err(|_| Malformed)
    }

    fn attempt_id(&mut self) -> Read<AttemptId> {
        Ok(AttemptId { call: self.call_id()?, n: self.short()? })
    }

    /// The facts of `call`, shared with its other records. Facts say themselves where they end, so bytes that begin
    /// with those of a known record are read as that was.
    fn facts(&mut self, call: CallId) -> Read<Arc<Facts>> {
        KNOWN.with_borrow_mut(|known| {
            let known = &mut known[usize::from(call.0.as_bytes()[15])];
            if let Some(known) = known.as_ref().filter(|known| known.call == call)
                && let Some(rest) = self.0.strip_prefix(&known.bytes[..])
            {
                self.0 = rest;
                return Ok(known.facts.clone());
            }
            let before = self.0;
            let facts = Arc::new(self.new_facts()?);
            let read = &before[..before.len() - self.0.len()];
            let mut bytes = known.take().map(|known| known.bytes).unwrap_or_default();
            bytes.clear();
            bytes.extend_from_slice(read);
            *known = Some(Known { call, bytes, facts: facts.clone() });
            Ok(facts)
        })
    }

    fn new_facts(&mut self) -> Read<Facts> {
        Ok(Facts {
            request_id: self.text()?,
            started_at: self.signed()?,
            key: self.text()?,
            team: self.opt(Fields::text)?,
            user: self.opt(Fields::text)?,
            session: self.opt(Fields::text)?,
            tags: self.tags()?,
            dialect: self.word()?,
            operation: self.word()?,
            route: self.text()?,
            stream: self.flag()?,
        })
    }

    fn tags(&mut self) -> Read<Vec<Text>> {
        let count = self.unsigned()?;
        if count > TAGS_CAP as u64 {
            return Err(Malformed);
        }
        (0..count).map(|_| self.text()).collect()
    }

    fn charges(&mut self) -> Read<Charges> {
        if self.0.is_empty() {
            return Ok(Charges::default());
        }
        let count = self.unsigned()?;
        if count > CHARGES_CAP as u64 {
            return Err(Malformed);
        }
        let one =
            |_| Ok(Charge { budget: self.text()?, window: self.signed()?, lease: self.opt(Fields::signed)? });
        Ok((0..count).map(one).collect::<Read<Vec<_>>>()?.into())
    }

    fn usage(&mut self) -> Read<Usage> {
        let mut usage = Usage::new();
        let mask = self.unsigned()?;
        if mask >> TOKEN_CLASSES.len() != 0 {
            return Err(Malformed);
        }
        for (bit, class) in TOKEN_CLASSES.into_iter().enumerate() {
            if mask >> bit & 1 == 1 {
                usage.set(class, self.unsigned()?);
            }
        }
        let others = self.unsigned()?;
        if others > UNITS_CAP as u64 {
            return Err(Malformed);
        }
        for _ in 0..others {
            let class = usize::from(self.byte()?);
            let unit = usize::from(self.byte()?);
            let tokens = || TOKEN_CLASSES.get(class.checked_sub(OTHER_CLASSES.len())?);
            let class = *OTHER_CLASSES.get(class).or_else(tokens).ok_or(Malformed)?;
            usage.set_in(class, *UNITS.get(unit).ok_or(Malformed)?, self.unsigned()?);
        }
        Ok(usage)
    }
}

#[cfg(test)]
mod tests;
