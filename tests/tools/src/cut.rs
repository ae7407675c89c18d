//! A TCP proxy that does harm on the way: delay, narrow, stall, reset, close, or drop after some bytes or a pattern.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Which bytes are watched and harmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What happens at the moment of harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// Both sides get a TCP reset.
    Reset,
    /// Both sides are closed.
    Close,
    /// Nothing more passes, in either direction; the connections stay.
    Stall,
    /// What was watched is passed on; the other direction is swallowed for a while, then both sides are closed.
    /// So a server does what it was asked and its answer is lost.
    Swallow,
}

/// When harm is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// Never: the proxy only delays and narrows.
    Never,
    /// After so many bytes.
    Bytes(u64),
    /// Once these bytes have passed.
    Pattern(Vec<u8>),
}

/// What a proxy does.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where it connects to.
    pub to: String,
    /// Each piece of data waits so long.
    pub delay: Duration,
    /// Bytes a second in each direction; none: no limit.
    pub rate: Option<u64>,
    /// Which bytes `when` is about.
    pub direction: Direction,
    /// When harm is done to a connection.
    pub when: When,
    /// What is done.
    pub harm: Harm,
    /// To how many connections at most.
    pub times: u64,
    /// How many moments pass without harm first.
    pub skip: u64,
}

/// A running proxy.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    moments: Arc<AtomicU64>,
    skip: u64,
    times: u64,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// How many connections were harmed.
    pub fn harms(&self) -> u64 {
        self.moments.load(Ordering::Relaxed).saturating_sub(self.skip).min(self.times)
    }

    /// Waits for ever.
    pub async fn wait(&mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts a proxy.
///
/// # Errors
/// When it cannot listen.
pub async fn start(cut: Cut) -> std::io::Result<Running> {
    let listener = TcpListener::bind(cut.listen).await?;
    let address = listener.local_addr()?;
    let moments = Arc::new(AtomicU64::new(0));
    let (shared, skip, times) = (moments.clone(), cut.skip, cut.times);
    let task = tokio::spawn(async move {
        let cut = Arc::new(cut);
        while let Ok((client, _)) = listener.accept().await {
            let (cut, moments) = (cut.clone(), shared.clone());
            tokio::spawn(async move {
                if let Ok(server) = TcpStream::connect(&cut.to).await {
                    connection(&cut, &moments, client, server).await;
                }
            });
        }
    });
    Ok(Running { address, moments, skip, times, task })
}

/// Time for which the swallowed direction is read before the end.
const SWALLOW: Duration = Duration::from_millis(300);

async fn connection(cut: &Cut, moments: &AtomicU64, client: TcpStream, server: TcpStream) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let harmed = {
        let up = pump(cut, moments, Direction::Up, &mut from_client, &mut to_server);
        let down = pump(cut, moments, Direction::Down, &mut from_server, &mut to_client);
        let (mut up, mut down) = (std::pin::pin!(up), std::pin::pin!(down));
        tokio::select! {
            harmed = &mut up => harmed || down.await,
            harmed = &mut down => harmed || up.await,
        }
    };
    let streams = (from_client.reunite(to_client), from_server.reunite(to_server));
    let (Ok(client), Ok(mut server)) = streams else { return };
    if !harmed {
        return;
    }
    match cut.harm {
        Harm::Reset => {
            let _ = (client.set_zero_linger(), server.set_zero_linger());
        }
        Harm::Close => {}
        Harm::Stall => std::future::pending::<()>().await,
        Harm::Swallow => {
            let mut nothing = [0; 16 * 1024];
            let swallow =
                async { while matches!(server.read(&mut nothing).await, Ok(count) if count > 0) {} };
            let _ = tokio::time::timeout(SWALLOW, swallow).await;
        }
    }
}

/// Passes bytes on till their end, or till harm is to be done (true).
async fn pump(
    cut: &Cut,
    moments: &AtomicU64,
    direction: Direction,
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
) -> bool {
    let mut buffer = vec![0; 16 * 1024];
    let mut watch = Watch::new(&cut.when);
    loop {
        let Ok(count) = from.read(&mut buffer).await else { return false };
        if count == 0 {
            let _ = to.shutdown().await;
            return false;
        }
        if !cut.delay.is_zero() {
            tokio::time::sleep(cut.delay).await;
        }
        let hit = if direction == cut.direction { watch.take(&buffer[..count]) } else { None };
        let hit = hit.filter(|_| claim(moments, cut));
        let end = hit.unwrap_or(count);
        if narrow(cut.rate, to, &buffer[..end]).await.is_err() {
            return false;
        }
        if hit.is_some() {
            return true;
        }
    }
}

