//! `cache:` answers that are stored and served again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Duration, Share, Size};

/// Stored answers of all public names whose `cache` is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Answers to the very same request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<ExactCache>,
    /// Answers to requests of the same meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semantic: Option<SemanticCache>,
    /// Who may share an answer.
    #[serde(default)]
    pub scope: CacheScope,
}

/// Answers to the very same request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExactCache {
    /// How much is kept, 256 MiB where nothing is said. An answer larger than a 64th of it is not stored, in Redis none
    /// larger than 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<Size>,
    /// Where it is kept.
    #[serde(default)]
    pub backend: CacheBackend,
}

/// Answers to requests of the same meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SemanticCache {
    /// The model that makes embeddings, `provider/model`.
    pub embedding_model: String,
    /// Least similarity, 0 to 1.
    pub threshold: Share,
    /// Where it is kept.
    #[serde(default)]
    pub backend: CacheBackend,
}

/// Where answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheBackend {
    /// In this process.
    #[default]
    Memory,
    /// In Redis (`coordination.url`), shared by all replicas. While it is away nothing is stored or found.
    Redis,
}

/// Who may share an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheScope {
    /// Calls with the same key.
    #[default]
    Key,
    /// Calls of the same team.
    Team,
    /// All calls.
    Global,
}

/// Whether one public name's answers are stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteCache {
    /// What counts as the same request.
    pub mode: CacheMode,
    /// How long an answer is served, an hour where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
}

/// What counts as the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    /// Nothing.
    #[serde(alias = "false")]
    Off,
    /// The same in essence: the order of members, white space, `stream`, `stream_options`, `user`, `safety_identifier`,
    /// `metadata` and prompt cache keys don't count. The temperature is no reason not to store.
    Exact,
    /// The same meaning.
    Semantic,
}
