//! Answers that are kept outside of this process, where several share them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Answer, Key};

/// What a shelf says, in its own time.
pub type Asked<'s, T> = Pin<Box<dyn Future<Output = Option<T>> + Send + 's>>;

/// Keeps answers for several processes. It may be away at any time: then it says `None`, within 50 ms, and an answer
/// that can't be kept is not.
pub trait Shelf: Send + Sync {
    /// The largest answer that is kept, in bytes.
    fn largest(&self) -> usize;

    /// What is kept under this key.
    fn get<'s>(&'s self, key: &'s Key) -> Asked<'s, Bytes>;

    /// Keeps a value for so long, and lets go of what was not asked for the longest where all would be larger than
    /// `limit` bytes together. Tells how many had to go.
    fn put<'s>(&'s self, key: &'s Key, value: Bytes, lifetime: Duration, limit: usize) -> Asked<'s, u64>;

    /// Forgets everything. Tells how many there were.
    fn purge(&self) -> Asked<'_, u64>;

    /// How many answers there are, and their size in bytes.
    fn held(&self) -> Asked<'_, (u64, u64)>;
}

/// What stands before an answer's body.
#[derive(Serialize, Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    provider: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    model: std::borrow::Cow<'a, str>,
    cost_nanousd: Option<i64>,
    dropped: Vec<String>,
    made: i64,
    expires: i64,
    stale_until: i64,
}

/// The form of what is kept: another one is another's.
const FORM: u8 = 1;

/// An answer as bytes.
pub(super) fn written(answer: &Answer) -> Bytes {
    let head = Head {
        provider: (&*answer.provider).into(),
        model: (&*answer.model).into(),
        cost_nanousd: answer.cost_nanousd,
        dropped: answer.dropped.clone(),
        made: answer.made,
        expires: answer.expires,
        stale_until: answer.stale_until,
    };
    let head = serde_json::to_vec(&head).expect("numbers and texts are JSON");
    let length = u32::try_from(head.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&[FORM][..], &length, &head, &answer.body].concat().into()
}

/// The same, read. `None`: it is none of this form.
pub(super) fn read(bytes: &Bytes) -> Option<Arc<Answer>> {
    let rest = bytes.strip_prefix(&[FORM])?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let head: Head<'_> = serde_json::from_slice(rest.get(..length)?).ok()?;
    Some(Arc::new(Answer {
        body: bytes.slice(5 + length..),
        provider: (&*head.provider).into(),
        model: (&*head.model).into(),
        cost_nanousd: head.cost_nanousd,
        dropped: head.dropped,
        made: head.made,
        expires: head.expires,
        stale_until: head.stale_until,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nothing_else_is() {
        let answer = Answer {
            body: Bytes::from_static(b"{\"a\":1}"),
            provider: "p \"1\"".into(),
            model: "m/ü".into(),
            cost_nanousd: Some(7),
            dropped: vec!["x".into()],
            made: 1,
            expires: 2,
            stale_until: 3,
        };
        let bytes = written(&answer);
        assert_eq!(*read(&bytes).unwrap(), answer);
        for wrong in
            [bytes.slice(1..), bytes.slice(..20), Bytes::new(), Bytes::from_static(b"\x01\xff\xff\xff\xffx")]
        {
            assert!(read(&wrong).is_none(), "{wrong:?}");
        }
    }
}
