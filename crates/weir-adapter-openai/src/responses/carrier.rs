//! What `encrypted_content` of a reasoning item carries for other dialects.
//!
//! OpenAI's clients send reasoning items back unchanged. Where the answer came from elsewhere, the proof that the
//! provider wants back (Anthropic's signatures, Gemini's thought signatures) travels in `encrypted_content`, marked
//! with [`MARK`]; what hangs on a tool call travels in an item of its own before it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use weir_wire::openai::Extra;
use weir_wire::openai::chat::ReasoningDetail;

/// The format of OpenAI's own reasoning items, as details.
pub(super) const FORMAT: &str = "openai-responses-v1";

/// What weir's own begins with: OpenAI's are base64 and have no colon.
const MARK: &str = "weir:";

/// What hangs on a tool call of another dialect.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CallExtra {
    /// The call.
    pub(super) tool_call: String,
    /// Its further members.
    pub(super) extra: Extra,
}

/// A value as `encrypted_content`.
pub(super) fn pack<T: Serialize>(value: &T) -> String {
    let json = serde_json::to_vec(value).expect("strings and JSON values are JSON");
    format!("{MARK}{}", STANDARD.encode(json))
}

/// Whether [`pack`] made this.
pub(super) fn is_packed(text: &str) -> bool {
    text.starts_with(MARK)
}

/// What [`pack`] packed; `None` for anything else.
pub(super) fn unpack<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    let bytes = STANDARD.decode(text.strip_prefix(MARK)?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// What proves a detail, without its text; `None` where there is nothing to prove.
pub(super) fn proof(detail: &ReasoningDetail) -> Option<String> {
    if detail.format.as_deref() == Some(FORMAT) {
        return detail.data.clone();
    }
    let proves = detail.signature.as_ref().is_some_and(|text| !text.is_empty())
        || detail.data.is_some()
        || !detail.extra.is_empty();
    proves.then(|| pack(&ReasoningDetail { text: None, summary: None, ..detail.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_survive() {
        let detail = ReasoningDetail {
            kind: "reasoning.text".to_owned(),
            text: Some("t".to_owned()),
            signature: Some("AbC+/=\u{e9}".to_owned()),
            format: Some("anthropic-claude-v1".to_owned()),
            index: Some(0),
            ..ReasoningDetail::default()
        };
        let packed = proof(&detail).unwrap();
        assert_eq!(unpack(&packed), Some(ReasoningDetail { text: None, ..detail }));
        assert_eq!(unpack::<ReasoningDetail>("gAAAAABo"), None);
    }

    #[test]
    fn openais_own_stays_as_it_is() {
        let detail = ReasoningDetail {
            data: Some("gAAAAABo".to_owned()),
            format: Some(FORMAT.to_owned()),
            ..ReasoningDetail::default()
        };
        assert_eq!(proof(&detail).as_deref(), Some("gAAAAABo"));
        assert_eq!(proof(&ReasoningDetail { text: Some("t".into()), ..ReasoningDetail::default() }), None);
    }
}
