//! The body of a client's request, which is read on and thrown away where an answer came before its end.
//!
//! A client that is still writing when its connection closes sees a reset instead of the answer. So the answer leaves at
//! once, and what still comes is read aside for a while, as nginx's `lingering_close` does.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// How long what nobody wants is read on, in all and without a byte.
const LINGER: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(2);

/// A request's body.
pub struct ClientBody {
    /// `None` only while it is dropped.
    incoming: Option<Incoming>,
    /// What is left when it is dropped is still on its way, and its sender waits for nothing before he sends it.
    lingers: bool,
    /// Nothing more comes.
    over: bool,
}

impl ClientBody {
    /// The body of this request.
    pub fn of(request: Request<Incoming>) -> Request<ClientBody> {
        // Streams of HTTP/2 end one by one. And who waits for leave to send its body has not sent it; reading would give
        // that leave.
        let lingers = request.version() < Version::HTTP_2 && !request.headers().contains_key(EXPECT);
        request.map(|incoming| ClientBody { incoming: Some(incoming), lingers, over: false })
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = std::task::ready!(Pin::new(incoming).poll_frame(cx));
        self.over |= !matches!(polled, Some(Ok(_)));
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        if !self.lingers || self.is_end_stream() {
            return;
        }
        if let (Some(rest), Ok(runtime)) = (self.incoming.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(LINGER, throw_away(rest)));
        }
    }
}

async fn throw_away(mut rest: Incoming) {
    while let Ok(Some(Ok(_))) = tokio::time::timeout(SILENCE, rest.frame()).await {}
}
