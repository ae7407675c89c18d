//! The running gateway: everything that requests share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use indexmap::IndexMap;
use parking_lot::Mutex;
use weir_catalog::{Catalog, PriceFile};
use weir_config::{Discovery, Environment, Listen, Loaded, Outside, Problem, Provider};
use weir_gateway::accounts::Book;
use weir_gateway::limits::Limiter;
use weir_gateway::overload::Overload;
use weir_gateway::snapshot::{Parts, Registry};
use weir_gateway::{Cache, Metrics, Snapshot, Stack, stack};
use weir_ledger::accounts::Accounts;
use weir_ledger::budget::{Budgets, BudgetsConfig};
use weir_ledger::{Durability, Ledger, LedgerConfig, Store};
use weir_redis::Redis;

use crate::accounts::{self, LastGood};
use crate::adapters::{ADAPTERS, FRONTS};
use crate::alerts::Alerts;
use crate::data;
use crate::extract::address::WrongKeys;
use crate::idempotency::{Answers, Sharing};
use crate::listed::Listed;
use crate::live::Live;
use crate::otlp::Otlp;
use crate::routes::Routes;

/// An error with its message, for the terminal.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Where the configuration comes from; a reload reads it again.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Environment,
    /// `--listen`.
    pub listen: Option<Listen>,
}

/// How a provider came to be configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It stands in the file.
    Written,
    /// This variable holds its key.
    Variable(String),
    /// It answered on this machine.
    Local,
    /// It is built in.
    BuiltIn,
}

/// A configuration, read and resolved as far as that goes without a running gateway.
pub struct Resolved {
    /// The file as read.
    pub loaded: Loaded,
    /// The providers, and how each came to be.
    pub providers: IndexMap<String, (Provider, Found)>,
    /// Kinds of providers.
    pub registry: Registry,
    /// Models and prices.
    pub catalog: Catalog,
}

/// The running gateway.
pub struct App {
    /// What runs now.
    pub snapshot: ArcSwap<Snapshot>,
    /// The layers that every call passes.
    pub stack: Stack,
    /// The accounts.
    pub ledger: Ledger,
    /// What may be spent.
    pub budgets: Budgets,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// What there is to do, and what is refused.
    pub overload: Arc<Overload>,
    /// How much may be called.
    pub limiter: Arc<Limiter>,
    /// Stored answers.
    pub cache: Arc<Cache>,
    /// The routes that call models.
    pub routes: Routes,
    /// What providers without a catalog say they have.
    pub listed: Listed,
    /// The configuration as read, for those who ask what is in force.
    pub loaded: ArcSwap<Loaded>,
    /// The store's accounts, once they are known.
    book: Mutex<Option<Arc<Book>>>,
    last_good: Option<LastGood>,
    /// Answers to calls with an `idempotency-key`.
    pub answers: Arc<Answers>,
    /// Which of these calls are this process's to make.
    pub sharing: Arc<Sharing>,
    /// What is wrong now, and was.
    pub alerts: Alerts,
    /// Calls as they end.
    pub live: Live,
    /// How many calls found no room in the log of calls.
    pub calls_not_logged: crate::call_log::Missed,
    /// Traces, and what became of them.
    pub otlp: Otlp,
    /// Addresses that try key after key.
    pub wrong_keys: WrongKeys,
    /// What replicas share, where they share anything.
    pub redis: Option<Redis>,
    source: Source,
    draining: AtomicBool,
    own: Weak<App>,
}

impl Source {
    /// Reads and resolves the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn resolve(&self) -> Result<Resolved, Error> {
        let outside = Outside { environment: &self.environment, listen: self.listen };
        let loaded = weir_config::load(self.file.as_deref(), outside)?;
        let registry = registry(&self.environment)?;
        let providers = providers(&loaded, &registry, &self.environment);
        let catalog = catalog(&loaded, &providers)?;
        Ok(Resolved { loaded, providers, registry, catalog })
    }
}

impl Resolved {
    /// The snapshot of this configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, with file and line where it stands there.
    pub fn snapshot(self, metrics: &Arc<Metrics>, previous: Option<&Snapshot>) -> Result<Snapshot, Error> {
        let providers: IndexMap<String, Provider> =
            self.providers.into_iter().map(|(name, (provider, _))| (name, provider)).collect();
        let parts = Parts {
            config: &self.loaded.config,
            providers: &providers,
            catalog: self.catalog,
            registry: &self.registry,
            metrics,
            previous,
        };
        Snapshot::build(parts).map_err(|error| {
            let located = |problem: &Problem| {
                self.loaded.problem(problem.path.clone(), problem.message.clone()).to_string()
            };
            error.0.iter().map(located).collect::<Vec<_>>().join("\n").into()
        })
    }
}

