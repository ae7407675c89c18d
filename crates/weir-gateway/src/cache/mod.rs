//! Answers that are stored and served again, for public names with `cache: {mode: exact}`.
//!
//! What is stored is the whole answer in the dialect of the client that got it; a client that wants a stream gets it
//! as one, and the other way round. Nothing is stored that failed, was cut by a limit, stopped by a filter, or is
//! larger than a 64th of `cache.exact.max_size`. Whether to cache at all is the route's choice, so the temperature
//! of a request is no reason against it.

mod canonical;
pub(crate) mod flight;
pub(crate) mod key;
mod memory;
pub mod shelf;
pub(crate) mod tap;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use weir_config::{CacheMode, CacheScope, OrOff, RouteCache};
use weir_wire::peek::Members;
use weir_wire::splice::Splice;

use flight::Flights;
pub use key::Key;
use memory::Memory;
use shelf::Shelf;
use tap::{Share, Tap};

/// Settings of all stored answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// Who may share an answer.
    pub scope: CacheScope,
    /// How much is kept, in bytes.
    pub max_size: usize,
    /// Whether answers are kept outside of this process.
    pub shared: bool,
}

/// How long an answer is served where the route doesn't say.
const DEFAULT_TTL: Duration = Duration::from_secs(3600);
/// How much is kept where the file doesn't say, in bytes.
const DEFAULT_SIZE: u64 = 256 << 20;

impl From<Option<&OrOff<weir_config::Cache>>> for CacheSettings {
    fn from(written: Option<&OrOff<weir_config::Cache>>) -> CacheSettings {
        let written = written.and_then(OrOff::value);
        let size = written.and_then(|cache| cache.exact.as_ref()?.max_size);
        CacheSettings {
            scope: written.map(|cache| cache.scope).unwrap_or_default(),
            max_size: usize::try_from(size.map_or(DEFAULT_SIZE, |size| size.bytes())).unwrap_or(usize::MAX),
            shared: written
                .and_then(|cache| cache.exact.as_ref())
                .is_some_and(|exact| exact.backend == weir_config::CacheBackend::Redis),
        }
    }
}

/// How long a route's answers are served; `None` where they are not stored.
pub(crate) fn ttl(written: Option<&OrOff<RouteCache>>) -> Option<Duration> {
    match written {
        Some(OrOff::On(RouteCache { mode: CacheMode::Exact, ttl })) => {
            Some(ttl.as_ref().map_or(DEFAULT_TTL, |ttl| ttl.get()))
        }
        _ => None,
    }
}

/// What the client wants of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheControl {
    /// A stored answer if there is one; else the new one is stored.
    #[default]
    Use,
    /// Neither looked up nor stored.
    Off,
    /// Not looked up, but stored.
    Refresh,
    /// A stored answer or none.
    Only,
}

/// A stored answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The whole answer, in the dialect of the client that got it.
    pub body: Bytes,
    /// The provider that made it.
    pub provider: Arc<str>,
    /// The model's name there.
    pub model: Arc<str>,
    /// What it had cost; `None` where no price is known.
    pub cost_nanousd: Option<i64>,
    /// Parameters that the provider had not honoured.
    pub dropped: Vec<String>,
    /// When it was stored, in microseconds since 1970.
    pub made: i64,
    /// Until when it is served.
    pub expires: i64,
    /// Until when it is served for want of another.
    pub stale_until: i64,
}

/// All stored answers of the process, and the way to those that it shares.
pub struct Cache {
    memory: Memory,
    shelf: OnceLock<Arc<dyn Shelf>>,
    pub(crate) flights: Arc<Flights>,
    taps: Arc<Share>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    stored: AtomicU64,
    evicted: AtomicU64,
    saved_nanousd: AtomicU64,
}

/// Makes copies of streams that may be stored once they have ended.
#[derive(Clone)]
pub struct Copies {
    limit: usize,
    taps: Arc<Share>,
}

impl Copies {
    /// A copy of one attempt's stream.
    pub(crate) fn tap(&self) -> Tap {
        Tap::new(self.limit, &self.taps)
    }
}

/// What the cache holds, and did since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Answers held.
    pub entries: usize,
    /// Their size in memory.
    pub bytes: usize,
    /// Memory of streams that are copied now.
    pub copying_bytes: usize,
    /// Calls that got a stored answer.
    pub hits: u64,
    /// Calls that looked for one in vain.
    pub misses: u64,
    /// Answers stored.
    pub stored: u64,
    /// Answers that had to go for others.
    pub evicted: u64,
    /// What the hits had cost without the cache, in nano-dollars.
    pub saved_nanousd: u64,
}

impl Cache {
    /// An empty one.
    pub fn new() -> Arc<Cache> {
        Arc::new(Cache {
            memory: Memory::new(0),
            shelf: OnceLock::new(),
            flights: Arc::default(),
            taps: Arc::default(),
            counts: Counts::default(),
        })
    }

    /// Where answers are kept that several processes share. Only the first counts.
    pub fn attach(&self, shelf: Arc<dyn Shelf>) {
        drop(self.shelf.set(shelf));
    }

    fn shelf(&self, settings: &CacheSettings) -> Option<&Arc<dyn Shelf>> {
        self.shelf.get().filter(|_| settings.shared)
    }

    /// What it holds, and did since the start; `None` where what it holds can't be found out.
    pub async fn stats(&self, settings: &CacheSettings) -> (Stats, Option<(u64, u64)>) {
        let held = match self.shelf(settings) {
            None => Some(self.held()),
            Some(shelf) => shelf.held().await,
        };
        (self.counts(), held)
    }

