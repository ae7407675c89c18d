//! Which calls are under way, as the records tell, and which segments hold what a crash would need to close them.

use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;
use weir_wire::usage::Usage;

use crate::row::{AttemptId, AttemptRow, CallId, CallRow, End, Micros, Open, State, Sum};
use crate::spool::codec::{self, Malformed};
use crate::spool::frame::{self, Kind};
use crate::store::Batch;

/// The calls of one instance that have an attempt but no row yet.
#[derive(Debug, Default)]
pub(crate) struct Live {
    calls: HashMap<CallId, LiveCall, RandomState>,
    pins: HashMap<u32, u32, RandomState>,
    /// Of a dead process, the calls whose row was read: what was carried on of them is out of date.
    ended: Option<HashSet<CallId>>,
}

#[derive(Debug, Default)]
struct LiveCall {
    open: Vec<Opened>,
    settled: Vec<AttemptRow>,
    /// The segments that hold its records.
    segments: Vec<u32>,
}

/// The record of an attempt under way. It is understood only where nobody closes it: nearly all are closed soon.
#[derive(Debug)]
struct Opened {
    id: AttemptId,
    payload: Box<[u8]>,
}

impl Opened {
    /// What it says; `None` of what was never a record, which [`Live::opened`] does not let in.
    fn read(&self) -> Option<Open> {
        codec::get_open(&self.payload).ok()
    }
}

impl Live {
    /// The calls of a process that is gone.
    pub(crate) fn of_the_dead() -> Live {
        Live { ended: Some(HashSet::new()), ..Live::default() }
    }

    /// Takes the record of an attempt that began.
    pub(crate) fn opened(&mut self, payload: &[u8], segment: u32) -> Result<(), Malformed> {
        let id = codec::attempt_id(payload)?;
        // What this process wrote itself, and signed, is as it was written.
        if self.ended.is_some() {
            codec::get_open(payload)?;
        }
        let call = self.pin(id.call, segment);
        if !call.knows(id.n) {
            call.open.push(Opened { id, payload: payload.into() });
        }
        Ok(())
    }

    pub(crate) fn settled(&mut self, row: &AttemptRow, segment: u32) {
        let call = self.pin(row.id.call, segment);
        if call.settled.iter().all(|other| other.id != row.id) {
            call.open.retain(|open| open.id != row.id);
            call.settled.push(row.clone());
        }
    }

    /// Whether a record that was carried on still says something: its call may have ended meanwhile.
    pub(crate) fn heeds(&self, call: CallId) -> bool {
        self.calls.contains_key(&call) || self.ended.as_ref().is_some_and(|ended| !ended.contains(&call))
    }

    /// The records of calls under way that stand in `segment`, to be written again elsewhere, if they are not longer
    /// than `most`; and whose they are.
    pub(crate) fn to_carry(&self, segment: u32, most: usize) -> Option<(Vec<CallId>, Vec<u8>)> {
        // No record is shorter than this, so a crowded segment is passed over without looking at each call.
        const SHORTEST: usize = 100;
        if *self.pins.get(&segment)? as usize * SHORTEST > most {
            return None;
        }
        let mut calls = Vec::new();
        let mut frames = Vec::new();
        for (id, call) in self.calls.iter().filter(|(_, call)| call.segments.contains(&segment)) {
            calls.push(*id);
            for open in &call.open {
                frame::push(&mut frames, Kind::CarriedOpen, |out| out.extend_from_slice(&open.payload));
            }
            for row in &call.settled {
                frame::push(&mut frames, Kind::CarriedSettle, |out| codec::put_attempt(out, row));
            }
            if frames.len() > most {
                return None;
            }
        }
        Some((calls, frames))
    }

    /// Tells that the records of these calls in `segment` stand elsewhere too.
    pub(crate) fn carried(&mut self, calls: &[CallId], segment: u32) {
        for id in calls {
            let Some(call) = self.calls.get_mut(id) else { continue };
            if let Some(at) = call.segments.iter().position(|pinned| *pinned == segment) {
                call.segments.swap_remove(at);
                self.unpin(segment);
            }
        }
    }

    /// Forgets a call whose row was read. Rows of its attempts that damage made unreadable are made up for: a single
    /// one is what the call has more than its other attempts.
    pub(crate) fn ended_with(&mut self, row: &CallRow) -> Vec<AttemptRow> {
        if let Some(ended) = &mut self.ended {
            ended.insert(row.id);
        }
        let Some(call) = self.calls.get(&row.id) else { return Vec::new() };
        let sum = call.sum();
        let reason = "its record is damaged";
        let mut lost: Vec<_> =
            call.opens().map(|open| open.abandoned(State::Orphaned, row.ended_at, reason)).collect();
        if let [lost] = &mut lost[..]
            && row.attempts == sum.attempts + 1
        {
            lost.usage = difference(&row.usage, &sum.usage);
            lost.usage_source = row.usage_source;
            lost.cost_nanousd = row.cost_nanousd.zip(sum.cost_nanousd).map(|(all, others)| all - others);
        }
        self.ended(row.id);
        lost
    }

    /// Forgets a call whose row is written.
    pub(crate) fn ended(&mut self, call: CallId) {
        let Some(call) = self.calls.remove(&call) else { return };
        call.segments.into_iter().for_each(|segment| self.unpin(segment));
    }

