//! A glance at raw JSON: the members of the outermost object and where they lie, without building anything.
//!
//! One pass checks the grammar of the whole body (so that nothing is forwarded that is not JSON), refuses duplicate
//! keys (so that what was authorized is what is sent) and remembers byte ranges, which [`crate::splice`] edits.
//! Limits: nesting [`MAX_DEPTH`], members of the outermost object [`MAX_MEMBERS`].

use std::borrow::Cow;
use std::ops::Range;

use smallvec::SmallVec;
use thiserror::Error;

/// How deep objects and arrays may nest: what serde_json reads.
pub const MAX_DEPTH: u32 = 127;

/// How many members the outermost object may have.
pub const MAX_MEMBERS: usize = 512;

/// Why a body is not a JSON object that weir forwards. Offsets are in bytes from the start of the body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PeekError {
    /// Not UTF-8.
    #[error("body is not UTF-8 (byte {at})")]
    NotUtf8 {
        /// Where the first bad byte is.
        at: usize,
    },
    /// Not JSON.
    #[error("body is not JSON: {expected} expected at byte {at}")]
    Syntax {
        /// Where it goes wrong.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// JSON, but not an object.
    #[error("body must be a JSON object")]
    NotObject,
    /// A key that stands twice in the outermost object.
    #[error("key `{name}` stands twice")]
    DuplicateKey {
        /// The key.
        name: String,
    },
    /// A key of the outermost object that hides ASCII letters behind escapes.
    #[error("key `{name}` must be written without escapes")]
    EscapedKey {
        /// The key, unescaped.
        name: String,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("body nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More members than [`MAX_MEMBERS`].
    #[error("body has more than {MAX_MEMBERS} keys")]
    TooManyKeys,
}

/// One `"key": value` of the outermost object, as byte ranges of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The key, with its quotes.
    pub key: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

/// The members of the outermost object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    /// In the order of the body.
    pub list: SmallVec<[Member; 12]>,
    /// Offset just behind the opening brace.
    pub open: usize,
    /// Offset of the closing brace.
    pub close: usize,
}

impl Members {
    /// Reads `body`, which must be one JSON object.
    pub fn read(body: &[u8]) -> Result<Members, PeekError> {
        if let Err(error) = std::str::from_utf8(body) {
            return Err(PeekError::NotUtf8 { at: error.valid_up_to() });
        }
        let mut scanner = Scanner { body, at: 0 };
        scanner.spaces();
        let members = scanner.object()?;
        scanner.spaces();
        match scanner.at == body.len() {
            true => Ok(members),
            false => Err(scanner.wrong("the end")),
        }
    }

    /// The member called `name`.
    pub fn get(&self, body: &[u8], name: &str) -> Option<&Member> {
        self.list.iter().find(|member| key_bytes(body, member) == name.as_bytes())
    }

    /// The raw value of the member called `name`; `None` also where it is `null`.
    pub fn value<'b>(&self, body: &'b [u8], name: &str) -> Option<&'b [u8]> {
        let value = &body[self.get(body, name)?.value.clone()];
        (value != b"null").then_some(value)
    }
}

/// The name of a member, without quotes.
pub fn key_bytes<'b>(body: &'b [u8], member: &Member) -> &'b [u8] {
    &body[member.key.start + 1..member.key.end - 1]
}

/// A raw value as a string; `None` where it is not one.
pub fn as_str(value: &[u8]) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    match memchr::memchr(b'\\', inner) {
        None => std::str::from_utf8(inner).ok().map(Cow::Borrowed),
        Some(_) => serde_json::from_slice(value).ok().map(Cow::Owned),
    }
}

