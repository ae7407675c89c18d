//! The task that keeps Redis in sight, and tells it what it missed.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, Value};
use weir_gateway::limits::Push;

use crate::limits::key;
use crate::link::Link;

/// How often Redis is told that this replica is there.
const BEAT: Duration = Duration::from_millis(500);
/// How often calls under way are told again: they are forgotten after 30 s.
const REFRESH: u32 = 20;
/// How long a beat may take before Redis counts as lost.
const BEAT_PATIENCE: Duration = Duration::from_secs(1);
/// How far clocks may drift apart from beat to beat, in milliseconds.
const DRIFT: u64 = 2;
/// How many things are told at once: a script holds up everybody while it runs.
const AT_ONCE: usize = 200;

/// Runs until the process has done with Redis.
pub async fn look_after(link: Weak<Link>) {
    let mut beats = 0;
    loop {
        {
            let Some(link) = link.upgrade() else { return };
            tokio::select! {
                () = tokio::time::sleep(BEAT) => {}
                // Lost just now: a moment's pause, so that a Redis that refuses is not asked in a circle.
                () = link.wake.notified() => tokio::time::sleep(BEAT / 10).await,
            }
        }
        let Some(link) = link.upgrade() else { return };
        match link.connection() {
            Some(connection) => {
                beats += 1;
                if !tell(&link, connection, beats % REFRESH == 0).await {
                    link.lose("no answer to a heartbeat");
                }
            }
            None => drop(link.find().await),
        }
    }
}

/// Says that this replica is there. Where Redis has lost everything, or was away, it is told what was let in; with
/// `calls`, the calls under way, too.
pub async fn tell(link: &Link, mut connection: MultiplexedConnection, calls: bool) -> bool {
    // Twice: the first time an epoch may turn out to be new.
    for _ in 0..3 {
        let known = link.epoch.lock().clone();
        let limiter = link.limiter.get().and_then(Weak::upgrade);
        let (at, pushes) = limiter.as_ref().map(|limiter| limiter.unshared(false)).unwrap_or_default();
        let under_way = if calls { link.running.lock().list() } else { Vec::new() };
        let mut things: Vec<[Vec<u8>; 4]> = pushes.iter().map(window).collect();
        things.extend(under_way.into_iter().map(|(key, call)| [key, b"0".to_vec(), call, b"1".to_vec()]));
        let mut chunks: Vec<&[[Vec<u8>; 4]]> = things.chunks(AT_ONCE).collect();
        if chunks.is_empty() {
            chunks.push(&[]);
        }
        let mut done = 0;
        for chunk in chunks {
            let Some(beat) = beat(link, &mut connection, &known, chunk).await else { return false };
            if !beat.told {
                *link.epoch.lock() = beat.epoch;
                if let Some(limiter) = &limiter {
                    // Redis has lost all that it knew.
                    limiter.unshared(true);
                }
                break;
            }
            done += chunk.len();
            if let Some(limiter) = &limiter {
                let first = (done - chunk.len()).min(pushes.len());
                limiter.pushed(&pushes[first..done.min(pushes.len())], at);
            }
        }
        if done == things.len() && *link.epoch.lock() == known && !known.is_empty() {
            return true;
        }
    }
    false
}

/// What Redis says to a beat.
struct Beat {
    epoch: String,
    told: bool,
}

async fn beat(
    link: &Link,
    connection: &mut MultiplexedConnection,
    known: &str,
    things: &[[Vec<u8>; 4]],
) -> Option<Beat> {
    let mut call = link.scripts.tend.key("{weir}:epoch");
    call.key("{weir}:replicas");
    call.arg(&link.instance).arg(uuid_digits()).arg(known);
    for [key, span, age, amount] in things {
        call.key(key.as_slice());
        call.arg(span.as_slice()).arg(age.as_slice()).arg(amount.as_slice());
    }
    let (before, first) = (link.since(), link.offset.load(Ordering::Relaxed) == 0);
    let answer = tokio::time::timeout(BEAT_PATIENCE, call.invoke_async::<Value>(connection)).await.ok()?;
    let answer = answer.map_err(|error| tracing::debug!(%error, "Redis refused a heartbeat")).ok()?;
    let (epoch, replicas, rank, now, told) = <(String, u64, u64, u64, u64)>::from_redis_value(answer).ok()?;
    link.replicas.store(replicas, Ordering::Relaxed);
    link.rank.store(rank, Ordering::Relaxed);
    // The quickest answer tells best. Clocks may drift by some milliseconds a second.
    let seen = now.saturating_sub(before);
    let best = link.offset.load(Ordering::Relaxed).saturating_add(DRIFT);
    link.offset.store(if first { seen } else { seen.min(best) }, Ordering::Relaxed);
    Some(Beat { epoch, told: told == 1 })
}

fn window(push: &Push) -> [Vec<u8>; 4] {
    let span = push.kind.span().unwrap_or(0);
    let text = |number: u64| number.to_string().into_bytes();
    [key(push.scope, push.kind, &push.name), text(span), text(push.age), text(push.amount)]
}

fn uuid_digits() -> String {
    uuid::Uuid::new_v4().as_u128().to_string()
}
