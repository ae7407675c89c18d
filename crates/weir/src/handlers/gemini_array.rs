//! `streamGenerateContent` without `alt=sse`: one JSON array, written element by element.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Response, Uri};
use http_body::{Body, Frame};
use http_body_util::Either;
use weir_gateway::Call;
use weir_wire::framing::{Framing, Splitter, Verdict, sse};

use crate::respond::ResponseBody;

/// Whether the client wants a stream, and not as events.
pub fn is_wanted(call: &Call, uri: &Uri) -> bool {
    call.request.peek().stream
        && call.request.front().dialect() == weir_adapter_gemini::front::DIALECT
        && !uri.query().is_some_and(|query| query.split('&').any(|pair| pair.eq_ignore_ascii_case("alt=sse")))
}

/// The events as elements of an array.
pub fn of(response: Response<ResponseBody>) -> Response<ResponseBody> {
    let (mut head, body) = response.into_parts();
    head.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let array = Array { body, splitter: Splitter::new(Framing::Sse), begun: false, ended: false };
    Response::from_parts(head, Either::Right(Either::Right(axum::body::Body::new(array))))
}

struct Array {
    body: ResponseBody,
    splitter: Splitter,
    begun: bool,
    ended: bool,
}

impl Array {
    fn take(&mut self, data: Bytes) -> Bytes {
        let mut out = BytesMut::new();
        let begun = &mut self.begun;
        // Comments and blank lines say nothing here; a frame that is too long for a splitter can't be cut either.
        let _ = self.splitter.push(data, |frame| {
            if let Some(json) = sse::data(frame) {
                out.extend_from_slice(if std::mem::replace(begun, true) { b",\r\n" } else { b"[" });
                out.extend_from_slice(json.trim_ascii());
            }
            Verdict::Drop
        });
        out.freeze()
    }
}

impl Body for Array {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        loop {
            let out = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame.into_data().map(|data| this.take(data)).unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Some(Err(axum::Error::new(error)))),
                None => {
                    this.ended = true;
                    Bytes::from_static(if this.begun { b"]" } else { b"[]" })
                }
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out))));
            }
        }
    }
}
