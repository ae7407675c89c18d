//! `models:` public names, and what serves them.

use std::fmt;

use schemars::{JsonSchema, Schema, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize, Serializer};

use super::cache::RouteCache;
use super::keys::Limits;
use super::routing::{
    Affinity, Auto, Breaker, Degrade, FailureClass, Fault, Hedge, OnBrokenStream, OnClientGone, Retry,
    Strategy, Timeouts, UnsupportedParams,
};
use crate::scalar::OrOff;

/// A public name: its targets, and how calls to them are made. Short form: `provider/model`, a single target.
#[derive(Debug, Clone, PartialEq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields, default)]
#[schemars(transform = or_text)]
pub struct Model {
    /// How the order of targets is found.
    pub strategy: Strategy,
    /// What serves calls, in the order of preference. At least one.
    pub targets: Vec<Target>,
    /// Other public names, tried in order after all targets have failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<String>,
    /// The failures that move a call on, to the next target as to `fallbacks`.
    pub fallback_on: Vec<FailureClass>,
    /// Tries at one target.
    pub retry: Retry,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// When a failing target is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<OrOff<Breaker>>,
    /// Sends a second attempt when the first is slow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<OrOff<Hedge>>,
    /// What a call may get where what it asks for can't be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degrade: Option<OrOff<Degrade>>,
    /// Keeps what belongs together at one target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Settings of the strategy `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto: Option<Auto>,
    /// Output limit in tokens, sent where a limit is needed and the client set none; else the catalog's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// How much may be called under this name, by everybody together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// What happens upstream when the client leaves.
    pub on_client_gone: OnClientGone,
    /// What becomes of a stream that breaks after its first words.
    pub on_broken_stream: OnBrokenStream,
    /// Parameters of the request body, set where the client sent none.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub defaults: serde_json::Map<String, serde_json::Value>,
    /// What happens to a parameter that the provider can't honour.
    pub unsupported_params: UnsupportedParams,
    /// Whether answers are stored and served again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<OrOff<RouteCache>>,
}

impl Model {
    /// A public name with these targets (`provider/model` each) and no other setting.
    pub fn of<T: Into<String>>(targets: impl IntoIterator<Item = T>) -> Self {
        let target = |model: T| Target { model: model.into(), ..Target::default() };
        Self { targets: targets.into_iter().map(target).collect(), ..Self::default() }
    }
}

impl Default for Model {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            targets: Vec::new(),
            fallbacks: Vec::new(),
            fallback_on: FailureClass::DEFAULT.to_vec(),
            retry: Retry::default(),
            timeouts: Timeouts::default(),
            breaker: None,
            hedge: None,
            degrade: None,
            affinity: None,
            auto: None,
            max_output_tokens: None,
            limits: None,
            on_client_gone: OnClientGone::default(),
            on_broken_stream: OnBrokenStream::default(),
            defaults: serde_json::Map::new(),
            unsupported_params: UnsupportedParams::default(),
            cache: None,
        }
    }
}

/// One model at one provider. Short form: `provider/model`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, DeriveDeserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
#[schemars(transform = or_text)]
pub struct Target {
    /// `provider/model`: a name under `providers`, and the model's name there. In a public name with `*`, a `*`
    /// here takes what matched.
    pub model: String,
    /// Share of calls relative to the other targets, for the strategy `weighted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Region that the target serves from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Words by which requests may ask for this target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// A failure on purpose. Acts only with `server.allow_faults`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
}

/// Reads a struct that may also be written as one text.
macro_rules! text_or_map {
    ($type:ident, $expected:literal, $from_text:expr) => {
        // `remote = "Self"` derives these as plain functions, for the full form; here the short one joins.
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$type>::serialize(self, serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Forms;
                impl<'de> Visitor<'de> for Forms {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                        let from_text: fn(&str) -> $type = $from_text;
                        Ok(from_text(text))
                    }
                    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<$type, A::Error> {
                        <$type>::deserialize(MapAccessDeserializer::new(map))
                    }
                }
                deserializer.deserialize_any(Forms)
            }
        }
    };
}

text_or_map!(Model, "`provider/model` or a mapping with `targets`", |text| Model::of([text]));
text_or_map!(Target, "`provider/model` or a mapping with `model`", |text| Target {
    model: text.to_owned(),
    ..Target::default()
});

/// In the schema, too, both forms stand.
fn or_text(schema: &mut Schema) {
    let object = std::mem::take(schema);
    let short = json_schema!({
        "type": "string",
        "description": "Short form: `provider/model`.",
        "pattern": "^[^/]+/.+$|\\$\\{"
    });
    *schema = json_schema!({ "anyOf": [short, object] });
}
