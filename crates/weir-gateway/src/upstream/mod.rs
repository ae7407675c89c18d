//! Connections to providers: the seam behind which the HTTP client stands.
//!
//! Callers see [`Upstream::send`] and [`Answer`] only. Behind it HTTP/1.1 is spoken by a codec of its own (`h1`), which
//! costs a fraction of hyper's client because nothing passes from task to task; HTTP/2, and bodies that are still
//! coming while they are sent, go through hyper (`shared`). Where a connection goes is decided by the configuration
//! alone: a request's path is appended to the provider's base URL, and nothing that a client sends reaches the host.

mod body;
mod connect;
mod h1;
mod names;
mod shared;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, StatusCode, Uri};
use weir_adapter::{WireBody, WireRequest};

pub use body::{AnswerBody, BodyError};
pub use connect::{ConnectError, InProcess, Proxy};
pub use names::{LookUp, Names};
pub use tls::{TlsError, TlsFiles};

use crate::error::{AttemptError, Wait};
use connect::Connector;
use h1::conn::Conn;
use h1::{Failure, Pool};
use shared::Shared;

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
    /// Who looks its name up.
    pub names: Names,
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

/// One provider's address and its connections.
pub struct Upstream {
    scheme: Scheme,
    authority: Authority,
    /// The authority as `host` says it: without a port that goes without saying.
    host: String,
    /// What the base URL has behind the authority: `""`, `/v1`, ….
    base_path: String,
    connector: Connector,
    pool: Arc<Pool>,
    /// The provider chose HTTP/2.
    shares: AtomicBool,
    shared: Shared,
}

/// The head of an answer, and its body as it comes.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: AnswerBody,
}

