//! Signatures over thinking: made when an answer thinks, verified byte for byte when it comes back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Makes and checks signatures with one secret.
#[derive(Debug, Clone)]
pub(crate) struct Signer {
    secret: String,
}

impl Signer {
    pub(crate) fn new(secret: &str) -> Self {
        Self { secret: secret.to_owned() }
    }

    /// Text in a sealed form that only this signer can open: 48 bytes of signature, then the text.
    pub(crate) fn seal(&self, kind: &str, text: &str) -> String {
        let mut bytes = self.digest(kind, text);
        bytes.extend_from_slice(text.as_bytes());
        STANDARD.encode(bytes)
    }

    /// The text of a sealed form, if nobody changed it.
    pub(crate) fn open(&self, kind: &str, sealed: &str) -> Option<String> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (digest, text) = bytes.split_at_checked(48)?;
        let text = std::str::from_utf8(text).ok()?;
        (self.digest(kind, text) == digest).then(|| text.to_owned())
    }

    /// 48 bytes: the keyed hash, and a second one, so that the result is as long as some real ones.
    fn digest(&self, kind: &str, text: &str) -> Vec<u8> {
        let inner = Sha256::new().chain_update(&self.secret).chain_update([0]).chain_update(kind);
        let first = inner.chain_update([0]).chain_update(text).finalize();
        let second = Sha256::new().chain_update(&self.secret).chain_update(first).finalize();
        let mut bytes = first.to_vec();
        bytes.extend_from_slice(&second[..16]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_is_noticed() {
        let signer = Signer::new("s");
        let sealed = signer.seal("redacted", "hush");
        assert_eq!(signer.open("redacted", &sealed).as_deref(), Some("hush"));
        assert_eq!(signer.open("thinking", &sealed), None);
        assert_eq!(Signer::new("t").open("redacted", &sealed), None);
        assert_eq!(signer.open("redacted", &sealed.replacen(|c: char| c.is_ascii_lowercase(), "A", 1)), None);
        assert_eq!(signer.open("redacted", "AAAA"), None);
    }
}
