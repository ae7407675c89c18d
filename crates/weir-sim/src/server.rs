//! Listening, TLS, and serving one connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::config::{SimConfig, StartError, Tls};
use crate::conn::{Conn, FaultIo};
use crate::service;
use crate::state::SimState;

/// Most HTTP/2 streams at once on a connection.
const STREAMS_PER_CONNECTION: u32 = 20_000;

/// A listening simulator. Dropping it stops accepting and closes nothing that is open.
#[derive(Debug)]
pub struct Sim {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The task that accepts; ends only when aborted.
    pub handle: JoinHandle<()>,
    /// Its state: captured requests, script.
    pub state: Arc<SimState>,
}

impl Sim {
    /// Binds, and serves on the current runtime.
    ///
    /// # Errors
    /// When the address cannot be bound, the truth log cannot be opened, or certificate and key are unusable.
    pub async fn start(config: SimConfig) -> Result<Self, StartError> {
        let listen = config.listen;
        let tls = config.tls.as_ref().map(acceptor).transpose()?;
        let state = SimState::new(config)?;
        let listener = TcpListener::bind(listen).await.map_err(|cause| StartError::Listen(listen, cause))?;
        let addr = listener.local_addr().map_err(|cause| StartError::Listen(listen, cause))?;
        let handle = tokio::spawn(accept(listener, tls, state.clone()));
        Ok(Self { addr, handle, state })
    }

    /// `http://…` or `https://…` without a trailing slash.
    pub fn url(&self) -> String {
        let scheme = if self.state.config.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// Serves one connection until it ends: any byte stream, such as one half of a `tokio::io::duplex`. HTTP/1.1, or HTTP/2
/// with prior knowledge.
pub async fn serve_connection<IO>(state: Arc<SimState>, io: IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    serve(state, io, |_| ()).await;
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<SimState>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of descriptors, most likely; others must close theirs first.
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let state = state.clone();
        match tls.clone() {
            None => tokio::spawn(async move { serve(state, stream, arm_reset).await }),
            Some(tls) => tokio::spawn(async move {
                if let Ok(stream) = tls.accept(stream).await {
                    serve(state, stream, |stream| arm_reset(stream.get_ref().0)).await;
                }
            }),
        };
    }
}

fn arm_reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn serve<IO>(state: Arc<SimState>, io: IO, arm_reset: fn(&IO))
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let conn = Arc::new(Conn::default());
    let io = TokioIo::new(FaultIo::new(io, conn.clone(), arm_reset));
    let call_conn = conn.clone();
    let service = service_fn(move |request| service::answer(state.clone(), call_conn.clone(), request));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).max_buf_size(1024 * 1024);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS_PER_CONNECTION);
    let mut connection = std::pin::pin!(builder.serve_connection(io, service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = conn.goaway.notified() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

fn acceptor(tls: &Tls) -> Result<TlsAcceptor, StartError> {
    let bad = |why: String| StartError::Tls(why);
    let certificates = CertificateDer::pem_slice_iter(&tls.cert_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|cause| bad(cause.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(&tls.key_pem).map_err(|cause| bad(cause.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|cause| bad(cause.to_string()))?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|cause| bad(cause.to_string()))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The error that makes the connection close without an answer.
pub(crate) fn hang_up() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}
