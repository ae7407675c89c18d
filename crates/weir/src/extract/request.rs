//! What is asked: the body, peeked at once, and the `x-weir-*` headers.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use http_body::Body as _;
use http_body_util::BodyExt;
use weir_adapter::{Front, InvalidRequest, Operation, Peek, Request};
use weir_catalog::NanoUsd;
use weir_gateway::overload::{BodyRoom, Overload};
use weir_gateway::routing::Preferences;
use weir_gateway::{CacheControl, CallOptions, GatewayError};
use weir_wire::peek::key_bytes;
use weir_wire::splice::ObjectSplice;

use super::gemini;
use crate::client_body::ClientBody;
use crate::routes::InferenceRoute;

/// How long a body may take to arrive, beside the time that its size takes at the slowest pace allowed.
pub(super) const BODY_PATIENCE: Duration = Duration::from_secs(10);
/// The slowest pace of a body, in bytes per second.
pub(super) const BODY_PACE: u64 = 16 << 10;
/// How many labels a call may have, and how long each may be, in bytes.
const MAX_TAGS: usize = 32;
const MAX_TAG: usize = 128;

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// A body that is larger, slower or broken off.
pub async fn body(
    head: &Parts,
    mut body: ClientBody,
    limit: usize,
    overload: &Arc<Overload>,
) -> Result<Bytes, GatewayError> {
    let announced = head
        .headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(GatewayError::TooLarge { limit });
    }
    let room = overload.body_room(announced.unwrap_or(0))?;
    paced(&mut body, limit, room).await
}

/// Reads a body that comes at its pace into its room, which grows where the length was not announced.
///
/// # Errors
/// A body that is larger, slower or broken off, or has no room.
async fn paced(body: &mut ClientBody, limit: usize, mut room: BodyRoom) -> Result<Bytes, GatewayError> {
    let began = tokio::time::Instant::now();
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0).min(limit);
    let mut whole: Option<Bytes> = None;
    let mut pieces = BytesMut::new();
    loop {
        let read = whole.as_ref().map_or(0, Bytes::len) + pieces.len();
        let patience = BODY_PATIENCE + Duration::from_millis(read as u64 * 1000 / BODY_PACE);
        let frame = match tokio::time::timeout_at(began + patience, body.frame()).await {
            Err(_) => return Err(GatewayError::TooSlow { pace: BODY_PACE }),
            Ok(None) => break,
            Ok(Some(frame)) => frame.map_err(|_| broken())?,
        };
        let Ok(data) = frame.into_data() else { continue };
        if read + data.len() > limit {
            return Err(GatewayError::TooLarge { limit });
        }
        room.grow_to(read + data.len())?;
        // Most bodies come in one piece, which is not copied.
        match whole.take() {
            None if pieces.is_empty() => whole = Some(data),
            first => {
                if pieces.is_empty() {
                    pieces.reserve(expected.max(read + data.len()));
                }
                pieces.extend_from_slice(&first.unwrap_or_default());
                pieces.extend_from_slice(&data);
            }
        }
    }
    Ok(room.keep(small_apart(whole.unwrap_or_else(|| pieces.freeze()))))
}

fn broken() -> GatewayError {
    let message = "the body broke off".to_owned();
    InvalidRequest { message, code: "invalid_request", param: None }.into()
}

/// A small body is copied out of the connection's read buffer: a call holds its body to its end, and would hold all of
/// that buffer with it.
fn small_apart(body: Bytes) -> Bytes {
    const SMALL: usize = 4 << 10;
    if body.len() <= SMALL { Bytes::copy_from_slice(&body) } else { body }
}

/// The request, with what may travel on, and what it says itself about who may serve it.
///
/// # Errors
/// A body that the client's dialect does not allow.
pub fn request(
    route: &InferenceRoute,
    head: &Parts,
    body: Bytes,
) -> Result<(Request, Option<Arc<Preferences>>), GatewayError> {
    if head.headers.get(http::header::CONTENT_ENCODING).is_some_and(|value| value != "identity") {
        let message = "compressed bodies are not read; send the body as it is".to_owned();
        return Err(InvalidRequest {
            message,
            code: "invalid_value",
            param: Some("content-encoding".to_owned()),
        }
        .into());
    }
    let body = whole(route, head, body)?;
    let (mut request, preferences) = read(&route.front, route.operation, head, body)?;
    forward(route, head, &mut request);
    Ok((request, preferences))
}

/// The request, whatever stands in it for weir.
///
/// # Errors
/// A body that the client's dialect does not allow.
pub fn peeked(route: &InferenceRoute, head: &Parts, body: Bytes) -> Result<Request, GatewayError> {
    let body = whole(route, head, body)?;
    let peek = route.front.peek(route.operation, head, &body)?;
    let mut request = Request::new(route.operation, route.front.clone(), body, peek);
    forward(route, head, &mut request);
    Ok(request)
}

