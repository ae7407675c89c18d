//! The seam to a store that several replicas share their limits in. Futures of its methods end within a bounded time.

use std::pin::Pin;
use std::time::Duration;

use super::{Ask, Kind, Millis, Scope};

/// What a shared store says to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on; one answer for each limit asked, and how the store calls what was taken.
    Admitted {
        /// For each limit.
        answers: Vec<Answer>,
        /// What to give back or to correct later.
        taken: Taken,
    },
    /// It may not.
    Refused {
        /// Which of the limits asked.
        index: usize,
        /// When to come again; `None`: when one of the calls under way has ended.
        wait: Option<Duration>,
        /// For each limit.
        answers: Vec<Answer>,
    },
    /// The store can't be asked now.
    Lost(Loss),
}

/// How a limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// What is left.
    pub remaining: u64,
    /// Until nothing counts any more.
    pub reset: Duration,
}

/// What was taken of a shared store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The call, for limits on calls under way.
    pub call: u64,
    /// The store's own time, in milliseconds.
    pub at: Millis,
}

/// What holds while a shared store can't be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// This replica's share of each limit.
    Lease {
        /// Among how many replicas.
        replicas: u64,
        /// Which of them this is, from 0.
        rank: u64,
    },
    /// No call.
    Closed,
    /// Shared limits do not hold; each replica's own counts do not either.
    Open,
}

impl Loss {
    /// This replica's share of `limit`: those of all replicas add up to it.
    pub fn share(self, limit: u64) -> Option<u64> {
        match self {
            Loss::Lease { replicas, rank } => {
                let replicas = replicas.max(1);
                Some(limit / replicas + u64::from(rank < limit % replicas))
            }
            Loss::Closed => Some(0),
            Loss::Open => None,
        }
    }
}

/// What a replica has taken that the store does not know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Whose.
    pub scope: Scope,
    /// Its name.
    pub name: std::sync::Arc<str>,
    /// Of what.
    pub kind: Kind,
    /// How long ago it was taken, in milliseconds.
    pub age: Millis,
    /// How much.
    pub amount: u64,
}

/// A store that several replicas share.
pub trait Shared: Send + Sync {
    /// Takes what is asked, all or nothing.
    fn admit<'a>(&'a self, asks: &'a [Ask]) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

    /// Corrects what was taken, `asks` with what was asked and `truth` with what it came to; without waiting.
    fn settle(&self, taken: Taken, asks: &[Ask], truth: &[u64]);
}
