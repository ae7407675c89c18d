//! What the process runs: everything that a call needs to know, resolved once and never changed.
//!
//! A reload builds another snapshot and swaps it for later calls; a call sees the one it began with to its end.

mod budgets;
mod build;
mod keys;
mod provider;
mod route;
mod target;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use parking_lot::RwLock;
use weir_adapter::{Adapter, Descriptor};
use weir_catalog::{Catalog, Model};
use weir_config::{BudgetAdmission, UnknownPrice};

pub use budgets::Spending;
pub use build::{BuildError, Parts, Registry};
pub use keys::{Ended, Keys, Verdict};
pub use provider::Provider;
pub use route::{Degrade, FailureClass, FailureClasses, Retry, Route, Timeouts};
pub use target::{FaultSettings, Target, Traits};

use crate::cache::CacheSettings;
use crate::cut::Cut;
use crate::limits::Limits;
use crate::metrics::Metrics;

/// How many names that stand in no entry are kept resolved; later ones are resolved at each call.
const MAX_DIRECT: usize = 10_000;
/// The longest name that is kept, in bytes.
const MAX_KEPT_NAME: usize = 256;

/// Settings of the whole process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// After how long a silent stream gets a comment.
    pub sse_keepalive: Option<Duration>,
    /// Whether `usage.cost` stands in answers.
    pub usage_cost: bool,
    /// What happens to calls whose price is not known.
    pub unknown_price: UnknownPrice,
    /// Whether faults on purpose act.
    pub allow_faults: bool,
    /// How a call is admitted by budgets.
    pub admission: BudgetAdmission,
    /// How much each end user may call.
    pub user_limits: Option<Limits>,
    /// Stored answers.
    pub cache: CacheSettings,
}

/// What the process runs.
pub struct Snapshot {
    /// Settings of the whole process.
    pub settings: Settings,
    /// Models and prices.
    pub catalog: Catalog,
    /// The providers by name, in the order of the configuration.
    pub providers: IndexMap<Arc<str>, Arc<Provider>>,
    /// Who may call.
    pub keys: Keys,
    /// What may be spent.
    pub spending: Spending,
    /// When calls are cut as the process ends.
    pub cut: Arc<Cut>,
    routes: IndexMap<Arc<str>, Arc<Route>>,
    /// Public names with a `*`, each with the route that its targets' `*` are filled into.
    patterns: Vec<(String, Route)>,
    /// Names that stand in no entry, resolved when they were first asked for.
    direct: RwLock<HashMap<Box<str>, Arc<Route>>>,
    limits_models: bool,
    metrics: Arc<Metrics>,
}

impl Snapshot {
    /// The route of a name: a public name; one with `*`; `provider/model`; a bare id of the catalog.
    pub fn resolve(&self, name: &str) -> Option<Arc<Route>> {
        if let Some(route) = self.routes.get(name) {
            return Some(route.clone());
        }
        if let Some(route) = self.direct.read().get(name) {
            return Some(route.clone());
        }
        let route = Arc::new(
            self.by_pattern(name).or_else(|| self.by_provider(name)).or_else(|| self.by_bare_id(name))?,
        );
        let mut direct = self.direct.write();
        if name.len() <= MAX_KEPT_NAME && direct.len() < MAX_DIRECT {
            direct.insert(name.into(), route.clone());
        }
        Some(route)
    }

    fn by_pattern(&self, name: &str) -> Option<Route> {
        self.patterns.iter().find_map(|(pattern, template)| {
            let (head, tail) = pattern.split_once('*')?;
            let matched = name.strip_prefix(head)?.strip_suffix(tail)?;
            let targets = template.targets.iter().map(|target| {
                let model = target.model.replacen('*', matched, 1);
                Arc::new(self.target(&target.provider, &model, &template.label).with(target.traits.clone()))
            });
            Some(Route { name: name.into(), targets: targets.collect(), ..template.clone() })
        })
    }

    fn by_provider(&self, name: &str) -> Option<Route> {
        let (provider, model) = name.split_once('/')?;
        let provider = self.providers.get(provider).filter(|_| !model.is_empty())?;
        Some(self.single(name, provider, model))
    }

    /// A bare id of the catalog: served by its own vendor, else by the first provider that has it.
    fn by_bare_id(&self, name: &str) -> Option<Route> {
        let found = self.catalog.find_bare(name);
        let by_vendor =
            found.iter().filter(|model| model.provider == model.vendor).find_map(|model| self.serving(model));
        let (provider, model) = by_vendor.or_else(|| {
            let serves = |provider: &Arc<Provider>| {
                found
                    .iter()
                    .find(|model| *model.provider == *provider.kind)
                    .map(|model| (provider.clone(), model.id.to_string()))
            };
            self.providers.values().find_map(serves)
        })?;
        Some(self.single(name, &provider, &model))
    }

    fn serving(&self, model: &Model) -> Option<(Arc<Provider>, String)> {
        let provider = self.providers.values().find(|provider| *provider.kind == *model.provider)?;
        Some((provider.clone(), model.id.to_string()))
    }

    /// A name that stands in no entry, with the settings that hold where nothing else is said.
    fn single(&self, name: &str, provider: &Arc<Provider>, model: &str) -> Route {
        let known = self.knows(provider, model);
        let label: Arc<str> =
            if known { format!("{}/{model}", provider.name).into() } else { "other".into() };
        let target = self.target(provider, model, &label);
        Route::of(name.into(), label, vec![Arc::new(target)])
    }

    fn target(&self, provider: &Arc<Provider>, model: &str, label: &Arc<str>) -> Target {
        let known = self.knows(provider, model);
        Target::new(&self.catalog, &self.metrics, provider, model, label, known)
    }

    fn knows(&self, provider: &Provider, model: &str) -> bool {
        self.catalog
            .find(&provider.kind, model)
            .is_some_and(|found| &*found.id == model || found.aliases.iter().any(|alias| alias == model))
    }

    /// Whether any public name has limits.
    pub fn limits_models(&self) -> bool {
        self.limits_models
    }

    /// Whether this is a public name, or one that fits a public name with `*`.
    pub fn is_public(&self, name: &str) -> bool {
        self.routes.contains_key(name) || self.by_pattern(name).is_some()
    }

    /// All public names but those with `*`.
    pub fn public_names(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.values()
    }

    /// Everything that can be called by name: public names, then `provider/model` for what the catalog has.
    pub fn listed(&self) -> impl Iterator<Item = String> + '_ {
        let direct = self.providers.values().flat_map(|provider| {
            self.catalog.models_of(&provider.kind).map(|model| format!("{}/{}", provider.name, model.id))
        });
        self.routes.keys().map(|name| name.to_string()).chain(direct)
    }
}

/// What a dialect's adapter is made by.
pub type MakeAdapter = fn(Descriptor) -> Arc<dyn Adapter>;
