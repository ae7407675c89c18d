//! What Anthropic's blocks carry for other dialects, and OpenAI's reasoning details for Anthropic's.
//!
//! A client of `/v1/messages` sends thinking blocks back unchanged. Where the answer came from elsewhere (Gemini's
//! thought signatures), the whole reasoning detail travels in the block's `signature` or `data`, marked with [`MARK`],
//! so that the provider that made it gets it back byte for byte. What hangs on a tool call travels in a
//! `redacted_thinking` block before it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weir_wire::openai::Extra;
use weir_wire::openai::chat::ReasoningDetail;

/// The format of Anthropic's own reasoning details.
pub(crate) const FORMAT: &str = "anthropic-claude-v1";

/// What a signature of weir's begins with: Anthropic's are base64 and have no colon.
const MARK: &str = "weir:";

/// The member of messages and deltas that has all blocks of an answer, in order.
pub(crate) const BLOCKS: &str = "content_blocks";

/// What hangs on a tool call of another dialect.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CallExtra {
    /// The call.
    pub(crate) tool_call: String,
    /// Its further members.
    pub(crate) extra: Extra,
}

/// A `thinking` block as a detail.
pub(crate) fn text(text: String, signature: Option<String>, index: u32) -> ReasoningDetail {
    ReasoningDetail {
        kind: "reasoning.text".to_owned(),
        text: Some(text),
        signature,
        format: Some(FORMAT.to_owned()),
        index: Some(index),
        ..ReasoningDetail::default()
    }
}

/// A `redacted_thinking` block as a detail.
pub(crate) fn encrypted(data: String, index: u32) -> ReasoningDetail {
    ReasoningDetail {
        kind: "reasoning.encrypted".to_owned(),
        data: Some(data),
        format: Some(FORMAT.to_owned()),
        index: Some(index),
        ..ReasoningDetail::default()
    }
}

/// The block that a detail stands for, where it is Anthropic's own and can go back.
pub(crate) fn block(detail: &ReasoningDetail) -> Option<Value> {
    if detail.format.as_deref().is_some_and(|format| format != FORMAT) {
        return None;
    }
    match detail.kind.as_str() {
        "reasoning.text" => {
            let signature = detail.signature.as_deref().filter(|signature| !signature.is_empty())?;
            let text = detail.text.as_deref().unwrap_or_default();
            Some(json!({"type": "thinking", "thinking": text, "signature": signature}))
        }
        "reasoning.encrypted" => {
            let data = detail.data.as_deref().filter(|data| !data.is_empty())?;
            Some(json!({"type": "redacted_thinking", "data": data}))
        }
        _ => None,
    }
}

/// Whether a detail is Anthropic's own, or of nobody's named format.
pub(crate) fn is_own(detail: &ReasoningDetail) -> bool {
    detail.format.as_deref().is_none_or(|format| format == FORMAT)
}

/// A value as text for a `signature` or `data`.
pub(crate) fn pack<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_vec(value).expect("strings and JSON values are JSON");
    format!("{MARK}{}", STANDARD.encode(json))
}

/// What [`pack`] packed; `None` for anything else.
pub(crate) fn unpack<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    let bytes = STANDARD.decode(text.strip_prefix(MARK)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_details_survive_a_block() {
        let detail = ReasoningDetail {
            kind: "reasoning.encrypted".to_owned(),
            data: Some("AbC+/=\u{e9}".to_owned()),
            format: Some("google-gemini-v1".to_owned()),
            id: Some("call_1".to_owned()),
            ..ReasoningDetail::default()
        };
        assert_eq!(block(&detail), None);
        assert_eq!(unpack::<ReasoningDetail>(&pack(&detail)), Some(detail));
        assert_eq!(unpack::<ReasoningDetail>("EuECCkgICRACGAIq"), None);
    }

    #[test]
    fn own_details_are_blocks() {
        let detail = text("t".to_owned(), Some("s".to_owned()), 0);
        assert_eq!(block(&detail), Some(json!({"type": "thinking", "thinking": "t", "signature": "s"})));
        assert_eq!(block(&text("t".to_owned(), None, 0)), None);
    }
}
