//! Takes keys out of texts that go to clients: providers quote the key that they refuse.

use std::borrow::Cow;

/// Words that a key begins with.
const PREFIXES: [&str; 10] = ["sk-", "pk-", "xai-", "gsk_", "pplx-", "tgp_", "hf_", "nvapi-", "AIza", "eyJ"];

/// The most characters of a provider's text that go to a client.
const MOST: usize = 2000;

/// The text without anything that looks like a key, and not longer than 2,000 characters.
pub(crate) fn scrub(text: &str) -> Cow<'_, str> {
    let text = match text.char_indices().nth(MOST) {
        Some((end, _)) => &text[..end],
        None => text,
    };
    if !PREFIXES.iter().any(|prefix| text.contains(prefix))
        && !text.contains("earer ")
        && !text.contains("key")
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut after_bearer = false;
    for piece in text.split_inclusive(|c: char| c.is_whitespace() || "\"'`,;()<>[]{}=".contains(c)) {
        let word = piece.trim_end_matches(|c: char| c.is_whitespace() || "\"'`,;()<>[]{}=.:".contains(c));
        if is_key(word) || (after_bearer && word.len() >= 8) {
            out.push_str("[redacted]");
            out.push_str(&piece[word.len()..]);
        } else {
            out.push_str(piece);
        }
        after_bearer = word.eq_ignore_ascii_case("bearer");
    }
    Cow::Owned(out)
}

/// Whether a word looks like a key: a known beginning, or long and of letters and digits mixed, masked or not.
fn is_key(word: &str) -> bool {
    let long = word.len() >= 32
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_*.+/".contains(&byte))
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !word.contains('/');
    long || PREFIXES.iter().any(|prefix| word.starts_with(prefix) && word.len() >= prefix.len() + 4)
        || (word.contains("***") && word.len() >= 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(scrub(text), expected);
    }

    #[test]
    fn no_key_gets_through() {
        check(
            "Incorrect API key provided: sk-abcd********wxyz. You can find your API key at https://x.y/account.",
            "Incorrect API key provided: [redacted]. You can find your API key at https://x.y/account.",
        );
        check(
            "header 'Authorization: Bearer abcdefgh12' refused",
            "header 'Authorization: Bearer [redacted]' refused",
        );
        check("Incorrect API key provided: xa***01.", "Incorrect API key provided: [redacted].");
        check("key=0123456789abcdef0123456789abcdef", "key=[redacted]");
        check("the key `n` must be a number", "the key `n` must be a number");
        check("model `gpt-4o` not found", "model `gpt-4o` not found");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(scrub(&"é".repeat(5000)).chars().count(), 2000);
    }
}
