//! Stored answers in one real Redis, which is stopped, emptied and killed.

mod server;

use std::time::{Duration, Instant};

use bytes::Bytes;
use server::Server;
use weir_gateway::cache::Key;
use weir_gateway::cache::shelf::Shelf;
use weir_redis::{OnLoss, Redis, Settings};

const HOUR: Duration = Duration::from_secs(3600);
/// What an answer takes beside its bytes.
const OVERHEAD: usize = 384;

async fn redis(server: &Server) -> Redis {
    Redis::start(Settings { url: server.url(), on_loss: OnLoss::Lease }).await.unwrap()
}

fn key(number: u8) -> Key {
    [number; 32]
}

/// What is kept: `Redis` has another `get` of its own.
async fn found(redis: &Redis, number: u8) -> Option<Bytes> {
    Shelf::get(redis, &key(number)).await
}

fn answer(size: usize) -> Bytes {
    vec![b'x'; size].into()
}

#[tokio::test]
async fn answers_are_shared_end_with_their_time_and_can_be_forgotten() {
    let server = Server::start();
    let (one, other) = (redis(&server).await, redis(&server).await);
    assert_eq!(found(&one, 1).await, None);
    assert_eq!(one.put(&key(1), answer(100), HOUR, 1 << 20).await, Some(0));
    assert_eq!(found(&other, 1).await, Some(answer(100)));
    assert_eq!(other.put(&key(1), answer(50), HOUR, 1 << 20).await, Some(0), "in its place");
    assert_eq!(one.held().await, Some((1, 50 + OVERHEAD as u64)));
    other.put(&key(2), answer(10), Duration::from_millis(100), 1 << 20).await;
    assert_eq!(one.held().await, Some((2, 60 + 2 * OVERHEAD as u64)));
    let began = Instant::now();
    while found(&one, 2).await.is_some() {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(one.held().await, Some((1, 50 + OVERHEAD as u64)));
    for number in 10..60 {
        one.put(&key(number), answer(1), HOUR, 1 << 20).await;
    }
    assert_eq!(other.purge().await, Some(51));
    assert_eq!((found(&one, 10).await, one.held().await), (None, Some((0, 0))));
}

#[tokio::test]
async fn all_stay_below_their_limit_and_what_is_asked_for_stays() {
    let server = Server::start();
    let redis = redis(&server).await;
    let limit = 10 * (100 + OVERHEAD);
    for number in 0..10 {
        assert_eq!(redis.put(&key(number), answer(100), HOUR, limit).await, Some(0));
        // The order is by milliseconds.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(found(&redis, 0).await.is_some());
    assert_eq!(redis.put(&key(10), answer(100), HOUR, limit).await, Some(1));
    assert!(found(&redis, 0).await.is_some() && found(&redis, 1).await.is_none());
    assert_eq!(redis.held().await, Some((10, limit as u64)));
    // Emptied by somebody else, it counts anew.
    server.flush();
    assert_eq!(redis.put(&key(1), answer(100), HOUR, limit).await, Some(0));
    assert_eq!(redis.held().await, Some((1, 100 + OVERHEAD as u64)));
}

#[tokio::test]
async fn redis_that_hangs_or_is_gone_is_a_miss_and_nobody_waits() {
    let server = Server::start();
    let redis = redis(&server).await;
    redis.put(&key(1), answer(100), HOUR, 1 << 20).await;
    server.signal("STOP");
    let began = Instant::now();
    assert_eq!(found(&redis, 1).await, None);
    // 50 ms, and what a busy machine takes.
    assert!(began.elapsed() < Duration::from_millis(250), "{:?}", began.elapsed());
    let began = Instant::now();
    for _ in 0..100 {
        assert_eq!(found(&redis, 1).await, None);
        assert_eq!(redis.put(&key(2), answer(1), HOUR, 1 << 20).await, None);
    }
    assert!(began.elapsed() < Duration::from_millis(100), "once lost nobody asks: {:?}", began.elapsed());
    assert_eq!((redis.held().await, redis.purge().await), (None, None));
    server.signal("CONT");
    let began = Instant::now();
    while found(&redis, 1).await.is_none() {
        assert!(began.elapsed() < Duration::from_secs(20), "it is not found again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(server);
    assert_eq!(found(&redis, 1).await, None);
}
