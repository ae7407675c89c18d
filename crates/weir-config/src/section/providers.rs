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
    /// What a credential is found by, for kinds that take one that ends and is renewed (bedrock, vertex, azure). Without it
    /// and without a key: by that cloud's usual chain. Not together with a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Version of the provider's API, where it has several: for azure `v1` or a date such as `2024-10-21`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Region of the provider, for kinds whose address has one (bedrock: `eu-central-1`; vertex: `europe-west4`, `global`).
    /// Without it, what the cloud's usual variable says (`AWS_REGION`, `GOOGLE_CLOUD_LOCATION`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Organization that calls are booked on, for kinds that know one (openai: `OpenAI-Organization`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Project that calls are booked on, for kinds that know one (openai: `OpenAI-Project`; vertex: the
    /// project's id, without it what `GOOGLE_CLOUD_PROJECT` says).
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

/// What a credential that ends is found by. Each kind takes its own members; others are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// bedrock: the profile of the files in `~/.aws` to use, instead of what `AWS_PROFILE` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// bedrock: the keys themselves, with `secret_access_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// bedrock: see `access_key_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key: Option<Secret>,
    /// bedrock: goes with keys that end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret>,
    /// bedrock: a role to assume (`arn:aws:iam::…:role/…`), with the keys or what the chain finds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// bedrock: what the role's owner asks of those who assume it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// bedrock: how the session is called in AWS's logs; `weir` where nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_session_name: Option<String>,
    /// vertex: a file of credentials (a service account's key, workload identity federation, gcloud's own), instead of what
    /// `GOOGLE_APPLICATION_CREDENTIALS` names. A relative path starts at the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
    /// azure: the directory (tenant), instead of `AZURE_TENANT_ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// azure: the application, or the managed identity assigned by a user, instead of `AZURE_CLIENT_ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// azure: the application's secret, instead of `AZURE_CLIENT_SECRET`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Secret>,
    /// azure: a file with the token of a workload identity, instead of `AZURE_FEDERATED_TOKEN_FILE`. A relative path starts
    /// at the configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub federated_token_file: Option<PathBuf>,
    /// azure: where tokens are asked for, instead of `AZURE_AUTHORITY_HOST`; `https://login.microsoftonline.com` where
    /// neither is written. Other clouds have other ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authority_host: Option<BaseUrl>,
    /// azure: what tokens are for; `https://cognitiveservices.azure.com/.default` where nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

impl Credentials {
    /// The names of the members that are written.
    pub fn written(&self) -> impl Iterator<Item = &'static str> {
        let set = [
            ("profile", self.profile.is_some()),
            ("access_key_id", self.access_key_id.is_some()),
            ("secret_access_key", self.secret_access_key.is_some()),
            ("session_token", self.session_token.is_some()),
            ("role_arn", self.role_arn.is_some()),
            ("external_id", self.external_id.is_some()),
            ("role_session_name", self.role_session_name.is_some()),
            ("credentials_file", self.credentials_file.is_some()),
            ("tenant_id", self.tenant_id.is_some()),
            ("client_id", self.client_id.is_some()),
            ("client_secret", self.client_secret.is_some()),
            ("federated_token_file", self.federated_token_file.is_some()),
            ("authority_host", self.authority_host.is_some()),
            ("scope", self.scope.is_some()),
        ];
        set.into_iter().filter_map(|(name, written)| written.then_some(name))
    }
}

impl Provider {
    /// All its keys in the order written, from `api_key` or `api_keys`.
    pub fn keys(&self) -> impl Iterator<Item = &Secret> {
        self.api_key.iter().chain(&self.api_keys)
    }
}
