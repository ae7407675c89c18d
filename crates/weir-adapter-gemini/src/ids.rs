//! Ids for calls that Gemini gave none.
//!
//! An id must be the same whenever the same reply is read, and must not come back in a later turn of a conversation.
//! It is therefore made of the reply's own id and the call's position, and short enough for every provider that may
//! read the history later (OpenAI takes 40 characters, Anthropic letters, digits, `_` and `-`).

use bytes::Bytes;
use weir_adapter::ids::digest;

/// How ids made here begin: they do not go back to Gemini, which did not give them.
const PREFIX: &str = "call_w_";
/// The longest id of a reply that is used as it is.
const LONGEST: usize = 26;

/// Makes the ids of one reply.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    /// The reply's id, if it has one; else a digest of the request: it grows with every turn.
    stem: Option<String>,
    request: Bytes,
}

impl Ids {
    pub(crate) fn new(request: Bytes) -> Ids {
        Ids { stem: None, request }
    }

    /// The reply told its id.
    pub(crate) fn reply(&mut self, id: &str) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        self.stem = Some(match id.len() <= LONGEST && id.bytes().all(plain) {
            true => id.to_owned(),
            false => digest(id.as_bytes()),
        });
    }

    /// The id of the reply, in OpenAI's form.
    pub(crate) fn of_reply(&mut self) -> String {
        format!("chatcmpl-{}", self.stem())
    }

    /// The id of the call at this position of this candidate.
    pub(crate) fn of_call(&mut self, candidate: u32, position: usize) -> String {
        let stem = self.stem();
        match candidate {
            0 => format!("{PREFIX}{stem}_{position}"),
            _ => format!("{PREFIX}{stem}_{candidate}-{position}"),
        }
    }

    fn stem(&mut self) -> &str {
        let request = &self.request;
        self.stem.get_or_insert_with(|| digest(request))
    }
}

/// Whether an id was made here.
pub(crate) fn is_made(id: &str) -> bool {
    id.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_stable_unique_and_short() {
        let ids = |reply: &str, request: &'static [u8]| {
            let mut ids = Ids::new(Bytes::from_static(request));
            if !reply.is_empty() {
                ids.reply(reply);
            }
            [ids.of_call(0, 0), ids.of_call(0, 1), ids.of_call(1, 0), ids.of_call(11, 0), ids.of_call(1, 10)]
        };
        let replies = [
            ("rACzaZvALL_p8eEPtqjmqQc", &b"1"[..]),
            ("", b"1"),
            ("", b"12"),
            ("a very long id/with=odd characters", b""),
        ];
        let mut all: Vec<String> = replies.iter().flat_map(|(reply, request)| ids(reply, request)).collect();
        assert_eq!(ids("", b"12"), ids("", b"12"));
        assert!(all.iter().all(|id| id.len() <= 40 && is_made(id)), "{all:?}");
        assert!(all.iter().all(|id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))));
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
