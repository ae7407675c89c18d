//! Failures on purpose, so that an outage can be rehearsed: a target's `fault`, where `server.allow_faults` is on.
//!
//! This stands behind the attempt's row: a rehearsed failure is recorded like a real one, but nothing is sent.

use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, StatusCode};
use rand::RngExt as _;
use tower::{Layer, Service};

use super::encode::Encoded;
use super::{Future, take_ready};
use crate::dispatch::account::Account;
use crate::dispatch::{Failed, terms};
use crate::error::AttemptError;
use crate::reply::Reply;

/// What the provider seems to say.
const BODY: &[u8] = br#"{"error":{"message":"a fault on purpose (`fault` of this target)","type":"fault"}}"#;

/// Makes [`Fault`].
#[derive(Debug, Clone, Default)]
pub struct FaultLayer;

/// Fails on purpose.
#[derive(Debug, Clone)]
pub struct Fault<S> {
    inner: S,
}

impl<S> Layer<S> for FaultLayer {
    type Service = Fault<S>;

    fn layer(&self, inner: S) -> Fault<S> {
        Fault { inner }
    }
}

impl<S> Service<Box<Encoded>> for Fault<S>
where
    S: Service<Box<Encoded>, Response = Reply, Error = Failed, Future = Future<Reply, Failed>>
        + Clone
        + Send
        + 'static,
{
    type Response = Reply;
    type Error = Failed;
    type Future = Future<Reply, Failed>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, encoded: Box<Encoded>) -> Self::Future {
        let fault = encoded.attempt.target.traits.fault;
        let hit = fault.filter(|fault| rand::rng().random_range(0..1_000_000) < fault.millionths);
        let mut inner = take_ready(&mut self.inner);
        let Some(fault) = hit else { return inner.call(encoded) };
        Box::pin(async move {
            let started = Instant::now();
            let call = encoded.attempt.call.clone();
            let left =
                call.progress.lock().deadline.map(|deadline| deadline.saturating_duration_since(started));
            tokio::time::sleep(fault.delay.min(left.unwrap_or(fault.delay))).await;
            call.progress.lock().waited += started.elapsed();
            let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok());
            let Some(status) = status else { return inner.call(encoded).await };
            let adapter = &encoded.attempt.target.provider.adapter;
            let error: AttemptError = adapter.error(status, &HeaderMap::new(), BODY).into();
            let mut account = Account::open(terms(&encoded), started);
            account.upstream_status = Some(status.as_u16());
            Err(Failed { outcome: Some(Box::new(account.fail(&error, None))), error })
        })
    }
}
