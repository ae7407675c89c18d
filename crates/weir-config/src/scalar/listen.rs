//! Addresses to listen on: `127.0.0.1:4000`.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use super::text_value;

/// An IP address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl Listen {
    /// An address on loopback.
    pub const fn loopback(port: u16) -> Self {
        Self(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// Whether only this machine can connect.
    pub fn is_loopback(self) -> bool {
        self.0.ip().to_canonical().is_loopback()
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(port) = text.strip_prefix("localhost:").and_then(|port| port.parse().ok()) {
            return Ok(Self::loopback(port));
        }
        text.parse().map(Self).map_err(|_| {
            format!("`{text}` is not an address to listen on; write IP:PORT, as in 127.0.0.1:4000, 0.0.0.0:4000 or [::]:4000")
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_value!(Listen, "Listen", {
    "type": "string",
    "examples": ["127.0.0.1:4000", "0.0.0.0:4000", "[::1]:4000"],
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_loopback() {
        for (text, loopback) in [
            ("127.0.0.1:4000", true),
            ("127.9.9.9:1", true),
            ("[::1]:4000", true),
            ("localhost:4000", true),
            ("[::ffff:127.0.0.1]:80", true),
            ("0.0.0.0:4000", false),
            ("[::]:4000", false),
            ("10.0.0.1:80", false),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().is_loopback(), loopback, "{text}");
        }
    }

    #[test]
    fn refuses() {
        for text in
            ["", "4000", ":4000", "127.0.0.1", "127.0.0.1:99999", "example.com:80", "http://127.0.0.1:80"]
        {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
