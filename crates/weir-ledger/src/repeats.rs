//! Calls with an idempotency key: who runs one, and what was answered. The store decides, so that it holds for all
//! processes on it and through their restarts.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::row::Micros;
use crate::store::Answer;

/// For how long a key stands for its call.
pub const REPEATS_FOR: Micros = 86_400 * 1_000_000;

/// A call that somebody wants to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What stands for the caller and the key.
    pub id: String,
    /// What stands for the request.
    pub digest: String,
    /// The process that wants to run it.
    pub instance: String,
    /// When.
    pub now: Micros,
}

/// A call that somebody has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The request that the key stands for.
    pub digest: String,
    /// The process that runs it, or ran it.
    pub instance: String,
    /// Counts up as long as that process runs it.
    pub beats: i64,
    /// Whether it has ended.
    pub ended: bool,
    /// The answer, sealed; `None` while it runs, and where it was not kept.
    pub answer: Option<String>,
}

/// Where it stands who runs which call. Each step is one statement: of several processes one is the first.
pub trait RepeatStore: Send + Sync {
    /// Claims a call: `None` if it is this process's to run, else how it stands.
    fn claim<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Option<Claimed>>;
    /// How a call stands; `None` where nobody has claimed it.
    fn claimed<'a>(&'a self, id: &'a str, now: Micros) -> Answer<'a, Option<Claimed>>;
    /// Counts up calls that a process runs, and forgets some that are too old.
    fn beat<'a>(&'a self, instance: &'a str, ids: &'a [String], now: Micros) -> Answer<'a, ()>;
    /// A call has ended; only the process that claimed it can say so.
    fn answered<'a>(&'a self, id: &'a str, instance: &'a str, answer: Option<&'a str>) -> Answer<'a, ()>;
    /// A call came to nothing and may run again; only the process that claimed it can say so.
    fn release<'a>(&'a self, id: &'a str, instance: &'a str) -> Answer<'a, ()>;
}

/// The plainest statement of it.
#[derive(Debug, Default)]
pub struct MemoryRepeats(Mutex<BTreeMap<String, (Micros, Claimed)>>);

impl RepeatStore for MemoryRepeats {
    fn claim<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Option<Claimed>> {
        Box::pin(async move {
            let mut all = self.0.lock();
            if let Some((_, claimed)) = all.get(&claim.id).filter(|(at, _)| *at > claim.now - REPEATS_FOR) {
                return Ok(Some(claimed.clone()));
            }
            let claimed = Claimed {
                digest: claim.digest.clone(),
                instance: claim.instance.clone(),
                beats: 0,
                ended: false,
                answer: None,
            };
            all.insert(claim.id.clone(), (claim.now, claimed));
            Ok(None)
        })
    }

    fn claimed<'a>(&'a self, id: &'a str, now: Micros) -> Answer<'a, Option<Claimed>> {
        Box::pin(async move {
            let all = self.0.lock();
            Ok(all.get(id).filter(|(at, _)| *at > now - REPEATS_FOR).map(|(_, claimed)| claimed.clone()))
        })
    }

    fn beat<'a>(&'a self, instance: &'a str, ids: &'a [String], now: Micros) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut all = self.0.lock();
            all.retain(|_, (at, _)| *at > now - REPEATS_FOR);
            for id in ids {
                if let Some((_, one)) =
                    all.get_mut(id).filter(|(_, one)| one.instance == instance && !one.ended)
                {
                    one.beats += 1;
                }
            }
            Ok(())
        })
    }

    fn answered<'a>(&'a self, id: &'a str, instance: &'a str, answer: Option<&'a str>) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut all = self.0.lock();
            if let Some((_, one)) = all.get_mut(id).filter(|(_, one)| one.instance == instance && !one.ended)
            {
                (one.ended, one.answer) = (true, answer.map(str::to_owned));
            }
            Ok(())
        })
    }

    fn release<'a>(&'a self, id: &'a str, instance: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut all = self.0.lock();
            if all.get(id).is_some_and(|(_, one)| one.instance == instance && !one.ended) {
                all.remove(id);
            }
            Ok(())
        })
    }
}
