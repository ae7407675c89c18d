//! One public name: its targets and the settings of its calls.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
pub use weir_config::FailureClass;
use weir_config::{Affinity, OrOff, Strategy};

use super::target::Target;
use crate::limits::Limits;
use crate::routing::health::BreakerSettings;
use crate::routing::hedge::Hedge;
use crate::routing::strategy::Turns;

/// One public name.
#[derive(Debug, Clone)]
pub struct Route {
    /// The name that was asked for.
    pub name: Arc<str>,
    /// The name in metrics: bounded, so a pattern counts as itself.
    pub label: Arc<str>,
    /// Whom to ask, in order.
    pub targets: Vec<Arc<Target>>,
    /// Public names to go on with when all targets have failed.
    pub fallbacks: Vec<Arc<str>>,
    /// How the order of targets is found.
    pub strategy: Strategy,
    /// What is kept at one target and key; `None` where nothing is written.
    pub affinity: Option<Affinity>,
    /// When a failing target is left alone; `None`: never.
    pub breaker: Option<BreakerSettings>,
    /// Whether a breaker stands in the entry: then it holds for a single target, too.
    pub breaker_written: bool,
    /// When a call is sent a second time because the first attempt is slow; `None`: never.
    pub hedge: Option<Arc<Hedge>>,
    /// Whose turn it is.
    pub turns: Arc<Turns>,
    /// Which failures move on.
    pub fallback_on: FailureClasses,
    /// Tries at one target.
    pub retry: Retry,
    /// How long to wait for what.
    pub timeouts: Timeouts,
    /// The limit that is sent where a hard budget applies and the client set none.
    pub max_output_tokens: Option<u64>,
    /// How much may be called by everybody together.
    pub limits: Option<Limits>,
    /// Set where the client sent nothing.
    pub defaults: Option<Map<String, Value>>,
    /// Whether a parameter that can't be honoured is refused rather than reported.
    pub reject_unsupported: bool,
    /// What a call may get where what it asks for can't be had.
    pub degrade: Degrade,
    /// Whether a stream that breaks goes on at a target that can.
    pub goes_on: bool,
    /// How long answers are stored and served again, where they are.
    pub cache: Option<Duration>,
}

/// What a call may get where what it asks for can't be had.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Degrade {
    /// For how long after its time a stored answer is served where every target failed.
    pub stale: Option<Duration>,
    /// The public name that is asked after all others have failed.
    pub model: Option<Arc<str>>,
    /// Whether tools are left out for a target that can't use any.
    pub drops_tools: bool,
}

impl From<Option<&OrOff<weir_config::Degrade>>> for Degrade {
    fn from(written: Option<&OrOff<weir_config::Degrade>>) -> Degrade {
        let Some(written) = written.and_then(OrOff::value) else { return Degrade::default() };
        Degrade {
            stale: written.stale.map(|stale| stale.get()),
            model: written.model.as_deref().map(Into::into),
            drops_tools: written.tools == weir_config::DegradeTools::Drop,
        }
    }
}

/// A set of failure classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailureClasses(u16);

/// Tries at one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The first counted.
    pub attempts: u32,
    /// The longest first pause; the actual one is drawn between 0 and it, and it doubles with each try.
    pub base: Duration,
    /// The longest pause.
    pub max: Duration,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the head of the answer.
    pub first_byte: Duration,
    /// For the first content.
    pub first_token: Duration,
    /// Between pieces of content.
    pub idle: Duration,
    /// For all of it.
    pub total: Duration,
    /// For a client that does not read.
    pub write: Duration,
    /// Whether a stream is read to its end for the usage when its client leaves.
    pub drains: bool,
}

impl From<&weir_config::Timeouts> for Timeouts {
    fn from(written: &weir_config::Timeouts) -> Timeouts {
        Timeouts {
            first_byte: written.first_byte.get(),
            first_token: written.first_token.get(),
            idle: written.idle.get(),
            total: written.total.get(),
            write: written.write.get(),
            drains: false,
        }
    }
}

impl From<&weir_config::Retry> for Retry {
    fn from(written: &weir_config::Retry) -> Retry {
        Retry { attempts: written.attempts.max(1), base: written.base.get(), max: written.max.get() }
    }
}

impl FailureClasses {
    /// The set of these.
    pub fn of(classes: &[FailureClass]) -> FailureClasses {
        FailureClasses(classes.iter().fold(0, |set, class| set | 1 << *class as u16))
    }

    /// Whether `class` is one of them.
    pub fn contains(self, class: FailureClass) -> bool {
        self.0 & 1 << class as u16 != 0
    }
}

impl Route {
    /// A route with the settings that hold where nothing else is said.
    pub fn of(name: Arc<str>, label: Arc<str>, targets: Vec<Arc<Target>>) -> Route {
        Route::written(name, label, targets, &weir_config::Model::default())
    }

    /// A route with the settings of an entry.
    pub(super) fn written(
        name: Arc<str>,
        label: Arc<str>,
        targets: Vec<Arc<Target>>,
        entry: &weir_config::Model,
    ) -> Route {
        Route {
            name,
            label,
            targets,
            fallbacks: entry.fallbacks.iter().map(|name| name.as_str().into()).collect(),
            strategy: entry.strategy,
            affinity: entry.affinity,
            breaker: breaker(entry.breaker.as_ref()),
            breaker_written: entry.breaker.is_some(),
            hedge: Hedge::of(entry.hedge.as_ref()).map(Arc::new),
            turns: Arc::default(),
            fallback_on: FailureClasses::of(&entry.fallback_on),
            retry: Retry::from(&entry.retry),
            timeouts: Timeouts {
                drains: entry.on_client_gone == weir_config::OnClientGone::Drain,
                ..Timeouts::from(&entry.timeouts)
            },
            max_output_tokens: entry.max_output_tokens,
            limits: Limits::of(entry.limits.as_ref()),
            defaults: Some(entry.defaults.clone()).filter(|defaults| !defaults.is_empty()),
            degrade: Degrade::from(entry.degrade.as_ref()),
            goes_on: entry.on_broken_stream == weir_config::OnBrokenStream::Continue,
            cache: crate::cache::ttl(entry.cache.as_ref()),
            reject_unsupported: entry.unsupported_params == weir_config::UnsupportedParams::Reject,
        }
    }
}

fn breaker(written: Option<&OrOff<weir_config::Breaker>>) -> Option<BreakerSettings> {
    let usual = weir_config::Breaker::default();
    let entry = match written {
        None => &usual,
        Some(OrOff::On(entry)) => entry,
        Some(OrOff::Off) => return None,
    };
    Some(BreakerSettings {
        failures: entry.failures,
        millionths: entry.ratio.millionths,
        min_requests: entry.min_requests,
        window: entry.window.get(),
        cooldown: entry.cooldown.get(),
    })
}
