//! A model at a provider, with everything that an attempt looks up.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use weir_adapter::Descriptor;
use weir_adapter::descriptor::Prefill;
use weir_catalog::{Capability, Catalog, Model, Price, Schedule};

use super::provider::Provider;
use crate::metrics::{Metrics, TargetMetrics};
use crate::routing::affinity::hash;
use crate::routing::health::TargetHealth;
use crate::routing::needs::Offers;

/// How a model is asked to go on: as its provider says, where the model is known to do it, or is a local one that nobody
/// knows.
fn prefill(descriptor: &Descriptor, model: Option<&Model>) -> Prefill {
    match model.map_or(descriptor.local, |model| model.can(Capability::Prefill) == Some(true)) {
        true => descriptor.messages.prefill,
        false => Prefill::None,
    }
}

/// What the configuration says of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traits {
    /// Its share of calls relative to the other targets.
    pub weight: u32,
    /// Where it serves from.
    pub region: Option<Arc<str>>,
    /// Words by which requests may ask for it.
    pub tags: Vec<Arc<str>>,
    /// A failure on purpose, where that is allowed.
    pub fault: Option<FaultSettings>,
}

/// A failure on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultSettings {
    /// The status that the provider seems to answer with.
    pub status: Option<u16>,
    /// How many calls of a million it meets.
    pub millionths: u32,
    /// How long it waits before that.
    pub delay: Duration,
}

impl Default for Traits {
    fn default() -> Traits {
        Traits { weight: 1, region: None, tags: Vec::new(), fault: None }
    }
}

impl Traits {
    pub(super) fn of(entry: &weir_config::Target, allow_faults: bool) -> Traits {
        let fault = entry.fault.as_ref().filter(|_| allow_faults).map(|fault| FaultSettings {
            status: fault.status,
            millionths: fault.rate.map_or(1_000_000, |rate| rate.millionths),
            delay: fault.delay.map_or(Duration::ZERO, |delay| delay.get()),
        });
        Traits {
            weight: entry.weight.unwrap_or(1),
            region: entry.region.as_deref().map(Into::into),
            tags: entry.tags.iter().map(|tag| tag.as_str().into()).collect(),
            fault,
        }
    }
}

/// A model at a provider.
pub struct Target {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The model's name there.
    pub model: Arc<str>,
    /// What it costs from when.
    pub schedule: Schedule,
    /// The most tokens that it makes, where the catalog knows.
    pub output_limit: Option<u64>,
    /// What is known of its prompts.
    pub limits: crate::bound::Limits,
    /// What the configuration says of it.
    pub traits: Traits,
    /// What it can do, and how much it takes at once.
    pub offers: Offers,
    /// How it is asked to go on from a given start of an answer.
    pub prefill: Prefill,
    /// How it does.
    pub health: Arc<TargetHealth>,
    /// Its name as a number, the same in every process.
    pub id: u64,
    /// Its metrics under this route.
    pub metrics: TargetMetrics,
    /// The provider's and the model's name as headers of answers; `None` of a name that no header can hold.
    pub shown: [Option<HeaderValue>; 2],
}

impl Target {
    pub(super) fn new(
        catalog: &Catalog,
        metrics: &Arc<Metrics>,
        provider: &Arc<Provider>,
        model: &str,
        label: &Arc<str>,
        known: bool,
    ) -> Target {
        let found = catalog.find(&provider.kind, model);
        let model_label: Arc<str> = if known { model.into() } else { "other".into() };
        Target {
            provider: provider.clone(),
            model: model.into(),
            schedule: catalog.schedule(&provider.name, &provider.kind, model),
            output_limit: found.and_then(|found| found.max_output),
            limits: crate::bound::Limits::of(
                &provider.descriptor,
                model,
                found.and_then(|found| found.context_window),
            ),
            traits: Traits::default(),
            offers: Offers::of(found),
            prefill: prefill(&provider.descriptor, found),
            health: provider.health.of(model, provider.credentials.count()),
            id: hash(hash(0, provider.name.as_bytes()), model.as_bytes()),
            metrics: TargetMetrics::new(metrics, label, &provider.name, &model_label),
            shown: [&*provider.name, model].map(|name| HeaderValue::try_from(name).ok()),
        }
    }

    /// With what the configuration says of it.
    pub(super) fn with(self, traits: Traits) -> Target {
        Target { traits, ..self }
    }

    /// What it costs now.
    pub fn price(&self) -> Option<Arc<Price>> {
        if let [(_, only)] = self.schedule.periods() {
            return only.clone();
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.schedule.at(i64::try_from(now).unwrap_or(i64::MAX)).cloned()
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({}/{})", self.provider.name, self.model)
    }
}
