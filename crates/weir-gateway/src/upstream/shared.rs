//! hyper's client, for connections that several calls share (HTTP/2), and for bodies that are still coming while they are
//! sent.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Either, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use weir_adapter::{WireBody, WireRequest};

use super::connect::{ConnectError, Connector};
use super::{Answer, AnswerBody, not_connected};
use crate::error::AttemptError;

type RequestBody = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>>;

/// hyper's client with its own pool.
pub(super) struct Shared(Client<Connector, RequestBody>);

impl Shared {
    pub(super) fn new(connector: Connector, idle_timeout: Duration) -> Shared {
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(idle_timeout)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            // One connection carries every call to such a provider: a dead one must be noticed.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .http2_keep_alive_while_idle(true)
            .pool_max_idle_per_host(4096)
            .http1_max_buf_size(256 << 10)
            .build(connector);
        Shared(client)
    }

    pub(super) async fn send(&self, uri: Uri, request: WireRequest) -> Result<Answer, AttemptError> {
        let body = match request.body {
            WireBody::Bytes(bytes) => Either::Left(Full::new(bytes)),
            WireBody::Stream(stream) => Either::Right(stream),
            WireBody::Upgrade => return Err(AttemptError::Internal("upgrades have a path of their own")),
        };
        let mut wire = http::Request::new(body);
        *wire.uri_mut() = uri;
        *wire.method_mut() = request.method;
        *wire.headers_mut() = request.headers;
        let answer = self.0.request(wire).await.map_err(|error| unreachable(&error))?;
        let (parts, body) = answer.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body: AnswerBody::shared(body) })
    }
}

/// What happened, in words that hold no address; the cause goes to the log.
fn unreachable(error: &hyper_util::client::legacy::Error) -> AttemptError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(connect) = cause.downcast_ref::<ConnectError>() {
            return not_connected(connect);
        }
        if let Some(error) = cause.downcast_ref::<h2::Error>()
            && unprocessed(error)
        {
            return AttemptError::Unreachable { what: "connection closed", sent: false, stale: true };
        }
        source = cause.source();
    }
    tracing::debug!(error = ?error, "request to the provider failed");
    AttemptError::Unreachable {
        what: "connection closed before the answer",
        sent: !error.is_connect(),
        stale: false,
    }
}

/// Whether the provider says that it has not looked at the request: its connection goes away, and the stream is beyond the
/// last one that it takes; or the stream is refused.
fn unprocessed(error: &h2::Error) -> bool {
    error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
}
