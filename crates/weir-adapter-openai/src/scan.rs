//! Looks into a frame's JSON without building it.
//!
//! The needles are keys with their quotes. Within a string a quote is escaped, so text that talks about `"usage"`
//! can't be mistaken for the key.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Searches for one key.
pub(crate) struct Key(LazyLock<Finder<'static>>);

pub(crate) static USAGE: Key = Key(LazyLock::new(|| Finder::new("\"usage\"")));
pub(crate) static COST: Key = Key(LazyLock::new(|| Finder::new("\"cost\"")));
pub(crate) static ERROR: Key = Key(LazyLock::new(|| Finder::new("\"error\"")));
pub(crate) static FINISH: Key = Key(LazyLock::new(|| Finder::new("\"finish_reason\"")));
pub(crate) static DELTA: Key = Key(LazyLock::new(|| Finder::new("\"delta\"")));
pub(crate) static TEXT: Key = Key(LazyLock::new(|| Finder::new("\"text\"")));

impl Key {
    /// What begins where each value of this key begins, nulls left out.
    pub(crate) fn values<'j>(&self, json: &'j [u8]) -> impl Iterator<Item = &'j [u8]> {
        self.0.find_iter(json).filter_map(move |at| {
            let rest = skip_spaces(&json[at + self.0.needle().len()..]);
            let value = skip_spaces(rest.strip_prefix(b":")?);
            (!value.starts_with(b"null")).then_some(value)
        })
    }

    /// Whether the key stands there with a value that is not null.
    pub(crate) fn is_in(&self, json: &[u8]) -> bool {
        self.values(json).next().is_some()
    }
}

/// Members whose strings say nothing to a client.
const SILENT: [&[u8]; 10] =
    [b"role", b"type", b"id", b"index", b"channel", b"obfuscation", b"p", b"format", b"object", b"status"];

/// How many bytes of strings the value at the front of `json` holds, those under silent keys left out.
/// Where it ends too early, what was there counts.
pub(crate) fn spoken(json: &[u8]) -> usize {
    let (mut at, mut depth, mut total, mut silent) = (0, 0u32, 0, false);
    while at < json.len() {
        match json[at] {
            b'"' => {
                let end = string_end(json, at + 1);
                let text = &json[at + 1..end.min(json.len())];
                at = end + 1;
                if skip_spaces(json.get(at..).unwrap_or_default()).starts_with(b":") {
                    silent = SILENT.contains(&text);
                } else if !silent {
                    total += text.len();
                }
                if depth == 0 {
                    return total;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return total;
                }
            }
            b',' if depth == 0 => return total,
            _ => {}
        }
        at += 1;
    }
    total
}

/// The text of the string at the front of `json`, as it stands there; `None` where there is none.
pub(crate) fn string(json: &[u8]) -> Option<&[u8]> {
    let rest = json.strip_prefix(b"\"")?;
    rest.get(..string_end(rest, 0))
}

/// The offset of the quote that ends a string whose text begins at `at`; the length where none does.
fn string_end(json: &[u8], mut at: usize) -> usize {
    while let Some(offset) = memchr::memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()) {
        at += offset;
        if json[at] == b'"' {
            return at;
        }
        at += 2;
    }
    json.len()
}

pub(crate) fn skip_spaces(json: &[u8]) -> &[u8] {
    json.trim_ascii_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_and_text_is_not() {
        assert!(USAGE.is_in(br#"{"usage" : {"a":1}}"#));
        assert!(!USAGE.is_in(br#"{"usage":null}"#));
        assert!(!USAGE.is_in(br#"{"content":"say \"usage\": 1"}"#));
        assert!(!USAGE.is_in(br#"{"content":"usage"}"#));
        let finish = br#"{"finish_reason":null},{"finish_reason": "stop"}"#;
        assert_eq!(FINISH.values(finish).filter_map(string).collect::<Vec<_>>(), [b"stop"]);
    }

    #[track_caller]
    fn check(json: &str, expected: usize) {
        assert_eq!(spoken(json.as_bytes()), expected, "{json}");
    }

    #[test]
    fn counts_what_is_said() {
        check(r#"{"role":"assistant","content":""},"finish_reason":"stop""#, 0);
        check(r#"{"content":"abc"},"x":"yyyy""#, 3);
        check(r#"{"content":"a\"b"}"#, 4);
        check(
            r#"{"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]}"#,
            3,
        );
        check(r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}"#, 2);
        check(r#"{}"#, 0);
        check(r#""text","next":"#, 4);
        check(r#"12,"a":"b""#, 0);
        check(r#"{"content":"cut"#, 3);
        check(r#"{"content":"cut\"#, 4);
    }
}