impl App {
    /// Opens the store and starts everything but the listener.
    ///
    /// # Errors
    /// A store that can't be opened, a spool that can't be made, a configuration that is wrong.
    pub async fn start(source: Source, resolved: Resolved) -> Result<Arc<App>, Error> {
        let routes = Routes::new(FRONTS)?;
        let metrics = Metrics::new(env!("CARGO_PKG_VERSION"));
        let config = resolved.loaded.config.clone();
        let store = open(&config).await?;
        let loaded = resolved.loaded.clone();
        let snapshot = resolved.snapshot(&metrics, None)?;
        let secret = config.store.snapshot_key.as_ref();
        let last_good = secret.map(|secret| LastGood::new(&config.data_dir, secret.expose()));
        let ledger = Ledger::start(ledger_config(&config), store.clone())?;
        let budgets = Budgets::start(budgets_config(&config), store, ledger.instance());
        let (limiter, redis) = shared_limits(&config).await?;
        let cache = Cache::new();
        if let Some(redis) = &redis {
            cache.attach(Arc::new(redis.clone()));
        }
        budgets.adopt(&snapshot.spending.set());
        let app = Arc::new_cyclic(|own| App {
            own: own.clone(),
            stack: stack(&metrics, &ledger, &limiter, &budgets, &cache),
            limiter,
            cache,
            overload: Overload::new(),
            snapshot: ArcSwap::from_pointee(snapshot),
            ledger,
            budgets,
            metrics,
            routes,
            listed: Listed::default(),
            loaded: ArcSwap::from_pointee(loaded),
            book: Mutex::new(None),
            last_good,
            answers: Arc::default(),
            sharing: Arc::default(),
            alerts: Alerts::default(),
            live: Live::default(),
            calls_not_logged: crate::call_log::Missed::default(),
            otlp: Otlp::default(),
            wrong_keys: WrongKeys::default(),
            redis,
            source,
            draining: AtomicBool::new(false),
        });
        app.count();
        app.first_accounts().await;
        Ok(app)
    }

    /// Reads the configuration again, and swaps the snapshot for later calls. A configuration that is wrong is refused
    /// whole, and the old one goes on.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn reload(&self) -> Result<(), Error> {
        let previous = self.snapshot.load_full();
        let built = self.source.resolve().and_then(|resolved| {
            let loaded = resolved.loaded.clone();
            Ok((loaded, resolved.snapshot(&self.metrics, Some(&previous))?))
        });
        self.metrics.reload(if built.is_ok() { "ok" } else { "refused" });
        let (loaded, snapshot) = built?;
        // Held, so that no change of the accounts gets lost between two snapshots.
        let book = self.book.lock();
        match &*book {
            Some(book) => {
                snapshot.keys.adopt(book);
                snapshot.spending.adopt(book);
            }
            None => snapshot.keys.close_until_known(),
        }
        self.budgets.adopt(&snapshot.spending.set());
        self.loaded.store(Arc::new(loaded));
        self.snapshot.store(Arc::new(snapshot));
        self.count();
        Ok(())
    }

    /// Lets the counters follow the configuration.
    fn count(&self) {
        let telemetry = &self.loaded.load().config.telemetry;
        self.metrics.configure(telemetry.max_series, telemetry.each_key.0);
    }

    /// The gateway itself, for work that outlives a request.
    pub fn own(&self) -> Option<Arc<App>> {
        self.own.upgrade()
    }

    /// The store's accounts as they act now; `None` until they are known.
    pub fn book(&self) -> Option<Arc<Book>> {
        self.book.lock().clone()
    }

    /// Lets these accounts act, unless newer ones do already. Whether it did.
    pub fn adopt(&self, book: Book) -> bool {
        let mut current = self.book.lock();
        if current.as_ref().is_some_and(|current| current.version >= book.version) {
            return false;
        }
        let snapshot = self.snapshot.load();
        snapshot.keys.adopt(&book);
        self.budgets.adopt(&snapshot.spending.adopt(&book));
        *current = Some(Arc::new(book));
        true
    }

    /// Keeps good accounts for a start without the store, where that is wanted.
    pub async fn keep(&self, accounts: &Accounts) {
        if let Some(last_good) = &self.last_good {
            last_good.write(accounts).await;
        }
    }

    /// The accounts from the store, else the last good ones, else none: then nobody is let in.
    async fn first_accounts(&self) {
        let Err(error) = accounts::refresh(self).await else { return };
        self.snapshot.load().keys.close_until_known();
        tracing::error!(%error, cause = %error.cause, "keys can't be read from the store");
        let Some(last_good) = &self.last_good else {
            return tracing::error!(
                "weir is not ready until the store can be reached; with `store.snapshot_key` it would serve the last good keys"
            );
        };
        match last_good.read().await {
            Ok(kept) => {
                self.adopt(accounts::read(&kept));
                tracing::warn!("serving with the last good keys until the store can be reached");
            }
            Err(why) => {
                tracing::error!(why, "there are no last good keys: not ready until the store can be reached")
            }
        }
    }

    /// The file that is watched for changes.
    pub fn file(&self) -> Option<&PathBuf> {
        self.source.file.as_ref()
    }

    /// Whether no more calls are taken.
    pub fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Takes no more calls: readiness says so at once. Those under way are cut in `left` from now.
    pub fn drain(&self, left: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        self.snapshot.load().cut.announce(left);
    }
}