    /// Whether a call under way has a record in this segment.
    pub(crate) fn pins(&self, segment: u32) -> bool {
        self.pins.contains_key(&segment)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The rows that close up to `limit` calls whose process is dead. The calls stay until [`Live::ended`] is told.
    pub(crate) fn orphans(&self, limit: usize, now: Micros) -> Batch {
        let mut batch = Batch::default();
        for call in self.calls.values().take(limit) {
            let mut sum = call.sum();
            let mut last = call.settled.iter().max_by_key(|row| row.id).cloned();
            for open in call.opens() {
                let row = open.abandoned(State::Orphaned, now, "found open after a crash");
                sum.add(&row);
                last = last.filter(|last| last.id > row.id).or_else(|| Some(row.clone()));
                batch.attempts.push(row);
            }
            if let Some(last) = last {
                batch.calls.push(CallRow::abandoned(&last, &sum, End::Orphaned, now));
            }
        }
        batch.sort();
        batch
    }

    fn unpin(&mut self, segment: u32) {
        if let Some(pins) = self.pins.get_mut(&segment) {
            *pins -= 1;
            if *pins == 0 {
                self.pins.remove(&segment);
            }
        }
    }

    fn pin(&mut self, id: CallId, segment: u32) -> &mut LiveCall {
        let call = self.calls.entry(id).or_default();
        if !call.segments.contains(&segment) {
            call.segments.push(segment);
            *self.pins.entry(segment).or_default() += 1;
        }
        call
    }
}

impl LiveCall {
    fn opens(&self) -> impl Iterator<Item = Open> {
        self.open.iter().filter_map(Opened::read)
    }

    fn knows(&self, n: u16) -> bool {
        self.open.iter().any(|open| open.id.n == n) || self.settled.iter().any(|row| row.id.n == n)
    }

    fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        self.settled.iter().for_each(|row| sum.add(row));
        sum
    }
}

fn difference(all: &Usage, others: &Usage) -> Usage {
    let mut left = Usage::new();
    for ((class, unit), count) in all.iter() {
        left.set_in(class, unit, count.saturating_sub(others.get(class, unit)));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::{UsageSource, sample};

    fn opened(live: &mut Live, open: &Open, segment: u32) {
        let mut payload = Vec::new();
        codec::put_open(&mut payload, open);
        live.opened(&payload, segment).unwrap();
    }

    #[test]
    fn a_call_pins_each_of_its_segments_until_it_ends() {
        let mut live = Live::default();
        let id = CallId::at(1, &[1; 10]);
        let open = sample::open(id, 1, &sample::facts(0));
        opened(&mut live, &open, 3);
        live.settled(&sample::settled(&open, 5), 4);
        opened(&mut live, &sample::open(id, 2, &open.facts), 4);
        assert!(live.pins(3) && live.pins(4) && !live.pins(5));
        live.ended(id);
        assert!(!live.pins(3) && !live.pins(4) && live.is_empty());
    }

    #[test]
    fn orphans_are_charged_their_bound_and_summed_with_what_settled() {
        let mut live = Live::default();
        let id = CallId::at(1, &[1; 10]);
        let first = sample::open(id, 1, &sample::facts(0));
        let second = Open { bound_nanousd: Some(70), ..sample::open(id, 2, &first.facts) };
        let row = sample::settled(&first, 5);
        opened(&mut live, &first, 1);
        live.settled(&row, 1);
        live.settled(&row, 1);
        opened(&mut live, &second, 1);
        let batch = live.orphans(10, 99);
        let [attempt] = &batch.attempts[..] else { panic!("{batch:?}") };
        assert_eq!(
            (attempt.id.n, attempt.state, attempt.usage_source),
            (2, State::Orphaned, UsageSource::Bound)
        );
        let [call] = &batch.calls[..] else { panic!("{batch:?}") };
        assert_eq!((call.end, call.attempts, call.cost_nanousd), (End::Orphaned, 2, Some(75)));
    }

    #[test]
    fn a_call_between_two_attempts_is_closed_without_a_further_attempt() {
        let mut live = Live::default();
        let open = sample::open(CallId::at(1, &[1; 10]), 1, &sample::facts(0));
        opened(&mut live, &open, 1);
        live.settled(&sample::settled(&open, 5), 1);
        let batch = live.orphans(10, 99);
        assert_eq!((batch.attempts.len(), batch.calls.len(), batch.calls[0].cost_nanousd), (0, 1, Some(5)));
    }

    #[test]
    fn an_attempt_whose_row_is_lost_is_what_its_call_has_more() {
        let mut live = Live::default();
        let first = sample::open(CallId::at(1, &[1; 10]), 1, &sample::facts(0));
        let second = sample::open(first.id.call, 2, &first.facts);
        let (row, lost) = (sample::settled(&first, 5), sample::settled(&second, 7));
        let mut sum = Sum::default();
        sum.add(&row);
        sum.add(&lost);
        opened(&mut live, &first, 1);
        live.settled(&row, 1);
        opened(&mut live, &second, 1);
        let made_up = live.ended_with(&CallRow::abandoned(&lost, &sum, End::Complete, 9));
        let [made_up] = &made_up[..] else { panic!("{made_up:?}") };
        assert_eq!((made_up.id, made_up.cost_nanousd, &made_up.usage), (lost.id, Some(7), &lost.usage));
        assert_eq!((made_up.state, made_up.usage_source), (State::Orphaned, UsageSource::Reported));
        assert!(live.is_empty());
    }

    #[test]
    fn without_a_bound_the_cost_is_unknown() {
        let mut live = Live::default();
        let open = sample::open(CallId::at(1, &[1; 10]), 1, &sample::facts(0));
        opened(&mut live, &Open { bound_nanousd: None, ..open }, 1);
        let batch = live.orphans(10, 99);
        assert_eq!(
            (batch.attempts[0].cost_nanousd, batch.attempts[0].usage_source),
            (None, UsageSource::None)
        );
        assert_eq!(batch.calls[0].cost_nanousd, None);
    }
}
