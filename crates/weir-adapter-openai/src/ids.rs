//! Ids of tool calls for providers that take only nine letters and digits (Mistral).

use std::collections::HashMap;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Gives each id of one conversation a short one: the same each time, and no two the same.
#[derive(Debug, Default)]
pub(crate) struct Shortener {
    short: HashMap<String, String>,
    taken: HashMap<String, String>,
}

impl Shortener {
    /// The short form of `id`: itself where it is nine letters and digits.
    pub(crate) fn shorten(&mut self, id: &str) -> String {
        if let Some(known) = self.short.get(id) {
            return known.clone();
        }
        let mut short = if fits(id) { id.to_owned() } else { digest(id, 0) };
        let mut round = 0;
        while self.taken.get(&short).is_some_and(|owner| owner != id) {
            round += 1;
            short = digest(id, round);
        }
        self.taken.insert(short.clone(), id.to_owned());
        self.short.insert(id.to_owned(), short.clone());
        short
    }
}

/// Whether the provider takes `id` as it is.
pub(crate) fn fits(id: &str) -> bool {
    id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// FNV-1a over the id, written in base 62: the same at every replica and after every restart.
fn digest(id: &str, round: u32) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in id.bytes().chain(round.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // FNV's low bits mix worst: fold the high half in.
    let mut rest = hash ^ hash >> 32;
    (0..9)
        .map(|_| {
            let digit = ALPHABET[(rest % 62) as usize];
            rest /= 62;
            char::from(digit)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_ids_are_stable_and_distinct() {
        let mut ids = Shortener::default();
        assert_eq!(ids.shorten("abcDEF123"), "abcDEF123");
        let long = ids.shorten("call_0123456789abcdef");
        assert!(fits(&long));
        assert_eq!(ids.shorten("call_0123456789abcdef"), long);
        assert_eq!(Shortener::default().shorten("call_0123456789abcdef"), long);
        let all: std::collections::HashSet<String> =
            (0..10_000).map(|n| ids.shorten(&format!("call_{n}"))).collect();
        assert_eq!(all.len(), 10_000);
    }

    #[test]
    fn a_short_id_that_is_taken_is_not_given_again() {
        let mut ids = Shortener::default();
        let taken = digest("call_x", 0);
        assert_eq!(ids.shorten(&taken), taken);
        let other = ids.shorten("call_x");
        assert!(other != taken && fits(&other));
    }
}
