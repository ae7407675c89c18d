//! Sealing: what is written down can be read only by who has the secret, and not be changed unnoticed (AES-256-GCM).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{Context, SHA256};

/// A key made of secrets, for one purpose.
pub struct Seal(LessSafeKey);

impl Seal {
    /// From secrets, in this order; the same secrets for another purpose give another key.
    pub fn new(purpose: &str, secrets: &[&str]) -> Seal {
        let key = UnboundKey::new(&AES_256_GCM, &hash(purpose, secrets));
        Seal(LessSafeKey::new(key.expect("32 bytes are a key of AES-256")))
    }

    /// The sealed text, with its nonce in front.
    pub fn seal(&self, text: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = text.to_vec();
        let done =
            self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed);
        done.expect("it is shorter than AES-GCM's 64 GiB");
        [&nonce[..], &sealed].concat()
    }

    /// The text again; `None` where the secret is another, or something was changed.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut rest = rest.to_vec();
        let text = self.0.open_in_place(nonce, Aad::empty(), &mut rest).ok()?;
        Some(text.to_vec())
    }
}

/// The SHA-256 of several texts, each with its length, so that no two lists have the same.
pub fn hash(purpose: &str, parts: &[&str]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in std::iter::once(&purpose).chain(parts) {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that hexadecimal digits stand for.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_opens_and_no_change_goes_unnoticed() {
        let seal = Seal::new("test", &["secret"]);
        let sealed = seal.seal(b"keys");
        assert_eq!(seal.open(&sealed).as_deref(), Some(&b"keys"[..]));
        assert!(!sealed.windows(4).any(|piece| piece == b"keys"));
        assert_ne!(sealed, seal.seal(b"keys"), "each sealing has its own nonce");
        assert_eq!(Seal::new("test", &["other"]).open(&sealed), None);
        assert_eq!(Seal::new("else", &["secret"]).open(&sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(seal.open(&changed), None, "byte {at}");
        }
        assert_eq!(seal.open(b"short"), None);
    }

    #[test]
    fn hex_round_trips() {
        assert_eq!(from_hex(&hex(&[0, 10, 255])), Some(vec![0, 10, 255]));
        for odd in ["f", "zz", "ü"] {
            assert_eq!(from_hex(odd), None);
        }
        assert_ne!(hash("a", &["b", "c"]), hash("a", &["bc"]));
    }
}