/// The body with what a dialect says of it in the path: Gemini's clients name the model there.
fn whole(route: &InferenceRoute, head: &Parts, body: Bytes) -> Result<Bytes, GatewayError> {
    match route.front.dialect() == weir_adapter_gemini::front::DIALECT {
        true => Ok(gemini::with_model(head.uri.path(), body)?),
        false => Ok(body),
    }
}

/// What of the head may travel on.
fn forward(route: &InferenceRoute, head: &Parts, request: &mut Request) {
    let forwarded = route.front.forwarded_headers();
    for (name, value) in head.headers.iter().filter(|(name, _)| forwarded.contains(&name.as_str())) {
        request.headers.append(name, value.clone());
    }
    request.query = head.uri.query().map(str::to_owned);
}

/// The same from a body alone.
///
/// # Errors
/// A body that the client's dialect does not allow.
pub fn read(
    front: &Arc<dyn Front>,
    operation: Operation,
    head: &Parts,
    mut body: Bytes,
) -> Result<(Request, Option<Arc<Preferences>>), GatewayError> {
    let mut peek: Peek = front.peek(operation, head, &body)?;
    let preferences = preferences(&peek, &body)?;
    if preferences.is_some() {
        // They are for weir: no provider sees them.
        body = without_preferences(&peek, &body);
        peek = front.peek(operation, head, &body)?;
    }
    Ok((Request::new(operation, front.clone(), body, peek), preferences.map(Arc::new)))
}

/// What the request itself says about who may serve it.
fn preferences(peek: &Peek, body: &[u8]) -> Result<Option<Preferences>, InvalidRequest> {
    let value = |name: &str| peek.members.get(body, name).map(|member| &body[member.value.clone()]);
    let (models, provider) = (value("models"), value("provider"));
    if models.is_none() && provider.is_none() {
        return Ok(None);
    }
    let said = |value: Option<&'_ [u8]>| value.is_some_and(|value| value != b"null");
    Preferences::read(models.filter(|_| said(models)), provider.filter(|_| said(provider))).map(Some)
}

fn without_preferences(peek: &Peek, body: &Bytes) -> Bytes {
    let mut splice = ObjectSplice::new(&peek.members);
    for (index, member) in peek.members.list.iter().enumerate() {
        if [&b"models"[..], b"provider"].contains(&key_bytes(body, member)) {
            splice.remove(index);
        }
    }
    splice.apply(body)
}

/// The headers that are for weir. Most requests have none, and each of a dozen is asked for by its name.
pub fn own(headers: &HeaderMap) -> Cow<'_, HeaderMap> {
    match headers.keys().any(|name| name.as_str().starts_with("x-weir-")) {
        true => Cow::Borrowed(headers),
        false => Cow::Owned(HeaderMap::new()),
    }
}

/// What the client asks for in headers.
///
/// # Errors
/// A header whose value can't be read, or that asks for what this version does not do.
pub fn options(headers: &HeaderMap) -> Result<CallOptions, GatewayError> {
    let session_budget = usd(headers, "x-weir-session-budget")?;
    if session_budget.is_some() && text(headers, "x-weir-session")?.is_none_or(str::is_empty) {
        return Err(wrong("x-weir-session-budget", "needs `x-weir-session`, the session that it is for"));
    }
    let switch = |name: &str, on: &str, off: &str| match text(headers, name)? {
        None => Ok(false),
        Some(value) if value.eq_ignore_ascii_case(on) => Ok(true),
        Some(value) if value.eq_ignore_ascii_case(off) => Ok(false),
        Some(_) => Err(wrong(name, &format!("must be `{on}` or `{off}`"))),
    };
    let timeout = match text(headers, "x-weir-timeout")? {
        None => None,
        Some(value) => {
            let parsed = value
                .parse::<weir_config::Duration>()
                .map_err(|_| wrong("x-weir-timeout", "must be a duration such as `30s`"))?;
            Some(parsed.get())
        }
    };
    let cache = match text(headers, "x-weir-cache")? {
        None => CacheControl::Use,
        Some(value) if value.eq_ignore_ascii_case("off") => CacheControl::Off,
        Some(value) if value.eq_ignore_ascii_case("refresh") => CacheControl::Refresh,
        Some(value) if value.eq_ignore_ascii_case("only") => CacheControl::Only,
        Some(_) => return Err(wrong("x-weir-cache", "must be `off`, `refresh` or `only`")),
    };
    Ok(CallOptions {
        cache,
        strict: switch("x-weir-strict", "true", "false")?,
        no_fallback: switch("x-weir-fallback", "off", "on")?,
        timeout,
        preferences: None,
        strategy: None,
        max_cost: usd(headers, "x-weir-max-cost")?,
        session_budget,
        trace: None,
    })
}

