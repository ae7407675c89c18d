//! The listener: connections in, a service a connection, and an orderly end.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Response};
use http_body_util::Either;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use weir_gateway::{WritePatience, WriteWatch};

use crate::app::Error;
use crate::client_body::ClientBody;
use crate::patience::{self, Patient, Streams};
use crate::respond::ResponseBody;
use crate::router::Service;
use crate::seats::{Seat, Seats};

/// How long a client may take for the head of its first request.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may rest between calls, the next head included: longer than clients and proxies keep theirs
/// (60 s at most, as a rule), for a call is lost that is sent just as its connection is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a connection that its client keeps stays open for its next call, whose answer closes it: a call that is on
/// its way when a connection is closed is lost.
const LINGER: Duration = Duration::from_millis(500);
/// How often it is looked whether any is left.
const LOOK: Duration = Duration::from_millis(10);
/// How long clients may take to be told that their call is cut.
const LAST_WORDS: Duration = Duration::from_millis(400);
/// So many bytes of an answer may wait in the system's memory for their turn to be sent; by default it takes megabytes. The
/// socket takes more when half of them are gone, so a client that reads a kilobyte a second is seen to read within 30 s.
/// (Where its own system takes much ahead of it, nothing moves on the wire for as long as it reads of that.)
const UNSENT: u32 = 16 << 10;
/// How long a client may take for the TLS handshake.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// Accepts connections until `stop` is done, then lets those under way finish within `drain`.
/// Returns whether all of them did.
pub async fn run(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: Service,
    seats: Seats,
    stop: impl Future<Output = ()>,
    drain: Duration,
) -> bool {
    let builder = Arc::new(builder());
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (seat, accepted) = tokio::select! {
            () = &mut stop => break,
            accepted = async { (seats.take().await, listener.accept().await) } => (seats.sit(accepted.0), accepted.1),
        };
        match accepted {
            Ok((stream, peer)) => {
                accept(stream, tls.clone(), &builder, service.clone().at(peer.ip()), &graceful, seat);
            }
            Err(error) => pause(&error).await,
        }
    }
    drop(listener);
    let began = tokio::time::Instant::now();
    while graceful.count() > 0 && began.elapsed() < LINGER.min(drain / 2) {
        tokio::time::sleep(LOOK).await;
    }
    let mut ended = std::pin::pin!(graceful.shutdown());
    if tokio::time::timeout_at(began + drain, &mut ended).await.is_ok() {
        return true;
    }
    // Calls are cut now: their clients are told so.
    drop(tokio::time::timeout(LAST_WORDS, ended).await);
    false
}

/// hyper's own defaults have no timer for heads: a client that sends a byte now and then would hold its connection for
/// ever.
fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(KEEP_ALIVE)
        // Without `pipeline_flush`: with it, an answer is buffered without bound for a client that does not read.
        .max_buf_size(256 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(256 << 10)
        .max_concurrent_streams(1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

fn accept(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    builder: &Arc<Builder<TokioExecutor>>,
    service: Service,
    graceful: &GracefulShutdown,
    seat: Seat,
) {
    // Small pieces of a stream must not wait for acknowledgements.
    drop(stream.set_nodelay(true));
    drop(SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT));
    let (builder, service, watcher) = (builder.clone(), service, graceful.watcher());
    tokio::spawn(async move {
        match tls {
            None => converse(stream, &builder, service, watcher, seat).await,
            Some(acceptor) => {
                if let Ok(Ok(stream)) =
                    tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await
                {
                    converse(stream, &builder, service, watcher, seat).await;
                }
            }
        }
    });
}

async fn converse<IO>(
    io: IO,
    builder: &Builder<TokioExecutor>,
    service: Service,
    watcher: hyper_util::server::graceful::Watcher,
    seat: Seat,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Boxed, so that a connection holds the room of a call only while one is being answered: not while its answer streams.
    let asked = Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    let (cut, crowded) = (service.cut(), seat.is_extra());
    let watch = Arc::new(WriteWatch::of_connection(patience::USUAL));
    let io = Patient::new(io, watch.clone(), service.ledger());
    let streams = Arc::new(Streams::default());
    let watched = streams.clone();
    let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        seen.store(true, Ordering::Relaxed);
        let request = ClientBody::of(request);
        let (service, watch, streams) = (service.clone(), watch.clone(), watched.clone());
        Box::pin(async move {
            let multiplexed = request.version() == hyper::Version::HTTP_2;
            let response = match crowded {
                false => service.answer(request).await,
                true => service.answer_in_a_crowd(request).await,
            };
            let mut response = timed(response, multiplexed, watch, &streams);
            if service.draining() && !multiplexed {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, std::convert::Infallible>(response)
        })
    });
    let connection = builder.serve_connection(TokioIo::new(io), answer).into_owned();
    let mut connection = std::pin::pin!(watcher.watch(connection));
    // Before the first bytes tell the version of HTTP, no timer of hyper's runs.
    let mut silence = std::pin::pin!(tokio::time::sleep(HEAD_PATIENCE));
    let mut care = std::pin::pin!(streams.look_after(&cut));
    // By hand, for it runs several times a call: what a connection has no use for is not polled.
    std::future::poll_fn(|cx| {
        // A client that leaves is no event.
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !asked.load(Ordering::Relaxed) {
            return silence.as_mut().poll(cx);
        }
        if streams.are_watched() { care.as_mut().poll(cx) } else { Poll::Pending }
    })
    .await;
}

/// The answer with its patience: the connection's where it is alone on it, else its own.
fn timed(
    response: Response<ResponseBody>,
    multiplexed: bool,
    watch: Arc<WriteWatch>,
    streams: &Streams,
) -> Response<ResponseBody> {
    let own = response.extensions().get::<WritePatience>().map_or(patience::USUAL, |own| own.0);
    if !multiplexed {
        watch.set_patience(own);
    }
    response.map(|body| match body {
        Either::Right(Either::Left(meter)) if multiplexed => {
            Either::Right(Either::Right(axum::body::Body::new(streams.watch(meter, own))))
        }
        Either::Right(Either::Left(mut meter)) => {
            meter.watch_writes(watch);
            Either::Right(Either::Left(meter))
        }
        other => other,
    })
}

/// Out of descriptors: waiting beats spinning.
async fn pause(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        tracing::warn!(%error, "no connection can be accepted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// TLS with the certificate chain and key in these files.
///
/// # Errors
/// Files that don't read or don't fit together.
pub fn tls(cert: &Path, key: &Path) -> Result<TlsAcceptor, Error> {
    let file = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| file(cert, &error))?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, &error))?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| file(cert, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
