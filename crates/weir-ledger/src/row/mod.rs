//! The rows of the ledger: one for each call, one for each attempt, and the record that opens an attempt.

mod id;
mod state;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use weir_wire::usage::Usage;

use crate::budget::Charges;

pub use id::{AttemptId, CallId};
pub use state::{Cache, End, State, UsageSource};

/// A moment, in microseconds since 1970-01-01T00:00:00Z.
pub type Micros = i64;

/// A day, in microseconds.
pub const MICROS_PER_DAY: Micros = 86_400_000_000;

/// A string that many rows share.
pub type Text = Arc<str>;

/// What is known of a call before it is routed. Shared by its records, so made once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The client's `x-request-id`, or the one made for it. Not unique.
    pub request_id: Text,
    /// When the call began.
    pub started_at: Micros,
    /// The caller's name: that of its key, or `local`.
    pub key: Text,
    /// The key's team.
    pub team: Option<Text>,
    /// The end user (`x-weir-user`, or `user` in the body).
    pub user: Option<Text>,
    /// The agent run (`x-weir-session`).
    pub session: Option<Text>,
    /// Labels, in the order given; `name:value` for pairs of `metadata`.
    pub tags: Vec<Text>,
    /// The client's dialect: `openai`, `anthropic`, ….
    pub dialect: Cow<'static, str>,
    /// What was asked: `chat`, `embeddings`, ….
    pub operation: Cow<'static, str>,
    /// The public name that was asked for.
    pub route: Text,
    /// Whether the client asked for a stream.
    pub stream: bool,
}

/// An attempt about to be dispatched. Holds all that is needed to close it, and its call, after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The attempt's id, sent upstream as `x-weir-attempt-id`.
    pub id: AttemptId,
    /// What is known of the call.
    pub facts: Arc<Facts>,
    /// When the attempt began.
    pub started_at: Micros,
    /// The provider's name in the configuration.
    pub provider: Text,
    /// The upstream's model name.
    pub model: Text,
    /// The name of the provider's credential; never its value.
    pub credential: Option<Text>,
    /// The most the attempt can cost, in nano-dollars. Where set, an attempt that a crash left open is charged it.
    pub bound_nanousd: Option<i64>,
    /// The version of the price that the attempt is charged by.
    pub price_id: Option<Text>,
    /// The budgets that pay for it.
    pub charges: Charges,
}

/// The terminal record of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRow {
    /// The attempt's id.
    pub id: AttemptId,
    /// What is known of the call.
    pub facts: Arc<Facts>,
    /// When the attempt began.
    pub started_at: Micros,
    /// When it ended.
    pub ended_at: Micros,
    /// The provider's name in the configuration.
    pub provider: Text,
    /// The upstream's model name.
    pub model: Text,
    /// The name of the provider's credential; never its value.
    pub credential: Option<Text>,
    /// How it ended.
    pub state: State,
    /// The provider's HTTP status, where it answered.
    pub upstream_status: Option<u16>,
    /// The provider's own id of the request.
    pub upstream_request_id: Option<Text>,
    /// What was used. Token classes are disjoint.
    pub usage: Usage,
    /// Where `usage` comes from.
    pub usage_source: UsageSource,
    /// Why the usage is not the provider's, or what went wrong; a few words for the operator.
    pub reason: Option<Text>,
    /// The version of the price that was applied.
    pub price_id: Option<Text>,
    /// The cost in nano-dollars; `None` where no price is known.
    pub cost_nanousd: Option<i64>,
    /// From dispatch to the first token, in milliseconds.
    pub ttft_ms: Option<u64>,
    /// From dispatch to the end, in milliseconds.
    pub duration_ms: u64,
    /// The error's code, where there was one.
    pub error_code: Option<Text>,
    /// The budgets that pay for it: what the store adds the cost to when it first sees the row. Not read back.
    #[serde(default, skip_serializing_if = "Charges::is_none")]
    pub charges: Charges,
}

/// The record of one client call, written once, when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRow {
    /// weir's own id of the call.
    pub id: CallId,
    /// What was known before routing.
    pub facts: Arc<Facts>,
    /// When the call ended.
    pub ended_at: Micros,
    /// The provider of the last attempt (or of the cached answer).
    pub provider: Option<Text>,
    /// The upstream's model name of the last attempt.
    pub model: Option<Text>,
    /// The HTTP status that the client got.
    pub status: u16,
    /// How it ended.
    pub end: End,
    /// How many attempts were dispatched.
    pub attempts: u16,
    /// What the cache did.
    pub cache: Cache,
    /// The sum over the attempts.
    pub usage: Usage,
    /// Where the last attempt's usage comes from.
    pub usage_source: UsageSource,
    /// The version of the last attempt's price.
    pub price_id: Option<Text>,
    /// The sum over the attempts in nano-dollars; `None` where one of them has no known price.
    pub cost_nanousd: Option<i64>,
    /// What a cache hit would have cost, in nano-dollars.
    pub cache_saved_nanousd: Option<i64>,
    /// From the call's beginning to the first token, in milliseconds.
    pub ttft_ms: Option<u64>,
    /// From the call's beginning to its end, in milliseconds.
    pub duration_ms: u64,
    /// weir's own share of the time, in microseconds.
    pub overhead_us: u64,
    /// The error's code, where there was one.
    pub error_code: Option<Text>,
}