impl Upstream {
    /// The host and port that it is at.
    pub fn place(&self) -> (&str, u16) {
        let usual = if self.scheme == Scheme::HTTPS { 443 } else { 80 };
        (self.authority.host(), self.authority.port_u16().unwrap_or(usual))
    }

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
        let default_port = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let host = match authority.port_u16() == Some(default_port) {
            true => authority.host().to_owned(),
            false => authority.as_str().to_owned(),
        };
        let connector = Connector::new(&config)?;
        // A proxy looks names up itself, and a server in this process has none.
        let direct = config.proxy.is_none() && config.in_process.is_none();
        let port = authority.port_u16().unwrap_or(default_port);
        let home = names::Home::new(&config.names, authority.host(), port).filter(|_| direct);
        Ok(Upstream {
            shared: Shared::new(connector.clone(), config.idle_timeout),
            pool: Pool::new(config.idle_timeout, home),
            shares: AtomicBool::new(false),
            scheme,
            authority,
            host,
            base_path,
            connector,
        })
    }

    /// Sends a request and waits until `deadline` for the head of its answer; `None` when that has passed. `fresh`: over a
    /// connection that has carried no other call.
    ///
    /// # Errors
    /// [`AttemptError::Unreachable`], with what went wrong in a few words.
    pub async fn send_until(
        &self,
        request: WireRequest,
        deadline: Instant,
        fresh: bool,
    ) -> Option<Result<Answer, AttemptError>> {
        if !request.path.starts_with('/') || !request.path.bytes().all(|byte| (0x21..0x7f).contains(&byte)) {
            return Some(Err(AttemptError::Internal("a path that is none")));
        }
        if let WireBody::Bytes(body) = &request.body
            && !self.shares.load(Ordering::Relaxed)
        {
            let path = [&*self.base_path, &*request.path];
            let method = request.method.clone();
            let alone = h1::Request::new(method, &path, &self.host, &request.headers, body.clone());
            match self.send_alone(alone, deadline, fresh).await {
                Sent::Answered(answer) => return Some(answer),
                Sent::Late => return None,
                Sent::Shared => {}
            }
        }
        self.send_shared(request, deadline).await
    }

    /// Sends a request over a connection of its own.
    async fn send_alone(&self, request: h1::Request, deadline: Instant, fresh: bool) -> Sent {
        let mut pooled = if fresh { None } else { self.pool.take() };
        loop {
            let conn = match pooled.take() {
                Some(conn) => conn,
                None => match self.connect(deadline).await {
                    Ok(Some(conn)) => conn,
                    Ok(None) => return Sent::Shared,
                    Err(None) => return Sent::Late,
                    Err(Some(error)) => return Sent::Answered(Err(not_connected(&error))),
                },
            };
            let reused = conn.is_used();
            match h1::exchange(conn, &request, deadline).await {
                Ok((head, opened)) => {
                    let body = AnswerBody::alone(opened, &self.pool);
                    return Sent::Answered(Ok(Answer { status: head.status, headers: head.headers, body }));
                }
                // Gone while it was idle: another one takes the request, of which nothing has left.
                Err(Failure::Unwritten) if reused => {}
                Err(Failure::Late) => return Sent::Late,
                Err(failure) => return Sent::Answered(Err(unanswered(&failure, reused))),
            }
        }
    }

    /// A new connection; `None` where the provider chose HTTP/2, which is spoken elsewhere. The error is `None` where
    /// the deadline has passed.
    async fn connect(&self, deadline: Instant) -> Result<Option<Conn>, Option<ConnectError>> {
        let connecting = Box::pin(self.connector.open(&self.scheme, &self.authority));
        let io = match tokio::time::timeout_at(deadline.into(), connecting).await {
            Ok(connected) => connected.map_err(Some)?,
            Err(_) => return Err(None),
        };
        if io.is_http2() {
            self.shares.store(true, Ordering::Relaxed);
            self.connector.hand_on(io);
            return Ok(None);
        }
        let peer = self.connector.peer(&io);
        Ok(Some(Conn::new(io, peer)))
    }

    async fn send_shared(
        &self,
        request: WireRequest,
        deadline: Instant,
    ) -> Option<Result<Answer, AttemptError>> {
        let path = PathAndQuery::try_from([&*self.base_path, &*request.path].concat()).ok();
        let uri = path.and_then(|path| {
            let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
            uri.path_and_query(path).build().ok()
        });
        let Some(uri) = uri else { return Some(Err(AttemptError::Internal("a path that is none"))) };
        let sending = Box::pin(self.shared.send(uri, request));
        tokio::time::timeout_at(deadline.into(), sending).await.ok()
    }

    /// The same without a deadline of its own.
    ///
    /// # Errors
    /// [`AttemptError::Unreachable`], with what went wrong in a few words.
    pub async fn send(&self, request: WireRequest) -> Result<Answer, AttemptError> {
        const LONG: Duration = Duration::from_secs(600);
        let sent = self.send_until(request, Instant::now() + LONG, false).await;
        sent.unwrap_or(Err(AttemptError::TimedOut(Wait::FirstByte, LONG)))
    }
}

/// What became of a request on a connection of its own.
enum Sent {
    Answered(Result<Answer, AttemptError>),
    /// The deadline has passed.
    Late,
    /// The provider speaks HTTP/2.
    Shared,
}

/// Why there is no connection, in words that hold no address; the cause goes to the log.
fn not_connected(error: &ConnectError) -> AttemptError {
    tracing::debug!(%error, "provider not reached");
    match error {
        ConnectError::TimedOut(after) => AttemptError::TimedOut(Wait::Connect, *after),
        other => AttemptError::Unreachable { what: other.words(), sent: false, stale: false },
    }
}

/// Why a connection gave no answer. One that is kept open may be closed by the other side at any time, also just now.
fn unanswered(failure: &Failure, reused: bool) -> AttemptError {
    tracing::debug!(error = ?failure, "request to the provider failed");
    let what = match failure {
        Failure::Bad(_) => "the answer is not HTTP",
        _ => "connection closed before the answer",
    };
    let stale = reused && matches!(failure, Failure::Lost(_));
    AttemptError::Unreachable { what, sent: !matches!(failure, Failure::Unwritten), stale }
}
