//! From an attempt to the bytes that the provider wants.
//!
//! This stands before the attempt's row is opened: what can't be written in the provider's dialect is never sent,
//! and so was no attempt.

use std::borrow::Cow;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::task::{Context, Poll};

use http::Method;
use tower::{Layer, Service};
use weir_adapter::{Credential, EncodeError, EncodeOptions, Operation, Verbatim, WireRequest};
use weir_catalog::Price;
use weir_config::UnknownPrice;
use weir_ledger::budget::Charges;

use super::Future;
use crate::bound::{Ceiling, Output, Unbounded, Wanted, estimate};
use crate::call::{Attempt, Call};
use crate::dispatch::Failed;
use crate::error::AttemptError;
use crate::purse::Purse;
use crate::reply::Reply;
use crate::snapshot::{Route, Target};

/// An attempt with the request that it sends.
pub struct Encoded {
    /// The attempt.
    pub attempt: Attempt,
    /// What is sent.
    pub wire: WireRequest,
    /// The key that goes with it.
    pub credential: Credential,
    /// What the target charges now.
    pub price: Option<Arc<Price>>,
    /// How many tokens can be made, and the limit that is sent for that.
    pub output: Output,
    /// What it can cost at most, or why nobody knows.
    pub ceiling: Result<Ceiling, Unbounded>,
    bound: std::cell::OnceCell<Result<i64, Unbounded>>,
    /// What the call may spend.
    pub purse: Option<Arc<Purse>>,
    /// Who pays.
    pub charges: Charges,
    /// What it did cost, in nano-dollars, where a provider's budget holds money for it.
    pub paid: Option<Arc<AtomicI64>>,
}

impl Encoded {
    /// The most that the attempt can cost, in nano-dollars.
    ///
    /// # Errors
    /// Why nobody knows.
    pub fn bound(&self) -> Result<i64, Unbounded> {
        self.bound.get_or_init(|| self.find_bound()).clone()
    }

    fn find_bound(&self) -> Result<i64, Unbounded> {
        let target = &self.attempt.target;
        // Nobody charges for counting, nor for looking something up in the provider's own API.
        if is_free(&self.attempt.call.request) {
            return Ok(0);
        }
        let name = || format!("{}/{}", target.provider.name, target.model);
        let ceiling = self.ceiling.as_ref().map_err(Clone::clone)?;
        let tokens = self.output.tokens.ok_or_else(|| Unbounded::Output(name()))?;
        ceiling.cost(tokens).ok_or_else(|| Unbounded::Price(name()))
    }
}

/// Makes [`Encode`].
#[derive(Debug, Clone, Default)]
pub struct EncodeLayer;

/// Writes attempts in their provider's dialect.
#[derive(Debug, Clone)]
pub struct Encode<S> {
    inner: S,
}

impl<S> Layer<S> for EncodeLayer {
    type Service = Encode<S>;

    fn layer(&self, inner: S) -> Encode<S> {
        Encode { inner }
    }
}

impl<S> Service<Attempt> for Encode<S>
where
    S: Service<Box<Encoded>, Response = Reply, Error = Failed, Future = Future<Reply, Failed>>,
{
    type Response = Reply;
    type Error = Failed;
    type Future = Future<Reply, Failed>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let began = attempt.call.step();
        match encode(attempt) {
            // Boxed, because it passes through several layers: each would move all of it.
            Ok(encoded) => {
                encoded.attempt.call.stepped("translate", began);
                self.inner.call(Box::new(encoded))
            }
            Err(error) => Box::pin(ready(Err(error.into()))),
        }
    }
}

/// The request as the provider wants it.
///
/// # Errors
/// A body that does not read, a parameter that this provider can't honour where that must not be.
pub fn encode(attempt: Attempt) -> Result<Encoded, AttemptError> {
    let (call, target, route) = (&attempt.call, &attempt.target, &attempt.route);
    let purse = call.progress.lock().purse.clone();
    let price = target.price();
    let wanted = purse.as_ref().map(|purse| wanted(purse, call, price.as_deref())).unwrap_or_default();
    let output = Output::of(call, route, target, wanted);
    let both = merged(call.caller.defaults.as_ref(), route.defaults.as_ref());
    let options = EncodeOptions {
        model: &target.model,
        model_output_limit: target.output_limit,
        output_limit: output.injected,
        output_cap: output.lowered,
        include_usage: true,
        defaults: both.as_deref(),
    };
    if call.request.operation == Operation::Embeddings {
        within_inputs(&call.request, target)?;
    }
    let request = attempt.instead.as_deref().unwrap_or(&call.request);
    let mut wire = match request.verbatim.as_deref() {
        Some(verbatim) => as_it_came(verbatim),
        None => target.provider.adapter.encode(request, &options).map_err(refused)?,
    };
    if let (Some(_), Some(path)) = (&attempt.script, &target.provider.descriptor.messages.prefill_path) {
        wire.path = path.clone().into();
    }
    if !wire.dropped.is_empty() && refuses_dropped(call, route) {
        let param = wire.dropped.join(", ");
        let message = format!(
            "`{}` can't honour {param}; leave it out, or let it be dropped by leaving out `x-weir-strict`",
            target.provider.name
        );
        return Err(AttemptError::Unsupported { param, message });
    }
    if price.is_none() && !is_free(&call.request) {
        unknown_price(call.snapshot.settings.unknown_price, target)?;
    }
    let known = purse.as_ref().and_then(|purse| purse.ceiling(target, price.as_ref()));
    let ceiling = match known {
        Some(known) => Ok(known.ceiling.clone()),
        None => Ceiling::new(call, target, price.as_ref()),
    };
    let credential = target.provider.credentials.get(attempt.pass.key).clone();
    let charges = purse.as_ref().map(|purse| purse.charges().clone()).unwrap_or_default();
    let bound = std::cell::OnceCell::new();
    if let Some(known) = known.and_then(|known| known.cost_of(output.tokens?)) {
        let _ = bound.set(Ok(known));
    }
    Ok(Encoded { wire, credential, price, output, ceiling, bound, purse, charges, paid: None, attempt })
}

