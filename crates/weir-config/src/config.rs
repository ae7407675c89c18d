//! The whole file as a type.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::migrate::CURRENT_VERSION;
use crate::scalar::OrOff;
use crate::section::agents::Agent;
use crate::section::budgets::{Budget, BudgetAdmission};
use crate::section::cache::Cache;
use crate::section::coordination::Coordination;
use crate::section::keys::{Key, SharedLimits, Team};
use crate::section::logging::Logging;
use crate::section::models::Model;
use crate::section::prices::{Prices, UnknownPrice};
use crate::section::providers::Provider;
use crate::section::server::Server;
use crate::section::storage::{Ledger, Store};
use crate::section::telemetry::{Alert, Telemetry};

/// Configuration of weir. Every key is optional; with none, providers are found from the environment.
///
/// `${NAME}` and `${NAME:-default}` expand inside values, `$${` stands for `${`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Version of the file's form. Without it, the current one. `weir check --migrate` rewrites an older file.
    pub version: u32,
    /// Where weir listens, and how it treats its clients.
    pub server: Server,
    /// Who answers calls, by name. Where the key is not written at all, providers are found from the usual
    /// environment variables, and the built-in `demo` is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<IndexMap<String, Provider>>,
    /// Folders with further descriptors, beside `{data_dir}/backends`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<PathBuf>,
    /// Agents that are called like models, by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub agents: IndexMap<String, Agent>,
    /// Public names, by name; `*` stands for any text. Any `provider/model` works without an entry here.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub models: IndexMap<String, Model>,
    /// Who may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Key>,
    /// What keys belong to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<Team>,
    /// How much each of many may call.
    #[serde(skip_serializing_if = "SharedLimits::is_empty")]
    pub limits: SharedLimits,
    /// What may be spent, by the whole gateway or by the one named in each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// How a call is admitted by a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_admission: Option<BudgetAdmission>,
    /// What happens to a call whose price is not known.
    pub unknown_price: UnknownPrice,
    /// Prices that go before the built-in catalog's.
    pub prices: Prices,
    /// Answers that are stored and served again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<OrOff<Cache>>,
    /// The one folder that weir writes to. A relative path starts where weir was started. `WEIR_DATA_DIR` sets it
    /// where the file doesn't.
    pub data_dir: PathBuf,
    /// The database.
    pub store: Store,
    /// How rows get to the database.
    pub ledger: Ledger,
    /// Several replicas as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordination: Option<Coordination>,
    /// What weir writes to standard error.
    pub logging: Logging,
    /// Metrics and traces.
    pub telemetry: Telemetry,
    /// Who is told when something happens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Alert>,
}

impl Default for Config {
    /// What runs without a file.
    fn default() -> Self {
        Self {
            version: CURRENT_VERSION,
            server: Server::default(),
            providers: None,
            backends: Vec::new(),
            agents: IndexMap::new(),
            models: IndexMap::new(),
            keys: Vec::new(),
            teams: Vec::new(),
            limits: SharedLimits::default(),
            budgets: Vec::new(),
            budget_admission: None,
            unknown_price: UnknownPrice::default(),
            prices: Prices::default(),
            cache: None,
            data_dir: PathBuf::from("."),
            store: Store::default(),
            ledger: Ledger::default(),
            coordination: None,
            logging: Logging::default(),
            telemetry: Telemetry::default(),
            alerts: Vec::new(),
        }
    }
}
