//! Price fields as they stand in files and in `weir.yaml`.
//!
//! Four structs share one list of rates, and each is flat and strict, as users write them; the macro `rated` holds
//! the list once. What the fields mean together is [`crate::price`]'s.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::date::Date;
use crate::rate::{PerMillion, PerSecond, PerUnit};
use crate::rates::Written;

/// Declares a strict struct with all rates beside its own fields, and a `written` that collects them.
macro_rules! rated {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$field_doc:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            /// Fresh input, USD per million tokens.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub input: Option<PerMillion>,
            /// Output, USD per million tokens.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub output: Option<PerMillion>,
            /// Input read from the provider's cache, USD per million tokens; unset: as `input`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub cache_read: Option<PerMillion>,
            /// Input written to a cache of five minutes, USD per million tokens; unset: as `input`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub cache_write_5m: Option<PerMillion>,
            /// Input written to a cache of one hour, USD per million tokens; unset: as `input`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub cache_write_1h: Option<PerMillion>,
            /// Audio input, USD per million tokens; unset: as `input`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub audio_in: Option<PerMillion>,
            /// Audio output, USD per million tokens; unset: as `output`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub audio_out: Option<PerMillion>,
            /// Image input, USD per million tokens; unset: as `input`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub image_in: Option<PerMillion>,
            /// Reasoning, USD per million tokens; unset: as `output`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub reasoning: Option<PerMillion>,
            /// The call itself, USD; unset: nothing.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub per_request: Option<PerUnit>,
            /// An image made, USD.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub per_image: Option<PerUnit>,
            /// A second of audio or video, USD.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub per_second: Option<PerSecond>,
            /// A page read, USD.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub per_page: Option<PerUnit>,
            /// A search made by the provider, USD.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub per_search: Option<PerUnit>,
            /// Characters spoken or read, USD per million.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub per_million_characters: Option<PerMillion>,
        }

        impl $name {
            /// The rates that are written here, in picodollars for one unit.
            pub(crate) fn written(&self) -> Written {
                Written {
                    input: self.input.map(PerMillion::picodollars),
                    output: self.output.map(PerMillion::picodollars),
                    cache_read: self.cache_read.map(PerMillion::picodollars),
                    cache_write_5m: self.cache_write_5m.map(PerMillion::picodollars),
                    cache_write_1h: self.cache_write_1h.map(PerMillion::picodollars),
                    audio_in: self.audio_in.map(PerMillion::picodollars),
                    audio_out: self.audio_out.map(PerMillion::picodollars),
                    image_in: self.image_in.map(PerMillion::picodollars),
                    reasoning: self.reasoning.map(PerMillion::picodollars),
                    request: self.per_request.map(PerUnit::picodollars),
                    image: self.per_image.map(PerUnit::picodollars),
                    millisecond: self.per_second.map(PerSecond::picodollars),
                    page: self.per_page.map(PerUnit::picodollars),
                    search: self.per_search.map(PerUnit::picodollars),
                    character: self.per_million_characters.map(PerMillion::picodollars),
                }
            }
        }
    };
}

rated! {
    /// One price override: what a model, or a pattern of models, costs from some day on. Only what is written
    /// counts; the rest comes from the price files, then from the catalog, field by field.
    pub struct PriceFields {
        /// `provider/model`; `*` stands for any text.
        pub model: String,
        /// First day on which it holds; unset: ever since.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub from: Option<Date>,
        /// First day on which it holds no more; unset: without end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub until: Option<Date>,
        /// Rates of long prompts. Written, the list replaces the catalog's as a whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub above: Option<Vec<StepFields>>,
        /// Rates of batch jobs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub batch: Option<TierFields>,
        /// Rates of other service tiers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tiers: Option<Tiers>,
    }
}

rated! {
    /// One price of a model in a model file; a model with a history has several.
    pub struct ModelPrice {
        /// First day on which it holds; unset: ever since.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub from: Option<Date>,
        /// First day on which it holds no more; unset: without end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub until: Option<Date>,
        /// Rates of long prompts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub above: Option<Vec<StepFields>>,
        /// Rates of batch jobs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub batch: Option<TierFields>,
        /// Rates of other service tiers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tiers: Option<Tiers>,
    }
}

rated! {
    /// The rates of one service tier. What is not written costs as in the standard tier.
    pub struct TierFields {
        /// Rates of long prompts in this tier.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub above: Option<Vec<StepFields>>,
    }
}

rated! {
    /// The rates of a whole call whose prompt passes a limit. What is not written costs as below the limit.
    pub struct StepFields {
        /// The limit: the step holds where the prompt has more tokens than this, cached ones included.
        pub input_tokens: u64,
    }
}

/// Rates of service tiers by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tiers {
    /// Slower and cheaper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flex: Option<TierFields>,
    /// Faster and dearer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<TierFields>,
}

