//! Answers of the Responses API that weir keeps, so that clients can go on from them over any provider.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::row::Micros;
use crate::store::Answer;

/// How long an answer is kept: thirty days, as OpenAI keeps them.
pub const KEPT_FOR: Micros = 30 * 86_400 * 1_000_000;

/// The longest chain of answers that is followed.
pub const MAX_CHAIN: usize = 1_000;

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptResponse {
    /// Whose it is: the name of the caller's key.
    pub owner: String,
    /// Its id, as the client has it.
    pub id: String,
    /// The answer that it goes on from.
    pub previous: Option<String>,
    /// When it was made.
    pub created_at: Micros,
    /// When it is forgotten.
    pub expires_at: Micros,
    /// The input items of this turn alone, a JSON list.
    pub input: String,
    /// The response object, as the client got it.
    pub body: String,
}

/// Where answers are kept. Nobody gets another owner's.
pub trait ResponseStore: Send + Sync {
    /// Keeps an answer, and forgets some that have expired.
    fn keep<'a>(&'a self, response: &'a KeptResponse) -> Answer<'a, ()>;
    /// An answer and all that it goes on from, oldest first. Empty where there is none; a chain with a missing link
    /// begins with an answer that has a `previous`.
    fn chain<'a>(&'a self, owner: &'a str, id: &'a str, now: Micros) -> Answer<'a, Vec<KeptResponse>>;
    /// Forgets an answer; whether there was one.
    fn forget<'a>(&'a self, owner: &'a str, id: &'a str) -> Answer<'a, bool>;
}

/// Keeps answers as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryResponses(Mutex<BTreeMap<(String, String), KeptResponse>>);

impl ResponseStore for MemoryResponses {
    fn keep<'a>(&'a self, response: &'a KeptResponse) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut kept = self.0.lock();
            kept.retain(|_, old| old.expires_at > response.created_at);
            kept.insert((response.owner.clone(), response.id.clone()), response.clone());
            Ok(())
        })
    }

    fn chain<'a>(&'a self, owner: &'a str, id: &'a str, now: Micros) -> Answer<'a, Vec<KeptResponse>> {
        Box::pin(async move {
            let kept = self.0.lock();
            let (mut chain, mut next) = (Vec::new(), Some(id.to_owned()));
            while let Some(id) = next.take().filter(|_| chain.len() < MAX_CHAIN) {
                let found = kept.get(&(owner.to_owned(), id)).filter(|found| found.expires_at > now);
                next = found.and_then(|found| found.previous.clone());
                chain.extend(found.cloned());
            }
            chain.reverse();
            Ok(chain)
        })
    }

    fn forget<'a>(&'a self, owner: &'a str, id: &'a str) -> Answer<'a, bool> {
        Box::pin(async move { Ok(self.0.lock().remove(&(owner.to_owned(), id.to_owned())).is_some()) })
    }
}