/// The store, or one that will connect later where it can't be reached now.
async fn open(config: &weir_config::Config) -> Result<Arc<dyn Store>, Error> {
    let url = config.store.url.expose();
    match weir_store::open(url, &config.data_dir).await {
        Ok(store) => Ok(store),
        Err(error @ weir_store::OpenError::Unavailable(_)) => {
            let why = with_cause(&error);
            let later = weir_store::later(url, &config.data_dir).map_err(|_| why.to_string())?;
            tracing::error!("{why}; trying again");
            Ok(later)
        }
        Err(error) => Err(with_cause(&error)),
    }
}

/// The limits of this process, shared with others where the configuration says so.
async fn shared_limits(config: &weir_config::Config) -> Result<(Arc<Limiter>, Option<Redis>), Error> {
    let Some(coordination) = &config.coordination else { return Ok((Limiter::new(None), None)) };
    let settings = weir_redis::Settings {
        url: coordination.url.expose().to_owned(),
        on_loss: match coordination.on_loss {
            weir_config::OnLoss::Lease => weir_redis::OnLoss::Lease,
            weir_config::OnLoss::Closed => weir_redis::OnLoss::Closed,
            weir_config::OnLoss::Open => weir_redis::OnLoss::Open,
        },
    };
    let redis = Redis::start(settings).await?;
    let limiter = Limiter::new(Some(Arc::new(redis.clone())));
    redis.attach(&limiter);
    Ok((limiter, Some(redis)))
}

fn budgets_config(config: &weir_config::Config) -> BudgetsConfig {
    BudgetsConfig { lease: config.ledger.lease.get(), ..BudgetsConfig::default() }
}

fn ledger_config(config: &weir_config::Config) -> LedgerConfig {
    LedgerConfig {
        durability: match config.ledger.durability {
            weir_config::Durability::Process => Durability::Process,
            weir_config::Durability::Interval => Durability::Interval,
            weir_config::Durability::Strict => Durability::Strict,
        },
        sync_interval: config.ledger.sync_interval.get(),
        max_spool: config.ledger.max_spool.bytes(),
        ..LedgerConfig::new(&config.data_dir)
    }
}

/// An error with all its causes, for the terminal.
pub fn with_cause(error: &dyn std::error::Error) -> Error {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.into()
}

/// The kinds of providers and dialects of this binary.
///
/// # Errors
/// Data built into the binary that does not read.
pub fn registry(environment: &Environment) -> Result<Registry, Error> {
    Ok(Registry {
        descriptors: data::descriptors_in(environment)?,
        adapters: ADAPTERS.iter().copied().collect(),
        in_process: std::iter::once(("demo", crate::demo::connect())).collect(),
        chains: Some(Arc::new(crate::identity::Identities::new(environment.clone()))),
    })
}

/// The models of the kinds that are configured: nothing else can be called.
fn catalog(loaded: &Loaded, providers: &IndexMap<String, (Provider, Found)>) -> Result<Catalog, Error> {
    let kinds: Vec<&str> =
        providers.iter().map(|(name, (provider, _))| provider.kind.as_deref().unwrap_or(name)).collect();
    let files: Vec<PriceFile> = loaded.price_files.iter().map(|(_, file)| file.clone()).collect();
    let catalog = data::catalog_of(|kind| kinds.contains(&kind))?
        .with_prices(files, loaded.config.prices.overrides.clone());
    catalog.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").into())
}

/// The file's providers; where it names none, those whose keys the environment has, a local Ollama, and the demo.
fn providers(
    loaded: &Loaded,
    registry: &Registry,
    environment: &Environment,
) -> IndexMap<String, (Provider, Found)> {
    if let Some(written) = &loaded.config.providers {
        return written
            .iter()
            .map(|(name, provider)| (name.clone(), (provider.clone(), Found::Written)))
            .collect();
    }
    let variables: Vec<(&str, Vec<&str>)> = registry
        .descriptors
        .values()
        .filter(|descriptor| !descriptor.local)
        // What needs a region can't be found by its key alone.
        .filter(|descriptor| descriptor.base_url.is_some() && descriptor.lacks().is_none())
        .filter(|descriptor| !descriptor.environment.is_empty())
        .map(|descriptor| {
            (descriptor.name.as_str(), descriptor.environment.iter().map(String::as_str).collect())
        })
        .collect();
    let known: Vec<Discovery<'_>> =
        variables.iter().map(|(provider, variables)| Discovery { provider, variables }).collect();
    let mut found: IndexMap<String, (Provider, Found)> = weir_config::discover(environment, &known)
        .into_iter()
        .map(|(name, one)| (name, (one.provider, Found::Variable(one.variable))))
        .collect();
    if registry.descriptors.contains_key("ollama") && ollama_answers() {
        found.insert("ollama".to_owned(), (Provider::default(), Found::Local));
    }
    found.insert("demo".to_owned(), (Provider::default(), Found::BuiltIn));
    found
}

fn ollama_answers() -> bool {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 11434));
    std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_ok()
}
