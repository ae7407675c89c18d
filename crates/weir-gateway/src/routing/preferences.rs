//! What a request itself says about who may serve it: `models` and `provider`, in OpenRouter's shapes.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use weir_adapter::InvalidRequest;
use weir_catalog::{PerMillion, Price};
use weir_config::Strategy;
use weir_wire::Class;

use crate::snapshot::Target;

/// How many names a request may list.
const MAX_NAMES: usize = 32;
/// A tag that targets which don't keep prompts for training must have, for `data_collection: deny`.
const PRIVATE: &str = "no-data-collection";
/// A tag that targets which keep nothing must have, for `zdr: true`.
const ZERO_RETENTION: &str = "zdr";

/// What a request itself says about who may serve it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preferences {
    /// Public names to go on with after the model's own targets.
    pub models: Vec<Arc<str>>,
    /// Providers to ask first, in this order.
    pub order: Vec<String>,
    /// Providers that may be asked at all.
    pub only: Option<Vec<String>>,
    /// Providers that may not.
    pub ignore: Vec<String>,
    /// How the order is found, in place of the route's own strategy.
    pub sort: Option<Strategy>,
    /// Whether others than the first may be asked.
    pub allow_fallbacks: bool,
    /// Whether a parameter that a target can't honour takes it out.
    pub require_parameters: bool,
    /// Words that targets must have.
    pub tags: Vec<String>,
    /// The region that targets must be in.
    pub region: Option<String>,
    /// The highest prices, in picodollars a token; per request in nano-dollars.
    pub ceiling: Ceiling,
}

/// The highest prices that a target may have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ceiling {
    prompt: Option<u64>,
    completion: Option<u64>,
}

/// `provider`, as written. What stands here acts, or is refused: see [`refuse`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    order: Option<Vec<String>>,
    only: Option<Vec<String>>,
    ignore: Option<Vec<String>>,
    sort: Option<Sort>,
    allow_fallbacks: Option<bool>,
    require_parameters: Option<bool>,
    data_collection: Option<DataCollection>,
    zdr: Option<bool>,
    max_price: Option<MaxPrice>,
    region: Option<String>,
    tags: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Sort {
    Word(SortBy),
    Map { by: SortBy },
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SortBy {
    Price,
    Throughput,
    Latency,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DataCollection {
    Allow,
    Deny,
}

/// USD per million tokens.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MaxPrice {
    prompt: Option<Value>,
    completion: Option<Value>,
}

impl Preferences {
    /// Reads the two members' values, as they stand in the body.
    ///
    /// # Errors
    /// What does not read, or asks for what weir does not do.
    pub fn read(models: Option<&[u8]>, provider: Option<&[u8]>) -> Result<Preferences, InvalidRequest> {
        let mut preferences = Preferences { allow_fallbacks: true, ..Preferences::default() };
        if let Some(models) = models {
            let names: Vec<String> = serde_json::from_slice(models)
                .map_err(|_| InvalidRequest::value("models", "must be a list of names"))?;
            if names.len() > MAX_NAMES {
                return Err(InvalidRequest::value("models", format!("may list {MAX_NAMES} names")));
            }
            preferences.models = names.into_iter().map(Into::into).collect();
        }
        if let Some(provider) = provider {
            let written = serde_json::from_slice(provider).map_err(|error| refuse(provider, &error))?;
            preferences.take(written)?;
        }
        Ok(preferences)
    }

    fn take(&mut self, written: Written) -> Result<(), InvalidRequest> {
        self.order = written.order.unwrap_or_default();
        self.only = written.only.filter(|only| !only.is_empty());
        self.ignore = written.ignore.unwrap_or_default();
        self.allow_fallbacks = written.allow_fallbacks.unwrap_or(true);
        self.require_parameters = written.require_parameters.unwrap_or(false);
        self.region = written.region;
        self.tags = written.tags.unwrap_or_default();
        if written.data_collection == Some(DataCollection::Deny) {
            self.tags.push(PRIVATE.to_owned());
        }
        if written.zdr == Some(true) {
            self.tags.push(ZERO_RETENTION.to_owned());
        }
        self.sort = written.sort.map(|sort| match sort {
            Sort::Word(by) | Sort::Map { by } => match by {
                SortBy::Price => Strategy::Cheapest,
                SortBy::Throughput | SortBy::Latency => Strategy::Fastest,
            },
        });
        if let Some(most) = written.max_price {
            self.ceiling = Ceiling {
                prompt: rate("provider.max_price.prompt", most.prompt)?,
                completion: rate("provider.max_price.completion", most.completion)?,
            };
        }
        Ok(())
    }

    /// Why this target may not be asked; `None` where it may.
    pub fn refuses(&self, target: &Target) -> Option<&'static str> {
        let names = |list: &[String]| list.iter().any(|name| is(name, target));
        if self.only.as_ref().is_some_and(|only| !names(only)) {
            return Some("not among `provider.only`");
        }
        if names(&self.ignore) {
            return Some("among `provider.ignore`");
        }
        if self.region.as_ref().is_some_and(|region| target.traits.region.as_deref() != Some(region)) {
            return Some("not in `provider.region`");
        }
        if !self.tags.iter().all(|tag| target.traits.tags.iter().any(|own| **own == **tag)) {
            return Some("without a tag that is asked for");
        }
        let dear = self.ceiling != Ceiling::default() && !self.ceiling.allows(target.price().as_deref());
        dear.then_some("dearer than `provider.max_price`, or without a price")
    }

    /// The place of a target in `provider.order`.
    pub fn place(&self, target: &Target) -> usize {
        self.order.iter().position(|name| is(name, target)).unwrap_or(usize::MAX)
    }
}

