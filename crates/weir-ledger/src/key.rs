//! Keys of callers: their form, their hash, and how little of them is shown.
//!
//! A key that weir makes is `sk-weir-`, 43 base62 digits (256 random bits) and 6 more: the CRC-32 of the 43, so that
//! a typo is refused without a look-up. Only the SHA-256 is stored. A declared key may be any string that doesn't
//! start so.

use std::fmt;

use aws_lc_rs::digest;
use subtle::ConstantTimeEq;

/// How every key that weir makes begins.
pub const PREFIX: &str = "sk-weir-";

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SECRET: usize = 43;
const CHECK: usize = 6;

/// The SHA-256 of a key. Comparing takes the same time wherever the two differ.
#[derive(Clone, Copy, Eq)]
pub struct KeyHash([u8; 32]);

/// What a string that came as a key turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A key as weir makes them, with a matching checksum.
    Made,
    /// Begins like one, but is mistyped: no such key can exist.
    Mistyped,
    /// Any other string; it may have been declared.
    Declared,
}

/// A new key from 32 random bytes.
pub fn generate(random: &[u8; 32]) -> String {
    let mut key = String::with_capacity(PREFIX.len() + SECRET + CHECK);
    key.push_str(PREFIX);
    push_base62(&mut key, random);
    let check = crc32fast::hash(&key.as_bytes()[PREFIX.len()..]);
    push_base62_check(&mut key, check);
    key
}

/// What `key` is, by its looks alone.
pub fn form(key: &str) -> Form {
    let Some(rest) = key.strip_prefix(PREFIX) else { return Form::Declared };
    if rest.len() != SECRET + CHECK || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Form::Mistyped;
    }
    let (secret, check) = rest.split_at(SECRET);
    let mut expected = String::with_capacity(CHECK);
    push_base62_check(&mut expected, crc32fast::hash(secret.as_bytes()));
    if expected == check { Form::Made } else { Form::Mistyped }
}

/// What may be shown of a key: enough to tell two apart, nothing to guess by.
pub fn masked(key: &str) -> String {
    match form(key) {
        Form::Made => format!("{PREFIX}{}…{}", &key[PREFIX.len()..PREFIX.len() + 4], &key[key.len() - 4..]),
        _ => {
            let tail: Vec<char> = key.chars().collect();
            if tail.len() < 16 {
                "…".into()
            } else {
                format!("…{}", tail[tail.len() - 4..].iter().collect::<String>())
            }
        }
    }
}

impl KeyHash {
    /// The hash of a key.
    pub fn of(key: &str) -> KeyHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
        KeyHash(hash)
    }

    /// The hash that was stored as these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> KeyHash {
        KeyHash(bytes)
    }

    /// The hash written as 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<KeyHash> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = (high * 16 + low) as u8;
        }
        Some(KeyHash(bytes))
    }

    /// The hash as bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash as 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &KeyHash) -> bool {
        // Eight bytes at a time, all of them.
        let words = self.0.chunks_exact(8).zip(other.0.chunks_exact(8));
        let word = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        let differs = words.fold(0, |differs, (one, another)| differs | (word(one) ^ word(another)));
        differs.ct_eq(&0).into()
    }
}

impl std::hash::Hash for KeyHash {
    /// Of what is random already, a part is as good as all.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from_le_bytes(self.0.first_chunk().copied().unwrap_or_default()));
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// The number that `bytes` are, big-endian, as exactly 43 digits (62^43 is more than 2^256).
fn push_base62(out: &mut String, bytes: &[u8; 32]) {
    let mut number = *bytes;
    let mut digits = [0u8; SECRET];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0u32;
        for byte in &mut number {
            let value = rest * 256 + u32::from(*byte);
            *byte = (value / 62) as u8;
            rest = value % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    out.extend(digits.iter().map(|digit| char::from(*digit)));
}

fn push_base62_check(out: &mut String, mut check: u32) {
    let mut digits = [0u8; CHECK];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(check % 62) as usize];
        check /= 62;
    }
    out.extend(digits.iter().map(|digit| char::from(*digit)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_keys_have_their_form() {
        for seed in 0..=255u8 {
            let key = generate(&[seed; 32]);
            assert_eq!((key.len(), form(&key)), (57, Form::Made), "{key}");
        }
        assert!(generate(&[0; 32]).starts_with("sk-weir-0000000000000000000000000000000000000000000"));
        assert_ne!(generate(&[1; 32]), generate(&[2; 32]));
    }

    #[test]
    fn each_single_typo_is_noticed() {
        let key = generate(&[0xa5; 32]);
        for at in PREFIX.len()..key.len() {
            for digit in DIGITS {
                let mut typo = key.clone().into_bytes();
                if typo[at] == *digit {
                    continue;
                }
                typo[at] = *digit;
                assert_eq!(form(std::str::from_utf8(&typo).unwrap()), Form::Mistyped);
            }
        }
        for other in ["sk-weir-", "sk-weir-ü", &key[..56], &format!("{key}0")] {
            assert_eq!(form(other), Form::Mistyped, "{other}");
        }
        assert_eq!(form("sk-mine"), Form::Declared);
    }

    #[test]
    fn little_is_shown() {
        assert_eq!(masked("short"), "…");
        assert_eq!(masked("a-declared-key-of-mine"), "…mine");
        let key = generate(&[9; 32]);
        assert_eq!(masked(&key).chars().count(), PREFIX.len() + 9);
        assert_eq!(format!("{:?}", KeyHash::of(&key)), "KeyHash(…)");
    }

    #[test]
    fn hashes_round_trip() {
        let hash = KeyHash::of("abc");
        assert_eq!(hash.to_hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(KeyHash::from_hex(&hash.to_hex()), Some(hash));
        assert_eq!(KeyHash::from_hex("zz"), None);
        assert_ne!(hash, KeyHash::of("abd"));
    }
}
