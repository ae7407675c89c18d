//! `prices:` and `unknown_price:` what calls cost.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use weir_catalog::PriceFields;

/// Prices that go before the built-in catalog's, field by field: overrides first, then files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prices {
    /// Files with a `prices:` list in the form of `overrides`. Relative paths start at the configuration file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// Prices of single models. USD per million tokens unless a unit says otherwise; `"0"` is free.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<PriceFields>,
}

/// What happens to a call whose price is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPrice {
    /// It is served and reported: a warning, a metric, `unknown` in its row.
    #[default]
    Warn,
    /// It is refused with 400.
    Block,
    /// It is served, and only its row says so.
    Allow,
}