/// Whether a name means this target: its provider, or `provider/model`.
fn is(name: &str, target: &Target) -> bool {
    let full = || name.split_once('/') == Some((&*target.provider.name, &*target.model));
    name.eq_ignore_ascii_case(&target.provider.name) || full()
}

impl Ceiling {
    fn allows(&self, price: Option<&Price>) -> bool {
        let Some(price) = price else { return false };
        let under = |class, most: Option<u64>| {
            most.is_none_or(|most| price.is_local() || price.rate(class).is_some_and(|rate| rate <= most))
        };
        under(Class::Input, self.prompt) && under(Class::Output, self.completion)
    }
}

/// USD per million tokens, as a number or a text, in picodollars a token: the same digits.
fn rate(param: &str, value: Option<Value>) -> Result<Option<u64>, InvalidRequest> {
    let Some(value) = value else { return Ok(None) };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rate = PerMillion::parse(&text);
    let rate =
        rate.map_err(|_| InvalidRequest::value(param, "must be an amount in USD per million tokens"))?;
    Ok(Some(rate.picodollars()))
}

/// Says which member of `provider` is not known, or does not read.
fn refuse(written: &[u8], error: &serde_json::Error) -> InvalidRequest {
    const KNOWN: &str = "order, only, ignore, sort, allow_fallbacks, require_parameters, data_collection, zdr, max_price, region, tags";
    let text = error.to_string();
    let unknown = text.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    match unknown {
        Some(name) => InvalidRequest {
            message: format!("`provider.{name}` is not acted on here; remove it. Known are {KNOWN}"),
            code: "unsupported_parameter",
            param: Some(format!("provider.{name}")),
        },
        None if written.first() != Some(&b'{') => {
            InvalidRequest::value("provider", "must be an object with preferences")
        }
        None => InvalidRequest::value("provider", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(provider: &str) -> Result<Preferences, InvalidRequest> {
        Preferences::read(None, Some(provider.as_bytes()))
    }

    #[test]
    fn reads_openrouters_shapes() {
        let read_all = read(
            r#"{"order":["a","b"],"only":[],"ignore":["c"],"sort":{"by":"price"},"allow_fallbacks":false,
                "data_collection":"deny","zdr":true,"max_price":{"prompt":1.5,"completion":"2"},"require_parameters":true}"#,
        );
        let preferences = read_all.unwrap();
        assert_eq!((preferences.order.len(), preferences.only, preferences.ignore.len()), (2, None, 1));
        assert_eq!(preferences.sort, Some(Strategy::Cheapest));
        assert_eq!(preferences.tags, ["no-data-collection", "zdr"]);
        assert!(!preferences.allow_fallbacks && preferences.require_parameters);
        assert_eq!(
            (preferences.ceiling.prompt, preferences.ceiling.completion),
            (Some(1_500_000), Some(2_000_000))
        );
        assert_eq!(read(r#"{"sort":"latency"}"#).unwrap().sort, Some(Strategy::Fastest));
        let models = Preferences::read(Some(br#"["a","b/c"]"#), None).unwrap();
        assert_eq!(models.models.iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b/c"]);
    }

    #[test]
    fn what_does_not_act_is_refused_by_name() {
        let check = |text: &str, param: &str, code: &str| {
            let error = read(text).unwrap_err();
            assert_eq!((error.param.as_deref(), error.code), (Some(param), code), "{error:?}");
        };
        check(r#"{"quantizations":["fp8"]}"#, "provider.quantizations", "unsupported_parameter");
        check(r#"{"max_price":{"image":1}}"#, "provider.image", "unsupported_parameter");
        check(r#"{"sort":"vibes"}"#, "provider", "invalid_value");
        check(r#"["a"]"#, "provider", "invalid_value");
        check(r#"{"max_price":{"prompt":"cheap"}}"#, "provider.max_price.prompt", "invalid_value");
        assert!(Preferences::read(Some(b"\"a\""), None).is_err());
    }
}
