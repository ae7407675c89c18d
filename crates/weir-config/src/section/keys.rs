//! `keys:` and `teams:` who may call.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::budgets::Budget;
use crate::scalar::Secret;

/// A declared key. Further ones come by the API.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Its name in the ledger and in `weir spend`. Each name once.
    pub name: String,
    /// What clients send. Any text; one that starts with `sk-weir-` must be a key that weir made. Either this or
    /// `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// SHA-256 of the key, in hex, where the key itself shall not stand in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// What it may do.
    #[serde(default)]
    pub role: Role,
    /// The team it belongs to, a name under `teams`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// What it may call: public names or `provider/model`, `*` stands for any text. Without it: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// What may be spent with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// How much it may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Call models.
    #[default]
    Caller,
    /// Also read the admin API.
    Viewer,
    /// Everything.
    Admin,
}

/// `limits:` how much each of many may call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SharedLimits {
    /// Each end user, as named by `x-weir-user` or by `user` in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Limits>,
}

impl SharedLimits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How much may be called. Windows slide: a limit of a minute holds in any 60 seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Calls per day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<u64>,
    /// Tokens per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Tokens per day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// Calls at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
}

/// A team that keys belong to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// Its name in the ledger and in `weir spend`. Each name once.
    pub name: String,
    /// What all its keys together may spend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// How much all its keys together may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}
