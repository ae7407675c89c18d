//! The answers of the last day in this process's memory, within bounds, and those under way.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Refusal;
use super::recording::Recording;

/// How long an answer is the answer.
const LIFETIME: Duration = Duration::from_secs(86_400);
/// How many keys are remembered. Beyond it the oldest are forgotten.
const MAX_KEYS: usize = 100_000;
/// How much all answers may take, in bytes.
const MAX_BYTES: usize = 64 << 20;

pub type Hash = [u8; 32];

/// The answers of the last day.
#[derive(Default)]
pub struct Answers(Mutex<Table>);

/// What becomes of a call that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its answer is the answer to all that follow.
    Kept,
    /// It came to nothing and cost nothing: it may run again.
    Released,
    /// It cost something, and there is no answer to give again.
    Lost,
}

#[derive(Default)]
struct Table {
    entries: HashMap<Hash, Entry>,
    /// In the order in which they began.
    order: VecDeque<(Hash, u64)>,
    serial: u64,
    bytes: usize,
}

struct Entry {
    request: Hash,
    serial: u64,
    began: Instant,
    /// `None`: it is lost.
    answer: Option<Arc<Recording>>,
    /// What it takes of the bytes allowed; 0 while it runs.
    bytes: usize,
}

/// What a key means for a call.
pub enum Claim {
    /// It is the first: it runs, and fills the recording.
    First(Ticket),
    /// It was asked before.
    Again(Arc<Recording>),
}

/// The right, and the duty, to answer for a key. Dropped before its end, it leaves no trace but a broken answer.
pub struct Ticket {
    answers: Arc<Answers>,
    id: Hash,
    serial: u64,
    /// What is answered.
    pub recording: Arc<Recording>,
    /// How large the answer is, in bytes.
    pub size: usize,
}

impl Answers {
    /// What a key means for a request.
    ///
    /// # Errors
    /// It stands for another request, or its answer is not kept any more.
    pub fn claim(self: &Arc<Self>, id: Hash, request: Hash, now: Instant) -> Result<Claim, Refusal> {
        let mut table = self.0.lock();
        table.forget_old(now);
        if let Some(entry) = table.entries.get(&id) {
            if entry.request != request {
                return Err(Refusal::OtherRequest);
            }
            return entry.answer.clone().map(Claim::Again).ok_or(Refusal::NotKept);
        }
        table.serial += 1;
        let (serial, recording) = (table.serial, Arc::new(Recording::default()));
        let entry = Entry { request, serial, began: now, answer: Some(recording.clone()), bytes: 0 };
        table.entries.insert(id, entry);
        table.order.push_back((id, serial));
        Ok(Claim::First(Ticket { answers: self.clone(), id, serial, recording, size: 0 }))
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.0.lock().bytes
    }
}

impl Table {
    fn forget_old(&mut self, now: Instant) {
        while let Some((id, serial)) = self.order.front().copied() {
            let entry = self.entries.get(&id).filter(|entry| entry.serial == serial);
            let old = entry.is_none_or(|entry| now.duration_since(entry.began) >= LIFETIME);
            if !old && self.order.len() <= MAX_KEYS {
                return;
            }
            self.order.pop_front();
            if let Some(bytes) = entry.map(|entry| entry.bytes) {
                self.bytes -= bytes;
                self.entries.remove(&id);
            }
        }
    }

    /// Forgets the oldest answers, until the others have room. Who asks for one again asks the store.
    fn make_room(&mut self) {
        let Table { entries, order, bytes, .. } = self;
        for (id, serial) in order.iter() {
            if *bytes <= MAX_BYTES {
                return;
            }
            if entries.get(id).is_some_and(|entry| entry.serial == *serial && entry.bytes > 0)
                && let Some(entry) = entries.remove(id)
            {
                *bytes -= entry.bytes;
            }
        }
    }
}

impl Ticket {
    /// The call has ended; `whole`: its answer has, too.
    pub fn finish(self, whole: bool, fate: Fate) {
        self.recording.end(whole);
        let mut table = self.answers.0.lock();
        let entry = table.entries.get_mut(&self.id).filter(|entry| entry.serial == self.serial);
        match (entry, fate) {
            (Some(entry), Fate::Kept) => {
                entry.bytes = self.size.max(1);
                table.bytes += self.size.max(1);
                table.make_room();
            }
            (Some(entry), Fate::Lost) => entry.answer = None,
            _ => {}
        }
    }

    /// The call is not made here, and why.
    pub fn refuse(self, refusal: Refusal) {
        self.recording.refuse(refusal);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.recording.end(false);
        let mut table = self.answers.0.lock();
        let kept = |entry: &&Entry| entry.serial == self.serial && entry.bytes == 0 && entry.answer.is_some();
        if table.entries.get(&self.id).is_some_and(|entry| kept(&entry)) {
            table.entries.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(answers: &Arc<Answers>, id: u8, now: Instant) -> Ticket {
        match answers.claim([id; 32], [0; 32], now) {
            Ok(Claim::First(ticket)) => ticket,
            _ => panic!("{id} was asked before"),
        }
    }

    #[test]
    fn what_failed_without_cost_may_run_again_and_what_was_answered_may_not() {
        let (answers, now) = (Arc::new(Answers::default()), Instant::now());
        first(&answers, 1, now).finish(true, Fate::Released);
        first(&answers, 1, now).finish(true, Fate::Kept);
        assert!(matches!(answers.claim([1; 32], [0; 32], now), Ok(Claim::Again(_))));
        let other = answers.claim([1; 32], [9; 32], now).err();
        assert_eq!(other, Some(Refusal::OtherRequest));
        first(&answers, 3, now).finish(false, Fate::Lost);
        assert_eq!(answers.claim([3; 32], [0; 32], now).err(), Some(Refusal::NotKept));
        // One that never came to its end leaves nothing.
        drop(first(&answers, 2, now));
        first(&answers, 2, now).finish(true, Fate::Kept);
    }

    #[test]
    fn a_day_later_a_key_is_new() {
        let (answers, now) = (Arc::new(Answers::default()), Instant::now());
        first(&answers, 1, now).finish(true, Fate::Kept);
        assert!(matches!(answers.claim([1; 32], [0; 32], now + LIFETIME / 2), Ok(Claim::Again(_))));
        first(&answers, 1, now + LIFETIME).finish(true, Fate::Kept);
        assert_eq!(answers.bytes(), 1);
    }

    #[test]
    fn answers_stay_within_their_bounds_and_the_oldest_are_asked_of_the_store() {
        let (answers, now) = (Arc::new(Answers::default()), Instant::now());
        for id in 0..20 {
            let mut ticket = first(&answers, id, now);
            ticket.size = 10 << 20;
            ticket.finish(true, Fate::Kept);
            assert!(answers.bytes() <= MAX_BYTES);
        }
        assert!(matches!(answers.claim([0; 32], [0; 32], now), Ok(Claim::First(_))));
        assert!(matches!(answers.claim([19; 32], [0; 32], now), Ok(Claim::Again(_))));
    }
}
