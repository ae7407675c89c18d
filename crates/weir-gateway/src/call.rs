//! A call on its way down: what the client asked, who may serve it, one try at one target.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use smallvec::SmallVec;
use weir_adapter::Request;
use weir_config::Strategy;
use weir_ledger::row::Sum;
use weir_ledger::{AttemptRow, CallId, Facts, Room, State, UsageSource};

use crate::cache::{CacheControl, Copies};
use crate::limits::{Limits, RateView};
use crate::purse::Purse;
use crate::routing::{Plan, Preferences};
use crate::snapshot::{Snapshot, Target};
use crate::trace::Trace;
use crate::watch::Seen;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key's name in rows: `local` on an open loopback listener, `master` for the master key.
    pub name: Arc<str>,
    /// The key's team.
    pub team: Option<Arc<str>>,
    /// Which models it may call: public names and `provider/model` names, `*` for any text. `None`: all.
    pub models: Option<Vec<String>>,
    /// What it may do beside calling.
    pub role: Role,
    /// How much may be called with the key.
    pub limits: Option<Limits>,
    /// How much all keys of the team together may call.
    pub team_limits: Option<Limits>,
    /// Parameters that are set where its client sent nothing; they go before a route's.
    pub defaults: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Calls models.
    Caller,
    /// Reads the accounts, too.
    Viewer,
    /// Everything.
    Admin,
}

impl From<weir_config::Role> for Role {
    fn from(written: weir_config::Role) -> Role {
        match written {
            weir_config::Role::Caller => Role::Caller,
            weir_config::Role::Viewer => Role::Viewer,
            weir_config::Role::Admin => Role::Admin,
        }
    }
}

impl Caller {
    /// A caller without team, limits or restrictions.
    pub fn named(name: impl Into<Arc<str>>, role: Role) -> Caller {
        Caller {
            name: name.into(),
            team: None,
            models: None,
            role,
            limits: None,
            team_limits: None,
            defaults: None,
        }
    }

    /// Whether this caller may call `model`.
    pub fn may_call(&self, model: &str) -> bool {
        match &self.models {
            None => true,
            Some(patterns) => {
                patterns.iter().any(|pattern| weir_adapter::descriptor::matches(pattern, model))
            }
        }
    }
}

/// What the client asked for beside the body, in `x-weir-*` headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// A parameter that the provider can't honour becomes a 400.
    pub strict: bool,
    /// A total deadline, shorter than the configured one.
    pub timeout: Option<Duration>,
    /// No other target than the first.
    pub no_fallback: bool,
    /// What the client wants of stored answers.
    pub cache: CacheControl,
    /// What the request says itself about who may serve it.
    pub preferences: Option<Arc<Preferences>>,
    /// How the order is found, by a suffix of the model's name, in place of the route's own strategy.
    pub strategy: Option<Strategy>,
    /// The most that the call may cost, in nano-dollars.
    pub max_cost: Option<i64>,
    /// What the whole session may cost, in nano-dollars.
    pub session_budget: Option<i64>,
    /// The trace that the call belongs to, where traces are wanted.
    pub trace: Option<Arc<Trace>>,
}

/// A client's call.
pub struct Call {
    /// weir's own id.
    pub id: CallId,
    /// Who calls.
    pub caller: Arc<Caller>,
    /// What was sent.
    pub request: Request,
    /// The configuration that this call sees from its first layer to its last.
    pub snapshot: Arc<Snapshot>,
    /// What the ledger knows of the call from its beginning.
    pub facts: Arc<Facts>,
    /// What the client asked for in headers.
    pub options: CallOptions,
    /// How many gateways it came through before this one.
    pub hops: u32,
    /// When it began.
    pub started: Instant,
    /// What has happened so far.
    pub progress: Mutex<Progress>,
}

