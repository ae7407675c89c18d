//! A call's place in the ledger: room for its records, and the certainty that they are written.
//!
//! A `Room` that is dropped before [`Room::finish`] closes what it opened by itself: a handler that panics or is
//! dropped loses no row.

use std::cell::RefCell;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Inner;
use crate::row::{AttemptId, AttemptRow, CallRow, End, Open, State, Sum};
use crate::spool::codec::{self, CALL_EXTRA, SETTLE_EXTRA};
use crate::spool::frame::{self, Kind};
use crate::spool::{OpenError, Position, Write};
use crate::stats;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Room in the spool for one call, from before it is routed until its row is written.
pub struct Room {
    inner: Arc<Inner>,
    state: Mutex<Progress>,
}

/// What is written of the call, and what is still to be.
#[derive(Default)]
struct Progress {
    /// Bytes set aside.
    held: u64,
    /// Bytes for the call's row, known once an attempt is open.
    call_bytes: u64,
    /// Attempts under way, each with the bytes set aside for its row.
    open: Vec<(Open, u64)>,
    settled: Vec<AttemptId>,
    sum: Sum,
    last: Option<AttemptRow>,
    finished: bool,
    /// When its records are given to the system.
    write: Write,
}

impl Room {
    pub(super) fn new(inner: Arc<Inner>, held: u64) -> Room {
        Room { inner, state: Mutex::new(Progress { held, ..Progress::default() }) }
    }

    /// Lets the records of this call be gathered with those of others. Whoever says so calls [`Room::flush_gathered`]
    /// before an attempt is sent, and [`Ledger::flush_gathered`](super::Ledger::flush_gathered) before an answer is.
    pub fn gather(&self) {
        self.state.lock().write = Write::Gathered;
    }

    /// Records that an attempt is about to be dispatched. On an error it must not be, nor before
    /// [`Room::flush_gathered`] where the record is gathered.
    pub fn open(&self, open: &Open) -> Result<(), OpenError> {
        let mut state = self.state.lock();
        with_scratch(|frames| {
            frame::push(frames, Kind::Open, |out| codec::put_open(out, open));
            let len = frames.len() as u64;
            let call_bytes = state.call_bytes.max(len + CALL_EXTRA);
            let under_way: u64 = state.open.iter().map(|(_, bytes)| *bytes).sum();
            let keep = under_way + len + SETTLE_EXTRA + call_bytes;
            state.held = self.inner.spool.open(frames, state.held, keep, state.write)?;
            state.call_bytes = call_bytes;
            state.open.push((open.clone(), len + SETTLE_EXTRA));
            Ok(())
        })
    }

    /// Records how an attempt ended, where its call goes on. The last one goes into [`Room::finish`].
    pub fn settle(&self, row: &AttemptRow) -> Position {
        let mut state = self.state.lock();
        if state.finished || state.settled.contains(&row.id) {
            tracing::error!(attempt = %row.id, "an attempt was settled twice, the first time counts");
            return Position::default();
        }
        let release = state.take_open(row.id);
        state.held -= release;
        state.settled.push(row.id);
        state.sum.add(row);
        state.last = Some(row.clone());
        with_scratch(|frames| {
            frame::push(frames, Kind::Settle, |out| codec::put_attempt(out, row));
            self.inner.spool.append(frames, 1, release, Write::Now)
        })
    }

    /// Records how the call ended, together with its last attempt where that is not settled yet.
    pub fn finish(&self, call: &CallRow, last: Option<&AttemptRow>) -> Position {
        let mut state = self.state.lock();
        if state.finished {
            tracing::error!(call = %call.id, "a call was finished twice, the first time counts");
            return Position::default();
        }
        state.finished = true;
        let last = last.filter(|row| !state.settled.contains(&row.id));
        if let Some(row) = last {
            state.take_open(row.id);
        }
        self.write_end(&mut state, last, call)
    }

    /// Gives the gathered records of all calls to the system.
    pub fn flush_gathered(&self) -> Result<(), OpenError> {
        self.inner.spool.flush_gathered()
    }

    /// Ends as in a crash: nothing more is written.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn vanish(self) {
        self.state.lock().finished = true;
    }

    /// What the settled attempts add up to; the one passed to [`Room::finish`] is not among them.
    pub fn settled(&self) -> Sum {
        self.state.lock().sum.clone()
    }

    /// Writes the last attempt, what else is open, and the call, in one go, and gives all room back.
    fn write_end(&self, state: &mut Progress, last: Option<&AttemptRow>, call: &CallRow) -> Position {
        let left: Vec<AttemptRow> = state.open.drain(..).map(|(open, _)| self.abandon(&open)).collect();
        let release = std::mem::take(&mut state.held);
        with_scratch(|frames| {
            let settled = last.into_iter().chain(&left);
            let mut rows = 1;
            for row in settled {
                frame::push(frames, Kind::Settle, |out| codec::put_attempt(out, row));
                rows += 1;
            }
            frame::push(frames, Kind::Call, |out| codec::put_call(out, call));
            self.inner.spool.append(frames, rows, release, state.write)
        })
    }

    fn abandon(&self, open: &Open) -> AttemptRow {
        tracing::error!(attempt = %open.id, "an attempt was left open by its call, it is closed");
        open.abandoned(State::InternalError, (self.inner.now)(), "left open by its call")
    }
}

impl Progress {
    /// Forgets an attempt under way; how many bytes were set aside for its row.
    fn take_open(&mut self, id: AttemptId) -> u64 {
        let at = self.open.iter().position(|(open, _)| open.id == id);
        at.map_or(0, |at| self.open.swap_remove(at).1)
    }

    /// The row of a call that nobody finished, if it has an attempt.
    fn abandoned(&self, left: &[AttemptRow], now: i64) -> Option<CallRow> {
        let mut sum = self.sum.clone();
        left.iter().for_each(|row| sum.add(row));
        let last = left.iter().chain(&self.last).max_by_key(|row| row.id)?;
        Some(CallRow::abandoned(last, &sum, End::GatewayError, now))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut state = std::mem::take(self.state.get_mut());
        // Nothing of it may leave any more that would see to it.
        state.write = Write::Now;
        if state.finished {
            return;
        }
        let now = (self.inner.now)();
        let left: Vec<AttemptRow> = state
            .open
            .iter()
            .map(|(open, _)| open.abandoned(State::InternalError, now, "left open by its call"))
            .collect();
        match state.abandoned(&left, now) {
            Some(call) => {
                tracing::error!(call = %call.id, "a call ended without saying how, it is closed");
                stats::add(&self.inner.stats.abandoned, 1);
                self.write_end(&mut state, None, &call);
            }
            None => self.inner.spool.release(state.held),
        }
    }
}

fn with_scratch<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        write(scratch)
    })
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").finish_non_exhaustive()
    }
}
