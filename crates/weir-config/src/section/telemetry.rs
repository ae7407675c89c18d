//! `telemetry:` and `alerts:` what others may watch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{BaseUrl, Secret, Switch};

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
    /// How: `webhook`.
    pub kind: String,
    /// Where to.
    pub url: Secret,
    /// What about: `budget`, `error_rate`, `provider_down`, `latency`.
    #[serde(default)]
    pub on: Vec<String>,
}
