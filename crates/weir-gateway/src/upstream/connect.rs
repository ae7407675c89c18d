//! Making one connection: DNS, TCP, a proxy's tunnel, TLS; or none of these, for a server in this process.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::UpstreamConfig;
use super::names::Names;
use super::tls::{TlsError, client_config};

/// Opens a connection to a server in this very process.
pub type InProcess = Arc<dyn Fn() -> DuplexStream + Send + Sync>;

/// An HTTP proxy: every connection is a tunnel through it (`CONNECT`).
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `host:port`.
    pub address: String,
    /// The value of `proxy-authorization`, if it wants one.
    pub authorization: Option<String>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name is not known.
    #[error("name look-up failed")]
    Dns(#[source] io::Error),
    /// Nobody listens, or the network says no.
    #[error("connect failed")]
    Tcp(#[source] io::Error),
    /// The TLS handshake failed.
    #[error("TLS handshake failed")]
    Tls(#[source] io::Error),
    /// The proxy refused the tunnel.
    #[error("proxy refused: {0}")]
    Proxy(String),
    /// It took too long.
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    /// The URL lacks a host, or has one that TLS can't check.
    #[error("no host in the address")]
    NoHost,
}

impl ConnectError {
    /// A few words that hold no address.
    pub fn words(&self) -> &'static str {
        match self {
            ConnectError::Dns(_) => "name look-up failed",
            ConnectError::Tcp(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "connection refused"
            }
            ConnectError::Tcp(_) => "connect failed",
            ConnectError::Tls(_) => "TLS handshake failed",
            ConnectError::Proxy(_) => "the proxy refused the connection",
            ConnectError::TimedOut(_) => "connect timed out",
            ConnectError::NoHost => "no host in the address",
        }
    }
}

/// Makes connections for the client's pool.
#[derive(Clone)]
pub(super) struct Connector(Arc<Parts>);

struct Parts {
    timeout: Duration,
    tls: TlsConnector,
    proxy: Option<Proxy>,
    in_process: Option<InProcess>,
    names: Names,
    /// Connections on which the other side chose HTTP/2, for whoever speaks that.
    handed_on: Mutex<Vec<Io>>,
}

impl Connector {
    pub(super) fn new(config: &UpstreamConfig) -> Result<Connector, TlsError> {
        Ok(Connector(Arc::new(Parts {
            timeout: config.connect_timeout,
            tls: TlsConnector::from(client_config(&config.tls)?),
            proxy: config.proxy.clone(),
            in_process: config.in_process.clone(),
            names: config.names.clone(),
            handed_on: Mutex::default(),
        })))
    }

    /// Makes a connection.
    pub(super) async fn open(&self, scheme: &Scheme, authority: &Authority) -> Result<Io, ConnectError> {
        let parts = &self.0;
        if let Some(open) = &parts.in_process {
            return Ok(Io::Local(open()));
        }
        match tokio::time::timeout(parts.timeout, parts.connect(scheme, authority)).await {
            Ok(connected) => connected,
            Err(_) => Err(ConnectError::TimedOut(parts.timeout)),
        }
    }

    /// Where a connection leads; `None` through a proxy, and within this process.
    pub(super) fn peer(&self, io: &Io) -> Option<IpAddr> {
        let tcp = match io {
            Io::Tcp(tcp) => tcp,
            Io::Tls(tls) => tls.get_ref().0,
            Io::Local(_) => return None,
        };
        tcp.peer_addr().ok().filter(|_| self.0.proxy.is_none()).map(|peer| peer.ip())
    }

    /// Keeps a connection for the next [`tower::Service::call`].
    pub(super) fn hand_on(&self, io: Io) {
        self.0.handed_on.lock().push(io);
    }
}

impl tower::Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            if let Some(io) = connector.0.handed_on.lock().pop() {
                return Ok(Stream::new(io));
            }
            let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
                return Err(ConnectError::NoHost);
            };
            connector.open(scheme, authority).await.map(Stream::new)
        })
    }
}

impl Parts {
    async fn connect(&self, scheme: &Scheme, authority: &Authority) -> Result<Io, ConnectError> {
        let secure = *scheme == Scheme::HTTPS;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tcp = match &self.proxy {
            None => dial(&self.names, host, port).await?,
            Some(proxy) => tunnel(&self.names, proxy, host, port).await?,
        };
        if !secure {
            return Ok(Io::Tcp(tcp));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::NoHost)?;
        let tls = self.tls.connect(name, tcp).await.map_err(ConnectError::Tls)?;
        Ok(Io::Tls(Box::new(tls)))
    }
}

/// Tries the addresses of a host one after another.
async fn dial(names: &Names, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in names.look_up(host, port).await.map_err(ConnectError::Dns)? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Small writes must not wait for acknowledgements.
                stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(ConnectError::Tcp(last))
}

async fn tunnel(names: &Names, proxy: &Proxy, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
    let (proxy_host, proxy_port) = proxy
        .address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .ok_or(ConnectError::NoHost)?;
    let mut stream = dial(names, proxy_host, proxy_port).await?;
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let authorization = proxy
        .authorization
        .as_ref()
        .map(|value| format!("proxy-authorization: {value}\r\n"))
        .unwrap_or_default();
    let head = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{authorization}\r\n");
    stream.write_all(head.as_bytes()).await.map_err(ConnectError::Tcp)?;
    let mut answer = Vec::with_capacity(256);
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() > 8192 {
            return Err(ConnectError::Proxy("an endless head".to_owned()));
        }
        answer.push(stream.read_u8().await.map_err(ConnectError::Tcp)?);
    }
    let line =
        String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    match line.split(' ').nth(1) {
        Some("200") => Ok(stream),
        _ => Err(ConnectError::Proxy(line)),
    }
}

// === connections ===

/// One connection.
pub(super) enum Io {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Local(DuplexStream),
}

impl Io {
    /// Whether the other side chose HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self, Io::Tls(tls) if tls.get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

/// One connection, as hyper takes it.
pub(super) struct Stream(TokioIo<Io>);

impl Stream {
    fn new(io: Io) -> Stream {
        Stream(TokioIo::new(io))
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.0.inner().is_http2() { connected.negotiated_h2() } else { connected }
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }
}

/// Calls the same method on whichever connection it is.
macro_rules! on_each {
    ($self:expr, $io:ident => $call:expr) => {
        match $self.get_mut() {
            Io::Tcp($io) => $call,
            Io::Tls($io) => $call,
            Io::Local($io) => $call,
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        on_each!(self, io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on_each!(self, io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_each!(self, io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_each!(self, io => Pin::new(io).poll_shutdown(cx))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Io::Tcp(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
            Io::Local(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_each!(self, io => Pin::new(io).poll_write_vectored(cx, bufs))
    }
}

// === impl Proxy ===

impl Proxy {
    /// Reads `http://host:port` or `http://user:password@host:port`; `None` where it is neither.
    pub fn parse(url: &str) -> Option<Proxy> {
        use base64::Engine;
        let rest = url.strip_prefix("http://")?.trim_end_matches('/');
        let (user, address) =
            rest.rsplit_once('@').map_or((None, rest), |(user, address)| (Some(user), address));
        let (host, port) = address.rsplit_once(':')?;
        port.parse::<u16>().ok().filter(|_| !host.is_empty() && !address.contains('/'))?;
        let basic = |user: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user));
        Some(Proxy { address: address.to_owned(), authorization: user.map(basic) })
    }
}
