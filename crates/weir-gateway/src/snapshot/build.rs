//! From the configuration as written to the snapshot that runs. Every problem is reported at once, with its key path.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use indexmap::IndexMap;
use parking_lot::RwLock;
use weir_adapter::descriptor::ChainKind;
use weir_adapter::{Credential, Descriptor};
use weir_catalog::Catalog;
use weir_config::{Config, KeyPath, Problem};
use weir_ledger::key::KeyHash;

use super::{Keys, MakeAdapter, Provider, Route, Settings, Snapshot, Target, Traits};
use crate::call::Caller;
use crate::credentials::{Chain, Chains, Credentials};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::routing::health::Book;
use crate::upstream::{InProcess, Names, Proxy, TlsFiles, Upstream, UpstreamConfig};

/// How long an idle connection to a provider is kept: less than the minute after which many servers close theirs.
const IDLE: Duration = Duration::from_secs(50);

/// What a snapshot is made of, beside the configuration.
pub struct Parts<'p> {
    /// The configuration.
    pub config: &'p Config,
    /// The providers: those of the configuration, or those that were found.
    pub providers: &'p IndexMap<String, weir_config::Provider>,
    /// Models and prices, the configuration's own included.
    pub catalog: Catalog,
    /// Which providers and dialects there are.
    pub registry: &'p Registry,
    /// Where to count.
    pub metrics: &'p Arc<Metrics>,
    /// The snapshot before: providers that did not change are taken over.
    pub previous: Option<&'p Snapshot>,
}

/// The kinds of providers that this binary knows.
#[derive(Default)]
pub struct Registry {
    /// By name.
    pub descriptors: IndexMap<String, Descriptor>,
    /// By dialect.
    pub adapters: HashMap<&'static str, MakeAdapter>,
    /// Kinds that are served in this very process.
    pub in_process: HashMap<&'static str, InProcess>,
    /// Credentials that no file has.
    pub chains: Option<Arc<dyn Chains>>,
}

/// Everything that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct BuildError(pub Vec<Problem>);

impl Snapshot {
    /// Builds what the process runs. Connects nothing.
    ///
    /// # Errors
    /// Everything that is wrong, each with its key path.
    pub fn build(parts: Parts<'_>) -> Result<Snapshot, BuildError> {
        let mut problems = Vec::new();
        let config = parts.config;
        let mut providers = IndexMap::new();
        for (name, entry) in parts.providers {
            if let Some(provider) = provider(&parts, name, entry, &mut problems) {
                providers.insert(provider.name.clone(), provider);
            }
        }
        let mut snapshot = Snapshot {
            settings: settings(config),
            keys: keys(config, &mut problems),
            spending: super::Spending::new(config, &mut problems),
            cut: parts.previous.map(|previous| previous.cut.clone()).unwrap_or_default(),
            catalog: parts.catalog,
            providers,
            routes: IndexMap::new(),
            patterns: Vec::new(),
            direct: RwLock::default(),
            limits_models: config.models.values().any(|model| model.limits.is_some()),
            metrics: parts.metrics.clone(),
        };
        for (name, entry) in &config.models {
            snapshot.add_route(name, entry, &mut problems);
        }
        snapshot.check_fallbacks(config, &mut problems);
        if problems.is_empty() { Ok(snapshot) } else { Err(BuildError(problems)) }
    }

    fn add_route(&mut self, name: &str, entry: &weir_config::Model, problems: &mut Vec<Problem>) {
        let label: Arc<str> = name.into();
        let mut targets = Vec::new();
        for (index, target) in entry.targets.iter().enumerate() {
            let found = target
                .model
                .split_once('/')
                .and_then(|(provider, model)| Some((self.providers.get(provider)?, model)));
            match found {
                Some((provider, model)) => {
                    let made = Target::new(&self.catalog, &self.metrics, provider, model, &label, true);
                    targets.push(Arc::new(made.with(Traits::of(target, self.settings.allow_faults))));
                }
                None => {
                    let path = KeyPath::from(["models", name, "targets"]).index(index);
                    let known: Vec<&str> = self.providers.keys().map(|name| &**name).collect();
                    let message = format!(
                        "`{}` names no provider that is configured ({}); write `provider/model`",
                        target.model,
                        known.join(", ")
                    );
                    problems.push(Problem::at(path, message));
                }
            }
        }
        let route = Route::written(name.into(), label, targets, entry);
        match name.contains('*') {
            true => self.patterns.push((name.to_owned(), route)),
            false => drop(self.routes.insert(name.into(), Arc::new(route))),
        }
    }

    fn check_fallbacks(&self, config: &Config, problems: &mut Vec<Problem>) {
        for (name, entry) in &config.models {
            for (index, fallback) in entry.fallbacks.iter().enumerate() {
                if self.resolve(fallback).is_none() {
                    let path = KeyPath::from(["models", name, "fallbacks"]).index(index);
                    problems.push(Problem::at(
                        path,
                        format!(
                            "`{fallback}` is no public name and no `provider/model` of a configured provider"
                        ),
                    ));
                }
            }
        }
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        max_body: usize::try_from(config.server.max_body.bytes()).unwrap_or(usize::MAX),
        sse_keepalive: config.server.sse_keepalive.value().map(|every| every.get()),
        usage_cost: config.server.usage_cost.is_on(),
        unknown_price: config.unknown_price,
        allow_faults: config.server.allow_faults.is_on(),
        admission: config.budget_admission.unwrap_or_default(),
        user_limits: Limits::of(config.limits.user.as_ref()),
        cache: config.cache.as_ref().into(),
    }
}

