//! Networks and single addresses: `10.0.0.0/8`, `::1`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::text_value;

/// An address, or all addresses with the same beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether `address` is in it. An IPv4 address written as IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                u32::from(own).checked_shr(32 - u32::from(self.bits)).unwrap_or(0)
                    == u32::from(other).checked_shr(32 - u32::from(self.bits)).unwrap_or(0)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                u128::from(own).checked_shr(128 - u32::from(self.bits)).unwrap_or(0)
                    == u128::from(other).checked_shr(128 - u32::from(self.bits)).unwrap_or(0)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(head, tail)| (head, Some(tail)));
        let parsed = address.parse::<IpAddr>().ok().and_then(|address| {
            let address = address.to_canonical();
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(most), |bits| bits.parse().ok()).filter(|bits| *bits <= most)?;
            Some(Network { address, bits })
        });
        parsed.ok_or_else(|| format!("`{text}` is no network; write 10.0.0.0/8, 192.0.2.7 or fd00::/8"))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if self.address.is_ipv4() { 32 } else { 128 };
        match self.bits == most {
            true => self.address.fmt(f),
            false => write!(f, "{}/{}", self.address, self.bits),
        }
    }
}

text_value!(Network, "Network", {
    "type": "string",
    "examples": ["10.0.0.0/8", "127.0.0.1", "fd00::/8"],
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_its_networks() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("fd00::/8", "fd12::1", true),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::1", "2001:db8::2", false),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), expected, "{network} {address}");
        }
        for text in ["10.0.0.0/33", "x", "10.0.0.0/-1", "10.0.0.0/", "fd00::/129", ""] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
