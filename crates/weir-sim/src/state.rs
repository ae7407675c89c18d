//! What the calls of one simulator share.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use crate::config::{SimConfig, StartError};
use crate::script::{Running, Script};
use crate::signature::Signer;
use crate::truth::TruthLog;

/// Most prompt prefixes that are remembered as cached.
const CACHED_PREFIXES: usize = 200_000;

/// A request as it reached the simulator.
#[derive(Debug, Clone, Serialize)]
pub struct Captured {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers in the order they came, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, with what is not UTF-8 replaced.
    pub body: String,
}

/// The shared state of a simulator.
#[derive(Debug)]
pub struct SimState {
    pub(crate) config: SimConfig,
    pub(crate) signer: Signer,
    pub(crate) truth: Option<Arc<TruthLog>>,
    scripted: AtomicBool,
    script: Mutex<Running>,
    captured: Mutex<VecDeque<Captured>>,
    calls: AtomicU64,
    turns: Mutex<HashMap<String, u64>>,
    prefixes: Mutex<HashMap<u64, Instant>>,
}

impl SimState {
    /// Opens the truth log, if any, and makes the state of a simulator that serves by [`crate::serve_connection`].
    ///
    /// # Errors
    /// When the truth log cannot be opened.
    pub fn new(config: SimConfig) -> Result<Arc<Self>, StartError> {
        let truth = match &config.truth_log {
            None => None,
            Some(path) => {
                let log = TruthLog::open(path).map_err(|cause| StartError::TruthLog(path.clone(), cause))?;
                Some(Arc::new(log))
            }
        };
        let script = Running::new(config.script.clone());
        Ok(Arc::new(Self {
            signer: Signer::new(&config.secret),
            truth,
            scripted: AtomicBool::new(!script.is_empty()),
            script: Mutex::new(script),
            captured: Mutex::default(),
            calls: AtomicU64::new(0),
            turns: Mutex::default(),
            prefixes: Mutex::default(),
            config,
        }))
    }

    /// Replaces the script; all its rules start afresh.
    ///
    /// # Errors
    /// An unknown word; the old script then stays.
    pub fn set_script(&self, script: Script) -> Result<(), String> {
        script.check()?;
        let running = Running::new(script);
        self.scripted.store(!running.is_empty(), Ordering::Relaxed);
        *self.script.lock() = running;
        Ok(())
    }

    /// The captured requests, oldest first (see [`SimConfig::capture`]).
    pub fn captured(&self) -> Vec<Captured> {
        self.captured.lock().iter().cloned().collect()
    }

    /// Forgets the captured requests.
    pub fn clear_captured(&self) {
        self.captured.lock().clear();
    }

    /// How many calls were answered or refused so far, control calls left out.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn capture(&self, make: impl FnOnce() -> Captured) {
        if self.config.capture == 0 {
            return;
        }
        let mut captured = self.captured.lock();
        if captured.len() >= self.config.capture {
            captured.pop_front();
        }
        captured.push_back(make());
    }

    pub(crate) fn scripted(&self) -> bool {
        self.scripted.load(Ordering::Relaxed)
    }

    pub(crate) fn script_words(&self, model: &str, path: &str, body: &[u8]) -> Option<String> {
        self.script.lock().next(model, path, body).map(str::to_owned)
    }

    pub(crate) fn script_report(&self) -> serde_json::Value {
        self.script.lock().report()
    }

    /// A number no other call of this simulator has.
    pub(crate) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// How many calls of that name there were before, counting this one.
    pub(crate) fn turn(&self, name: &str) -> u64 {
        let mut turns = self.turns.lock();
        let turn = turns.entry(name.to_owned()).or_insert(0);
        *turn += 1;
        *turn - 1
    }

    /// Whether the prefix was cached and still is; either way it is cached for `keep` from now.
    pub(crate) fn cache(&self, prefix: u64, keep: Duration) -> bool {
        let mut prefixes = self.prefixes.lock();
        if prefixes.len() >= CACHED_PREFIXES {
            prefixes.clear();
        }
        let now = Instant::now();
        prefixes.insert(prefix, now + keep).is_some_and(|until| until > now)
    }
}

/// The same number for the same value, in every process.
pub(crate) fn hash(value: impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}
