//! Embeddings in OpenAI's form.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Number;
use weir_adapter::ProviderError;
use weir_wire::Usage;
use weir_wire::openai::embeddings::{Embedding, Response, Vector};
use weir_wire::openai::{Extra, usage};

use super::{unreadable, usage::classes};
use crate::error;
use crate::wire::EmbeddingsReply;

/// A whole reply, with its usage in classes where it tells. `base64`: the vectors as little-endian 32-bit floats in base64.
pub(crate) fn embeddings(
    body: &[u8],
    model: &str,
    base64: bool,
) -> Result<(Response, Option<Usage>), ProviderError> {
    let reply: EmbeddingsReply = serde_json::from_slice(body).map_err(|problem| unreadable(&problem))?;
    if let Some(status) = &reply.error {
        return Err(error::in_body(status));
    }
    let vectors =
        reply.embeddings.or_else(|| Some(vec![reply.embedding?])).ok_or_else(ProviderError::empty)?;
    let vector =
        |values: Vec<Number>| if base64 { Vector::Base64(encode(&values)) } else { Vector::Float(values) };
    let embedding = |(index, embedding): (u32, crate::wire::Values)| Embedding {
        object: "embedding".to_owned(),
        index,
        embedding: vector(embedding.values),
        extra: Extra::new(),
    };
    let used = reply.usage_metadata.as_ref().and_then(classes);
    let response = Response {
        object: "list".to_owned(),
        data: (0..).zip(vectors).map(embedding).collect(),
        model: model.to_owned(),
        usage: used.as_ref().map(usage::Usage::report),
        extra: Extra::new(),
    };
    Ok((response, used))
}

fn encode(values: &[Number]) -> String {
    let bytes = values.iter().flat_map(|value| {
        // Gemini's own numbers are 32-bit floats.
        (value.as_f64().unwrap_or(0.0) as f32).to_le_bytes()
    });
    STANDARD.encode(bytes.collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_several_and_base64() {
        let one = br#"{"embedding":{"values":[0.5,-1,0.012345678]}}"#;
        let (response, used) = embeddings(one, "m", false).unwrap();
        assert_eq!(
            serde_json::to_value(&response.data[0].embedding).unwrap(),
            serde_json::json!([0.5, -1, 0.012345678])
        );
        assert!(used.is_none());
        let several =
            br#"{"embeddings":[{"values":[1]},{"values":[2.5]}],"usageMetadata":{"promptTokenCount":7}}"#;
        let (response, used) = embeddings(several, "m", true).unwrap();
        assert_eq!(response.data[1].index, 1);
        assert_eq!(response.data[1].embedding, Vector::Base64("AAAgQA==".to_owned()));
        assert_eq!(format!("{used:?}"), r#"Some({"input": 7})"#);
        assert!(embeddings(b"{}", "m", true).is_err());
    }
}
