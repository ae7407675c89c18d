//! From a reply or an error to HTTP: the only place that writes either.

mod limits;

use std::time::Instant;

use bytes::Bytes;
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{Either, Full};
use weir_adapter::Front;
use weir_catalog::NanoUsd;
use weir_gateway::call::Tried;
use weir_gateway::meter::Meter;
use weir_gateway::{Body, Call, GatewayError, Reply, WritePatience};

// Names that the compiler has checked.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const WEIR_ATTEMPTS: HeaderName = HeaderName::from_static("x-weir-attempts");
const WEIR_CACHE: HeaderName = HeaderName::from_static("x-weir-cache");
const WEIR_COST: HeaderName = HeaderName::from_static("x-weir-cost");
const WEIR_DEGRADED: HeaderName = HeaderName::from_static("x-weir-degraded");
const WEIR_DROPPED_PARAMS: HeaderName = HeaderName::from_static("x-weir-dropped-params");
const WEIR_MODEL: HeaderName = HeaderName::from_static("x-weir-model");
const WEIR_OVERHEAD_US: HeaderName = HeaderName::from_static("x-weir-overhead-us");
const WEIR_MAX_TOKENS: HeaderName = HeaderName::from_static("x-weir-max-tokens");
const WEIR_TRIED: HeaderName = HeaderName::from_static("x-weir-tried");
const WEIR_PROVIDER: HeaderName = HeaderName::from_static("x-weir-provider");
const WEIR_ROUTE: HeaderName = HeaderName::from_static("x-weir-route");
/// How many headers an answer has room for from the start.
const HEADERS: usize = 16;

/// What goes to the client: all at once, as it comes, or whatever axum made.
pub type ResponseBody = Either<Full<Bytes>, Either<Box<Meter>, axum::body::Body>>;

const EVENTS: &str = "text/event-stream; charset=utf-8";

/// A body in one piece.
pub fn full(body: impl Into<Bytes>) -> ResponseBody {
    Either::Left(Full::new(body.into()))
}

/// A reply.
pub fn reply(call: &Call, request_id: &HeaderValue, reply: Reply) -> Response<ResponseBody> {
    // All attempts of the call, as its row has it.
    let cost = reply.outcome().map(|_| call.progress.lock().sum.cost_nanousd);
    let write = call.progress.lock().write;
    let (body, content_type) = match reply.body {
        // A stored answer is there at once, as a stream, too.
        Body::Whole(bytes) if call.request.peek().stream => (full(bytes), EVENTS),
        Body::Whole(bytes) => (full(bytes), "application/json"),
        Body::Stream(meter) => (Either::Right(Either::Left(meter)), EVENTS),
        Body::Passing(passing) => {
            (Either::Right(Either::Right(axum::body::Body::new(*passing))), "application/octet-stream")
        }
    };
    let mut response = Response::new(body);
    if let Some(write) = write {
        response.extensions_mut().insert(WritePatience(write));
    }
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if call.request.peek().stream {
        // Proxies must neither store nor collect a stream.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    if let Some(cost) = cost {
        let mut text = String::with_capacity(24);
        match cost {
            Some(cost) => NanoUsd(cost).put(&mut text),
            None => text.push_str("unknown"),
        }
        set(headers, WEIR_COST, &text);
    }
    if let Some(own) = reply.head {
        headers.extend(own.headers);
        if let Some(content_type) = own.content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        // It passes through, whatever it is: a browser must not take it for a page.
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(status) = own.status {
            *response.status_mut() = status;
        }
    }
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id.clone());
    call_headers(headers, call);
    response
}

/// An error of a call, or of a request that never became one.
pub fn error(
    front: &dyn Front,
    request_id: Option<&HeaderValue>,
    call: Option<&Call>,
    error: &GatewayError,
) -> Response<ResponseBody> {
    let status = error.status();
    let mut response = Response::new(full(front.error(status, &error.body())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(after) = error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_millis().div_ceil(1000) as u64));
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(after.as_millis() as u64));
    }
    headers
        .insert(SHOULD_RETRY, HeaderValue::from_static(if error.should_retry() { "true" } else { "false" }));
    if let Some(request_id) = request_id {
        headers.insert(REQUEST_ID, request_id.clone());
    }
    if let Some(call) = call {
        call_headers(headers, call);
    }
    response
}

/// What became of the call, on every answer.
fn call_headers(headers: &mut HeaderMap, call: &Call) {
    let overhead = call.overhead(Instant::now());
    let progress = call.progress.lock();
    if let Some(target) = &progress.target {
        for (name, value) in [WEIR_PROVIDER, WEIR_MODEL].into_iter().zip(&target.shown) {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }
    if let Some(rate) = &progress.rate {
        limits::headers(headers, rate);
    }
    if let Some(route) = &progress.route {
        set(headers, WEIR_ROUTE, route);
    }
    headers.insert(WEIR_ATTEMPTS, HeaderValue::from(progress.attempts));
    headers.insert(WEIR_CACHE, HeaderValue::from_static(progress.cache.name()));
    if let Some(age) = progress.cache_age {
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
    }
    headers
        .insert(WEIR_OVERHEAD_US, HeaderValue::from(u64::try_from(overhead.as_micros()).unwrap_or(u64::MAX)));
    if let Some(limit) = progress.max_tokens {
        headers.insert(WEIR_MAX_TOKENS, HeaderValue::from(limit));
    }
    if !progress.degraded.is_empty() {
        set(headers, WEIR_DEGRADED, &progress.degraded.join(","));
    }
    if !progress.trail.is_empty() {
        set(headers, WEIR_TRIED, &tried(&progress.trail));
    }
    if !progress.dropped.is_empty() {
        set(headers, WEIR_DROPPED_PARAMS, &progress.dropped.join(","));
    }
}

/// What became of attempts that gave no answer: `openai/gpt-4o upstream_error 503 upstream_overloaded, …`.
fn tried(trail: &[Tried]) -> String {
    let mut text = String::new();
    for (at, tried) in trail.iter().enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        text.extend([comma, &tried.provider, "/", &tried.model, " ", tried.result]);
        if let Some(status) = tried.status {
            text.extend([" ", &status.to_string()]);
        }
        if let Some(code) = &tried.code {
            text.extend([" ", code]);
        }
    }
    text
}

/// A name of the client's choosing may hold what no header can: it is left out then.
fn set(headers: &mut HeaderMap, key: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(key, value);
    }
}
