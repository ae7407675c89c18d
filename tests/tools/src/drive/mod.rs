//! Sends requests, closed loop (so many at once) or open loop (so many a second), and writes what came back.

mod log;
mod plan;
mod pool;
mod summary;
mod turn;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use log::{Line, Log, Seen};
pub use plan::{Ask, Kind, Mix, Plan};
pub use pool::Pool;
pub use summary::Summary;

/// What to send, and how.
#[derive(Debug, Clone)]
pub struct Drive {
    /// Host and port of the gateway.
    pub address: String,
    /// Its key, if it wants one.
    pub key: Option<String>,
    /// How many requests in all.
    pub requests: u64,
    /// Stop sending after this time.
    pub duration: Option<Duration>,
    /// Most requests at once.
    pub concurrency: usize,
    /// Requests a second; none: closed loop.
    pub rate: Option<f64>,
    /// What the requests are.
    pub plan: Plan,
    /// Whether a connection that cannot be made is tried again until it can.
    pub retry_connect: bool,
    /// Longest time for one request.
    pub timeout: Duration,
    /// Whether to speak HTTP/2.
    pub http2: bool,
    /// Whether events are only counted, not read.
    pub light: bool,
    /// Whether the time between two reads of a stream is measured.
    pub gaps: bool,
    /// Where to write what was seen.
    pub log: Option<PathBuf>,
}

/// Sends it all.
///
/// # Errors
/// When the log cannot be written.
pub async fn run(drive: Drive) -> Result<Summary, String> {
    let log = match &drive.log {
        Some(path) => Some(Log::open(path).map_err(|cause| format!("{}: {cause}", path.display()))?),
        None => None,
    };
    let shared = Arc::new(Shared {
        pool: Pool::new(drive.address.clone(), drive.http2),
        log,
        next: AtomicU64::new(0),
        began: Instant::now(),
        drive,
    });
    let mut tasks: JoinSet<Summary> = JoinSet::new();
    match shared.drive.rate {
        None => {
            for _ in 0..shared.drive.concurrency {
                tasks.spawn(worker(shared.clone()));
            }
        }
        Some(rate) => open_loop(&shared, rate, &mut tasks).await,
    }
    let mut summary = Summary::default();
    while let Some(result) = tasks.join_next().await {
        match result {
            Ok(part) => summary.add(part),
            Err(cause) => return Err(format!("a worker failed: {cause}")),
        }
    }
    summary.seconds = shared.began.elapsed().as_secs_f64();
    if let Some(log) = &shared.log {
        log.flush().map_err(|cause| cause.to_string())?;
    }
    Ok(summary)
}

struct Shared {
    drive: Drive,
    pool: Pool,
    log: Option<Log>,
    next: AtomicU64,
    began: Instant,
}

impl Shared {
    /// The number of the next request, while there is one.
    fn take(&self) -> Option<u64> {
        if self.drive.duration.is_some_and(|duration| self.began.elapsed() >= duration) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (number < self.drive.requests).then_some(number)
    }
}

async fn worker(shared: Arc<Shared>) -> Summary {
    let mut summary = Summary::default();
    while let Some(number) = shared.take() {
        one(&shared, number, Instant::now(), &mut summary).await;
    }
    summary
}

async fn open_loop(shared: &Arc<Shared>, rate: f64, tasks: &mut JoinSet<Summary>) {
    let room = Arc::new(Semaphore::new(shared.drive.concurrency));
    let began = tokio::time::Instant::now();
    while let Some(number) = shared.take() {
        let at = began + Duration::from_secs_f64(number as f64 / rate);
        tokio::time::sleep_until(at).await;
        let (shared, room) = (shared.clone(), room.clone());
        tasks.spawn(async move {
            // Waiting for room counts: a slow answer must not hide the requests that it held back.
            let _permit = room.acquire().await;
            let mut summary = Summary::default();
            one(&shared, number, at.into_std(), &mut summary).await;
            summary
        });
    }
}

async fn one(shared: &Shared, number: u64, since: Instant, summary: &mut Summary) {
    let ask = shared.drive.plan.ask(number);
    let line = turn::take(&shared.drive, &shared.pool, &ask, since).await;
    summary.count(&line);
    if let Some(log) = &shared.log {
        log.write(&line);
    }
}