/// Sees to it that no more is embedded at once than the provider takes.
fn within_inputs(request: &weir_adapter::Request, target: &Target) -> Result<(), AttemptError> {
    let Some(most) = target.provider.descriptor.max_inputs else { return Ok(()) };
    let (raw, members) = (request.raw(), &request.peek().members);
    for name in ["input", "requests"] {
        let Some(list) = members.value(raw, name).filter(|value| value.starts_with(b"[")) else { continue };
        let first = list[1..].iter().find(|byte| !byte.is_ascii_whitespace());
        // A list of numbers is one input.
        if !first.is_some_and(|byte| matches!(byte, b'"' | b'[' | b'{')) {
            continue;
        }
        let count = serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(list).map_or(0, |list| list.len());
        if count > most {
            let message = format!(
                "`{}` takes at most {most} inputs in one call, and there are {count}; make several calls of them",
                target.provider.name
            );
            return Err(AttemptError::Unsupported { param: name.to_owned(), message });
        }
    }
    Ok(())
}

/// Whether a request can cost nothing, whatever a model's price says.
pub(crate) fn is_free(request: &weir_adapter::Request) -> bool {
    let looks = |verbatim: &Verbatim| {
        !verbatim.known && [Method::GET, Method::HEAD, Method::DELETE].contains(&verbatim.method)
    };
    request.operation == Operation::CountTokens || request.verbatim.as_deref().is_some_and(looks)
}

/// A request to the provider's own API.
fn as_it_came(verbatim: &Verbatim) -> WireRequest {
    let mut wire = WireRequest::json(verbatim.path.clone(), verbatim.body.clone());
    wire.method = verbatim.method.clone();
    wire.headers.clone_from(&verbatim.headers);
    wire
}

/// What admission wants of the output at this price. A whole answer can't be cut, so what the client wants to pay at
/// most becomes a limit.
fn wanted(purse: &Purse, call: &Call, price: Option<&Price>) -> Wanted {
    let mut wanted = purse.wanted();
    let most = purse.max_cost().filter(|_| !call.request.peek().stream);
    if let Some((most, price)) = most.zip(price) {
        let left = most.saturating_sub(purse.spent());
        let fits = estimate::output_within(call, price, left) / u64::from(call.request.peek().choices.max(1));
        wanted.cap = Some(wanted.cap.unwrap_or(u64::MAX).min(fits.max(1)));
    }
    wanted
}

/// The key's defaults and the route's; the key's go first.
fn merged<'a>(key: Option<&'a Defaults>, route: Option<&'a Defaults>) -> Option<Cow<'a, Defaults>> {
    match (key, route) {
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => Some(Cow::Borrowed(one)),
        (Some(key), Some(route)) => {
            let mut both = route.clone();
            both.extend(key.iter().map(|(name, value)| (name.clone(), value.clone())));
            Some(Cow::Owned(both))
        }
    }
}

type Defaults = serde_json::Map<String, serde_json::Value>;

/// Whether a parameter that can't be honoured is refused rather than reported.
fn refuses_dropped(call: &Call, route: &Route) -> bool {
    let required = call.options.preferences.as_ref().is_some_and(|own| own.require_parameters);
    call.options.strict || route.reject_unsupported || required
}

/// What happens to a call whose price is not known. Its row says so in any case.
fn unknown_price(rule: UnknownPrice, target: &Target) -> Result<(), AttemptError> {
    let name = || format!("{}/{}", target.provider.name, target.model);
    match rule {
        UnknownPrice::Block => return Err(AttemptError::UnknownPrice(name())),
        UnknownPrice::Warn => {
            tracing::warn!(model = name(), "no price is known: the call's cost will not be either")
        }
        UnknownPrice::Allow => {}
    }
    Ok(())
}

fn refused(error: EncodeError) -> AttemptError {
    match error {
        EncodeError::Invalid(invalid) => AttemptError::Invalid(invalid),
        EncodeError::Unsupported { param, message } => AttemptError::Unsupported { param, message },
        EncodeError::Credential(_) => AttemptError::Internal("credential"),
    }
}
