//! `telemetry:` and `alerts:` what others may watch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{BaseUrl, Duration, Secret, Share, Switch};

/// Metrics and traces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Whether `/metrics` is there.
    pub prometheus: Switch,
    /// Sends traces and metrics to a collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Otlp>,
    /// Which version of OpenTelemetry's GenAI names is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genai_semconv: Option<GenaiSemconv>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { prometheus: Switch(true), otlp: None, genai_semconv: None }
    }
}

/// A collector that speaks OTLP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// Its address.
    pub endpoint: BaseUrl,
    /// Whether prompts and answers go along.
    #[serde(default = "off")]
    pub content: Switch,
}

fn off() -> Switch {
    Switch(false)
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
