//! The files: one provider's models (`config/models/NAME.yaml`), and price lists (`prices.files`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::capability::{Capabilities, Modalities, Modes};
use crate::date::Date;
use crate::fields::{ModelPrice, PriceFields};

/// The models of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// The kind of provider, as in `config/providers`.
    pub provider: String,
    /// Who makes its models, unless a model says otherwise; unset: the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Where the data comes from.
    pub source: String,
    /// The day of the data. It stands in the ids of prices without a day of their own.
    pub date: Date,
    /// The provider runs on the user's own machines: every model of it is free, and its price is called `local`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
    /// The models.
    pub models: Vec<ModelFields>,
}

/// One model of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelFields {
    /// The provider's name for it, or a pattern as in `families` for models that only the user knows.
    pub id: String,
    /// Who makes it; unset: as the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Other names of the very same model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Patterns of names that are priced as this model: `gpt-4o-{date}` for its snapshots, `llama-*` for anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<String>,
    /// The APIs that serve it; unset: chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modes: Option<Modes>,
    /// Tokens that prompt and answer may have together, or the prompt alone where the provider counts so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// Tokens that an answer may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// Numbers in a vector, for embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// What it reads; unset: text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Modalities>,
    /// What it writes; unset: text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Modalities>,
    /// What it can do; unset: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// The day on which the provider takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Date>,
    /// What it costs; none: unknown. A price with a later `from` follows an earlier one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<ModelPrice>,
}

/// A dated list of prices that go before the catalog's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceFile {
    /// Where the prices come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The day of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// The prices, as in `prices.overrides`.
    pub prices: Vec<PriceFields>,
}
