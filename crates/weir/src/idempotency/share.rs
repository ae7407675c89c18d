//! Who runs a call, among all processes on one store; and what was answered, for those who did not.
//!
//! A claim is one statement. The process that has it counts the claim up every two seconds for as long as it runs the
//! call; the others wait for its end. A claim that nobody counts up any more is of a process that died: the call may have
//! been sent and charged, so it is not made again.
//!
//! The answer is sealed with the idempotency key, which is written down nowhere: who has the database alone can't read it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use uuid::Uuid;
use weir_ledger::repeats::{Claim, Claimed};
use weir_ledger::{Answer, Store};

use super::Refusal;
use super::recording::{REPLAYED, Recording};
use super::table::{Fate, Hash, Ticket};
use crate::app::App;
use crate::clock::unix_micros;
use crate::seal::{Seal, hex};

/// How often a claim is counted up.
const BEAT: Duration = Duration::from_secs(2);
/// After how long without it its process is taken for dead.
const SILENCE: Duration = Duration::from_secs(10);
/// How often those who wait look.
const LOOK: Duration = Duration::from_millis(100);
/// How long the store may take to say whose a call is.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long an end is told to a store that does not hear it.
const TELL_FOR: Duration = Duration::from_secs(600);
/// The largest answer that is kept in the store, in bytes.
const MAX_KEPT: usize = 4 << 20;

/// What all shared calls of the process have in common.
pub struct Sharing {
    instance: String,
    /// The claims that this process holds.
    held: Mutex<BTreeSet<String>>,
}

impl Default for Sharing {
    fn default() -> Sharing {
        Sharing { instance: Uuid::new_v4().to_string(), held: Mutex::default() }
    }
}

/// One call.
pub struct Share {
    store: Arc<dyn Store>,
    sharing: Arc<Sharing>,
    id: String,
    digest: String,
    seal: Seal,
}

/// Whose turn it is.
pub enum Turn {
    /// This process's.
    Run(Held),
    /// Another one's, or one before; this is its answer.
    Answered(Kept),
}

/// A claim that this process holds. Dropped before its end, the call counts as made and its answer as lost.
pub struct Held(Option<Share>);

