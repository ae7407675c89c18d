//! Answers that are not simply JSON or events in a client's dialect: sound, texts, and whatever a provider's own API says.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use weir_adapter::{ProviderError, Reader, ReplyForm};
use weir_ledger::State;
use weir_wire::Usage;

use super::account::Account;
use super::{ERROR_PATIENCE, Limits, MAX_ERROR, MAX_REPLY, Shape, Unsent, is_json, read, stream};
use crate::call::Call;
use crate::error::{AttemptError, Wait};
use crate::passing::Passing;
use crate::reply::{Reply, ReplyHead};
use crate::snapshot::{Target, Timeouts};
use crate::upstream::Answer;

const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// Types that go on to the client. Anything else is just bytes: a provider must not put a page under weir's own address.
const TYPES: [&str; 8] = [
    "application/json",
    "application/x-ndjson",
    "application/x-subrip",
    "text/event-stream",
    "text/plain",
    "text/vtt",
    "image/png",
    "video/mp4",
];
/// Headers that go on from a provider's own API, beside those of its rate limits.
const HEADERS: [&str; 6] =
    ["retry-after", "request-id", "content-range", "accept-ranges", "etag", "last-modified"];

/// A request that was not answered: a client that broke its form off is no provider's failure, and used nothing.
pub(super) fn unanswered(call: &Call, account: &Account, error: AttemptError) -> Unsent {
    match call.request.upload.as_ref().and_then(|upload| upload.failure()) {
        Some(own) => {
            let code = Some(own.code.to_owned());
            let outcome = account.close(State::ClientGone, Some(&Usage::new()), code);
            (AttemptError::Invalid(own), Some(outcome))
        }
        None => (error, None),
    }
}

/// Whether nothing is known of what a call may cost.
pub(super) fn is_unknown(call: &Call) -> bool {
    call.request.verbatim.as_deref().is_some_and(|verbatim| !verbatim.known)
}

/// A reply begins.
pub(super) async fn answered(
    call: &Arc<Call>,
    target: &Target,
    answer: Answer,
    account: &mut Account,
    timeouts: Timeouts,
    limits: &Limits,
) -> Result<Reply, Unsent> {
    let fail = |error: AttemptError| (error, None);
    let verbatim = call.request.verbatim.as_deref();
    let known = verbatim.is_none_or(|verbatim| verbatim.known);
    let mut head = head(&answer.headers, verbatim.is_some());
    head.status = verbatim.map(|_| answer.status);
    let reader = match known.then(|| target.provider.adapter.reply_form(&call.request)) {
        Some(ReplyForm::Native(reader)) => Some(reader),
        Some(ReplyForm::Foreign(_)) if verbatim.is_none() => {
            return Err(fail(AttemptError::Internal("a call that is never translated")));
        }
        _ => None,
    };
    let Some(mut reader) = reader else {
        // Nothing of it is known: looking something up is free, what anything else costs is unknown.
        return Ok(passing(call, answer, account, Some(Usage::new()), timeouts, limits).with_head(head));
    };
    if is_events(&answer.headers) {
        let reply = stream(call, answer.body, Shape::native(reader), account, timeouts, limits).await?;
        return Ok(reply.with_head(head));
    }
    if reader.is_opaque() && !is_json(&answer.headers) {
        let usage = reader.usage().cloned();
        return Ok(passing(call, answer, account, usage, timeouts, limits).with_head(head));
    }
    let body = limits.within(timeouts.first_token, Wait::FirstToken, read(answer.body, MAX_REPLY, false));
    let body = body.await.map_err(fail)?.map_err(fail)?;
    if reader.is_opaque() {
        // JSON in place of sound: an error under status 200, as a rule.
        let error = reader.whole(&body).err();
        let other = || ProviderError::nonsense("the provider answered with JSON where sound was asked for");
        return Err(fail(error.unwrap_or_else(other).into()));
    }
    match whole(&body, reader.as_mut(), account, head.clone()) {
        Ok(reply) => Ok(reply),
        // The provider's own API may answer in a form that is not read here.
        Err(_) if verbatim.is_some() => {
            account.first_content();
            Ok(Reply::whole(body, account.close(State::Ok, None, None)).with_head(head))
        }
        Err(error) => Err(fail(error.into())),
    }
}

