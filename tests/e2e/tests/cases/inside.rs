//! The stack inside the test's own process, over a simulator in the same process: for cases that drop futures by hand
//! or make an adapter panic.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use indexmap::IndexMap;
use serde_json::Value;
use weir_adapter::{Adapter, Descriptor, Front, Operation, Request};
use weir_catalog::{Catalog, ModelFile};
use weir_config::{Environment, Outside, yaml};
use weir_e2e::root;
use weir_gateway::snapshot::{MakeAdapter, Parts, Registry};
use weir_gateway::{Call, CallOptions, Metrics, Snapshot, Stack, stack};
use weir_ledger::budget::{Budgets, BudgetsConfig};
use weir_ledger::{CallId, Durability, Facts, Ledger, LedgerConfig, MemoryStore};
use weir_sim::{SimConfig, SimState, serve_connection};

/// A stack, its ledger and its simulator.
pub struct Inside {
    pub stack: Stack,
    pub ledger: Ledger,
    pub store: Arc<MemoryStore>,
    pub sim: Arc<SimState>,
    snapshot: Arc<Snapshot>,
    _folder: tempfile::TempDir,
}

fn files<T: serde::de::DeserializeOwned>(folder: &str) -> Vec<T> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|kind| kind == "yaml")).collect();
    paths.sort();
    let read =
        |path: &std::path::PathBuf| yaml::parse(&std::fs::read_to_string(path).unwrap(), "data").unwrap();
    paths.iter().map(read).collect()
}

impl Inside {
    /// With `more` in the configuration; `openai` makes the adapters of OpenAI's dialect.
    pub fn start(more: &str, openai: MakeAdapter, durability: Durability) -> Inside {
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let sim = SimState::new(SimConfig::default()).unwrap();
        let text = format!(
            "providers:\n  openai: {{ api_key: k }}\n  anthropic: {{ api_key: k }}\n  gemini: {{ api_key: k }}\n{more}"
        );
        let environment = Environment::default();
        let loaded = weir_config::load_text(&text, None, Outside::of(&environment)).unwrap();
        let providers: IndexMap<String, weir_config::Provider> =
            loaded.config.providers.clone().unwrap().into_iter().collect();
        let descriptors: Vec<Descriptor> = files("config/providers");
        let connect = sim.clone();
        let connect: weir_gateway::upstream::InProcess = Arc::new(move || {
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            tokio::spawn(serve_connection(connect.clone(), theirs));
            ours
        });
        let registry = Registry {
            chains: None,
            descriptors: descriptors.into_iter().map(|one| (one.name.clone(), one)).collect(),
            adapters: HashMap::from([
                ("openai", openai),
                ("anthropic", weir_adapter_anthropic::adapter as fn(Descriptor) -> Arc<dyn Adapter>),
                ("gemini", weir_adapter_gemini::adapter),
            ]),
            in_process: ["openai", "anthropic", "gemini"].map(|kind| (kind, connect.clone())).into(),
        };
        let metrics = Metrics::new("test");
        let parts = Parts {
            config: &loaded.config,
            providers: &providers,
            catalog: Catalog::new(files::<ModelFile>("config/models"))
                .unwrap()
                .with_prices(Vec::new(), loaded.config.prices.overrides.clone())
                .unwrap(),
            registry: &registry,
            metrics: &metrics,
            previous: None,
        };
        let snapshot = Arc::new(Snapshot::build(parts).unwrap());
        let store = Arc::new(MemoryStore::new());
        let config = LedgerConfig { durability, ..LedgerConfig::new(folder.path()) };
        let ledger = Ledger::start(config, store.clone()).unwrap();
        let budgets = Budgets::start(BudgetsConfig::default(), store.clone(), ledger.instance());
        budgets.adopt(&snapshot.spending.set());
        Inside {
            stack: stack(
                &metrics,
                &ledger,
                &weir_gateway::limits::Limiter::new(None),
                &budgets,
                &weir_gateway::Cache::new(),
            ),
            ledger,
            store,
            sim,
            snapshot,
            _folder: folder,
        }
    }

    /// A call of the gateway, as its front makes it.
    pub fn call(&self, front: Arc<dyn Front>, body: &Value) -> Arc<Call> {
        self.call_raw(front, body.to_string())
    }

    /// What the stack runs with.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The same, of a body as it is written.
    pub fn call_raw(&self, front: Arc<dyn Front>, body: String) -> Arc<Call> {
        let raw = bytes::Bytes::from(body);
        let (head, ()) = http::Request::new(()).into_parts();
        let peek = front.peek(Operation::Chat, &head, &raw).unwrap();
        let request = Request::new(Operation::Chat, front, raw, peek);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let facts = Facts {
            request_id: "r".into(),
            started_at: i64::try_from(now.as_micros()).unwrap(),
            key: "local".into(),
            team: None,
            user: None,
            session: None,
            tags: Vec::new(),
            dialect: request.front().dialect().into(),
            operation: "chat".into(),
            route: request.model().into(),
            stream: request.peek().stream,
        };
        let caller = weir_gateway::Caller::named("local", weir_gateway::call::Role::Caller);
        Arc::new(Call {
            id: CallId::now(),
            caller: Arc::new(caller),
            request,
            snapshot: self.snapshot.clone(),
            facts: Arc::new(facts),
            options: CallOptions::default(),
            hops: 0,
            started: Instant::now(),
            progress: Default::default(),
        })
    }
}
