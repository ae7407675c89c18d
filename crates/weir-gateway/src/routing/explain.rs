//! Why a call goes where it goes, and why not elsewhere: for people, not for calls. It looks at what routing looks at
//! and says it in words; the order itself is the plan's.

use std::sync::Arc;
use std::time::Instant;

use weir_catalog::NanoUsd;
use weir_config::Strategy;

use super::affinity;
use super::needs::Needs;
use super::plan::{Plan, expected_cost};
use crate::call::Call;
use crate::error::GatewayError;
use crate::snapshot::{Route, Target};

/// One reason, for programs and for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Reason {
    /// `operation`, `preference`, `repeated`, `fallback_off`, `capability`, `context_window`, `breaker`, `key`,
    /// `affinity`, `order`, `weight`, `price`, `speed`, `busy`, `fallback`, `degraded`.
    pub code: &'static str,
    /// In words.
    pub message: String,
}

/// One target of the route or of its fallbacks.
#[derive(Debug, Clone)]
pub struct Considered {
    /// The route it belongs to.
    pub route: Arc<Route>,
    /// The target.
    pub target: Arc<Target>,
    /// Its place in the plan, from 0; `None`: it is not asked at all.
    pub place: Option<usize>,
    /// Why it stands there, or is not asked.
    pub reasons: Vec<Reason>,
    /// Nano-dollars that the call is expected to cost there; `None`: no price known.
    pub expected_nanousd: Option<i64>,
}

/// Every target of the route and its fallbacks: those that are asked in their order, then those that are not.
///
/// # Errors
/// A name that nobody serves, or that the caller may not call.
pub fn considered(call: &Call) -> Result<(Arc<Route>, Vec<Considered>), GatewayError> {
    let plan = crate::layers::route::plan(call);
    let (route, steps, smaller) = match &plan {
        Ok(plan) => (plan.route.clone(), &plan.steps[..], plan.smaller.clone()),
        // Nobody can serve it: then that is what there is to explain.
        Err(GatewayError::Unsupported { .. }) => {
            let route = call.snapshot.resolve(crate::layers::route::base_name(call));
            (route.ok_or(GatewayError::Internal)?, &[][..], None)
        }
        Err(error) => return Err(error.clone()),
    };
    let mut all = Vec::new();
    for (at, own) in Plan::chain(call, &route).0.iter().enumerate() {
        let less = smaller.as_ref().is_some_and(|smaller| smaller.name == own.name);
        for target in &own.targets {
            let place = steps.iter().position(|(step, known)| known.id == target.id && step.name == own.name);
            let mut look = Look { call, route: own, target, reasons: Vec::new() };
            match place {
                Some(_) if less => {
                    look.add("degraded", "asked when all others have failed; the answer says so".to_owned())
                }
                Some(_) if at > 0 => {
                    look.add("fallback", format!("`{}` is asked after the targets before it", own.name))
                }
                Some(_) => look.standing(),
                None => look.refused(steps.iter().any(|(_, known)| known.id == target.id)),
            }
            look.demoted();
            let expected_nanousd = look.expected();
            let reasons = look.reasons;
            all.push(Considered {
                route: own.clone(),
                target: target.clone(),
                place,
                reasons,
                expected_nanousd,
            });
        }
    }
    all.sort_by_key(|one| one.place.unwrap_or(usize::MAX));
    Ok((route, all))
}

struct Look<'l> {
    call: &'l Call,
    route: &'l Route,
    target: &'l Target,
    reasons: Vec<Reason>,
}