/// Counts a moment; whether it is one of those that bring harm.
fn claim(moments: &AtomicU64, cut: &Cut) -> bool {
    let moment = moments.fetch_add(1, Ordering::Relaxed);
    moment >= cut.skip && moment - cut.skip < cut.times
}

/// Writes no faster than the rate.
async fn narrow(rate: Option<u64>, to: &mut OwnedWriteHalf, bytes: &[u8]) -> std::io::Result<()> {
    let Some(rate) = rate else { return to.write_all(bytes).await };
    // Twenty times a second.
    let step = usize::try_from(rate / 20).unwrap_or(usize::MAX).max(1);
    for part in bytes.chunks(step) {
        to.write_all(part).await?;
        tokio::time::sleep(Duration::from_secs_f64(part.len() as f64 / rate.max(1) as f64)).await;
    }
    Ok(())
}

/// Looks for the moment of harm in bytes that come in pieces.
struct Watch<'a> {
    when: &'a When,
    seen: u64,
    /// The end of what came before, where a pattern may begin.
    tail: Vec<u8>,
}

impl<'a> Watch<'a> {
    fn new(when: &'a When) -> Self {
        Self { when, seen: 0, tail: Vec::new() }
    }

    /// How many of these bytes still pass, if the moment lies in them.
    fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let before = self.seen;
        self.seen += bytes.len() as u64;
        match self.when {
            When::Never => None,
            When::Bytes(limit) => {
                let hit = before < *limit.max(&1) && self.seen >= *limit;
                hit.then(|| usize::try_from(limit - before).unwrap_or(bytes.len()))
            }
            When::Pattern(pattern) => {
                let old = self.tail.len();
                self.tail.extend_from_slice(bytes);
                let found = memchr::memmem::find(&self.tail, pattern);
                let keep = self.tail.len().min(pattern.len().saturating_sub(1));
                let end = found.map(|at| (at + pattern.len()).saturating_sub(old));
                self.tail.drain(..self.tail.len() - keep);
                // All that came with the pattern passes, so that a message is whole.
                end.map(|_| bytes.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_across_pieces() {
        let when = When::Pattern(b"COMMIT".to_vec());
        let mut watch = Watch::new(&when);
        assert_eq!(watch.take(b"BEGIN COM"), None);
        assert_eq!(watch.take(b"MIT;"), Some(4));
        let when = When::Bytes(10);
        let mut watch = Watch::new(&when);
        assert_eq!((watch.take(b"1234567"), watch.take(b"8901234"), watch.take(b"5")), (None, Some(3), None));
    }

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    fn cut(to: SocketAddr) -> Cut {
        Cut {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            to: to.to_string(),
            delay: Duration::ZERO,
            rate: None,
            direction: Direction::Up,
            when: When::Never,
            harm: Harm::Reset,
            times: u64::MAX,
            skip: 0,
        }
    }

    async fn talk(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await?;
        Ok(back)
    }

    #[tokio::test]
    async fn bytes_pass_and_harm_is_done_so_many_times() {
        let server = echo().await;
        let plain =
            start(Cut { rate: Some(1000), delay: Duration::from_millis(5), ..cut(server) }).await.unwrap();
        let began = std::time::Instant::now();
        assert_eq!(talk(plain.address, &[7; 100]).await.unwrap(), [7; 100]);
        assert!(began.elapsed() >= Duration::from_millis(100));
        let when = When::Pattern(b"COMMIT".to_vec());
        let swallow =
            start(Cut { when, harm: Harm::Swallow, times: 1, skip: 1, ..cut(server) }).await.unwrap();
        assert_eq!(talk(swallow.address, b"a COMMIT").await.unwrap(), b"a COMMIT");
        assert_eq!(talk(swallow.address, b"a COMMIT").await.unwrap_or_default(), b"");
        assert_eq!(talk(swallow.address, b"a COMMIT").await.unwrap(), b"a COMMIT");
        assert_eq!(swallow.harms(), 1);
        let reset = Cut { when: When::Bytes(3), direction: Direction::Down, ..cut(server) };
        let reset = start(reset).await.unwrap();
        assert!(talk(reset.address, b"abcdef").await.is_err());
    }
}
