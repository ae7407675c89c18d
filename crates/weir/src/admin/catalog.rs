//! `/admin/v1/models`, `providers`, `routes`, `prices` and `cache`: what the running configuration has.

use std::sync::Arc;

use serde_json::{Value, json};
use weir_gateway::{GatewayError, Snapshot};
use weir_wire::usage::TOKEN_CLASSES;

use super::{Answer, Ask, Desk, page};
use crate::app::App;
use crate::handlers;

/// Everything that can be called, as `/v1/models` lists it for a key that may call all.
pub fn models<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let mut list = handlers::models::list(running(desk)?, &ask.actor);
        match list["data"].take() {
            Value::Array(all) => page::of_all(ask, all),
            _ => Err(GatewayError::Internal),
        }
    })
}

/// The providers.
pub fn providers<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let snapshot = running(desk)?.snapshot.load_full();
        let written = |name: &str| desk.config.providers.as_ref().and_then(|all| all.get(name));
        let shown = |provider: &Arc<weir_gateway::snapshot::Provider>| {
            json!({
                "name": &*provider.name,
                "kind": &*provider.kind,
                "dialect": provider.descriptor.dialect,
                "base_url": written(&provider.name).and_then(|entry| entry.base_url.as_ref()).map(|url| url.as_str()).or(provider.descriptor.base_url.as_deref()),
                "keys": written(&provider.name).map(|entry| entry.keys().count()),
                "models": snapshot.catalog.models_of(&provider.kind).count(),
                "owner": "file",
            })
        };
        page::of_all(ask, snapshot.providers.values().map(shown).collect())
    })
}

/// The public names, and who serves them.
pub fn routes<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move {
        let loaded = running(desk)?.loaded.load_full();
        let shown = loaded.config.models.iter().map(|(name, model)| {
            let mut shown = serde_json::to_value(model).map_err(|_| GatewayError::Internal)?;
            shown["name"] = json!(name);
            shown["owner"] = json!("file");
            Ok(shown)
        });
        page::of_all(ask, shown.collect::<Result<_, GatewayError>>()?)
    })
}

/// Alerts, by receiver.
pub fn alerts<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move { page::of_all(ask, running(desk)?.alerts.list()) })
}

/// What is charged now, in USD per million tokens, for each model of each provider.
pub fn prices<'a>(desk: &'a Desk<'_>, ask: &'a Ask) -> Answer<'a> {
    Box::pin(async move { page::of_all(ask, all_prices(&running(desk)?.snapshot.load_full(), ask.now)) })
}

/// What stored answers are worth.
pub fn cache<'a>(desk: &'a Desk<'_>, _: &'a Ask) -> Answer<'a> {
    Box::pin(async move { Ok(handlers::cache::stats(running(desk)?).await) })
}

/// Forgets them.
pub fn purge<'a>(desk: &'a Desk<'_>, _: &'a Ask) -> Answer<'a> {
    Box::pin(async move { handlers::cache::purge(running(desk)?).await })
}

fn all_prices(snapshot: &Snapshot, now: i64) -> Vec<Value> {
    let mut all = Vec::new();
    for provider in snapshot.providers.values() {
        for model in snapshot.catalog.models_of(&provider.kind) {
            let schedule = snapshot.catalog.schedule(&provider.name, &provider.kind, &model.id);
            let mut shown = json!({ "model": format!("{}/{}", provider.name, model.id), "price_id": null });
            if let Some(price) = schedule.at(now / 1_000_000) {
                shown["price_id"] = json!(price.id());
                for class in TOKEN_CLASSES {
                    if let Some(rate) = price.rate(class) {
                        shown[class.name()] = json!(per_million(rate));
                    }
                }
            }
            all.push(shown);
        }
    }
    all
}

/// Picodollars for one as USD for a million.
fn per_million(rate: u64) -> String {
    let text = format!("{}.{:06}", rate / 1_000_000, rate % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The running gateway.
///
/// # Errors
/// There is none: a command asked the store itself.
pub fn running<'d>(desk: &Desk<'d>) -> Result<&'d App, GatewayError> {
    desk.app.ok_or_else(|| {
        GatewayError::NotFound("this needs the running gateway; start it, or name it with --url".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_exact() {
        for (rate, text) in [(2_500_000, "2.5"), (75_000, "0.075"), (0, "0"), (1, "0.000001")] {
            assert_eq!(per_million(rate), text);
        }
    }
}