impl Look<'_> {
    fn add(&mut self, code: &'static str, message: String) {
        self.reasons.push(Reason { code, message });
    }

    fn affinity(&self) -> Option<u64> {
        affinity::of(self.call, self.route.affinity)
    }

    fn expected(&self) -> Option<i64> {
        let needs = Needs::of(&self.call.request);
        expected_cost(self.call, self.target, &needs, self.affinity(), Instant::now())
    }

    /// Why it is not asked.
    fn refused(&mut self, asked_already: bool) {
        let operation = self.call.request.operation;
        let options = &self.call.options;
        if !self.target.provider.adapter.serves(operation) {
            return self.add("operation", format!("it does not serve {operation}"));
        }
        if let Some(why) = options.preferences.as_ref().and_then(|own| own.refuses(self.target)) {
            return self.add("preference", format!("it is {why}"));
        }
        if asked_already {
            return self.add("repeated", "it is asked already, under another name".to_owned());
        }
        let off = options.no_fallback || options.preferences.as_ref().is_some_and(|own| !own.allow_fallbacks);
        if off {
            self.add("fallback_off", "the request wants no fallback".to_owned());
        }
    }

    /// What its place follows from.
    fn standing(&mut self) {
        let options = &self.call.options;
        let own = options.preferences.as_ref();
        let strategy = options.strategy.or(own.and_then(|own| own.sort)).unwrap_or(self.route.strategy);
        if let Some(place) = own.map(|own| own.place(self.target)).filter(|place| *place < usize::MAX) {
            self.add("order", format!("it is number {} in `provider.order`", place + 1));
        }
        let at = self.route.targets.iter().position(|target| target.id == self.target.id).unwrap_or(0);
        let number = format!("it is number {} of the route's targets", at + 1);
        if self.affinity().is_some()
            && [Strategy::Weighted, Strategy::LeastBusy, Strategy::Fastest].contains(&strategy)
        {
            return self
                .add("affinity", "the call stays with the target of its session, key or prompt".to_owned());
        }
        let (now, health) = (Instant::now(), &self.target.health);
        match strategy {
            Strategy::Ordered | Strategy::Auto => self.add("order", number),
            Strategy::Weighted => {
                let all: u64 = self.route.targets.iter().map(|target| u64::from(target.traits.weight)).sum();
                self.add(
                    "weight",
                    format!("it has the first turn in {} of {all} calls", self.target.traits.weight),
                );
            }
            Strategy::Cheapest => {
                let message = match self.expected() {
                    Some(cost) => format!("the call is expected to cost {} USD here", NanoUsd(cost)),
                    None => "no price is known, so it comes last".to_owned(),
                };
                self.add("price", message);
            }
            Strategy::Fastest => {
                let speed = health.speed(now);
                let stream = self.call.request.peek().stream;
                let known = if stream { speed.ttft.or(speed.whole) } else { speed.whole.or(speed.ttft) };
                let message = match known {
                    Some(time) => format!("its answers lately began after {} ms", time.as_millis()),
                    None => "how fast it is is not known, so it is tried first".to_owned(),
                };
                self.add("speed", message);
            }
            Strategy::LeastBusy => {
                self.add(
                    "busy",
                    format!(
                        "{} attempts are under way, for weight {}",
                        health.inflight(),
                        self.target.traits.weight
                    ),
                );
            }
        }
    }

    /// What speaks against it, wherever it stands.
    fn demoted(&mut self) {
        let needs = Needs::of(&self.call.request);
        let (offers, now) = (self.target.offers, Instant::now());
        for lacks in offers.missing(&needs) {
            self.add("capability", format!("the catalog says that it has no {lacks}"));
        }
        if !offers.fits(&needs) {
            let window = offers.context.unwrap_or_default();
            self.add(
                "context_window",
                format!(
                    "about {} tokens are asked for, its window has {window}",
                    needs.prompt + needs.output
                ),
            );
        }
        if self.route.breaker.is_none() {
            return;
        }
        if let Some((left, why)) = self.target.health.breaker().resting(now) {
            self.add(
                "breaker",
                format!(
                    "it is left alone for another {} s: {}",
                    left.as_millis().div_ceil(1000),
                    why.words()
                ),
            );
        }
        let credentials = &self.target.provider.credentials;
        let rests: Vec<_> =
            (0..credentials.count()).map(|key| credentials.left(key, &self.target.health, now)).collect();
        let resting = rests.iter().flatten().count();
        if resting > 0 {
            let first = rests.iter().flatten().min().map_or(0, |left| left.as_millis().div_ceil(1000));
            let (count, rest) = (
                rests.len(),
                if resting == rests.len() { "until then it is not asked" } else { "the others go on" },
            );
            self.add(
                "key",
                format!("{resting} of {count} keys rest, the first for another {first} s: {rest}"),
            );
        }
    }
}