/// What has happened to a call so far.
#[derive(Default)]
pub struct Progress {
    /// Room in the ledger, held until the call's row is written.
    pub room: Option<Room>,
    /// When the call must be over.
    pub deadline: Option<Instant>,
    /// How long the client may take none of the answer.
    pub write: Option<Duration>,
    /// Attempts dispatched.
    pub attempts: u16,
    /// What they add up to.
    pub sum: Sum,
    /// The target of the last one.
    pub target: Option<Arc<Target>>,
    /// The public name that was routed.
    pub route: Option<Arc<str>>,
    /// What became of each, for error bodies and `weir explain`.
    pub trail: Vec<Tried>,
    /// A row that ended together with its call: both are written at once.
    pub unsettled: Option<AttemptRow>,
    /// The state, usage source and price of the last attempt.
    pub last: Option<(State, UsageSource, Option<Arc<str>>)>,
    /// Parameters that the last target could not honour.
    pub dropped: Vec<String>,
    /// What the answer is less than was asked for: `stale`, `model`, `tools`, `continued`.
    pub degraded: SmallVec<[&'static str; 2]>,
    /// Makes copies of streams that may be stored.
    pub copies: Option<Copies>,
    /// Whether the answer is a stored one.
    pub cache: weir_ledger::Cache,
    /// How long ago it was stored.
    pub cache_age: Option<Duration>,
    /// What it would have cost, in nano-dollars.
    pub saved_nanousd: Option<i64>,
    /// Time spent waiting for providers, which is not weir's overhead.
    pub waited: Duration,
    /// From the call's beginning to the first token.
    pub ttft: Option<Duration>,
    /// What it may spend; `None` where nothing holds it.
    pub purse: Option<Arc<Purse>>,
    /// The output limit that weir set in the last attempt.
    pub max_tokens: Option<u64>,
    /// How its limits stand, where it has any.
    pub rate: Option<RateView>,
    /// What is gathered for those who want to know of it; `None` where nobody does.
    pub seen: Option<Box<Seen>>,
}

/// One attempt, in short.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Tried {
    /// The provider's name.
    pub provider: Arc<str>,
    /// The model's name there.
    pub model: Arc<str>,
    /// How it ended.
    pub result: &'static str,
    /// The provider's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// A call whose targets are chosen.
pub struct Routed {
    /// The call.
    pub call: Arc<Call>,
    /// Who may serve it, in order.
    pub plan: Plan,
}

/// One try at one target.
pub struct Attempt {
    /// The call.
    pub call: Arc<Call>,
    /// Where it goes.
    pub target: Arc<Target>,
    /// The route whose settings hold for it.
    pub route: Arc<crate::snapshot::Route>,
    /// Its place among the call's attempts, from 1; 0 until it is recorded.
    pub ordinal: u16,
    /// What is sent in place of the call's own request.
    pub instead: Option<Arc<Request>>,
    /// What an earlier attempt has said, where this one goes on from it.
    pub script: Option<crate::meter::script::Script>,
    /// How it gets past the breaker, and with which key.
    pub pass: Pass,
    /// Where another may be under way at the same time.
    pub racer: Option<Arc<Racer>>,
}

/// One of two attempts of a call at the same time.
#[derive(Debug)]
pub struct Racer {
    /// It began because the other is slow.
    pub second: bool,
    lost: AtomicBool,
}

impl Racer {
    /// Of an attempt that begins.
    pub fn new(second: bool) -> Racer {
        Racer { second, lost: AtomicBool::new(false) }
    }

    /// The other has begun to answer: this one is cut.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }

    /// Whether the other was faster.
    pub fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

/// How an attempt gets past the breaker, and with which key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pass {
    /// What the call belongs to.
    pub affinity: Option<u64>,
    /// There is no other target: it is asked in any case.
    pub alone: bool,
    /// It is asked although it fails at times, since too many others rest.
    pub kept: bool,
    /// It goes over a connection of its own: one that was kept has just closed under it.
    pub fresh: bool,
    /// The place of the key that goes with it, once the breaker has chosen.
    pub key: usize,
}

impl Call {
    /// Time that weir itself took so far: all but the waiting for providers.
    pub fn overhead(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started).saturating_sub(self.progress.lock().waited)
    }
}
