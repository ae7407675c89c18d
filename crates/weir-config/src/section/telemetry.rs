//! `telemetry:` and `alerts:` what others may watch.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{BaseUrl, Duration, Secret, Share, Switch};

/// Metrics and traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Whether `/metrics` is there.
    pub prometheus: Switch,
    /// How many series `/metrics` may have; what comes beyond counts under `overflow`.
    pub max_series: u32,
    /// Whether each key is counted by itself (`weir_key_*`).
    pub each_key: Switch,
    /// Sends traces and metrics to a collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Otlp>,
    /// Which version of OpenTelemetry's GenAI names is used.
    pub genai_semconv: GenaiSemconv,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            prometheus: Switch(true),
            max_series: 20_000,
            each_key: Switch(false),
            otlp: None,
            genai_semconv: GenaiSemconv::V1_41,
        }
    }
}

/// A collector that speaks OTLP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// Its address; for `http` without `/v1/traces`.
    pub endpoint: BaseUrl,
    /// How it is spoken to. Without it: `grpc` at port 4317, else `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<OtlpProtocol>,
    /// Headers that go with each export, as for authentication.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub headers: IndexMap<String, Secret>,
    /// The share of calls that are traced. A caller's `traceparent` says by itself whether its call is.
    #[serde(default = "all")]
    pub sample: Share,
    /// Whether traces are sent.
    #[serde(default = "on")]
    pub traces: Switch,
    /// Whether metrics are sent.
    #[serde(default = "on")]
    pub metrics: Switch,
    /// Whether a log record is sent of each call.
    #[serde(default = "off")]
    pub logs: Switch,
    /// How often metrics are sent.
    #[serde(default = "interval")]
    pub interval: Duration,
    /// Whether prompts and answers go along with traces and logs, redacted.
    #[serde(default = "off")]
    pub content: Switch,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtlpProtocol {
    /// Protocol buffers over HTTP.
    Http,
    /// gRPC.
    Grpc,
}

impl Otlp {
    /// How it is spoken to.
    pub fn spoken(&self) -> OtlpProtocol {
        let grpc = self.endpoint.as_str().ends_with(":4317");
        self.protocol.unwrap_or(if grpc { OtlpProtocol::Grpc } else { OtlpProtocol::Http })
    }
}

fn off() -> Switch {
    Switch(false)
}

fn on() -> Switch {
    Switch(true)
}

fn all() -> Share {
    Share::percent(100)
}

fn interval() -> Duration {
    Duration::from_secs(15)
}

/// Which version of OpenTelemetry's GenAI names is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GenaiSemconv {
    /// 1.41.
    #[serde(rename = "v1_41")]
    V1_41,
    /// The newest.
    #[serde(rename = "latest")]
    Latest,
    /// Both side by side.
    #[serde(rename = "both")]
    Both,
}

/// Who is told when something happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// How: `webhook` (the alert as JSON) or `slack` (`{"text": …}`).
    pub kind: String,
    /// Where to.
    pub url: Secret,
    /// What about: `budget` (the shares in its `alert_at`), `error_rate`, `provider_down`, `latency`; without it, all.
    #[serde(default)]
    pub on: Vec<String>,
    /// The share of a provider's attempts that may fail within `window`.
    #[serde(default = "error_rate")]
    pub error_rate: Share,
    /// Within what time 95 of 100 of a provider's calls must end.
    #[serde(default = "latency")]
    pub latency: Duration,
    /// How far back attempts and calls are counted.
    #[serde(default = "window")]
    pub window: Duration,
}

/// What alerts can be about.
pub const ALERTS_ON: [&str; 4] = ["budget", "error_rate", "provider_down", "latency"];

fn error_rate() -> Share {
    Share::percent(10)
}

fn latency() -> Duration {
    Duration::from_secs(40)
}

fn window() -> Duration {
    Duration::from_secs(300)
}