/// A raw value as `true` or `false`; `None` where it is neither.
pub fn as_bool(value: &[u8]) -> Option<bool> {
    match value {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// A raw value as a whole number from 0 up; `None` where it is not one.
pub fn as_u64(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

// === impl Scanner ===

struct Scanner<'b> {
    body: &'b [u8],
    at: usize,
}

impl Scanner<'_> {
    /// Reads the outermost object and remembers its members.
    fn object(&mut self) -> Result<Members, PeekError> {
        if self.next() != Some(b'{') {
            return Err(self.not_object());
        }
        self.at += 1;
        let mut members = Members { list: SmallVec::new(), open: self.at, close: 0 };
        self.spaces();
        if self.next() == Some(b'}') {
            members.close = self.at;
            self.at += 1;
            return Ok(members);
        }
        loop {
            let member = self.member()?;
            self.refuse_twin(&members, &member)?;
            members.list.push(member);
            self.spaces();
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    members.close = self.at;
                    self.at += 1;
                    return Ok(members);
                }
                _ => return Err(self.wrong("`,` or `}`")),
            }
        }
    }

    /// An error for a body that does not begin as an object: wrong kind of JSON, or no JSON at all.
    fn not_object(&mut self) -> PeekError {
        match self.next() {
            None => self.wrong("an object"),
            Some(_) => match self.skip_value() {
                Ok(()) => PeekError::NotObject,
                Err(error) => error,
            },
        }
    }

    fn member(&mut self) -> Result<Member, PeekError> {
        self.spaces();
        let start = self.at;
        self.string("a key")?;
        let key = start..self.at;
        self.colon()?;
        self.spaces();
        let start = self.at;
        self.skip_value()?;
        Ok(Member { key, value: start..self.at })
    }

    fn refuse_twin(&self, members: &Members, member: &Member) -> Result<(), PeekError> {
        let name = key_bytes(self.body, member);
        if memchr::memchr(b'\\', name).is_some() {
            let name = as_str(&self.body[member.key.clone()]).ok_or_else(|| self.wrong("a key"))?;
            if name.is_ascii() {
                return Err(PeekError::EscapedKey { name: name.into_owned() });
            }
        }
        if members.list.len() == MAX_MEMBERS {
            return Err(PeekError::TooManyKeys);
        }
        match members.list.iter().any(|other| key_bytes(self.body, other) == name) {
            true => Err(PeekError::DuplicateKey { name: String::from_utf8_lossy(name).into_owned() }),
            false => Ok(()),
        }
    }

    /// Passes over one value, checking its grammar.
    fn skip_value(&mut self) -> Result<(), PeekError> {
        let (mut depth, mut objects) = (0u32, 0u128);
        loop {
            self.spaces();
            let opened = match self.next() {
                Some(b'"') => self.string("a string").map(|()| false)?,
                Some(open @ (b'{' | b'[')) => {
                    if depth == MAX_DEPTH {
                        return Err(PeekError::TooDeep);
                    }
                    depth += 1;
                    objects = objects << 1 | u128::from(open == b'{');
                    self.at += 1;
                    self.spaces();
                    self.next() != Some(if open == b'{' { b'}' } else { b']' })
                }
                _ => self.scalar().map(|()| false)?,
            };
            if opened {
                if objects & 1 == 1 {
                    self.key()?;
                }
                continue;
            }
            if !self.close_or_next(&mut depth, &mut objects)? {
                return Ok(());
            }
        }
    }

    /// Behind a value: closes what ends here. True where another value follows.
    fn close_or_next(&mut self, depth: &mut u32, objects: &mut u128) -> Result<bool, PeekError> {
        while *depth > 0 {
            self.spaces();
            let in_object = *objects & 1 == 1;
            match self.next() {
                Some(b',') => {
                    self.at += 1;
                    if in_object {
                        self.key()?;
                    }
                    return Ok(true);
                }
                Some(b'}') if in_object => {}
                Some(b']') if !in_object => {}
                _ => return Err(self.wrong(if in_object { "`,` or `}`" } else { "`,` or `]`" })),
            }
            self.at += 1;
            *depth -= 1;
            *objects >>= 1;
        }
        Ok(false)
    }

    fn key(&mut self) -> Result<(), PeekError> {
        self.spaces();
        self.string("a key")?;
        self.colon()
    }

    fn colon(&mut self) -> Result<(), PeekError> {
        self.spaces();
        match self.next() {
            Some(b':') => self.at += 1,
            _ => return Err(self.wrong("`:`")),
        }
        Ok(())
    }

    fn string(&mut self, expected: &'static str) -> Result<(), PeekError> {
        if self.next() != Some(b'"') {
            return Err(self.wrong(expected));
        }
        self.at += 1;
        loop {
            match memchr::memchr2(b'"', b'\\', &self.body[self.at..]) {
                None => {
                    self.at = self.body.len();
                    return Err(self.wrong("`\"`"));
                }
                Some(offset) => self.at += offset + 1,
            }
            if self.body[self.at - 1] == b'"' {
                return Ok(());
            }
            match self.next() {
                Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                Some(b'u')
                    if self.body[self.at..]
                        .iter()
                        .skip(1)
                        .take(4)
                        .filter(|b| b.is_ascii_hexdigit())
                        .count()
                        == 4 =>
                {
                    self.at += 5;
                }
                _ => return Err(self.wrong("an escape")),
            }
        }
    }

    fn scalar(&mut self) -> Result<(), PeekError> {
        for literal in ["true", "false", "null"] {
            if self.body[self.at..].starts_with(literal.as_bytes()) {
                self.at += literal.len();
                return Ok(());
            }
        }
        self.number()
    }

    fn number(&mut self) -> Result<(), PeekError> {
        if self.next() == Some(b'-') {
            self.at += 1;
        }
        match self.next() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.wrong("a value")),
        }
        if self.next() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.next() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.next() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), PeekError> {
        let count = self.body[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.wrong("a digit")) } else { Ok(()) }
    }

    fn spaces(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.next() {
            self.at += 1;
        }
    }

    fn next(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn wrong(&self, expected: &'static str) -> PeekError {
        PeekError::Syntax { at: self.at, expected }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(body: &str) -> Result<Vec<(String, String)>, PeekError> {
        let members = Members::read(body.as_bytes())?;
        let text = |range: &Range<usize>| body[range.clone()].to_owned();
        Ok(members.list.iter().map(|member| (text(&member.key), text(&member.value))).collect())
    }

    #[test]
    fn finds_the_members() {
        let found = names(r#" {"model" : "a\"b","x":{"y":[1,{"z":"}"}]} , "s":true}"#).unwrap();
        let expected =
            [(r#""model""#, r#""a\"b""#), (r#""x""#, r#"{"y":[1,{"z":"}"}]}"#), (r#""s""#, "true")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn refuses_what_is_not_an_object() {
        let check = |body: &str| names(body).unwrap_err();
        assert_eq!(check("[1]"), PeekError::NotObject);
        assert_eq!(check(r#"{"a":1,"a":2}"#), PeekError::DuplicateKey { name: "a".into() });
        assert_eq!(check(r#"{"\u006dodel":1}"#), PeekError::EscapedKey { name: "model".into() });
        assert_eq!(check(r#"{"a":1"#), PeekError::Syntax { at: 6, expected: "`,` or `}`" });
        assert_eq!(check("hello"), PeekError::Syntax { at: 0, expected: "a value" });
        assert_eq!(check(&format!("{{\"a\":{}", "[".repeat(100_000))), PeekError::TooDeep);
        assert!(matches!(Members::read(b"{\"a\":\"\xff\"}"), Err(PeekError::NotUtf8 { at: 6 })));
    }

    proptest! {
        /// What serde_json reads, this reads, with the same members; what it refuses, this refuses
        /// (but for raw control characters in strings, which the provider will refuse).
        #[test]
        fn agrees_with_serde_json(cut in 0usize..200, flip in 0usize..200, byte in 0x20u8..0x7f) {
            let mut body = br#"{"model":"m","a":[1,-2.5e3,{"b":null,"c":"\u00e9\n"}],"t":true,"n":0,"deep":[[[{"x":[]}]]],"e":{}}"#.to_vec();
            let at = flip % body.len();
            body[at] = byte;
            if cut < body.len() { body.truncate(cut); }
            let ours = Members::read(&body);
            let theirs: Result<serde_json::Value, _> = serde_json::from_slice(&body);
            match (&ours, &theirs) {
                (Ok(members), Ok(serde_json::Value::Object(map))) => prop_assert_eq!(members.list.len(), map.len()),
                (Err(PeekError::DuplicateKey { .. } | PeekError::EscapedKey { .. } | PeekError::NotObject), Ok(_)) | (Err(_), Err(_)) => {}
                // Escapes of lone surrogates and numbers out of range are the two further differences.
                (Ok(_), Err(error)) => prop_assert!(error.is_syntax() && (error.to_string().contains("surrogate") || error.to_string().contains("hex") || error.to_string().contains("out of range")), "{error} {}", String::from_utf8_lossy(&body)),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
