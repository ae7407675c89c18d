//! `idempotency-key` for calls to models: the same key of the same caller within a day is one upstream call, one charge and
//! the same answer.
//!
//! The first call runs in a task of its own, so that it comes to its end though its client leaves: a client that lost its
//! connection gets the whole answer when it asks again. Who asks while it runs reads along. Answers are kept in the memory
//! of this process, within bounds; a restart forgets them, and another replica does not know them. An answer that had to
//! make room is not made again within the day: its key is refused.

mod recording;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use weir_adapter::InvalidRequest;
use weir_gateway::{Call, GatewayError};

use crate::respond::ResponseBody;
use recording::Recording;

/// The header that opts in.
pub const HEADER: &str = "idempotency-key";
/// How long an answer is the answer.
const LIFETIME: Duration = Duration::from_secs(86_400);
/// How many keys are remembered. Beyond it the oldest are forgotten.
const MAX_KEYS: usize = 100_000;
/// How much all answers may take, in bytes.
const MAX_BYTES: usize = 64 << 20;
/// How large one answer may be, in bytes. A larger one breaks off.
const MAX_ANSWER: usize = 32 << 20;
/// The longest key, in bytes.
const MAX_KEY: usize = 255;

type Hash = [u8; 32];

/// The answers of the last day.
#[derive(Default)]
pub struct Answers(Mutex<Table>);

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
    /// `None`: it had to make room.
    answer: Option<Arc<Recording>>,
    /// What it takes of the bytes allowed; 0 while it runs.
    bytes: usize,
}

/// What a key means for a call.
enum Claim {
    /// It is the first: it runs, and fills the recording.
    First(Ticket),
    /// It was asked before.
    Again(Arc<Recording>),
}

/// The right, and the duty, to answer for a key. Dropped before its end, it leaves no trace but a broken answer.
struct Ticket {
    answers: Arc<Answers>,
    id: Hash,
    serial: u64,
    recording: Arc<Recording>,
    size: usize,
}

/// The key that a request carries.
///
/// # Errors
/// One that is empty, too long, twice there or not visible ASCII.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, GatewayError> {
    let mut all = headers.get_all(HEADER).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let text = value.to_str().ok().map(str::trim).filter(|text| (1..=MAX_KEY).contains(&text.len()));
    match (text, all.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        _ => Err(InvalidRequest {
            message: format!("`{HEADER}` must be visible ASCII of 1 to {MAX_KEY} bytes, once"),
            code: "invalid_value",
            param: Some(HEADER.to_owned()),
        }
        .into()),
    }
}

/// Answers a call once: `run` is called for the first with its key, all others get the same.
///
/// # Errors
/// The key stands for another request, or its answer is not kept any more.
pub async fn once<F>(
    answers: &Arc<Answers>,
    key: &str,
    call: &Arc<Call>,
    run: impl FnOnce() -> F,
) -> Result<Response<ResponseBody>, GatewayError>
where
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let digest = |parts: &[&[u8]]| {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Hash::from(hash.finalize())
    };
    let id = digest(&[call.caller.name.as_bytes(), key.as_bytes()]);
    let (facts, request) = (&call.facts, &call.request);
    let query = request.query.as_deref().unwrap_or_default();
    let what =
        [facts.dialect.as_bytes(), facts.operation.as_bytes(), facts.route.as_bytes(), query.as_bytes()];
    match answers.claim(id, digest(&[&what[..], &[request.raw()]].concat()), Instant::now())? {
        Claim::Again(recording) => recording.response(true).await,
        Claim::First(ticket) => {
            let (recording, running, call) = (ticket.recording.clone(), run(), call.clone());
            tokio::spawn(async move { record(ticket, running, &call).await });
            recording.response(false).await
        }
    }
}

/// Runs a call to its end, whoever reads along.
async fn record(mut ticket: Ticket, running: impl Future<Output = Response<ResponseBody>>, call: &Call) {
    let (head, mut body) = running.await.into_parts();
    let status = head.status;
    ticket.recording.head(status, head.headers);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return };
        let data: Bytes = frame.into_data().unwrap_or_default();
        ticket.size += data.len();
        if ticket.size > MAX_ANSWER {
            return;
        }
        ticket.recording.push(data);
    }
    // What failed and cost nothing may be tried again.
    let free = call.progress.lock().sum.cost_nanousd == Some(0);
    ticket.finish(status.as_u16() < 400 || !free);
}

impl Answers {
    fn claim(self: &Arc<Self>, id: Hash, request: Hash, now: Instant) -> Result<Claim, GatewayError> {
        let mut table = self.0.lock();
        table.forget_old(now);
        if let Some(entry) = table.entries.get(&id) {
            let refuse =
                |message: &str| GatewayError::Conflict { code: "conflict", message: message.to_owned() };
            if entry.request != request {
                return Err(refuse("this `idempotency-key` was sent with another request; use a new one"));
            }
            let gone = "this request was answered, and its answer is not kept any more; send it with a new `idempotency-key` to have it made, and charged, again";
            return entry.answer.clone().map(Claim::Again).ok_or_else(|| refuse(gone));
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

    fn make_room(&mut self) {
        let Table { entries, order, bytes, .. } = self;
        for (id, serial) in order.iter() {
            if *bytes <= MAX_BYTES {
                return;
            }
            if let Some(entry) =
                entries.get_mut(id).filter(|entry| entry.serial == *serial && entry.bytes > 0)
            {
                *bytes -= std::mem::take(&mut entry.bytes);
                entry.answer = None;
            }
        }
    }
}

impl Ticket {
    /// The answer is whole. Kept, it is the answer to all that follow.
    fn finish(self, keep: bool) {
        self.recording.end(true);
        if keep {
            let mut table = self.answers.0.lock();
            if let Some(entry) = table.entries.get_mut(&self.id).filter(|entry| entry.serial == self.serial) {
                entry.bytes = self.size.max(1);
                table.bytes += self.size.max(1);
            }
            table.make_room();
        }
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
        first(&answers, 1, now).finish(false);
        first(&answers, 1, now).finish(true);
        assert!(matches!(answers.claim([1; 32], [0; 32], now), Ok(Claim::Again(_))));
        let other = answers.claim([1; 32], [9; 32], now).err();
        assert!(other.is_some_and(|error| error.status() == 409));
        // One that never came to its end leaves nothing.
        drop(first(&answers, 2, now));
        first(&answers, 2, now).finish(true);
    }

    #[test]
    fn a_day_later_a_key_is_new() {
        let (answers, now) = (Arc::new(Answers::default()), Instant::now());
        first(&answers, 1, now).finish(true);
        assert!(matches!(answers.claim([1; 32], [0; 32], now + LIFETIME / 2), Ok(Claim::Again(_))));
        first(&answers, 1, now + LIFETIME).finish(true);
        assert_eq!(answers.bytes(), 1);
    }

    #[test]
    fn answers_stay_within_their_bounds_and_are_never_made_twice() {
        let (answers, now) = (Arc::new(Answers::default()), Instant::now());
        for id in 0..20 {
            let mut ticket = first(&answers, id, now);
            ticket.size = 10 << 20;
            ticket.finish(true);
            assert!(answers.bytes() <= MAX_BYTES);
        }
        let old = answers.claim([0; 32], [0; 32], now).err();
        assert!(old.is_some_and(|error| error.status() == 409));
        assert!(matches!(answers.claim([19; 32], [0; 32], now), Ok(Claim::Again(_))));
    }
}
