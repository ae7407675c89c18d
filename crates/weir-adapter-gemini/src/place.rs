//! Where a part of an answer stood, kept beside what OpenAI's form has no place for.
//!
//! Gemini answers with a list of parts; OpenAI's message has one text and one list of calls. A part that must go back
//! just where it was (a text with a signature, code that Google ran, a picture) therefore carries its place: which bytes of
//! the message's text it was, and behind how many calls.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weir_wire::openai::Extra;

/// Whose form of reasoning details this is.
pub(crate) const FORMAT: &str = "google-gemini-v1";
/// The type of a reasoning detail that holds a part of Gemini's as it came.
pub(crate) const RAW_PART: &str = "google.part";
/// The member of details and pictures that has the place.
const MEMBER: &str = "position";

/// The place of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    /// How many calls stood before it.
    pub(crate) calls: usize,
    /// Where its text begins in the message's text, in bytes of UTF-8.
    pub(crate) start: usize,
    /// Where its text ends. The same as `start` for a part that adds no text.
    pub(crate) end: usize,
}

impl Place {
    pub(crate) fn write(self, extra: &mut Extra) {
        extra.insert(MEMBER.to_owned(), json!(self));
    }

    pub(crate) fn read(extra: &Extra) -> Option<Place> {
        serde_json::from_value(extra.get(MEMBER)?.clone()).ok()
    }
}

/// `extra_content.google`, where Google's own OpenAI-compatible endpoint puts what is its own.
pub(crate) fn google(extra: &Extra) -> Option<&serde_json::Map<String, Value>> {
    extra.get("extra_content")?.get("google")?.as_object()
}

/// The signature in `extra_content.google`.
pub(crate) fn signature(extra: &Extra) -> Option<String> {
    Some(google(extra)?.get("thought_signature")?.as_str()?.to_owned())
}

/// Puts a member into `extra_content.google`.
pub(crate) fn set_google(extra: &mut Extra, name: &str, value: Value) {
    let content = extra.entry("extra_content").or_insert_with(|| json!({}));
    content["google"][name] = value;
}