fn keys(config: &Config, problems: &mut Vec<Problem>) -> Keys {
    let mut declared = HashMap::new();
    for (index, key) in config.keys.iter().enumerate() {
        let at = KeyPath::from(["keys"]).index(index);
        let hash = match (&key.key, &key.sha256) {
            (Some(key), _) => Some(KeyHash::of(key.expose())),
            (None, Some(hex)) => KeyHash::from_hex(hex),
            (None, None) => None,
        };
        let Some(hash) = hash else {
            problems.push(Problem::at(at, "a key needs `key` or `sha256` (64 hex digits)"));
            continue;
        };
        let team = key.team.as_ref().and_then(|name| config.teams.iter().find(|team| team.name == *name));
        let caller = Caller {
            name: key.name.as_str().into(),
            team: key.team.as_deref().map(Into::into),
            models: key.models.clone(),
            role: key.role.into(),
            limits: Limits::of(key.limits.as_ref()),
            team_limits: team.and_then(|team| Limits::of(team.limits.as_ref())),
            defaults: None,
        };
        if declared.insert(hash, Arc::new(caller)).is_some() {
            problems.push(Problem::at(at, "the same key stands twice"));
        }
    }
    let master = config.server.master_key.as_ref().map(|key| KeyHash::of(key.expose()));
    let teams = config.teams.iter().map(|team| (team.name.as_str().into(), Limits::of(team.limits.as_ref())));
    Keys::with_teams(master, declared, teams.collect())
}

/// One provider; `None` where something is wrong with it, which stands in `problems`.
fn provider(
    parts: &Parts<'_>,
    name: &str,
    entry: &weir_config::Provider,
    problems: &mut Vec<Problem>,
) -> Option<Arc<Provider>> {
    let connect_timeout = connect_timeout(parts.config, name);
    let same = parts.previous.and_then(|previous| previous.providers.get(name));
    if let Some(same) = same.filter(|same| same.entry == *entry && same.connect_timeout == connect_timeout) {
        return Some(same.clone());
    }
    let at = |key: &str| KeyPath::from(["providers", name, key]);
    let kind = entry.kind.as_deref().unwrap_or(name);
    let Some(descriptor) = parts.registry.descriptors.get(kind) else {
        let near = weir_config::nearest(kind, parts.registry.descriptors.keys().map(String::as_str));
        let hint = near.map_or_else(
            || "see `weir check` for those that are".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        problems.push(Problem::at(at("kind"), format!("the kind `{kind}` is not known; {hint} For any other server that speaks OpenAI's format write `kind: openai-compatible`")));
        return None;
    };
    let Some(make) = parts.registry.adapters.get(descriptor.dialect.as_str()) else {
        problems.push(Problem::at(
            at("kind"),
            format!("the dialect `{}` of `{kind}` is not built into this binary", descriptor.dialect),
        ));
        return None;
    };
    let mut descriptor = descriptor.clone();
    if entry.region.is_some() && !descriptor.has_regions() {
        problems.push(Problem::at(at("region"), format!("`{kind}` has no regions; remove it")));
        return None;
    }
    let project_in_path = descriptor.paths.values().any(|path| path.contains("{project}"));
    descriptor.api_version.clone_from(&entry.api_version);
    descriptor.region = entry.region.clone().or(descriptor.region);
    descriptor.project = entry.project.clone().or(descriptor.project);
    let base_url = base_url(entry, &descriptor)
        .map_err(|(key, why)| problems.push(Problem::at(at(key), format!("`{kind}` {why}"))))
        .ok()?;
    place(&mut descriptor)
        .map_err(|key| problems.push(Problem::at(at(key), format!("`{kind}` needs a `{key}`"))))
        .ok()?;
    descriptor.base_url = Some(base_url.clone());
    let chain = chain(parts, entry, &descriptor)
        .map_err(|(key, why)| problems.push(Problem::at(at(key), format!("`{kind}` {why}"))))
        .ok()?;
    let config = UpstreamConfig {
        base_url,
        connect_timeout,
        tls: TlsFiles {
            ca: entry.ca_file.clone(),
            client: entry.client_cert.clone().zip(entry.client_key.clone()),
        },
        proxy: proxy(entry, &at("proxy"), problems)?,
        in_process: parts.registry.in_process.get(kind).filter(|_| entry.base_url.is_none()).cloned(),
        idle_timeout: IDLE,
        names: Names::default(),
    };
    let upstream = Upstream::new(config)
        .map_err(|error| problems.push(Problem::at(at("base_url"), error.to_string())))
        .ok()?;
    let header_project = entry.project.as_deref().filter(|_| !project_in_path);
    let headers = headers(entry, header_project, &descriptor, &at("headers"), problems)?;
    Some(Arc::new(Provider {
        name: name.into(),
        kind: kind.into(),
        adapter: make(descriptor.clone()),
        descriptor,
        upstream,
        credentials: credentials(entry, chain.as_deref()),
        chain,
        health: Book::default(),
        headers,
        entry: entry.clone(),
        connect_timeout,
    }))
}

/// The shortest `connect` of the entries that name the provider: connections are shared by all of them.
fn connect_timeout(config: &Config, provider: &str) -> Duration {
    let names = |model: &&weir_config::Model| {
        model.targets.iter().any(|target| target.model.split('/').next() == Some(provider))
    };
    let own = config.models.values().filter(names).map(|model| model.timeouts.connect.get()).min();
    own.unwrap_or_else(|| weir_config::Timeouts::default().connect.get())
}

/// Where the provider is reached; else the key that is missing, and why it is needed.
fn base_url(
    entry: &weir_config::Provider,
    descriptor: &Descriptor,
) -> Result<String, (&'static str, &'static str)> {
    if let Some(url) = &entry.base_url {
        return Ok(url.as_str().to_owned());
    }
    if let Some(url) = descriptor.region.as_ref().and_then(|region| descriptor.regional_urls.get(region)) {
        return Ok(url.clone());
    }
    let url = descriptor.base_url.as_deref();
    let url = url.ok_or(("base_url", "needs a `base_url`: it has no address of its own"))?;
    match (url.contains("{region}"), &descriptor.region) {
        (false, _) => Ok(url.to_owned()),
        (true, Some(region)) => Ok(url.replace("{region}", region)),
        (true, None) => Err(("region", "needs a `region`, or a `base_url`")),
    }
}

/// Puts region and project into the paths; else the key that is missing.
fn place(descriptor: &mut Descriptor) -> Result<(), &'static str> {
    for (key, value) in [("region", &descriptor.region), ("project", &descriptor.project)] {
        let slot = format!("{{{key}}}");
        for path in descriptor.paths.values_mut().filter(|path| path.contains(&slot)) {
            *path = path.replace(&slot, value.as_deref().ok_or(key)?);
        }
    }
    Ok(())
}

