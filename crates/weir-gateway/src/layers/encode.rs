//! From an attempt to the bytes that the provider wants.
//!
//! This stands before the attempt's row is opened: what can't be written in the provider's dialect is never sent,
//! and so was no attempt.

use std::borrow::Cow;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::{Layer, Service};
use weir_adapter::{Credential, EncodeError, EncodeOptions, WireRequest};
use weir_catalog::Price;
use weir_config::UnknownPrice;

use super::{Future, take_ready};
use crate::call::{Attempt, Call};
use crate::dispatch::Failed;
use crate::error::AttemptError;
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
    /// The most tokens that can be made over all choices, where that is known.
    pub output_limit: Option<u64>,
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
    S: Service<Encoded, Response = Reply, Error = Failed> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Reply;
    type Error = Failed;
    type Future = Future<Reply, Failed>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let mut inner = take_ready(&mut self.inner);
        Box::pin(async move {
            let encoded = encode(attempt)?;
            inner.call(encoded).await
        })
    }
}

/// The request as the provider wants it.
///
/// # Errors
/// A body that does not read, a parameter that this provider can't honour where that must not be.
pub fn encode(attempt: Attempt) -> Result<Encoded, AttemptError> {
    let (call, target, route) = (&attempt.call, &attempt.target, &attempt.route);
    let peek = call.request.peek();
    let both = merged(call.caller.defaults.as_ref(), route.defaults.as_ref());
    let options = EncodeOptions {
        model: &target.model,
        model_output_limit: target.output_limit,
        output_limit: route.max_output_tokens.filter(|_| peek.output_limit.is_none() && route.needs_limit),
        include_usage: true,
        defaults: both.as_deref(),
    };
    let wire = target.provider.adapter.encode(&call.request, &options).map_err(refused)?;
    if !wire.dropped.is_empty() && refuses_dropped(call, route) {
        let param = wire.dropped.join(", ");
        let message = format!(
            "`{}` can't honour {param}; leave it out, or let it be dropped by leaving out `x-weir-strict`",
            target.provider.name
        );
        return Err(AttemptError::Unsupported { param, message });
    }
    let price = target.price();
    if price.is_none() {
        unknown_price(call.snapshot.settings.unknown_price, target)?;
    }
    let each = peek.output_limit.or(options.output_limit).or(target.output_limit);
    let output_limit = each.map(|each| each.saturating_mul(u64::from(peek.choices.max(1))));
    let credential = target.provider.credentials.get(attempt.pass.key).clone();
    Ok(Encoded { wire, credential, price, output_limit, attempt })
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
