//! What a provider's name stands for, looked up again and again while connections are kept: when a provider moves, the
//! next calls go to its new address, and connections to the old one are not used again. The system's resolver keeps to
//! the time to live that the name's answer says, so a new address is known that time plus [`AGAIN`] after a change.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long what was looked up counts.
pub(super) const AGAIN: Duration = Duration::from_secs(4);

/// A name may have many addresses and show some at a time: one that is not shown counts for so long, as long as any that
/// was known is. Where none is, the provider has moved, and none of them counts.
const UNSEEN: Duration = Duration::from_secs(60);

/// Looks a name up.
pub type LookUp =
    Arc<dyn Fn(&str, u16) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync>;

/// Who looks names up, and how long that counts.
#[derive(Clone)]
pub struct Names {
    look_up: LookUp,
    again: Duration,
}

impl Default for Names {
    /// The system's resolver.
    fn default() -> Names {
        Names::new(
            Arc::new(|host, port| {
                let host = host.to_owned();
                Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), port)).await?.collect()) })
            }),
            AGAIN,
        )
    }
}

impl Names {
    /// Another than the system's resolver, asked anew after `again`.
    pub fn new(look_up: LookUp, again: Duration) -> Names {
        Names { look_up, again }
    }

    /// The addresses of a name, in the order in which they are tried.
    pub(super) async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        (self.look_up)(host, port).await
    }
}

/// The addresses that a provider has now, for connections that wait.
pub(super) struct Home {
    names: Names,
    host: String,
    port: u16,
    known: Mutex<Known>,
}

struct Known {
    /// When each was last seen.
    addresses: HashMap<IpAddr, Instant>,
    at: Option<Instant>,
}

impl Known {
    fn learn(&mut self, found: impl Iterator<Item = IpAddr> + Clone, now: Instant) {
        if found.clone().next().is_none() {
            return;
        }
        self.at = Some(now);
        if !found.clone().any(|address| self.addresses.contains_key(&address)) {
            self.addresses.clear();
        }
        self.addresses.extend(found.map(|address| (address, now)));
        self.addresses.retain(|_, seen| *seen + UNSEEN > now);
    }

    fn is_home(&self, peer: IpAddr) -> bool {
        self.addresses.is_empty() || self.addresses.contains_key(&peer)
    }
}

impl Home {
    /// Of a name; `None` for an address, which stands for itself.
    pub(super) fn new(names: &Names, host: &str, port: u16) -> Option<Home> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if bare.parse::<IpAddr>().is_ok() {
            return None;
        }
        let known = Mutex::new(Known { addresses: HashMap::new(), at: None });
        Some(Home { names: names.clone(), host: bare.to_owned(), port, known })
    }

    /// Looks the name up, where that was long ago. What can't be looked up stays as it was.
    pub(super) async fn refresh(&self) {
        if self.known.lock().at.is_some_and(|at| at.elapsed() < self.names.again) {
            return;
        }
        if let Ok(found) = self.names.look_up(&self.host, self.port).await {
            self.known.lock().learn(found.iter().map(SocketAddr::ip), Instant::now());
        }
    }

    /// How long until it is looked up again.
    pub(super) fn again(&self) -> Duration {
        self.names.again
    }

    /// Whether a connection to this address may carry further calls.
    pub(super) fn is_home(&self, peer: IpAddr) -> bool {
        self.known.lock().is_home(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_moved_is_known_at_once_and_who_shows_some_addresses_at_a_time_keeps_them() {
        let mut known = Known { addresses: HashMap::new(), at: None };
        let mut now = Instant::now();
        let mut tell = |known: &mut Known, later: Duration, addresses: &[&str]| {
            now += later;
            known.learn(addresses.iter().map(|address| ip(address)), now);
        };
        let homes = |known: &Known, list: &[(&str, bool)]| {
            list.iter()
                .for_each(|(address, want)| assert_eq!(known.is_home(ip(address)), *want, "{address}"));
        };
        homes(&known, &[("10.0.0.1", true)]);
        tell(&mut known, AGAIN, &["10.0.0.1", "10.0.0.2"]);
        tell(&mut known, AGAIN, &["10.0.0.2", "10.0.0.3"]);
        homes(&known, &[("10.0.0.1", true), ("10.0.0.2", true), ("10.0.0.3", true), ("10.0.0.4", false)]);
        tell(&mut known, UNSEEN, &["10.0.0.2"]);
        homes(&known, &[("10.0.0.1", false), ("10.0.0.2", true)]);
        // What can't be looked up stays as it was.
        tell(&mut known, AGAIN, &[]);
        homes(&known, &[("10.0.0.2", true)]);
        tell(&mut known, AGAIN, &["10.9.0.1"]);
        homes(&known, &[("10.0.0.2", false), ("10.9.0.1", true)]);
        assert!(Home::new(&Names::default(), "127.0.0.1", 80).is_none());
        assert!(Home::new(&Names::default(), "[::1]", 80).is_none());
    }

    /// W-055: a provider moves while calls come in: within the time a name counts all go to its new address, and none
    /// fails on the way.
    #[tokio::test]
    async fn w055_calls_go_where_the_name_leads_now() {
        use http::{HeaderMap, Method};
        use http_body_util::BodyExt as _;
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        use weir_adapter::{WireBody, WireRequest};

        let old = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = old.local_addr().unwrap().port();
        let new = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
        for (listener, name) in [(old, "old"), (new, "new")] {
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = listener.accept().await {
                    tokio::spawn(async move {
                        let mut bytes = [0; 4096];
                        while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {
                            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{name}");
                            if stream.write_all(answer.as_bytes()).await.is_err() {
                                return;
                            }
                        }
                    });
                }
            });
        }
        let address: Arc<Mutex<IpAddr>> = Arc::new(Mutex::new(ip("127.0.0.1")));
        let told = address.clone();
        let look_up: LookUp = Arc::new(move |_, port| {
            let address = *told.lock();
            Box::pin(async move { Ok(vec![(address, port).into()]) })
        });
        let again = Duration::from_millis(100);
        let upstream = crate::upstream::Upstream::new(crate::upstream::UpstreamConfig {
            base_url: format!("http://provider.example:{port}"),
            connect_timeout: Duration::from_secs(5),
            tls: crate::upstream::TlsFiles::default(),
            proxy: None,
            in_process: None,
            idle_timeout: Duration::from_secs(60),
            names: Names::new(look_up, again),
        })
        .unwrap();
        let ask = async || {
            let request = WireRequest {
                method: Method::POST,
                path: "/x".into(),
                headers: HeaderMap::new(),
                body: WireBody::Bytes(bytes::Bytes::from_static(b"{}")),
                dropped: Vec::new(),
            };
            let answer = upstream.send(request).await.unwrap();
            answer.body.collect().await.unwrap().to_bytes()
        };
        for _ in 0..20 {
            assert_eq!(ask().await, "old");
        }
        *address.lock() = ip("127.0.0.2");
        let moved = Instant::now();
        while ask().await == "old" {
            assert!(moved.elapsed() < Duration::from_secs(5), "calls still go to the old address");
            tokio::task::yield_now().await;
        }
        for _ in 0..20 {
            assert_eq!(ask().await, "new");
        }
    }
}
