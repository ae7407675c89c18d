//! `providers:` who answers calls, where, and with which keys.

use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{BaseUrl, Secret};

/// One provider. Its name stands before the `/` in `provider/model`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Provider {
    /// The descriptor that says how it is spoken to: `openai`, `anthropic`, `gemini`, `openai-compatible`, …
    /// Without it, the descriptor of the provider's own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Where it is reached; without it, where the descriptor says. What weir appends depends on the kind. A
    /// trailing slash is cut, nothing else is guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<BaseUrl>,
    /// The key that weir shows to the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// Several keys, used in turn. Either this or `api_key`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_keys: Vec<Secret>,
    /// Version of the provider's API, where it has several: for azure `v1` or a date such as `2024-10-21`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Region of the provider, for kinds whose address has one (bedrock: `eu-central-1`; vertex: `europe-west4`, `global`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Organization that calls are booked on, for kinds that know one (openai: `OpenAI-Organization`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Project that calls are booked on, for kinds that know one (openai: `OpenAI-Project`; vertex: the project's id).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Headers sent with every call to this provider. Their values are treated as secrets.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub headers: IndexMap<String, Secret>,
    /// PEM file of certificates to trust for this provider, instead of the public ones. Relative paths, here and
    /// below, start at the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// PEM file of the certificate that weir shows to the provider (mTLS). With `client_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<PathBuf>,
    /// PEM file of the private key of `client_cert`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
    /// HTTP proxy on the way to this provider, as in `http://proxy:3128`. Without it, none: the environment's proxy
    /// variables are not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Secret>,
}

impl Provider {
    /// All its keys in the order written, from `api_key` or `api_keys`.
    pub fn keys(&self) -> impl Iterator<Item = &Secret> {
        self.api_key.iter().chain(&self.api_keys)
    }
}