fn whole(
    body: &Bytes,
    reader: &mut dyn Reader,
    account: &mut Account,
    mut head: ReplyHead,
) -> Result<Reply, ProviderError> {
    let glance = reader.whole(body)?;
    account.first_content();
    account.saw(glance.output_bytes);
    let rewritten = reader.rewritten();
    if rewritten.is_some()
        && let Some(kind) = reader.content_type()
    {
        head.content_type = Some(HeaderValue::from_static(kind));
    }
    let usage = reader.usage();
    let costed = glance.usage_end.zip(usage).and_then(|(end, usage)| account.with_cost(body, end, usage));
    let out = rewritten.or(costed).unwrap_or_else(|| body.clone());
    Ok(Reply::whole(out, account.close(State::Ok, usage, None)).with_head(head))
}

/// What a provider's own API refused goes on as it came.
pub(super) async fn refused(
    call: &Call,
    target: &Target,
    credential: u64,
    answer: Answer,
    account: &mut Account,
    timeouts: Timeouts,
    limits: &Limits,
) -> Result<Reply, Unsent> {
    let (status, headers) = (answer.status, answer.headers);
    let patience = timeouts.first_token.min(ERROR_PATIENCE);
    let body = limits.within(patience, Wait::FirstToken, read(answer.body, MAX_ERROR, true)).await;
    let body = body.ok().and_then(Result::ok).unwrap_or_default();
    if let Some(chain) = &target.provider.chain
        && target.provider.adapter.credential_ended(status, &headers, &body)
    {
        // The next call has another.
        chain.refused(credential);
    }
    let error = target.provider.adapter.error(status, &headers, &body);
    let mut outcome = account.fail(&AttemptError::Provider(error), None);
    if !status.is_server_error() && status != http::StatusCode::TOO_MANY_REQUESTS {
        // It is an answer to what was asked.
        outcome.state = State::Ok;
    }
    tracing::debug!(call.id = %call.id, %status, "the provider's own API refused");
    let mut head = head(&headers, true);
    head.status = Some(status);
    Ok(Reply::whole(body, outcome).with_head(head))
}

fn passing(
    call: &Call,
    answer: Answer,
    account: &Account,
    usage: Option<Usage>,
    timeouts: Timeouts,
    limits: &Limits,
) -> Reply {
    let patience = limits.patience(call, timeouts);
    Reply::passing(Box::new(Passing::new(answer.body, account.clone(), usage, State::Ok, patience)))
}

fn is_events(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// What of the provider's head goes on.
fn head(headers: &HeaderMap, verbatim: bool) -> ReplyHead {
    let plain = |value: &HeaderValue| {
        let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
        let kind = text.split(';').next().unwrap_or_default().trim();
        kind.starts_with("audio/") || TYPES.contains(&kind)
    };
    let content_type =
        headers.get(CONTENT_TYPE).map(|value| if plain(value) { value.clone() } else { OCTETS });
    let mut own = HeaderMap::new();
    if verbatim {
        for (name, value) in headers {
            let text = name.as_str();
            if HEADERS.contains(&text) || text.contains("ratelimit-") {
                own.append(name.clone(), value.clone());
            }
        }
    }
    ReplyHead { status: None, content_type: content_type.or(Some(OCTETS)), headers: own }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_puts_no_page_under_weirs_address() {
        for (sent, expected) in [
            ("audio/mpeg", "audio/mpeg"),
            ("application/json; charset=utf-8", "application/json; charset=utf-8"),
            ("Text/Plain", "Text/Plain"),
            ("text/html", "application/octet-stream"),
            ("image/svg+xml", "application/octet-stream"),
            ("text/html, audio/mpeg", "application/octet-stream"),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(sent))]);
            assert_eq!(head(&headers, false).content_type.unwrap(), expected, "{sent}");
        }
    }

    #[test]
    fn few_headers_of_a_provider_go_on() {
        let pairs = [
            ("set-cookie", "a"),
            ("location", "http://x"),
            ("retry-after", "3"),
            ("x-ratelimit-limit-requests", "9"),
        ];
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let own = head(&headers, true).headers;
        assert_eq!(own.len(), 2);
        assert!(own.contains_key("retry-after") && own.contains_key("x-ratelimit-limit-requests"));
        assert!(head(&headers, false).headers.is_empty());
    }
}
