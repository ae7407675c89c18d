//! Where a request comes from, and what becomes of addresses that try key after key.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use http::HeaderMap;
use parking_lot::Mutex;
use weir_config::Network;

/// The addresses that a request passed, as proxies noted them.
pub const FORWARDED: &str = "x-forwarded-for";
/// How many addresses are watched at once.
const MAX_ADDRESSES: usize = 50_000;
/// Wrong keys are counted for so long.
const WINDOW: Duration = Duration::from_secs(60);

/// The client's address: the peer's, unless that is a trusted proxy; then the right-most address in `x-forwarded-for` that
/// is none. What stands left of it was written by the client, and is not believed.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut found = peer.to_canonical();
    let lines: Vec<&str> = headers.get_all(FORWARDED).iter().filter_map(|line| line.to_str().ok()).collect();
    for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !is_trusted(found) {
            return found;
        }
        match parse(hop.trim()) {
            Some(address) => found = address,
            // A trusted proxy wrote what is no address: the proxy itself is the last that is known.
            None => return found,
        }
    }
    found
}

/// An address, perhaps with a port.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.parse::<IpAddr>().or_else(|_| text.parse::<std::net::SocketAddr>().map(|both| both.ip()));
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    bare.ok().or_else(in_brackets).map(|address| address.to_canonical())
}

/// How often each address came with a wrong key in the minute that runs.
#[derive(Default)]
pub struct WrongKeys(Mutex<HashMap<IpAddr, (Instant, u32)>>);

impl WrongKeys {
    /// Counts a wrong key. Returns how long the address is told to wait, once it had more than `limit`.
    pub fn count(&self, address: IpAddr, limit: u32, now: Instant) -> Option<Duration> {
        let mut all = self.0.lock();
        let address = network(address);
        if all.len() >= MAX_ADDRESSES && !all.contains_key(&address) {
            all.retain(|_, (began, _)| now.duration_since(*began) < WINDOW);
            if all.len() >= MAX_ADDRESSES {
                // So many at once are no mistakes of people.
                return Some(WINDOW);
            }
        }
        let (began, count) = all.entry(address).or_insert((now, 0));
        if now.duration_since(*began) >= WINDOW {
            (*began, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        (*count > limit).then(|| WINDOW.saturating_sub(now.duration_since(*began)))
    }
}

/// Who has one address of IPv6 has 2^64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => Ipv6Addr::from(u128::from(six) >> 64 << 64).into(),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn w083_only_trusted_peers_are_believed_and_the_right_most_untrusted_hop_counts() {
        let trusted: Vec<Network> = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()).to_vec();
        for (peer, lines, expected) in [
            ("203.0.113.5", &["1.2.3.4"][..], "203.0.113.5"),
            ("10.0.0.1", &["1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.9.9.9"], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4, 10.0.0.3"], "1.2.3.4"),
            ("::ffff:10.0.0.1", &["1.2.3.4:5678"], "1.2.3.4"),
            ("fd00::1", &["[2001:db8::7]:443"], "2001:db8::7"),
            ("10.0.0.1", &["10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["6.6.6.6, unknown"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED, HeaderValue::from_static(line));
            }
            let found = client(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
        // Two hundred hops are read like two.
        let many = vec!["10.0.0.2"; 200].join(",");
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED, HeaderValue::try_from(format!("6.6.6.6, 1.2.3.4,{many}")).unwrap());
        assert_eq!(
            client("10.0.0.1".parse().unwrap(), &headers, &trusted),
            "1.2.3.4".parse::<IpAddr>().unwrap()
        );
    }

    #[test]
    fn an_address_is_told_to_wait_and_forgiven_after_it() {
        let (wrong, now) = (WrongKeys::default(), Instant::now());
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        for _ in 0..3 {
            assert_eq!(wrong.count(one, 3, now), None);
        }
        // Another address of the same network is the same.
        let wait = wrong.count("2001:db8::2".parse().unwrap(), 3, now + Duration::from_secs(20));
        assert_eq!(wait, Some(Duration::from_secs(40)));
        assert_eq!(wrong.count("192.0.2.1".parse().unwrap(), 3, now), None);
        assert_eq!(wrong.count(one, 3, now + Duration::from_secs(60)), None);
        assert_eq!(wrong.0.lock().len(), 2);
    }
}
