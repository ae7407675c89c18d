//! `idempotency-key` for calls to models: the same key of the same caller within a day is one upstream call, one charge and
//! the same answer, through restarts and over all replicas on one store.
//!
//! The store decides who runs a call ([`share`]); the memory of the process ([`table`]) spares it the question where the
//! call is known, and lets those who come meanwhile read along. A call without the header asks neither. The first call
//! runs in a task of its own, so that it comes to its end though its client leaves: a client that lost its connection gets
//! the whole answer when it asks again.
//!
//! Where the store can't be asked, nobody can tell whether the call was made elsewhere: it is refused (503), not charged
//! twice. So is one whose process died under way (409).

mod recording;
mod share;
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use weir_adapter::InvalidRequest;
use weir_gateway::{Call, GatewayError};

use crate::app::App;
use crate::extract::request::one;
use crate::respond::ResponseBody;
use share::{Share, Turn};
use table::{Claim, Fate, Hash, Ticket};

pub use share::Sharing;
pub use table::Answers;

/// The header that opts in.
pub const HEADER: &str = "idempotency-key";
/// How large one answer may be, in bytes. A larger one breaks off.
const MAX_ANSWER: usize = 32 << 20;
/// The longest key, in bytes.
const MAX_KEY: usize = 255;
/// How long the end of a failure waits until others may use its key.
const RELEASED_WITHIN: Duration = Duration::from_secs(2);
/// How keys begin that an SDK makes by itself for its own retries.
const MADE_BY_SDK: &str = "stainless-";

/// Why a call with a key is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The key stands for another request.
    OtherRequest,
    /// It was answered, and the answer is not kept.
    NotKept,
    /// The process that made the call ended before its answer did.
    Orphaned,
    /// The store can't be asked.
    StoreAway,
}

impl From<Refusal> for GatewayError {
    fn from(refusal: Refusal) -> GatewayError {
        let message = match refusal {
            Refusal::OtherRequest => "this `idempotency-key` was sent with another request; use a new one",
            Refusal::NotKept => {
                "this request was answered, and its answer is not kept any more; send it with a new `idempotency-key` to have it made, and charged, again"
            }
            Refusal::Orphaned => {
                "the process that made this call ended before its answer was whole; it may have been charged: see `/admin/v1/requests`, then send it with a new `idempotency-key` to have it made again"
            }
            Refusal::StoreAway => {
                return GatewayError::Overloaded {
                    code: "store_unavailable",
                    message: "the store does not answer now, so nobody can tell whether this call was made before; nothing was sent: try again, or leave `idempotency-key` out",
                    retry_after: Duration::from_secs(1),
                };
            }
        };
        GatewayError::Conflict { code: "conflict", message: message.to_owned() }
    }
}

/// The key that a request carries.
///
/// # Errors
/// One that is empty, too long, twice there or not visible ASCII.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, GatewayError> {
    if one(headers, HEADER).is_none() {
        return Ok(None);
    }
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

/// Answers a call once: `run` is polled for the first with its key, all others get the same.
///
/// # Errors
/// A [`Refusal`].
pub async fn once<F>(
    app: &Arc<App>,
    key: &str,
    call: &Arc<Call>,
    run: impl FnOnce() -> F,
) -> Result<Response<ResponseBody>, GatewayError>
where
    F: Future<Output = Response<ResponseBody>> + Send + 'static,
{
    let (id, digest) = (digest(&[call.caller.name.as_bytes(), key.as_bytes()]), digest_of(call)?);
    match app.answers.claim(id, digest, Instant::now())? {
        Claim::Again(recording) => recording.response(true).await,
        Claim::First(ticket) => {
            let share = Share::new(app, &call.caller.name, key, (id, digest));
            let (recording, running, call) = (ticket.recording.clone(), run(), call.clone());
            let alone = key.starts_with(MADE_BY_SDK);
            tokio::spawn(async move { lead(ticket, share, running, &call, alone).await });
            recording.response(false).await
        }
    }
}

fn digest(parts: &[&[u8]]) -> Hash {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// What stands for the request.
///
/// # Errors
/// A form that streams.
fn digest_of(call: &Call) -> Result<Hash, InvalidRequest> {
    let (facts, request) = (&call.facts, &call.request);
    let query = request.query.as_deref().unwrap_or_default();
    let file: &[u8] = match &request.upload {
        None => b"",
        Some(upload) if upload.is_whole() => &upload.head,
        Some(_) => return Err(streams()),
    };
    Ok(digest(&[
        facts.dialect.as_bytes(),
        facts.operation.as_bytes(),
        facts.route.as_bytes(),
        query.as_bytes(),
        request.raw(),
        file,
    ]))
}

/// What a form that streams can't have: nobody knows whether two of them are the same.
fn streams() -> InvalidRequest {
    InvalidRequest {
        message: format!(
            "`{HEADER}` works with forms up to 1 MiB, or with the file before `model`; leave it out for this one"
        ),
        code: "invalid_value",
        param: Some(HEADER.to_owned()),
    }
}

/// Makes the call, or gets its answer from where it was made. `alone`: without the store, this process's word is enough.
async fn lead(
    ticket: Ticket,
    share: Share,
    running: impl Future<Output = Response<ResponseBody>>,
    call: &Call,
    alone: bool,
) {
    match share.turn().await {
        Ok(Turn::Run(held)) => {
            let ended = record(ticket, running, call).await;
            // Who has read a failure to its end may send another request with the key, wherever it goes.
            if ended.fate == Fate::Released {
                let told = tokio::spawn(async move { held.end(None, Fate::Released).await });
                drop(tokio::time::timeout(RELEASED_WITHIN, told).await);
                ended.finish();
            } else {
                let (recording, fate) = (ended.ticket.recording.clone(), ended.fate);
                ended.finish();
                held.end(Some(&recording), fate).await;
            }
        }
        Ok(Turn::Answered(kept)) => kept.give(ticket),
        Err(Refusal::StoreAway) if alone => record(ticket, running, call).await.finish(),
        Err(refusal) => ticket.refuse(refusal),
    }
}

/// A call that has come to its end, of which those who read along don't know yet.
struct Ended {
    ticket: Ticket,
    /// Whether its answer did, too.
    whole: bool,
    fate: Fate,
}

impl Ended {
    fn finish(self) {
        self.ticket.finish(self.whole, self.fate);
    }
}

/// Runs a call to its end, whoever reads along.
async fn record(
    mut ticket: Ticket,
    running: impl Future<Output = Response<ResponseBody>>,
    call: &Call,
) -> Ended {
    let recording = ticket.recording.clone();
    let (head, mut body) = running.await.into_parts();
    let status = head.status;
    recording.head(status, head.headers);
    let mut whole = true;
    while let Some(frame) = body.frame().await {
        let data = frame.map(|frame| frame.into_data().unwrap_or_default());
        ticket.size += data.as_ref().map_or(0, Bytes::len);
        let Some(data) = data.ok().filter(|_| ticket.size <= MAX_ANSWER) else {
            whole = false;
            break;
        };
        recording.push(data);
    }
    // What failed and cost nothing may be tried again.
    let free = call.progress.lock().sum.cost_nanousd == Some(0);
    let fate = match (whole, free) {
        (true, _) if status.as_u16() < 400 || !free => Fate::Kept,
        (_, true) => Fate::Released,
        _ => Fate::Lost,
    };
    Ended { ticket, whole, fate }
}