/// An answer from the store.
pub struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Share {
    /// The call of a caller with a key; what stands for both, and for the request.
    pub fn new(app: &Arc<App>, caller: &str, key: &str, (id, digest): (Hash, Hash)) -> Share {
        Share {
            store: app.ledger.store().clone(),
            sharing: app.sharing.clone(),
            id: hex(&id),
            digest: hex(&digest),
            seal: Seal::new("answer to an idempotent call", &[caller, key]),
        }
    }

    /// Claims the call, or waits for the end of who has.
    ///
    /// # Errors
    /// The call is not to be made here, and there is no answer.
    pub async fn turn(self) -> Result<Turn, Refusal> {
        let mut seen = None;
        let mut since = Instant::now();
        loop {
            let Some(claimed) = self.claim().await? else { return Ok(Turn::Run(self.hold())) };
            if claimed.digest != self.digest {
                return Err(Refusal::OtherRequest);
            }
            if claimed.ended {
                let kept = claimed.answer.and_then(|answer| Kept::read(&self.seal, &answer));
                return kept.map(Turn::Answered).ok_or(Refusal::NotKept);
            }
            // A claim of this very process that it does not know of: its answer came too late to act on.
            if claimed.instance == self.sharing.instance && !self.sharing.held.lock().contains(&self.id) {
                return Ok(Turn::Run(self.hold()));
            }
            if seen != Some(claimed.beats) {
                (seen, since) = (Some(claimed.beats), Instant::now());
            } else if since.elapsed() > SILENCE {
                return Err(Refusal::Orphaned);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Looks first: who waits asks often, and changes nothing.
    async fn claim(&self) -> Result<Option<Claimed>, Refusal> {
        let now = unix_micros();
        let repeats = self.store.repeats();
        if let Some(claimed) = in_time(repeats.claimed(&self.id, now)).await? {
            return Ok(Some(claimed));
        }
        let claim = Claim {
            id: self.id.clone(),
            digest: self.digest.clone(),
            instance: self.sharing.instance.clone(),
            now,
        };
        in_time(repeats.claim(&claim)).await
    }

    fn hold(self) -> Held {
        let mut held = self.sharing.held.lock();
        if held.is_empty() {
            tokio::spawn(keep_beating(self.sharing.clone(), self.store.clone()));
        }
        held.insert(self.id.clone());
        drop(held);
        Held(Some(self))
    }

    /// Tells the store how the call ended, as often as it takes.
    async fn tell(self, answer: Option<String>, fate: Fate) {
        let (repeats, instance) = (self.store.repeats(), &self.sharing.instance);
        let (began, mut pause) = (Instant::now(), Duration::from_millis(100));
        loop {
            let told = match fate {
                Fate::Released => repeats.release(&self.id, instance).await,
                _ => repeats.answered(&self.id, instance, answer.as_deref()).await,
            };
            match told {
                Ok(()) => break,
                Err(error) if began.elapsed() > TELL_FOR => {
                    tracing::warn!(%error, cause = %error.cause, "the answer to an idempotent call is known to this process only");
                    break;
                }
                Err(_) => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
        self.sharing.held.lock().remove(&self.id);
    }
}

async fn in_time<T>(answer: Answer<'_, T>) -> Result<T, Refusal> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            tracing::warn!(%error, cause = %error.cause, "an idempotent call is not made: the store did not answer");
            Err(Refusal::StoreAway)
        }
        Err(_) => Err(Refusal::StoreAway),
    }
}

/// Counts up all claims of the process until there are none.
async fn keep_beating(sharing: Arc<Sharing>, store: Arc<dyn Store>) {
    loop {
        tokio::time::sleep(BEAT).await;
        let held: Vec<String> = sharing.held.lock().iter().cloned().collect();
        if let Err(error) = store.repeats().beat(&sharing.instance, &held, unix_micros()).await {
            tracing::debug!(%error, "claims could not be counted up");
        }
        if sharing.held.lock().is_empty() {
            return;
        }
    }
}

impl Held {
    /// The call has ended, with this answer.
    pub async fn end(mut self, recording: Option<&Recording>, fate: Fate) {
        let Some(share) = self.0.take() else { return };
        let whole = recording.filter(|_| fate == Fate::Kept).and_then(Recording::whole);
        let whole = whole.filter(|(_, _, body)| body.len() <= MAX_KEPT);
        let answer = whole.map(|(status, headers, body)| Kept { status, headers, body }.write(&share.seal));
        share.tell(answer, fate).await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let (Some(share), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(share.tell(None, Fate::Lost));
        }
    }
}

impl Kept {
    /// The answer, sealed, as text: a line of JSON with status and headers, then the body.
    fn write(&self, seal: &Seal) -> String {
        let header = |(name, value): (&HeaderName, &HeaderValue)| {
            json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())])
        };
        let headers: Vec<Value> = self.headers.iter().map(header).collect();
        let head = json!({ "status": self.status.as_u16(), "headers": headers }).to_string();
        STANDARD.encode(seal.seal(&[head.as_bytes(), b"\n", &self.body].concat()))
    }

    fn read(seal: &Seal, text: &str) -> Option<Kept> {
        let plain = seal.open(&STANDARD.decode(text).ok()?)?;
        let line = plain.iter().position(|byte| *byte == b'\n')?;
        let head: Value = serde_json::from_slice(&plain[..line]).ok()?;
        let mut headers = HeaderMap::new();
        for pair in head["headers"].as_array()? {
            let name: HeaderName = pair[0].as_str()?.parse().ok()?;
            headers.append(name, pair[1].as_str()?.parse().ok()?);
        }
        let status = StatusCode::from_u16(u16::try_from(head["status"].as_u64()?).ok()?).ok()?;
        Some(Kept { status, headers, body: plain[line + 1..].to_vec() })
    }

    /// Gives it to those who asked here.
    pub fn give(mut self, mut ticket: Ticket) {
        self.headers.insert(REPLAYED, HeaderValue::from_static("true"));
        ticket.recording.head(self.status, self.headers);
        ticket.size = self.body.len();
        ticket.recording.push(self.body.into());
        ticket.finish(true, Fate::Kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_out_of_the_store_as_it_went_in_and_for_nobody_else() {
        let mut headers = HeaderMap::new();
        headers.append("x-weir-cost", HeaderValue::from_static("0.001"));
        headers.append("set", HeaderValue::from_static("a"));
        headers.append("set", HeaderValue::from_static("b"));
        let seal = Seal::new("test", &["caller", "key"]);
        let kept = Kept { status: StatusCode::OK, headers: headers.clone(), body: b"one\ntwo \xff".to_vec() };
        let text = kept.write(&seal);
        assert!(!text.contains("cost") && !text.contains("two"));
        let read = Kept::read(&seal, &text).unwrap();
        assert_eq!((read.status, &read.headers, &read.body), (StatusCode::OK, &headers, &kept.body));
        assert!(Kept::read(&Seal::new("test", &["caller", "other"]), &text).is_none());
        assert!(Kept::read(&seal, "nothing").is_none());
    }
}