/// An amount of money, in nano-dollars.
fn usd(headers: &HeaderMap, name: &str) -> Result<Option<i64>, GatewayError> {
    let Some(text) = text(headers, name)? else { return Ok(None) };
    match NanoUsd::parse(text) {
        Ok(NanoUsd(amount)) if amount > 0 => Ok(Some(amount)),
        Ok(_) => Err(wrong(name, "must be an amount in USD above 0, such as `0.01`")),
        Err(error) => Err(wrong(name, &format!("must be an amount in USD such as `0.01`: {error}"))),
    }
}

/// Labels: the header's, then the pairs of `metadata` in OpenAI's dialect.
///
/// # Errors
/// Too many, or too long.
pub fn tags(headers: &HeaderMap, request: &Request) -> Result<Vec<std::sync::Arc<str>>, GatewayError> {
    let mut tags: Vec<std::sync::Arc<str>> = Vec::new();
    for tag in text(headers, "x-weir-tags")?.unwrap_or_default().split(',') {
        if !tag.trim().is_empty() {
            tags.push(tag.trim().into());
        }
    }
    let metadata = request
        .peek()
        .members
        .value(request.raw(), "metadata")
        .filter(|_| request.front().dialect().starts_with("openai"));
    if let Some(serde_json::Value::Object(pairs)) = metadata.and_then(|raw| serde_json::from_slice(raw).ok())
    {
        let pair = |(name, value): (&String, &serde_json::Value)| {
            value.as_str().map(|value| format!("{name}:{value}").into())
        };
        tags.extend(pairs.iter().filter_map(pair));
    }
    match tags.len() > MAX_TAGS || tags.iter().any(|tag| tag.len() > MAX_TAG) {
        true => Err(wrong(
            "x-weir-tags",
            &format!("(with `metadata`) can be {MAX_TAGS} labels of {MAX_TAG} bytes"),
        )),
        false => Ok(tags),
    }
}

/// How many gateways the call came through.
///
/// # Errors
/// Eight or more.
pub fn hops(headers: &HeaderMap) -> Result<u32, GatewayError> {
    let hops = text(headers, "x-weir-hop")?.and_then(|value| value.parse().ok()).unwrap_or(0);
    if hops >= 8 { Err(GatewayError::Loop(hops)) } else { Ok(hops) }
}

/// The value of a header that may be a name of the client's choosing.
///
/// # Errors
/// A value that is not visible ASCII, or longer than 256 bytes.
pub fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, GatewayError> {
    let Some(value) = one(headers, name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if text.len() <= 4096 => Ok(Some(text.trim())),
        _ => Err(wrong(name, "must be visible ASCII of at most 4096 bytes")),
    }
}

/// The first value of a header. Of the few headers that a request has, comparing each is cheaper than the hash that
/// `HeaderMap::get` makes of a name.
pub fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h HeaderValue> {
    headers.iter().find(|(own, _)| own.as_str() == name).map(|(_, value)| value)
}

/// The client's `x-request-id`, or one made of the call's id.
pub fn request_id(headers: &HeaderMap, made: impl FnOnce() -> String) -> HeaderValue {
    let given = one(headers, "x-request-id")
        .filter(|value| !value.is_empty() && value.len() <= 200 && value.to_str().is_ok());
    // A copy: the header itself is a piece of the connection's read buffer, and would hold all of it.
    let own = given.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
    own.unwrap_or_else(|| HeaderValue::try_from(made()).expect("an id is visible ASCII"))
}

/// The end user: the header's, else the body's.
///
/// # Errors
/// A header that can't be read.
pub fn user(headers: &HeaderMap, request: &Request) -> Result<Option<std::sync::Arc<str>>, GatewayError> {
    let own = text(headers, "x-weir-user")?.map(Into::into);
    Ok(own.or_else(|| request.peek().user.as_deref().filter(|user| user.len() <= 512).map(Into::into)))
}

fn wrong(name: &str, what: &str) -> GatewayError {
    let message = format!("`{name}` {what}");
    InvalidRequest { message, code: "invalid_value", param: Some(name.to_owned()) }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_headers_are_money_or_refused() {
        let read = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
            options(&headers.collect()).map(|options| (options.max_cost, options.session_budget))
        };
        assert_eq!(read(&[]).unwrap(), (None, None));
        assert_eq!(read(&[("x-weir-max-cost", "0.01")]).unwrap(), (Some(10_000_000), None));
        let session = [("x-weir-session", "s"), ("x-weir-session-budget", "0.50")];
        assert_eq!(read(&session).unwrap(), (None, Some(500_000_000)));
        for bad in ["", "0", "-1", "NaN", "1e400", "five", "0.0000000001"] {
            assert!(read(&[("x-weir-max-cost", bad)]).is_err(), "{bad}");
            assert!(read(&[("x-weir-session", "s"), ("x-weir-session-budget", bad)]).is_err(), "{bad}");
        }
        assert!(read(&[("x-weir-session-budget", "1")]).is_err(), "whose?");
    }
}
