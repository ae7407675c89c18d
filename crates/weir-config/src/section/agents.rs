//! `agents:` agents that are called like models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::BaseUrl;

/// An agent, called as the model `agent/NAME`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// How it is spoken to: `a2a`, `acp`, `ag-ui`, `langgraph`, `http` or `stdio`.
    pub kind: String,
    /// Where it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<BaseUrl>,
}
