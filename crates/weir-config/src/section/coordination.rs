//! `coordination:` several replicas as one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Secret;

/// Limits shared by several replicas. Taken at the start; a change needs another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Coordination {
    /// Address of Redis, as in `redis://127.0.0.1:6379`.
    pub url: Secret,
    /// What happens while Redis is away.
    #[serde(default)]
    pub on_loss: OnLoss,
}

/// What happens while Redis is away. Budgets never depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLoss {
    /// Each replica takes its share of the limits.
    #[default]
    Lease,
    /// Calls are answered with 503.
    Closed,
    /// Shared limits do not hold.
    Open,
}
