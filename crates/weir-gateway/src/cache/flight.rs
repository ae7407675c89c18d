//! Equal calls at the same time: one asks, the others wait for its answer.
//!
//! Who leads and leaves (its client went away) hands over to one of those who wait. Who leads and fails sends all of
//! them on their own ways: a provider that is down must not be asked by one after the other.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Answer, Key};

/// How a leader's call ended.
#[derive(Clone)]
pub(crate) enum Landing {
    /// Not yet.
    Flying,
    /// With an answer for all.
    Answer(Arc<Answer>),
    /// Without one.
    Failed,
    /// The leader's client left.
    Left,
}

/// All flights under way.
#[derive(Default)]
pub(crate) struct Flights {
    shards: [Mutex<HashMap<Key, watch::Receiver<Landing>>>; 16],
}

/// What a call is in its flight.
pub(crate) enum Seat {
    /// It asks.
    Leader(Lead),
    /// It waits.
    Follower(Follower),
}

/// The one that asks. Dropped without a word, it has left.
pub(crate) struct Lead {
    flights: Arc<Flights>,
    key: Key,
    tell: Option<watch::Sender<Landing>>,
}

/// One that waits.
pub(crate) struct Follower(watch::Receiver<Landing>);

impl Flights {
    /// A seat in the flight of this key.
    pub(crate) fn join(self: &Arc<Flights>, key: Key) -> Seat {
        let mut shard = self.shard(&key).lock();
        match shard.get(&key) {
            Some(flight) => Seat::Follower(Follower(flight.clone())),
            None => {
                let (tell, flight) = watch::channel(Landing::Flying);
                shard.insert(key, flight);
                Seat::Leader(Lead { flights: self.clone(), key, tell: Some(tell) })
            }
        }
    }

    fn shard(&self, key: &Key) -> &Mutex<HashMap<Key, watch::Receiver<Landing>>> {
        &self.shards[usize::from(key[0]) % self.shards.len()]
    }
}

impl Lead {
    /// Tells those who wait.
    pub(crate) fn land(mut self, landing: Landing) {
        self.end(landing);
    }

    fn end(&mut self, landing: Landing) {
        if let Some(tell) = self.tell.take() {
            // First out of the table, so that who comes now is no follower of what is over.
            self.flights.shard(&self.key).lock().remove(&self.key);
            tell.send_replace(landing);
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.end(Landing::Left);
    }
}

impl Follower {
    /// How the flight ends; `Failed` where it takes longer than `until`.
    pub(crate) async fn wait(mut self, until: Instant) -> Landing {
        let landed = self.0.wait_for(|landing| !matches!(landing, Landing::Flying));
        match tokio::time::timeout_at(until, landed).await {
            Ok(Ok(landing)) => landing.clone(),
            Ok(Err(_)) => Landing::Left,
            Err(_) => Landing::Failed,
        }
    }
}
