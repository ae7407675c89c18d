//! What was said in a call, as it may be written down: without what looks like a key, a password or an address of a
//! person, without pictures and sounds, and not longer than wanted.

/// What stands for a secret.
const SECRET: &str = "[secret]";
/// Beginnings of well-known keys.
const KEYS: [&str; 16] = [
    "sk-",
    "sk_",
    "pk_",
    "rk_",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "ASIA",
    "AIza",
    "eyJ",
    "gsk_",
    "hf_",
];
/// A run of letters and digits of this length is no word.
const LONG: usize = 32;

/// The text of these bytes, redacted, at most so many bytes of it.
pub fn text(bytes: &[u8], most: usize) -> String {
    let whole = String::from_utf8_lossy(bytes);
    let mut redacted = String::with_capacity(whole.len().min(most));
    let mut rest = &*whole;
    let mut after_bearer = false;
    while !rest.is_empty() && redacted.len() < most {
        let end = rest.find(|char: char| !is_part(char)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let secret = !word.is_empty() && (after_bearer || is_secret(word));
        redacted.push_str(if secret { SECRET } else { word });
        if !word.is_empty() {
            after_bearer = ["bearer", "basic", "password", "passwd", "pwd"]
                .iter()
                .any(|name| word.eq_ignore_ascii_case(name));
        }
        let mark = behind.chars().next().map_or(0, char::len_utf8);
        redacted.push_str(&behind[..mark]);
        rest = &behind[mark..];
    }
    let cut = !rest.is_empty() || redacted.len() > most;
    let mut end = redacted.len().min(most);
    while !redacted.is_char_boundary(end) {
        end -= 1;
    }
    redacted.truncate(end);
    if cut {
        redacted.push('…');
    }
    redacted
}

/// Whether it may be a piece of a key, an address or an encoded file.
fn is_part(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '-' | '_' | '@' | '.' | '+' | '/' | '=')
}

fn is_secret(word: &str) -> bool {
    let bare = word.trim_end_matches('.');
    let mail = bare.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    let known = KEYS.iter().any(|key| bare.len() >= key.len() + 8 && bare.starts_with(key));
    let card = {
        let digits = bare.bytes().filter(u8::is_ascii_digit).count();
        (13..=19).contains(&digits) && bare.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    let encoded =
        bare.len() >= LONG && bare.bytes().any(|byte| byte.is_ascii_digit()) && !bare.contains("://");
    mail || known || card || encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_words_stay() {
        for (said, want) in [
            ("my key is sk-proj-abcdefgh1234, keep it", "my key is [secret], keep it"),
            ("Authorization: Bearer abc.def", "Authorization: Bearer [secret]"),
            ("password: hunter2!", "password: [secret]!"),
            ("write to alice.b@example.com.", "write to [secret]"),
            ("card 4111-1111-1111-1111 or 4111111111111111", "card [secret] or [secret]"),
            (
                "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
                "data:image/png;base64,[secret]",
            ),
            ("2026-11-30 at 12:30, 1.5 of 3", "2026-11-30 at 12:30, 1.5 of 3"),
            ("{\"model\":\"gpt-4o\",\"n\":1}", "{\"model\":\"gpt-4o\",\"n\":1}"),
            ("Straßenbahn 日本語 🦀", "Straßenbahn 日本語 🦀"),
        ] {
            assert_eq!(text(said.as_bytes(), 1_000), want, "{said}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(text("äöü".as_bytes(), 3), "ä…");
        assert_eq!(text(b"abc", 3), "abc");
        assert_eq!(text(&[0xff, b'a'], 10), "\u{fffd}a");
        let long = "word ".repeat(10_000);
        assert!(text(long.as_bytes(), 100).len() <= 100 + "…".len());
    }
}