/// The tier in which a provider served a call.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// The usual one; also `auto` and `default`.
    #[default]
    Standard,
    /// A batch job.
    Batch,
    /// Slower and cheaper.
    Flex,
    /// Faster and dearer.
    Priority,
}

impl ServiceTier {
    /// The tier by the name that a provider's answer gives it; names not known here are the standard tier.
    pub fn from_name(name: &str) -> ServiceTier {
        match name {
            "batch" => ServiceTier::Batch,
            "flex" => ServiceTier::Flex,
            "priority" => ServiceTier::Priority,
            _ => ServiceTier::Standard,
        }
    }
}

/// What a price says beside its own day: shared by both written forms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) from: Option<Date>,
    pub(crate) until: Option<Date>,
    pub(crate) written: Written,
    pub(crate) above: Option<Vec<StepFields>>,
    pub(crate) batch: Option<TierFields>,
    pub(crate) flex: Option<TierFields>,
    pub(crate) priority: Option<TierFields>,
}

impl From<&PriceFields> for Terms {
    fn from(fields: &PriceFields) -> Terms {
        let tiers = fields.tiers.clone().unwrap_or_default();
        Terms {
            from: fields.from,
            until: fields.until,
            written: fields.written(),
            above: fields.above.clone(),
            batch: fields.batch.clone(),
            flex: tiers.flex,
            priority: tiers.priority,
        }
    }
}

impl From<&ModelPrice> for Terms {
    fn from(fields: &ModelPrice) -> Terms {
        let tiers = fields.tiers.clone().unwrap_or_default();
        Terms {
            from: fields.from,
            until: fields.until,
            written: fields.written(),
            above: fields.above.clone(),
            batch: fields.batch.clone(),
            flex: tiers.flex,
            priority: tiers.priority,
        }
    }
}

impl Terms {
    /// Whether it holds at `unix`.
    pub(crate) fn holds_at(&self, unix: i64) -> bool {
        self.from.is_none_or(|from| from.unix() <= unix) && self.until.is_none_or(|until| unix < until.unix())
    }

    /// These terms, with what they leave open taken from `below`, field by field.
    pub(crate) fn over(&self, below: &Terms) -> Terms {
        Terms {
            from: self.from.max(below.from),
            until: self.until.or(below.until),
            written: self.written.over(&below.written),
            above: self.above.clone().or_else(|| below.above.clone()),
            batch: over_tier(self.batch.as_ref(), below.batch.as_ref()),
            flex: over_tier(self.flex.as_ref(), below.flex.as_ref()),
            priority: over_tier(self.priority.as_ref(), below.priority.as_ref()),
        }
    }
}

/// An override's tier replaces the catalog's whole: a tier is one field.
fn over_tier(tier: Option<&TierFields>, below: Option<&TierFields>) -> Option<TierFields> {
    tier.or(below).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_fields_of_the_interface() {
        let fields: PriceFields = serde_saphyr::from_str(
            r#"{ model: lab/llama-70b, input: 0.60, output: "0.80", cache_read: "0.06", from: 2026-01-01,
                 above: [{input_tokens: 200000, input: 1.2}], batch: {input: 0.3}, tiers: {flex: {output: "0.4"}} }"#,
        )
        .unwrap();
        assert_eq!(fields.input.unwrap().picodollars(), 600_000);
        assert_eq!(fields.above.as_ref().unwrap()[0].input_tokens, 200_000);
        assert_eq!(fields.tiers.as_ref().unwrap().flex.as_ref().unwrap().output.unwrap().to_string(), "0.4");
        assert_eq!(fields.from.unwrap().to_string(), "2026-01-01");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for bad in [
            "{ model: a/b, inptu: 1 }",
            "{ input: 1 }",
            "{ model: a/b, input: -1 }",
            "{ model: a/b, input: .nan }",
            "{ model: a/b, input: 1e9 }",
            "{ model: a/b, tiers: {turbo: {input: 1}} }",
            "{ model: a/b, from: yesterday }",
            "{ model: a/b, above: [{input: 1}] }",
        ] {
            assert!(serde_saphyr::from_str::<PriceFields>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_schema_is_strict_and_documented() {
        let schema = schemars::schema_for!(PriceFields).to_value();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], serde_json::json!(["model"]));
        let fields = schema["properties"].as_object().unwrap();
        assert_eq!(fields.len(), 21);
        for (name, field) in fields {
            assert!(field["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}");
        }
    }

    #[test]
    fn days_are_half_open() {
        let terms = Terms {
            from: Some("2026-01-01".parse().unwrap()),
            until: Some("2026-02-01".parse().unwrap()),
            ..Terms::default()
        };
        let (from, until) = (terms.from.unwrap().unix(), terms.until.unwrap().unix());
        assert_eq!(
            [from - 1, from, until - 1, until].map(|unix| terms.holds_at(unix)),
            [false, true, true, false]
        );
    }
}
