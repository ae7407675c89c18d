//! What Gemini's clients say in the path, put into the body, where the front looks for it.

use bytes::Bytes;
use weir_adapter::InvalidRequest;
use weir_wire::peek::Members;
use weir_wire::splice::ObjectSplice;

use crate::routes::model_and_verb;

/// The body with the path's model, and whether a stream is asked for.
///
/// # Errors
/// A body that is no JSON object.
pub fn with_model(path: &str, body: Bytes) -> Result<Bytes, InvalidRequest> {
    let Some((model, verb)) = model_and_verb(path) else { return Ok(body) };
    let members = Members::read(&body)?;
    let mut splice = ObjectSplice::new(&members);
    let model = serde_json::to_vec(&decoded(model)).expect("a string is JSON");
    splice.set(&body, "model", model);
    if verb == "streamGenerateContent" {
        splice.set(&body, "stream", &b"true"[..]);
    } else if members.get(&body, "stream").is_some() {
        splice.set(&body, "stream", &b"false"[..]);
    }
    Ok(splice.apply(&body))
}

/// Undoes percent encoding; what is not valid stays.
fn decoded(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_model_counts() {
        for (path, body, expected) in [
            ("/v1beta/models/a%2Fb:generateContent", r#"{"model":"x"}"#, r#"{"model":"a/b"}"#),
            (
                "/v1beta/models/a:generateContent",
                r#"{"model":"x","stream":true}"#,
                r#"{"model":"a","stream":false}"#,
            ),
        ] {
            assert_eq!(with_model(path, Bytes::from_static(body.as_bytes())).unwrap(), expected);
        }
        let streamed = with_model("/models/%zz:streamGenerateContent", Bytes::from_static(b"{}")).unwrap();
        let streamed: serde_json::Value = serde_json::from_slice(&streamed).unwrap();
        assert_eq!(streamed, serde_json::json!({"model": "%zz", "stream": true}));
        assert!(with_model("/models/a:generateContent", Bytes::from_static(b"[]")).is_err());
    }
}
