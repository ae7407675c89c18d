//! Percent-encoding, as RFC 3986 has it.

/// What stands for itself beside letters and digits, everywhere in a URL (RFC 3986, 2.3).
pub const UNRESERVED: &[u8] = b"-._~";

/// The text with all bytes encoded but ASCII letters, digits and those of `plain`.
pub fn encoded(text: &str, plain: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_what_is_plain_is_encoded() {
        assert_eq!(encoded("a/b c@é-~", UNRESERVED), "a%2Fb%20c%40%C3%A9-~");
        assert_eq!(encoded("a/b:1%", b"/"), "a/b%3A1%25");
        assert_eq!(encoded("", UNRESERVED), "");
    }
}
