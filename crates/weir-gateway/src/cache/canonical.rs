//! One digest for all spellings of the same JSON: the order of members and white space don't count, nor how a text is
//! escaped. Numbers count as written: `1` and `1.0` are two requests.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use smallvec::SmallVec;
use weir_wire::peek;

/// A member of an object: its key, and its value as written or as a digest.
type Entry<'b> = (Cow<'b, str>, Item<'b>);

enum Item<'b> {
    Written(&'b [u8]),
    Digest([u8; 32]),
}

/// Adds one value to `hasher`. `None` for what is no JSON, and for an object that has a key twice: which of the two
/// counts is the reader's choice, so nothing is equal to it.
pub(super) fn value(raw: &[u8], hasher: &mut Sha256) -> Option<()> {
    let mut reader = Reader { raw, at: 0 };
    reader.value(hasher)?;
    reader.spaces();
    (reader.at == raw.len()).then_some(())
}

/// Adds bytes with their length, so that no two lists of them look alike.
pub(super) fn part(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

struct Reader<'b> {
    raw: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    fn value(&mut self, hasher: &mut Sha256) -> Option<()> {
        match self.peek()? {
            b'{' => self.object(hasher),
            b'[' => self.array(hasher),
            b'"' => {
                hasher.update(b"s");
                part(hasher, self.string()?.as_bytes());
                Some(())
            }
            _ => {
                hasher.update(b"v");
                part(hasher, self.bare()?);
                Some(())
            }
        }
    }

    fn array(&mut self, hasher: &mut Sha256) -> Option<()> {
        hasher.update(b"[");
        self.at += 1;
        if self.peek()? != b']' {
            loop {
                self.value(hasher)?;
                match self.peek()? {
                    b',' => self.at += 1,
                    b']' => break,
                    _ => return None,
                }
            }
        }
        self.at += 1;
        hasher.update(b"]");
        Some(())
    }

    fn object(&mut self, hasher: &mut Sha256) -> Option<()> {
        self.at += 1;
        let mut entries: SmallVec<[Entry<'b>; 6]> = SmallVec::new();
        if self.peek()? != b'}' {
            loop {
                entries.push(self.entry()?);
                match self.peek()? {
                    b',' => self.at += 1,
                    b'}' => break,
                    _ => return None,
                }
            }
        }
        self.at += 1;
        entries.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return None;
        }
        hasher.update(b"{");
        for (key, item) in &entries {
            part(hasher, key.as_bytes());
            match item {
                Item::Written(raw) => part(hasher, raw),
                Item::Digest(digest) => {
                    hasher.update(b"#");
                    part(hasher, digest);
                }
            }
        }
        hasher.update(b"}");
        Some(())
    }

    fn entry(&mut self) -> Option<Entry<'b>> {
        if self.peek()? != b'"' {
            return None;
        }
        let key = self.string()?;
        if self.peek()? != b':' {
            return None;
        }
        self.at += 1;
        self.spaces();
        let start = self.at;
        let first = self.peek()?;
        if !matches!(first, b'{' | b'[' | b'"') {
            return Some((key, Item::Written(self.bare()?)));
        }
        if first == b'"' && matches!(self.string()?, Cow::Borrowed(_)) {
            return Some((key, Item::Written(&self.raw[start..self.at])));
        }
        self.at = start;
        let mut inner = Sha256::new();
        self.value(&mut inner)?;
        Some((key, Item::Digest(inner.finalize().into())))
    }

    fn string(&mut self) -> Option<Cow<'b, str>> {
        let start = self.at;
        self.at += 1;
        loop {
            self.at += memchr::memchr2(b'"', b'\\', self.raw.get(self.at..)?)?;
            if self.raw[self.at] == b'"' {
                break;
            }
            self.at += 2;
        }
        self.at += 1;
        peek::as_str(&self.raw[start..self.at])
    }

    /// A number, or one of the three words.
    fn bare(&mut self) -> Option<&'b [u8]> {
        let rest = &self.raw[self.at..];
        let end =
            rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'));
        let found = &rest[..end.unwrap_or(rest.len())];
        self.at += found.len();
        (!found.is_empty()).then_some(found)
    }

    fn spaces(&mut self) {
        let rest = self.raw.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }

    /// The next byte that is no white space; it is not taken.
    fn peek(&mut self) -> Option<u8> {
        self.spaces();
        self.raw.get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Option<[u8; 32]> {
        let mut hasher = Sha256::new();
        value(text.as_bytes(), &mut hasher)?;
        Some(hasher.finalize().into())
    }

    #[track_caller]
    fn same(one: &str, other: &str) {
        assert!(digest(one).is_some(), "{one}");
        assert_eq!(digest(one), digest(other), "{one} {other}");
    }

    #[track_caller]
    fn differ(one: &str, other: &str) {
        assert!(digest(one).is_some() && digest(other).is_some(), "{one} {other}");
        assert_ne!(digest(one), digest(other), "{one} {other}");
    }

    #[test]
    fn spelling_does_not_count() {
        same(
            r#"{"a":1,"b":[true,{"x":"y","z":null}]}"#,
            " { \"b\" : [ true , {\"z\":null,\n\"x\":\"y\"} ] , \"a\":1 } ",
        );
        same(r#"{"a":"\u0061\/b"}"#, r#"{"\u0061":"a\u002fb"}"#);
        same("{}", "{ }");
        same(r#"{"a":[ ]}"#, r#"{"a":[]}"#);
    }

    #[test]
    fn everything_else_counts() {
        differ("1", "1.0");
        differ("12345678901234567890123", "12345678901234567890124");
        differ("1e400", "2e400");
        differ(r#"{"a":1}"#, r#"{"a":"1"}"#);
        differ(r#"["a","b"]"#, r#"["b","a"]"#);
        differ(r#"["a","b"]"#, r#"["ab"]"#);
        differ(r#"[["a"],"b"]"#, r#"[["a","b"]]"#);
        differ(r#"{"a":{"b":1}}"#, r#"{"a":{"b":2}}"#);
        differ(r#"{"a":null}"#, "{}");
        differ(r#"{"a":"true"}"#, r#"{"a":true}"#);
        differ(r#"{"a":"x"}"#, r#"{"a":["x"]}"#);
        differ(r#"{"a":"x y"}"#, r#"{"a":"x  y"}"#);
        differ(r#"{"a":{}}"#, r#"{"a":[]}"#);
    }

    #[test]
    fn twins_and_nonsense_have_no_digest() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"[{"a":1,"\u0061":2}]"#,
            "{",
            r#"{"a""#,
            r#"{"a":1"#,
            "[1 2]",
            "",
            "[1,",
            r#""\ud800""#,
        ] {
            assert_eq!(digest(text), None, "{text}");
        }
    }
}
