//! The targets of one call, in order.

use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;
use weir_config::Strategy;
use weir_wire::{Class, Usage};

use super::affinity;
use super::health::Why;
use super::needs::Needs;
use super::strategy::{Asked, Candidate, order};
use crate::call::Call;
use crate::error::GatewayError;
use crate::snapshot::{Route, Target};

/// The targets of one call, in order, each with the route it belongs to.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The public name's own route.
    pub route: Arc<Route>,
    /// Whom to ask, first to last.
    pub steps: Vec<(Arc<Route>, Arc<Target>)>,
    /// The route that is asked when all others have failed: its answer is less than was asked for.
    pub smaller: Option<Arc<Route>>,
    /// What the call belongs to: it stays at one target and key.
    pub affinity: Option<u64>,
    /// Steps, by bits, that are asked although they fail at times, since too many others rest.
    pub kept: u64,
}

/// How many fallbacks are followed: a chain that is longer is a mistake in the configuration.
const MAX_ROUTES: usize = 16;
/// How many tokens an answer is expected to have where nothing is said.
const USUAL_ANSWER: u64 = 300;
/// How much of a prompt lies in a warm cache, in percent.
const WARM_PERCENT: u64 = 90;

impl Plan {
    /// The targets of `route`, then those of its fallbacks, that can do what is asked.
    ///
    /// # Errors
    /// None can.
    pub fn new(call: &Call, route: Arc<Route>) -> Result<Plan, GatewayError> {
        let affinity = affinity::of(call, route.affinity);
        let mut steps: Vec<(Arc<Route>, Arc<Target>)> = Vec::new();
        let mut refused = Vec::new();
        let (chain, smaller) = Plan::chain(call, &route);
        for route in chain {
            let targets = arrange(call, &route, affinity, &mut refused);
            for target in targets {
                // The same target under two names is one target.
                if !steps.iter().any(|(_, known)| known.id == target.id) {
                    steps.push((route.clone(), target));
                }
            }
        }
        if let Some(preferences) = &call.options.preferences {
            let less = |own: &Route| smaller.as_ref().is_some_and(|smaller| smaller.name == own.name);
            steps.sort_by_key(|(route, target)| (less(route), preferences.place(target)));
        }
        if call.options.no_fallback
            || call.options.preferences.as_ref().is_some_and(|own| !own.allow_fallbacks)
        {
            steps.truncate(1);
        }
        if steps.is_empty() {
            return Err(nobody(call, &route, &refused));
        }
        let kept = keep(&steps);
        Ok(Plan { route, steps, smaller, affinity, kept })
    }

    /// The route, then what the request names itself, then the fallbacks, then what is asked for want of all these: each
    /// once, in the order in which they are tried. The last one apart, too, where there is one.
    pub(crate) fn chain(call: &Call, first: &Arc<Route>) -> (SmallVec<[Arc<Route>; 4]>, Option<Arc<Route>>) {
        let mut chain: SmallVec<[Arc<Route>; 4]> = SmallVec::from_iter([first.clone()]);
        let own = call.options.preferences.as_ref().map_or(&[][..], |preferences| &preferences.models);
        let follow = |chain: &mut SmallVec<[Arc<Route>; 4]>, name: &str| {
            if chain.len() >= MAX_ROUTES || !call.caller.may_call(name) {
                return;
            }
            let next = call.snapshot.resolve(name);
            if let Some(next) = next.filter(|next| chain.iter().all(|route| route.name != next.name)) {
                chain.push(next);
            }
        };
        own.iter().for_each(|name| follow(&mut chain, name));
        let mut at = 0;
        while at < chain.len() && chain.len() < MAX_ROUTES {
            let route = chain[at].clone();
            route.fallbacks.iter().for_each(|name| follow(&mut chain, name));
            at += 1;
        }
        let before = chain.len();
        if let Some(name) = &first.degrade.model {
            follow(&mut chain, name);
        }
        let smaller = chain.get(before).cloned();
        (chain, smaller)
    }
}

