//! The connection and its breaker.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Script, ScriptInvocation, Value};
use tokio::sync::{Notify, mpsc};
use weir_gateway::limits::{Limiter, Loss};

use crate::settle::Settled;

/// How long a call waits for Redis. Beyond it the breaker opens.
pub(crate) const PATIENCE: Duration = Duration::from_millis(45);
/// The wait is cut into looks, so that an answer is found that has come while this process had no processor.
const LOOKS: u32 = 5;
/// How many corrections may wait to be sent. Those beyond are left out: what was taken then counts till its window ends.
const CORRECTIONS: usize = 50_000;

/// What holds while Redis is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLoss {
    /// Each replica takes its share of the limits.
    Lease,
    /// Calls with limits are refused with 503.
    Closed,
    /// Shared limits do not hold.
    Open,
}

impl OnLoss {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            OnLoss::Lease => "lease",
            OnLoss::Closed => "closed",
            OnLoss::Open => "open",
        }
    }
}

/// How Redis is used.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `redis://…` or `rediss://…`.
    pub url: String,
    /// What holds while it is away.
    pub on_loss: OnLoss,
}

/// What keeps it from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address does not read. It may hold a password, so it is not shown.
    #[error("`coordination.url` must be redis://HOST:PORT or rediss://HOST:PORT")]
    Address,
}

/// How it went so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Whether Redis answers.
    pub up: bool,
    /// How often it was lost.
    pub losses: u64,
    /// Calls that were decided without it.
    pub without: u64,
    /// Replicas that it has heard of within the last ten seconds.
    pub replicas: u64,
    /// What holds while it is away.
    pub on_loss: OnLoss,
}

/// Redis, shared by all calls of the process.
#[derive(Clone)]
pub struct Redis(pub(crate) Arc<Link>);

pub(crate) struct Link {
    pub client: Client,
    pub on_loss: OnLoss,
    /// This process, in Redis.
    pub instance: String,
    connection: Mutex<Option<MultiplexedConnection>>,
    up: AtomicBool,
    /// Wakes the task that looks for Redis.
    pub wake: Notify,
    pub losses: AtomicU64,
    pub without: AtomicU64,
    pub replicas: AtomicU64,
    pub rank: AtomicU64,
    /// What Redis calls the time since it last lost everything.
    pub epoch: Mutex<String>,
    /// Redis' clock less this process's, in milliseconds since `began`.
    pub offset: AtomicU64,
    pub began: Instant,
    pub limiter: OnceLock<Weak<Limiter>>,
    pub calls: AtomicU64,
    pub running: Mutex<crate::settle::UnderWay>,
    pub corrections: mpsc::Sender<Settled>,
    said: Mutex<Option<Instant>>,
    pub scripts: Scripts,
}

pub(crate) struct Scripts {
    pub admit: Script,
    pub settle: Script,
    pub tend: Script,
    pub cache: crate::cache::Scripts,
}

impl Redis {
    /// Connects, within a second, and looks after the connection from then on. Where Redis does not answer, it is
    /// looked for in the background.
    ///
    /// # Errors
    /// An address that does not read.
    pub async fn start(settings: Settings) -> Result<Redis, Error> {
        let client = Client::open(settings.url.as_str()).map_err(|_| Error::Address)?;
        let (corrections, waiting) = mpsc::channel(CORRECTIONS);
        let link = Arc::new(Link {
            client,
            on_loss: settings.on_loss,
            instance: uuid::Uuid::new_v4().simple().to_string(),
            connection: Mutex::default(),
            up: AtomicBool::new(false),
            wake: Notify::new(),
            losses: AtomicU64::new(0),
            without: AtomicU64::new(0),
            replicas: AtomicU64::new(1),
            rank: AtomicU64::new(0),
            epoch: Mutex::default(),
            offset: AtomicU64::new(0),
            began: Instant::now(),
            limiter: OnceLock::new(),
            calls: AtomicU64::new(0),
            running: Mutex::default(),
            corrections,
            said: Mutex::default(),
            scripts: Scripts {
                admit: Script::new(include_str!("scripts/admit.lua")),
                settle: Script::new(include_str!("scripts/settle.lua")),
                tend: Script::new(include_str!("scripts/tend.lua")),
                cache: crate::cache::Scripts::default(),
            },
        });
        if !link.find().await {
            tracing::warn!(
                on_loss = link.on_loss.name(),
                "Redis does not answer; `coordination.on_loss` holds until it does"
            );
        }
        tokio::spawn(crate::tend::look_after(Arc::downgrade(&link)));
        tokio::spawn(crate::settle::send(Arc::downgrade(&link), waiting));
        Ok(Redis(link))
    }

