//! `store:` and `ledger:` where rows are kept, and how safely.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Duration, Secret, Size};

/// The database of rows, keys and teams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `sqlite://PATH` (a relative path starts in `data_dir`) or `postgres://USER:PASSWORD@HOST/DATABASE`.
    pub url: Secret,
    /// Encrypts a copy of the last good state, kept in `data_dir`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_key: Option<Secret>,
}

impl Store {
    /// The database where nothing is written.
    pub const DEFAULT_URL: &'static str = "sqlite://weir.db";
}

impl Default for Store {
    fn default() -> Self {
        Self { url: Secret::new(Self::DEFAULT_URL), snapshot_key: None }
    }
}

/// How rows get to the store: first into a spool on disk, then in batches into the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ledger {
    /// What a row survives.
    pub durability: Durability,
    /// How often the spool is synced to disk with `durability: interval`.
    pub sync_interval: Duration,
    /// What happens to calls when the spool is full.
    pub on_full: OnFull,
    /// How large the spool may grow while the database is away.
    pub max_spool: Size,
    /// After how long without use a slice of a budget that this process holds goes back to the store.
    pub lease: Duration,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            sync_interval: Duration::from_millis(50),
            on_full: OnFull::default(),
            max_spool: Size(1 << 30),
            lease: Duration::from_secs(30),
        }
    }
}

/// What a row survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The death of the process: rows are in the system's cache before dispatch and at the end.
    Process,
    /// Also the loss of power, but for the last `sync_interval`.
    #[default]
    Interval,
    /// Also the loss of power: rows are on disk before the answer's last bytes leave.
    Strict,
}

/// What happens to calls when the spool is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// They are answered with 503: no call goes unrecorded.
    #[default]
    Reject,
}
