//! The checksum of keys that weir makes: `sk-weir-` + 43 base62 characters + 6 of checksum.
//!
//! The last six are the CRC-32 (IEEE) of the 43 before them, as a base62 number with leading zeros.

/// How keys start that weir makes.
pub const KEY_PREFIX: &str = "sk-weir-";

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM: usize = 43;
const CHECK: usize = 6;

/// Whether a key that starts with `sk-weir-` is complete and without a slip.
pub fn is_sound_key(key: &str) -> bool {
    let Some(rest) = key.strip_prefix(KEY_PREFIX).map(str::as_bytes) else { return false };
    rest.len() == RANDOM + CHECK
        && rest.iter().all(u8::is_ascii_alphanumeric)
        && rest[RANDOM..] == checksum(&rest[..RANDOM])
}

/// The six characters of checksum of a key's 43 random ones.
fn checksum(random: &[u8]) -> [u8; CHECK] {
    let mut rest = crc32fast::hash(random);
    let mut out = [b'0'; CHECK];
    for place in out.iter_mut().rev() {
        *place = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_slips() {
        let random = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg";
        let sound =
            format!("{KEY_PREFIX}{random}{}", std::str::from_utf8(&checksum(random.as_bytes())).unwrap());
        assert!(is_sound_key(&sound), "{sound}");
        assert!(!is_sound_key(&sound.replace("ABC", "ACB")));
        assert!(!is_sound_key(&sound[..sound.len() - 1]));
        assert!(!is_sound_key(&format!("{sound}0")));
        assert!(!is_sound_key("sk-other"));
        assert!(!is_sound_key("sk-weir-"));
        assert!(!is_sound_key(&sound.replace("ABC", "Ä1")));
    }

    #[test]
    fn checksum_is_crc32_in_base62() {
        // CRC-32 of "123456789" is 0xCBF43926 = 3421780262 by its published check value.
        let digits = checksum(b"123456789");
        let value = digits
            .iter()
            .fold(0u64, |sum, digit| sum * 62 + DIGITS.iter().position(|d| d == digit).unwrap() as u64);
        assert_eq!(value, 0xCBF4_3926);
    }
}
