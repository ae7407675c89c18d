//! Connections, kept for reuse; made anew when the gateway was restarted.

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::net::TcpStream;

/// A way to send one request at a time.
#[derive(Debug)]
pub enum Sender {
    /// HTTP/1.1.
    One(http1::SendRequest<Full<Bytes>>),
    /// HTTP/2; the connection is shared.
    Two(http2::SendRequest<Full<Bytes>>),
}

/// Idle connections to one address.
#[derive(Debug)]
pub struct Pool {
    address: String,
    http2: bool,
    idle: Mutex<Vec<Sender>>,
}

impl Pool {
    /// An empty pool.
    pub fn new(address: String, http2: bool) -> Self {
        Self { address, http2, idle: Mutex::default() }
    }

    /// A connection that is ready, idle or new.
    ///
    /// # Errors
    /// When none can be made.
    pub async fn sender(&self) -> Result<Sender, std::io::Error> {
        loop {
            let idle = self.idle.lock().pop();
            match idle {
                Some(Sender::One(mut sender)) => {
                    if sender.ready().await.is_ok() {
                        return Ok(Sender::One(sender));
                    }
                }
                Some(Sender::Two(mut sender)) => {
                    if sender.ready().await.is_ok() {
                        self.keep(Sender::Two(sender.clone()));
                        return Ok(Sender::Two(sender));
                    }
                }
                None => return self.connect().await,
            }
        }
    }

    /// Gives a connection back whose answer was read to its end.
    pub fn keep(&self, sender: Sender) {
        self.idle.lock().push(sender);
    }

    /// Whether connections are shared, and need not be given back.
    pub fn shares(&self) -> bool {
        self.http2
    }

    async fn connect(&self) -> Result<Sender, std::io::Error> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let io = TokioIo::new(stream);
        if self.http2 {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), io).await.map_err(std::io::Error::other)?;
            tokio::spawn(connection);
            self.keep(Sender::Two(sender.clone()));
            return Ok(Sender::Two(sender));
        }
        let (sender, connection) = http1::handshake(io).await.map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Sender::One(sender))
    }
}