    fn held(&self) -> (u64, u64) {
        let held = self.memory.held();
        (held.entries as u64, held.bytes as u64)
    }

    /// What it holds in this process, and did since the start.
    pub fn counts(&self) -> Stats {
        let (held, counts) = (self.memory.held(), &self.counts);
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            entries: held.entries,
            bytes: held.bytes,
            copying_bytes: self.taps.held(),
            hits: count(&counts.hits),
            misses: count(&counts.misses),
            stored: count(&counts.stored),
            evicted: count(&counts.evicted),
            saved_nanousd: count(&counts.saved_nanousd),
        }
    }

    /// Forgets all answers. Returns how many there were; `None` where those that are shared can't be reached.
    pub async fn purge(&self, settings: &CacheSettings) -> Option<u64> {
        let own = self.memory.purge();
        match self.shelf(settings) {
            None => Some(own),
            Some(shelf) => shelf.purge().await.map(|shared| own + shared),
        }
    }

    /// An answer whose time is not over.
    pub(crate) async fn get(&self, key: &Key, now: i64, settings: &CacheSettings) -> Option<Arc<Answer>> {
        match self.shelf(settings) {
            None => self.memory.get(key, now),
            Some(shelf) => shelf::read(&shelf.get(key).await?).filter(|answer| answer.expires > now),
        }
    }

    /// An answer whose time may be over, where it is kept for want of another.
    pub(crate) async fn get_stale(
        &self,
        key: &Key,
        now: i64,
        settings: &CacheSettings,
    ) -> Option<Arc<Answer>> {
        match self.shelf(settings) {
            None => self.memory.get_stale(key, now),
            Some(shelf) => shelf::read(&shelf.get(key).await?).filter(|answer| answer.stale_until > now),
        }
    }

    /// Keeps an answer, and calls `done` when others can find it: at once, but where it is kept elsewhere.
    pub(crate) fn put(
        self: &Arc<Cache>,
        key: Key,
        answer: Arc<Answer>,
        settings: &CacheSettings,
        done: impl FnOnce() + Send + 'static,
    ) {
        let (shelf, runtime) = (self.shelf(settings).cloned(), tokio::runtime::Handle::try_current());
        if let (Some(shelf), Ok(runtime)) = (shelf, runtime) {
            let (cache, limit) = (self.clone(), settings.max_size);
            runtime.spawn(async move {
                let lifetime = u64::try_from(answer.stale_until - answer.made).unwrap_or(0);
                let value = shelf::written(&answer);
                if value.len() <= shelf.largest() {
                    let evicted = shelf.put(&key, value, Duration::from_micros(lifetime), limit).await;
                    evicted.into_iter().for_each(|evicted| cache.count_stored(evicted));
                }
                done();
            });
            return;
        }
        self.memory.set_limit(settings.max_size);
        let now = answer.made;
        self.count_stored(self.memory.put(key, answer, now));
        done();
    }

    fn count_stored(&self, evicted: u64) {
        self.counts.stored.fetch_add(1, Ordering::Relaxed);
        self.counts.evicted.fetch_add(evicted, Ordering::Relaxed);
    }

    /// Makes copies of streams that may be stored once they have ended.
    pub(crate) fn copies(&self, settings: &CacheSettings) -> Copies {
        self.taps.set_limit(settings.max_size);
        // A stream's text stands in frames, which are many times as long as it.
        Copies { limit: 16 * largest(settings), taps: self.taps.clone() }
    }

    pub(crate) fn count_hit(&self, saved: Option<i64>) {
        self.counts.hits.fetch_add(1, Ordering::Relaxed);
        let saved = saved.and_then(|saved| u64::try_from(saved).ok()).unwrap_or(0);
        self.counts.saved_nanousd.fetch_add(saved, Ordering::Relaxed);
    }

    pub(crate) fn count_miss(&self) {
        self.counts.misses.fetch_add(1, Ordering::Relaxed);
    }
}

/// The largest answer that is stored, in bytes.
pub(crate) fn largest(settings: &CacheSettings) -> usize {
    settings.max_size / 64
}

/// The answer as it is stored: served again it costs nothing, and says so.
pub(crate) fn free_of_charge(body: &Bytes) -> Bytes {
    let free = || {
        let members = Members::read(body).ok()?;
        let usage = members.get(body, "usage")?.value.clone();
        let inner = Members::read(&body[usage.clone()]).ok()?;
        let mut splice = Splice::new();
        for (name, value) in [("cost", &b"0"[..]), ("cost_details", b"{}")] {
            if let Some(member) = inner.get(&body[usage.clone()], name) {
                splice.replace(usage.start + member.value.start..usage.start + member.value.end, value);
            }
        }
        (!splice.is_empty()).then(|| splice.apply(body))
    };
    // Copied in any case: as it came it may be part of a larger buffer.
    free().unwrap_or_else(|| Bytes::copy_from_slice(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_answer_costs_nothing() {
        let check = |body: &'static str, want: &str| {
            assert_eq!(free_of_charge(&Bytes::from_static(body.as_bytes())), want.as_bytes());
        };
        check(
            r#"{"a":1e400,"usage": {"x":{"cost":1},"cost": 0.0012 ,"cost_details":{"input":0.1}}}"#,
            r#"{"a":1e400,"usage": {"x":{"cost":1},"cost": 0 ,"cost_details":{}}}"#,
        );
        check(r#"{"usage":{"total":1}}"#, r#"{"usage":{"total":1}}"#);
        check(r#"{"usage":null,"cost":1}"#, r#"{"usage":null,"cost":1}"#);
    }
}
