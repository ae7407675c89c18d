//! `server:` where weir listens, and how it treats its clients.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{Duration, Listen, Network, OrOff, Secret, Size, Switch};

/// Where weir listens, and how it treats its clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address for clients. Without a master key only loopback. `WEIR_LISTEN` sets it where the file doesn't.
    pub listen: Listen,
    /// Address of its own for `/admin`, `/ui` and `/metrics`; without it they are at `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_listen: Option<Listen>,
    /// The administrator's key; needed unless every listener is on loopback. `WEIR_MASTER_KEY` sets it where the
    /// file doesn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub master_key: Option<Secret>,
    /// The largest request body; a larger one is answered with 413.
    pub max_body: Size,
    /// Proxies in front: their `x-forwarded-for` is believed, nobody else's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<Network>,
    /// How many wrong keys an address may send in a minute before it gets 429 for them; 0 for any number. Valid keys
    /// from the same address are served all the same.
    pub wrong_keys_per_minute: u32,
    /// Connections that are answered at the same time. A few more are taken to be told so, the others wait. Where
    /// nothing is said: half of the descriptors that the process may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// How much memory the bodies of calls under way may take; a call above it is answered with 503 before its body is
    /// read. Where nothing is said: a quarter of `max_memory`, at most 2 GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_body_memory: Option<Size>,
    /// How much memory the process may take before calls are answered with 503. Where nothing is said: 85 % of what
    /// the container, else the machine, has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<Size>,
    /// How long work may wait for a processor before calls are answered with 503, each tenant's by its share; `off`
    /// for as long as it takes. Ten times as long while no more than 256 calls are under way.
    pub max_delay: OrOff<Duration>,
    /// How long calls may go on after SIGTERM before they are cut.
    pub drain_timeout: Duration,
    /// After so long without data in a stream a comment is sent, so that proxies keep it open; `off` for none.
    pub sse_keepalive: OrOff<Duration>,
    /// Whether answers carry `usage.cost` and `usage.cost_details`.
    pub usage_cost: Switch,
    /// Lets a target's `fault` act. For tests only.
    pub allow_faults: Switch,
    /// Serves HTTPS instead of HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Certificate and key of the listener, both PEM. Relative paths start at the configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, then those that signed it.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: Listen::loopback(4000),
            admin_listen: None,
            master_key: None,
            max_body: Size(32 << 20),
            trusted_proxies: Vec::new(),
            wrong_keys_per_minute: 60,
            max_connections: None,
            max_body_memory: None,
            max_memory: None,
            max_delay: OrOff::On(Duration::from_millis(20)),
            drain_timeout: Duration::from_secs(30),
            sse_keepalive: OrOff::On(Duration::from_secs(15)),
            usage_cost: Switch(true),
            allow_faults: Switch(false),
            tls: None,
        }
    }
}
