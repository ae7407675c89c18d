//! `GET /v1/models` and `GET /v1/models/{id}`: what the key may call, in OpenAI's shape with OpenRouter's further fields.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use weir_catalog::{Capability, Catalog, Modality, Model, Price};
use weir_gateway::snapshot::{Provider, Target};
use weir_gateway::{Caller, GatewayError, Snapshot, names};
use weir_wire::Class;

use crate::app::App;

/// The whole list.
pub fn list(app: &App, caller: &Caller) -> Value {
    let snapshot = app.snapshot.load();
    let mut data: Vec<Value> = Vec::new();
    for route in snapshot.public_names().filter(|route| caller.may_call(&route.name)) {
        data.push(public(&snapshot.catalog, &route.name, route.targets.first()));
    }
    for provider in snapshot.providers.values() {
        let known: Vec<&Model> = snapshot.catalog.models_of(&provider.kind).collect();
        for model in &known {
            let name = format!("{}/{}", provider.name, model.id);
            if caller.may_call(&name) {
                data.push(direct(&snapshot.catalog, provider, &name, Some(model), &model.id));
            }
        }
        if known.is_empty() {
            for id in app.listed.of(&provider.name) {
                let name = format!("{}/{id}", provider.name);
                if caller.may_call(&name) {
                    data.push(direct(&snapshot.catalog, provider, &name, None, &id));
                }
            }
        }
    }
    json!({ "object": "list", "data": data })
}

/// One model.
///
/// # Errors
/// A name that nobody serves, or that this key may not call.
pub fn one(snapshot: &Snapshot, caller: &Caller, name: &str) -> Result<Value, GatewayError> {
    let route = snapshot.resolve(name).filter(|_| caller.may_call(name));
    let Some(route) = route else {
        return Err(GatewayError::UnknownModel {
            model: name.to_owned(),
            nearest: names::nearest(snapshot, caller, name),
        });
    };
    Ok(public(&snapshot.catalog, name, route.targets.first()))
}

fn public(catalog: &Catalog, name: &str, target: Option<&Arc<Target>>) -> Value {
    match target {
        Some(target) => {
            let model = catalog.find(&target.provider.kind, &target.model);
            described(name, &target.provider.name, model, target.price().as_deref())
        }
        None => described(name, "weir", None, None),
    }
}

fn direct(catalog: &Catalog, provider: &Provider, name: &str, model: Option<&Model>, id: &str) -> Value {
    let now = crate::clock::unix_seconds();
    let schedule = catalog.schedule(&provider.name, &provider.kind, id);
    described(name, &provider.name, model, schedule.at(now).map(|price| &**price))
}

fn described(name: &str, owner: &str, model: Option<&Model>, price: Option<&Price>) -> Value {
    let mut entry = Map::new();
    entry.insert("id".into(), name.into());
    entry.insert("object".into(), "model".into());
    // OpenAI's clients read a time here; the day of the data is the one that is known.
    entry.insert("created".into(), model.map_or(0, |model| model.date.unix()).into());
    entry.insert("owned_by".into(), owner.into());
    if let Some(model) = model {
        entry.insert("context_length".into(), json!(model.context_window));
        entry.insert("max_output_tokens".into(), json!(model.max_output));
        let modalities = |list: weir_catalog::Modalities| list.iter().map(Modality::name).collect::<Vec<_>>();
        entry.insert("architecture".into(), json!({ "input_modalities": modalities(model.input), "output_modalities": modalities(model.output) }));
        let capabilities: Vec<&str> =
            model.capabilities.iter().flat_map(|known| known.iter()).map(Capability::name).collect();
        entry.insert("supported_parameters".into(), json!(capabilities));
    }
    if let Some(price) = price {
        entry.insert("pricing".into(), pricing(price));
    }
    Value::Object(entry)
}

/// USD per token, as decimal strings.
fn pricing(price: &Price) -> Value {
    let mut pricing = Map::new();
    for (name, class) in [
        ("prompt", Class::Input),
        ("completion", Class::Output),
        ("input_cache_read", Class::CacheRead),
        ("input_cache_write", Class::CacheWrite5m),
        ("internal_reasoning", Class::Reasoning),
    ] {
        if let Some(rate) = price.rate(class) {
            pricing.insert(name.into(), decimal(rate).into());
        }
    }
    Value::Object(pricing)
}

/// Picodollars as USD.
fn decimal(picodollars: u64) -> String {
    let (whole, rest) = (picodollars / 1_000_000_000_000, picodollars % 1_000_000_000_000);
    let text = format!("{whole}.{rest:012}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_exact_decimals() {
        assert_eq!(decimal(2_500_000), "0.0000025");
        assert_eq!(decimal(0), "0");
        assert_eq!(decimal(1_000_000_000_000), "1");
    }
}