    /// Whose counts Redis is told of after it was away.
    pub fn attach(&self, limiter: &Arc<Limiter>) {
        drop(self.0.limiter.set(Arc::downgrade(limiter)));
    }

    /// How it went so far.
    pub fn stats(&self) -> Stats {
        let link = &self.0;
        Stats {
            up: link.is_up(),
            losses: link.losses.load(Ordering::Relaxed),
            without: link.without.load(Ordering::Relaxed),
            replicas: link.replicas.load(Ordering::Relaxed),
            on_loss: link.on_loss,
        }
    }
}

/// Why Redis gave no answer.
#[derive(Debug)]
pub(crate) struct Away;

impl Link {
    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    pub fn connection(&self) -> Option<MultiplexedConnection> {
        self.connection.lock().clone().filter(|_| self.is_up())
    }

    /// Runs a script, within the patience of a call.
    pub async fn run(&self, script: &ScriptInvocation<'_>) -> Result<Value, Away> {
        let mut connection = self.connection().ok_or(Away)?;
        self.within(PATIENCE, script.invoke_async(&mut connection)).await
    }

    /// Waits for an answer; without one in time, or with an error, Redis is lost.
    pub async fn within<T>(
        &self,
        patience: Duration,
        answer: impl Future<Output = redis::RedisResult<T>>,
    ) -> Result<T, Away> {
        let mut answer = std::pin::pin!(answer);
        let mut waited = tokio::time::timeout(patience / LOOKS, &mut answer).await;
        for _ in 1..LOOKS {
            if waited.is_err() {
                waited = tokio::time::timeout(patience / LOOKS, &mut answer).await;
            }
        }
        match waited {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                self.lose(&error.to_string());
                Err(Away)
            }
            Err(_) => {
                self.lose("no answer in time");
                Err(Away)
            }
        }
    }

    /// Nobody asks any more until Redis was found again.
    pub fn lose(&self, why: &str) {
        if !self.up.swap(false, Ordering::AcqRel) {
            return;
        }
        // What was not sent yet is not sent any more.
        *self.connection.lock() = None;
        self.losses.fetch_add(1, Ordering::Relaxed);
        self.say(|| tracing::warn!(why, on_loss = self.on_loss.name(), "Redis is lost"));
        self.wake.notify_one();
    }

    /// Connects anew and tells what Redis missed.
    pub async fn find(&self) -> bool {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(Duration::from_secs(1)));
        let connect = self.client.get_multiplexed_async_connection_with_config(&config);
        let Ok(Ok(connection)) = tokio::time::timeout(Duration::from_secs(1), connect).await else {
            return false;
        };
        if !crate::tend::tell(self, connection.clone(), true).await {
            return false;
        }
        *self.connection.lock() = Some(connection.clone());
        self.up.store(true, Ordering::Release);
        // What was let in between the telling and now.
        let told = crate::tend::tell(self, connection, false).await;
        if self.losses.load(Ordering::Relaxed) > 0 {
            self.say(|| tracing::info!("Redis is back"));
        }
        told
    }

    /// What holds for a call that Redis was not asked about.
    pub fn loss(&self) -> Loss {
        self.without.fetch_add(1, Ordering::Relaxed);
        match self.on_loss {
            OnLoss::Lease => Loss::Lease {
                replicas: self.replicas.load(Ordering::Relaxed).max(1),
                rank: self.rank.load(Ordering::Relaxed),
            },
            OnLoss::Closed => Loss::Closed,
            OnLoss::Open => {
                self.say(|| tracing::warn!("Redis is away: shared limits do not hold"));
                Loss::Open
            }
        }
    }

    /// A line in the log, at most once a second.
    fn say(&self, say: impl FnOnce()) {
        let mut said = self.said.lock();
        if said.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
            *said = Some(Instant::now());
            drop(said);
            say();
        }
    }

    /// Redis' time now, as far as it is known.
    pub fn time(&self) -> u64 {
        self.offset.load(Ordering::Relaxed).saturating_add(self.since())
    }

    pub fn since(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
