//! Edits to raw bytes: any number of them, applied in one copy.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::peek::Members;

/// Replaces ranges of some bytes. Ranges must not overlap; edits at the same place apply in the order given.
#[derive(Debug, Default)]
pub struct Splice<'t> {
    edits: SmallVec<[Edit<'t>; 4]>,
}

type Edit<'t> = (Range<usize>, Cow<'t, [u8]>);

impl<'t> Splice<'t> {
    /// No edits yet.
    pub fn new() -> Splice<'t> {
        Splice::default()
    }

    /// Puts `text` in the place of `range`.
    pub fn replace(&mut self, range: Range<usize>, text: impl Into<Cow<'t, [u8]>>) {
        self.edits.push((range, text.into()));
    }

    /// Puts `text` at `offset`.
    pub fn insert(&mut self, offset: usize, text: impl Into<Cow<'t, [u8]>>) {
        self.replace(offset..offset, text);
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The edited bytes. Without edits these are `source` itself, uncopied.
    pub fn apply(mut self, source: &Bytes) -> Bytes {
        if self.edits.is_empty() {
            return source.clone();
        }
        self.edits.sort_by_key(|(range, _)| (range.start, range.end));
        let added: usize = self.edits.iter().map(|(_, text)| text.len()).sum();
        let mut out = BytesMut::with_capacity(source.len() + added);
        let mut at = 0;
        for (range, text) in &self.edits {
            debug_assert!(range.start >= at, "edits overlap");
            out.extend_from_slice(&source[at..range.start.max(at)]);
            out.extend_from_slice(text);
            at = range.end.max(at);
        }
        out.extend_from_slice(&source[at..]);
        out.freeze()
    }
}

/// Edits to the members of the outermost object of a body.
#[derive(Debug)]
pub struct ObjectSplice<'t> {
    members: &'t Members,
    splice: Splice<'t>,
    removed: SmallVec<[bool; 16]>,
    added: Vec<u8>,
}

impl<'t> ObjectSplice<'t> {
    /// Edits the object whose members are these.
    pub fn new(members: &'t Members) -> ObjectSplice<'t> {
        let removed = SmallVec::from_elem(false, members.list.len());
        ObjectSplice { members, splice: Splice::new(), removed, added: Vec::new() }
    }

    /// Puts `text` in the place of `range`, which lies within one value or is one key.
    pub fn replace(&mut self, range: Range<usize>, text: impl Into<Cow<'t, [u8]>>) {
        self.splice.replace(range, text);
    }

    /// Sets `name` to the JSON `value`: replaces it, or adds it at the end.
    pub fn set(&mut self, body: &[u8], name: &str, value: impl Into<Cow<'t, [u8]>>) {
        match self.members.get(body, name) {
            Some(member) => self.splice.replace(member.value.clone(), value),
            None => {
                if !self.added.is_empty() {
                    self.added.push(b',');
                }
                serde_json::to_writer(&mut self.added, name).expect("a string is JSON, a Vec takes it");
                self.added.push(b':');
                self.added.extend_from_slice(&value.into());
            }
        }
    }

    /// Takes the member at `index` of the list out.
    pub fn remove(&mut self, index: usize) {
        self.removed[index] = true;
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.splice.is_empty() && self.added.is_empty() && !self.removed.contains(&true)
    }

    /// The edited body.
    pub fn apply(mut self, body: &Bytes) -> Bytes {
        if self.is_empty() {
            return body.clone();
        }
        let list = &self.members.list;
        let kept = self.removed.iter().rposition(|removed| !removed).map_or(0, |last| last + 1);
        for index in (0..kept).filter(|index| self.removed[*index]) {
            self.splice.replace(list[index].key.start..list[index + 1].key.start, Vec::new());
        }
        let end = if kept == 0 { self.members.open } else { list[kept - 1].value.end };
        if kept < list.len() {
            self.splice.replace(end..list[list.len() - 1].value.end, Vec::new());
        }
        if !self.added.is_empty() {
            let comma: &[u8] = if kept == 0 { b"" } else { b"," };
            self.splice.insert(end, [comma, &self.added].concat());
        }
        self.splice.apply(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, edit: impl Fn(&[u8], &mut ObjectSplice<'_>), expected: &str) {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let members = Members::read(&bytes).unwrap();
        let mut splice = ObjectSplice::new(&members);
        edit(&bytes, &mut splice);
        assert_eq!(splice.apply(&bytes), expected);
    }

    #[test]
    fn splices_the_model() {
        check(
            r#"{"model":"fast", "n":1}"#,
            |b, s| s.set(b, "model", &b"\"gpt-4o\""[..]),
            r#"{"model":"gpt-4o", "n":1}"#,
        );
    }

    #[test]
    fn adds_members() {
        let add = |b: &[u8], s: &mut ObjectSplice<'_>| {
            s.set(b, "x", &b"1"[..]);
            s.set(b, "y", &b"{}"[..]);
        };
        check("{}", add, r#"{"x":1,"y":{}}"#);
        check(r#"{ "a":1 }"#, add, r#"{ "a":1,"x":1,"y":{} }"#);
    }

    #[test]
    fn removes_members_wherever_they_stand() {
        let body = r#"{"a":1, "b":2, "c":3}"#;
        check(body, |_, s| s.remove(0), r#"{"b":2, "c":3}"#);
        check(body, |_, s| s.remove(1), r#"{"a":1, "c":3}"#);
        check(body, |_, s| (1..3).for_each(|i| s.remove(i)), r#"{"a":1}"#);
        check(body, |_, s| (0..3).for_each(|i| s.remove(i)), "{}");
        check(
            body,
            |b, s| {
                (0..3).for_each(|i| s.remove(i));
                s.set(b, "d", &b"4"[..])
            },
            r#"{"d":4}"#,
        );
        check(
            body,
            |b, s| {
                s.remove(0);
                s.remove(2);
                s.set(b, "b", &b"9"[..])
            },
            r#"{"b":9}"#,
        );
    }
}
