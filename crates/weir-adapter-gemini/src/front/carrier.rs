//! What `thoughtSignature` of a call carries for other providers: base64, as Gemini's own is, of [`MARK`] and JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use weir_wire::openai::Extra;
use weir_wire::openai::chat::ReasoningDetail;

const MARK: &[u8] = b"weir:";

/// What goes back to the provider that made a call.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Carried {
    /// The message's reasoning; on its first call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) details: Vec<ReasoningDetail>,
    /// What hangs on the call itself.
    #[serde(skip_serializing_if = "Extra::is_empty")]
    pub(super) extra: Extra,
}

pub(super) fn pack(carried: &Carried) -> String {
    let json = serde_json::to_vec(carried).expect("strings and JSON values are JSON");
    STANDARD.encode([MARK, &json].concat())
}

/// What [`pack`] packed; `None` for Gemini's own.
pub(super) fn unpack(signature: &str) -> Option<Carried> {
    // The SDK writes bytes in the alphabet of URLs.
    let plain = signature.replace('-', "+").replace('_', "/");
    let bytes = STANDARD.decode(plain).ok()?;
    serde_json::from_slice(bytes.strip_prefix(MARK)?).ok()
}
