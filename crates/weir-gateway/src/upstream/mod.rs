//! Connections to providers: the seam behind which the HTTP client stands.
//!
//! Callers see [`Upstream::send`] and [`Answer`] only, so that a faster codec can take hyper's place. Where a
//! connection goes is decided by the configuration alone: a request's path is appended to the provider's base URL,
//! and nothing that a client sends reaches the host.

mod connect;
mod tls;

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use weir_adapter::{WireBody, WireRequest};

pub use connect::{ConnectError, InProcess, Proxy};
pub use tls::{TlsError, TlsFiles};

use crate::error::AttemptError;
use connect::Connector;

/// How a provider is reached.
#[derive(Clone)]
pub struct UpstreamConfig {
    /// The base URL, without a trailing slash.
    pub base_url: String,
    /// For a connection, TLS included.
    pub connect_timeout: Duration,
    /// Own certificates and authorities.
    pub tls: TlsFiles,
    /// A proxy that connections go through.
    pub proxy: Option<Proxy>,
    /// A server in this very process, in place of a connection.
    pub in_process: Option<InProcess>,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
}

/// Why a provider can't be reached at all, known before the first request.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The base URL is none.
    #[error("`{0}` is not an http or https URL")]
    BadUrl(String),
    /// The TLS files don't read.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

type RequestBody = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>>;

/// One provider's address and its connections.
pub struct Upstream {
    scheme: Scheme,
    authority: Authority,
    /// What the base URL has behind the authority: `""`, `/v1`, ….
    base_path: String,
    client: Client<Connector, RequestBody>,
}

/// The head of an answer, and its body as it comes.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Incoming,
}

impl Upstream {
    /// A provider at an address. Connects nothing yet.
    ///
    /// # Errors
    /// A URL that is none, TLS files that don't read.
    pub fn new(config: UpstreamConfig) -> Result<Upstream, UpstreamError> {
        let bad = || UpstreamError::BadUrl(config.base_url.clone());
        let uri: Uri = config.base_url.parse().map_err(|_| bad())?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else { return Err(bad()) };
        if ![Scheme::HTTP, Scheme::HTTPS].contains(&scheme) || authority.as_str().contains('@') {
            return Err(bad());
        }
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        if path.query().is_some() {
            return Err(bad());
        }
        let base_path = path.path().trim_end_matches('/').to_owned();
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(config.idle_timeout)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            // One connection carries every call to such a provider: a dead one must be noticed.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .http2_keep_alive_while_idle(true)
            .pool_max_idle_per_host(4096)
            .http1_max_buf_size(256 << 10)
            .build(Connector::new(&config)?);
        Ok(Upstream { scheme, authority, base_path, client })
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// [`AttemptError::Unreachable`], with what went wrong in a few words.
    pub async fn send(&self, request: WireRequest) -> Result<Answer, AttemptError> {
        let path: PathAndQuery = match self.base_path.as_str() {
            "" => PathAndQuery::try_from(request.path.as_ref()),
            base => PathAndQuery::try_from([base, request.path.as_ref()].concat()),
        }
        .map_err(|_| AttemptError::Internal("a path that is none"))?;
        let uri =
            Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone()).path_and_query(path);
        let body = match request.body {
            WireBody::Bytes(bytes) => Either::Left(Full::new(bytes)),
            WireBody::Stream(stream) => Either::Right(stream),
            WireBody::Upgrade => return Err(AttemptError::Internal("upgrades have a path of their own")),
        };
        let mut wire = http::Request::new(body);
        *wire.uri_mut() = uri.build().map_err(|_| AttemptError::Internal("an address that is none"))?;
        *wire.method_mut() = request.method;
        *wire.headers_mut() = request.headers;
        let answer = self.client.request(wire).await.map_err(|error| unreachable(&error))?;
        let (parts, body) = answer.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

/// What happened, in words that hold no address; the cause goes to the log.
fn unreachable(error: &hyper_util::client::legacy::Error) -> AttemptError {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(connect) = cause.downcast_ref::<ConnectError>() {
            tracing::debug!(error = %cause, "provider not reached");
            return match connect {
                ConnectError::TimedOut(after) => AttemptError::TimedOut(crate::error::Wait::Connect, *after),
                other => AttemptError::Unreachable { what: other.words(), sent: false },
            };
        }
        source = cause.source();
    }
    tracing::debug!(error = ?error, "request to the provider failed");
    AttemptError::Unreachable { what: "connection closed before the answer", sent: !error.is_connect() }
}