/// What finds the provider's credential, where it has no key and its kind has such a chain.
fn chain(
    parts: &Parts<'_>,
    entry: &weir_config::Provider,
    descriptor: &Descriptor,
) -> Result<Option<Arc<dyn Chain>>, (&'static str, String)> {
    let keyed = entry.keys().next().is_some();
    if entry.credentials.is_some() {
        if descriptor.chain.is_none() {
            return Err(("credentials", "takes an `api_key`; remove `credentials`".to_owned()));
        }
        if keyed {
            return Err(("credentials", "takes `api_key` or `credentials`; remove one of them".to_owned()));
        }
    }
    let (None, Some(_), Some(chains)) = (keyed.then_some(()), descriptor.chain, &parts.registry.chains)
    else {
        return Ok(None);
    };
    if descriptor.chain == Some(ChainKind::Aws) && descriptor.region.is_none() {
        return Err(("region", "signs for a region: set `region`, or an `api_key`".to_owned()));
    }
    chains.open(descriptor, entry).map(Some).map_err(|why| ("credentials", why))
}

/// The keys as written; without any, what the chain finds.
fn credentials(entry: &weir_config::Provider, chain: Option<&dyn Chain>) -> Credentials {
    if let Some(chain) = chain {
        return Credentials::new(vec![chain.credential()]);
    }
    let keys: Vec<&weir_config::Secret> = entry.keys().collect();
    let name =
        |index: usize| if keys.len() == 1 { "api_key".to_owned() } else { format!("api_keys[{index}]") };
    let keys = keys.iter().enumerate().map(|(index, key)| Credential::new(name(index), key.expose()));
    Credentials::new(keys.collect())
}

fn headers(
    entry: &weir_config::Provider,
    project: Option<&str>,
    descriptor: &Descriptor,
    at: &KeyPath,
    problems: &mut Vec<Problem>,
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let fixed = descriptor.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let organization = entry.organization.iter().map(|value| ("openai-organization", value.as_str()));
    let project = project.map(|value| ("openai-project", value)).into_iter();
    let own = entry.headers.iter().map(|(name, value)| (name.as_str(), value.expose()));
    let mut headers = Vec::new();
    for (name, value) in fixed.chain(organization).chain(project).chain(own) {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => headers.push((name, value)),
            _ => {
                problems.push(Problem::at(at.clone(), format!("`{name}` can't be a header: names are letters, digits and dashes, values have no line ends")));
                return None;
            }
        }
    }
    Some(headers)
}

fn proxy(entry: &weir_config::Provider, at: &KeyPath, problems: &mut Vec<Problem>) -> Option<Option<Proxy>> {
    let Some(url) = &entry.proxy else { return Some(None) };
    match Proxy::parse(url.expose()) {
        Some(proxy) => Some(Some(proxy)),
        None => {
            problems.push(Problem::at(
                at.clone(),
                "write the proxy as `http://host:port`, or `http://user:password@host:port`",
            ));
            None
        }
    }
}
