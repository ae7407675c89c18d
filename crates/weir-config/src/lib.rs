//! The configuration as written: typed, strict, documented.
//!
//! [`load`](fn@load) reads `weir.yaml` into a [`Config`] or reports everything that is wrong with it, each problem
//! with line, key path and what to change. What the process runs is made from it elsewhere. Nothing is ignored: an
//! unknown key is an error that names the nearest known one, and a setting that nothing acts on yet
//! ([`UNSUPPORTED`]) is refused.
//!
//! **Architecture Invariant**: only [`Environment::from_process`] reads the environment, in the whole project.

mod checksum;
mod config;
mod discover;
mod effective;
mod environment;
mod interpolate;
mod load;
mod migrate;
mod nearest;
mod path;
mod problem;
pub mod scalar;
mod schema;
mod secrets;
pub mod section;
mod unsupported;
mod validate;
pub mod yaml;

pub use checksum::{KEY_PREFIX, is_sound_key};
pub use config::Config;
pub use discover::{Discovered, Discovery, discover};
pub use effective::{Effective, Origin};
pub use environment::Environment;
pub use load::{DEFAULT_FILE, Loaded, Outside, find_file, load, load_text};
pub use migrate::{CURRENT_VERSION, Migrated, migrate};
pub use nearest::nearest;
pub use path::{KeyPath, Segment};
pub use problem::{ConfigError, Location, Problem};
pub use scalar::{After, BaseUrl, Duration, Listen, Network, OrOff, Secret, Share, Size, Switch};
pub use schema::{schema, schema_text};
pub use section::agents::Agent;
pub use section::budgets::{Budget, BudgetAdmission, BudgetPeriod};
pub use section::cache::{Cache, CacheBackend, CacheMode, CacheScope, RouteCache};
pub use section::coordination::{Coordination, OnLoss};
pub use section::keys::{Key, Limits, Role, SharedLimits, Team};
pub use section::logging::{CallLog, LogContent, LogFormat, LogLevel, Logging};
pub use section::models::{Model, Target};
pub use section::prices::{Prices, UnknownPrice};
pub use section::providers::{Credentials, Provider};
pub use section::routing::{
    Affinity, Breaker, Degrade, DegradeTools, FailureClass, Fault, Hedge, OnBrokenStream, OnClientGone,
    Retry, Strategy, Timeouts, UnsupportedParams,
};
pub use section::server::{Server, Tls};
pub use section::storage::{Durability, Ledger, OnFull, Store};
pub use section::telemetry::{ALERTS_ON, Alert, GenaiSemconv, Otlp, OtlpProtocol, Telemetry};
pub use unsupported::{UNSUPPORTED, Unsupported};