fn nobody(call: &Call, route: &Route, refused: &[(Arc<Target>, &'static str)]) -> GatewayError {
    let operation = call.request.operation;
    let why =
        refused.iter().map(|(target, why)| format!("`{}/{}` is {why}", target.provider.name, target.model));
    let why: Vec<String> = why.collect();
    let (param, message) = match why.as_slice() {
        [] => ("model", format!("no target of `{}` serves {operation}", route.name)),
        _ => ("provider", format!("no target of `{}` is left: {}", route.name, why.join("; "))),
    };
    GatewayError::Unsupported { param: param.to_owned(), message }
}

/// A route's targets in the order of its strategy: first those that can do what is asked and don't rest.
fn arrange(
    call: &Call,
    route: &Route,
    affinity: Option<u64>,
    refused: &mut Vec<(Arc<Target>, &'static str)>,
) -> SmallVec<[Arc<Target>; 4]> {
    let operation = call.request.operation;
    let preferences = call.options.preferences.as_deref();
    let mut targets: SmallVec<[Arc<Target>; 4]> = SmallVec::new();
    let verbatim = call.request.verbatim.is_some();
    let serves = |target: &&Arc<Target>| verbatim || target.provider.adapter.serves(operation);
    for target in route.targets.iter().filter(serves) {
        match preferences.and_then(|preferences| preferences.refuses(target)) {
            None => targets.push(target.clone()),
            Some(why) => refused.push((target.clone(), why)),
        }
    }
    if targets.len() < 2 {
        return targets;
    }
    let strategy = call.options.strategy.or(preferences.and_then(|own| own.sort)).unwrap_or(route.strategy);
    let (now, needs) = (Instant::now(), Needs::of(&call.request));
    let candidate = |(index, target): (usize, &Arc<Target>)| Candidate {
        index: route.targets.iter().position(|own| Arc::ptr_eq(own, target)).unwrap_or(index),
        id: target.id,
        weight: target.traits.weight,
        cost: if strategy == Strategy::Cheapest {
            expected_cost(call, target, &needs, affinity, now)
        } else {
            None
        },
        speed: target.health.speed(now),
        inflight: target.health.inflight(),
        share: route.breaker.map_or(1.0, |settings| target.health.breaker().share(&settings, now)),
    };
    let all: SmallVec<[Candidate; 4]> = targets.iter().enumerate().map(candidate).collect();
    // 0: can do it; 1: most likely too long for it; 2: can't, as far as is known; 4: rests.
    let worth = |at: usize| {
        let target = &targets[at];
        let able = if target.offers.can(&needs) { 0 } else { 2 };
        let fits = u8::from(!target.offers.fits(&needs));
        let rests =
            if route.breaker.is_some() && target.health.breaker().resting(now).is_some() { 4 } else { 0 };
        able + fits + rests
    };
    let worths: SmallVec<[u8; 8]> = (0..targets.len()).map(worth).collect();
    let best = *worths.iter().min().unwrap_or(&0);
    // Turns are taken among the best only; the others stand behind.
    let chosen: SmallVec<[usize; 8]> = (0..targets.len()).filter(|at| worths[*at] == best).collect();
    let group: SmallVec<[Candidate; 4]> = chosen.iter().map(|at| all[*at]).collect();
    let tokens = u32::try_from(needs.output.clamp(1, USUAL_ANSWER)).unwrap_or(1);
    let asked = Asked { affinity, stream: call.request.peek().stream, tokens };
    let ordered = order(strategy, &group, asked, &route.turns, &mut rand::rng());
    let mut places: SmallVec<[usize; 8]> = ordered.iter().map(|at| chosen[*at]).collect();
    let mut rest: SmallVec<[usize; 8]> = (0..targets.len()).filter(|at| worths[*at] != best).collect();
    rest.sort_by_key(|at| worths[*at]);
    places.extend(rest);
    places.into_iter().map(|at| targets[at].clone()).collect()
}

/// What this very call is expected to cost at a target, with what lies in the provider's cache at its rate.
pub(super) fn expected_cost(
    call: &Call,
    target: &Target,
    needs: &Needs,
    affinity: Option<u64>,
    now: Instant,
) -> Option<i64> {
    let price = target.price()?;
    let warm = affinity.is_some_and(|affinity| target.health.is_warm(affinity, now));
    let cached = if warm { needs.prompt * WARM_PERCENT / 100 } else { 0 };
    let output = match needs.output {
        0 => USUAL_ANSWER,
        asked => asked.min(USUAL_ANSWER),
    };
    let usage = Usage::new()
        .with(Class::Input, needs.prompt - cached)
        .with(Class::CacheRead, cached)
        .with(Class::Output, output);
    price.cost_in(&usage, crate::dispatch::tier(call)).map(|cost| cost.0)
}

/// At most half of a group is left alone for failing at times: the others of these stay in use.
fn keep(steps: &[(Arc<Route>, Arc<Target>)]) -> u64 {
    let now = Instant::now();
    let mut kept = 0;
    let mut resting: SmallVec<[(usize, Why); 8]> = SmallVec::new();
    for (at, (route, target)) in steps.iter().enumerate().take(64) {
        if route.breaker.is_some()
            && let Some((_, why)) = target.health.breaker().resting(now)
        {
            resting.push((at, why));
        }
    }
    let mut too_many = resting.len().saturating_sub(steps.len() / 2);
    for (at, why) in resting {
        if too_many > 0 && why == Why::Ratio {
            kept |= 1 << at;
            too_many -= 1;
        }
    }
    kept
}
