//! Corrections, sent behind the calls' backs, and the calls under way.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use redis::Value;
use tokio::sync::mpsc;

use crate::link::Link;

/// What a call took, and what it came to.
pub(crate) struct Settled {
    pub epoch: String,
    pub member: Vec<u8>,
    pub at: u64,
    /// Key, taken, truth, span.
    pub limits: Vec<(Vec<u8>, u64, u64, u64)>,
}

/// How many corrections are under way to Redis at once.
const AT_ONCE: usize = 64;
/// Longer than a call waits: nobody does.
const PATIENCE: Duration = Duration::from_millis(500);

/// Sends corrections in the order in which calls ended.
pub async fn send(link: Weak<Link>, mut waiting: mpsc::Receiver<Settled>) {
    let mut batch = Vec::with_capacity(AT_ONCE);
    while waiting.recv_many(&mut batch, AT_ONCE).await > 0 {
        let Some(link) = link.upgrade() else { return };
        let Some(connection) = link.connection() else {
            // Redis is told of what still runs when it is back; what was taken counts until its window ends.
            batch.clear();
            continue;
        };
        let sent: Vec<_> = batch
            .drain(..)
            .map(|settled| {
                let (link, mut connection) = (link.clone(), connection.clone());
                tokio::spawn(async move {
                    let mut script = link.scripts.settle.key("{weir}:epoch");
                    script.arg(settled.epoch).arg(settled.member).arg(settled.at);
                    for (key, taken, truth, span) in settled.limits {
                        script.key(key);
                        script.arg(taken).arg(truth).arg(span);
                    }
                    drop(link.within(PATIENCE, script.invoke_async::<Value>(&mut connection)).await);
                })
            })
            .collect();
        for one in sent {
            drop(one.await);
        }
    }
}

/// Calls that count while they run, for limits on calls at the same time.
#[derive(Default)]
pub(crate) struct UnderWay(HashMap<u64, (Vec<u8>, Vec<Vec<u8>>)>);

impl UnderWay {
    pub fn begin(&mut self, call: u64, member: Vec<u8>, keys: Vec<Vec<u8>>) {
        self.0.insert(call, (member, keys));
    }

    pub fn end(&mut self, call: u64) {
        self.0.remove(&call);
    }

    /// Each with its key.
    pub fn list(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pair = |(member, keys): &(Vec<u8>, Vec<Vec<u8>>)| {
            keys.iter().map(|key| (key.clone(), member.clone())).collect::<Vec<_>>()
        };
        self.0.values().flat_map(pair).collect()
    }
}