impl Open {
    /// The row of an attempt that ended without its owner saying how: `state` at `now`, charged its bound.
    pub fn abandoned(&self, state: State, now: Micros, reason: &str) -> AttemptRow {
        let bound = self.bound_nanousd;
        AttemptRow {
            id: self.id,
            facts: self.facts.clone(),
            started_at: self.started_at,
            ended_at: now.max(self.started_at),
            provider: self.provider.clone(),
            model: self.model.clone(),
            credential: self.credential.clone(),
            state,
            upstream_status: None,
            upstream_request_id: None,
            usage: Usage::new(),
            usage_source: if bound.is_some() { UsageSource::Bound } else { UsageSource::None },
            reason: Some(reason.into()),
            price_id: self.price_id.clone(),
            cost_nanousd: bound,
            ttft_ms: None,
            duration_ms: millis_between(self.started_at, now),
            error_code: Some(state.name().into()),
            charges: self.charges.clone(),
        }
    }
}

impl CallRow {
    /// The row of a call whose owner did not say how it ended, from the last attempt's row and what all cost.
    pub fn abandoned(last: &AttemptRow, sum: &Sum, end: End, now: Micros) -> CallRow {
        CallRow {
            id: last.id.call,
            facts: last.facts.clone(),
            ended_at: now.max(last.facts.started_at),
            provider: Some(last.provider.clone()),
            model: Some(last.model.clone()),
            status: 500,
            end,
            attempts: sum.attempts,
            cache: Cache::Off,
            usage: sum.usage.clone(),
            usage_source: last.usage_source,
            price_id: last.price_id.clone(),
            cost_nanousd: sum.cost_nanousd,
            cache_saved_nanousd: None,
            ttft_ms: None,
            duration_ms: millis_between(last.facts.started_at, now),
            overhead_us: 0,
            error_code: Some(end.name().into()),
        }
    }
}

/// What the attempts of one call add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// How many were added.
    pub attempts: u16,
    /// Their usage.
    pub usage: Usage,
    /// Their cost; `None` once one of them has no known price.
    pub cost_nanousd: Option<i64>,
}

impl Default for Sum {
    fn default() -> Sum {
        Sum { attempts: 0, usage: Usage::new(), cost_nanousd: Some(0) }
    }
}

impl Sum {
    /// Adds one attempt.
    pub fn add(&mut self, row: &AttemptRow) {
        self.attempts = self.attempts.saturating_add(1);
        self.usage.add(&row.usage);
        self.cost_nanousd = match (self.cost_nanousd, row.cost_nanousd) {
            (Some(sum), Some(cost)) => sum.checked_add(cost),
            _ => None,
        };
    }
}

fn millis_between(from: Micros, to: Micros) -> u64 {
    u64::try_from(to.saturating_sub(from) / 1_000).unwrap_or(0)
}

/// Rows for tests of this crate and of the stores.
#[cfg(any(test, feature = "testing"))]
pub mod sample {
    use weir_wire::usage::Class;

    use super::*;

    /// The facts of a plain call that began at `started_at`.
    pub fn facts(started_at: Micros) -> Arc<Facts> {
        Arc::new(Facts {
            request_id: "req-1".into(),
            started_at,
            key: "ci".into(),
            team: Some("platform".into()),
            user: None,
            session: None,
            tags: Vec::new(),
            dialect: "openai".into(),
            operation: "chat".into(),
            route: "smart".into(),
            stream: true,
        })
    }

    /// Attempt `n` of `call`, about to be sent.
    pub fn open(call: CallId, n: u16, facts: &Arc<Facts>) -> Open {
        Open {
            id: AttemptId { call, n },
            facts: facts.clone(),
            started_at: facts.started_at + 1_000,
            provider: "openai".into(),
            model: "gpt-4o".into(),
            credential: Some("default".into()),
            bound_nanousd: Some(9_000_000),
            price_id: Some("openai/gpt-4o@2026-01-01".into()),
            charges: Charges::default(),
        }
    }

    /// The attempt that `open` opened, ended well.
    pub fn settled(open: &Open, cost: i64) -> AttemptRow {
        AttemptRow {
            upstream_status: Some(200),
            upstream_request_id: Some("up-1".into()),
            usage: Usage::new().with(Class::Input, 12).with(Class::Output, 34).with(Class::Search, 1),
            usage_source: UsageSource::Reported,
            reason: None,
            cost_nanousd: Some(cost),
            ttft_ms: Some(20),
            error_code: None,
            ..open.abandoned(State::Ok, open.started_at + 250_000, "")
        }
    }

    /// The call that ended with `last`.
    pub fn finished(last: &AttemptRow) -> CallRow {
        let mut sum = Sum::default();
        sum.add(last);
        CallRow {
            status: 200,
            error_code: None,
            overhead_us: 90,
            ttft_ms: Some(21),
            ..CallRow::abandoned(last, &sum, last.state.end(), last.ended_at + 100)
        }
    }
}
