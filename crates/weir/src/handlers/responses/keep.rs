//! Keeps an answer on its way to the client. The end of a stream waits until it is kept, so that a client may go on
//! from what it has just read; a store that does not answer holds it up for two seconds at most.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either};
use serde_json::Value;
use weir_ledger::Store;
use weir_ledger::responses::{KEPT_FOR, KeptResponse};
use weir_wire::framing::{Framing, Splitter, Verdict, sse};

use crate::respond::{ResponseBody, full};

/// How long an answer waits for the store.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is kept of a call once its answer is there.
pub struct Draft {
    pub(super) owner: String,
    pub(super) previous: Option<String>,
    pub(super) input: String,
    /// Whether the client lets it be kept.
    pub(super) kept: bool,
    pub(super) store: Arc<dyn Store>,
}

impl Draft {
    /// Keeps the answer; whether that went well.
    async fn keep(self, body: Bytes) -> bool {
        let Ok(response) = serde_json::from_slice::<Value>(&body) else { return false };
        let Some(id) = response["id"].as_str().filter(|_| self.kept && response["status"] != "failed") else {
            return true;
        };
        let created_at = crate::clock::unix_micros();
        let kept = KeptResponse {
            owner: self.owner,
            id: id.to_owned(),
            previous: self.previous,
            created_at,
            expires_at: created_at + KEPT_FOR,
            input: self.input,
            body: response.to_string(),
        };
        match tokio::time::timeout(PATIENCE, self.store.responses().keep(&kept)).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => tracing::warn!(%error, cause = %error.cause, "an answer was not kept"),
            Err(_) => tracing::warn!("an answer was not kept: the store does not answer"),
        }
        false
    }

    /// The answer as the client shall see it: providers know nothing of what it goes on from.
    fn name_previous(&self, json: &Bytes) -> Option<Bytes> {
        const NULL: &[u8] = b"\"previous_response_id\":null";
        let previous = self.previous.as_ref()?;
        let spaced = b"\"previous_response_id\": null";
        let (at, length) = memchr::memmem::find(json, NULL)
            .map(|at| (at, NULL.len()))
            .or_else(|| memchr::memmem::find(json, spaced).map(|at| (at, spaced.len())))?;
        let text = format!("\"previous_response_id\":{}", Value::from(previous.as_str()));
        Some([&json[..at], text.as_bytes(), &json[at + length..]].concat().into())
    }
}

/// Keeps a reply, whole or streamed.
pub async fn keep(draft: Draft, response: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut head, body) = response.into_parts();
    let streams = head
        .headers
        .get(http::header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if streams {
        let tap = Tap {
            body,
            splitter: Splitter::new(Framing::Sse),
            draft: Some(draft),
            keeping: None,
            out: VecDeque::new(),
        };
        return Response::from_parts(head, Either::Right(Either::Right(axum::body::Body::new(tap))));
    }
    let Ok(collected) = body.collect().await else { return Response::from_parts(head, full(Bytes::new())) };
    let bytes = collected.to_bytes();
    let bytes = draft.name_previous(&bytes).unwrap_or(bytes);
    if !draft.keep(bytes.clone()).await {
        head.headers
            .append(HeaderName::from_static("x-weir-degraded"), HeaderValue::from_static("not_stored"));
    }
    Response::from_parts(head, full(bytes))
}

/// A stream on its way; its last event is what is kept.
struct Tap {
    body: ResponseBody,
    splitter: Splitter,
    draft: Option<Draft>,
    keeping: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
    /// What may leave, once nothing is being kept.
    out: VecDeque<Bytes>,
}

impl Tap {
    fn take(&mut self, data: Bytes) {
        let Tap { splitter, draft, keeping, out, .. } = self;
        let plain = data.clone();
        let pieces = splitter.push(data, |frame| {
            let event = sse::event(frame).event;
            if !event.starts_with(b"response.c") && !event.starts_with(b"response.in") {
                return Verdict::Keep;
            }
            let Some(known) = draft.as_ref() else { return Verdict::Keep };
            let named = known.name_previous(frame);
            if matches!(event, b"response.completed" | b"response.incomplete") {
                let whole = named.clone().unwrap_or_else(|| frame.clone());
                if let (Some(response), Some(draft)) = (response_in(&whole), draft.take()) {
                    *keeping = Some(Box::pin(draft.keep(response)));
                }
            }
            named.map_or(Verdict::Keep, Verdict::Replace)
        });
        match pieces {
            Ok(pieces) => out.extend(pieces),
            // What is no stream of events passes as it is.
            Err(_) => out.push_back(plain),
        }
    }
}

/// The response object of an event.
fn response_in(frame: &[u8]) -> Option<Bytes> {
    let event: Value = serde_json::from_slice(&sse::data(frame)?).ok()?;
    Some(event.get("response")?.to_string().into())
}

impl Body for Tap {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        loop {
            if let Some(keeping) = &mut this.keeping {
                ready!(keeping.as_mut().poll(cx));
                this.keeping = None;
            }
            if let Some(bytes) = this.out.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        this.take(data);
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(axum::Error::new(error)))),
                None => {
                    let rest = this.splitter.finish();
                    return Poll::Ready((!rest.is_empty()).then(|| Ok(Frame::data(rest))));
                }
            }
        }
    }
}
