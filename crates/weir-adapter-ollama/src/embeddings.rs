//! Embeddings: OpenAI's requests in Ollama's form, and back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};
use weir_adapter::{EncodeError, EncodeOptions, ProviderError, WireRequest};
use weir_wire::openai::Extra;
use weir_wire::openai::embeddings::{Embedding, Input, Request, Response, Vector};

use crate::{error, reply::unreadable, usage};

/// What Ollama has beyond OpenAI's members.
const OWN: &[&str] = &["truncate", "keep_alive", "options"];

pub(crate) fn encode(request: &Request, options: &EncodeOptions<'_>) -> Result<WireRequest, EncodeError> {
    let mut body = Map::new();
    let mut dropped = Vec::new();
    body.insert("model".to_owned(), options.model.into());
    let input = match &request.input {
        Input::Text(text) => json!(text),
        Input::Texts(texts) => json!(texts),
        Input::Tokens(_) | Input::TokenLists(_) | Input::Other(_) => {
            return Err(EncodeError::unsupported("input", "this provider takes texts, not tokens"));
        }
    };
    body.insert("input".to_owned(), input);
    if let Some(dimensions) = request.dimensions {
        body.insert("dimensions".to_owned(), dimensions.into());
    }
    for (name, value) in &request.extra {
        if OWN.contains(&name.as_str()) {
            body.insert(name.clone(), value.clone());
        } else if !value.is_null() {
            dropped.push(name.clone());
        }
    }
    let bytes = serde_json::to_vec(&body).expect("string keys and numbers that JSON has");
    let mut wire = WireRequest::json("/api/embed", Bytes::from(bytes));
    wire.dropped = dropped;
    Ok(wire)
}

#[derive(Deserialize)]
struct Reply {
    embeddings: Option<Vec<Vec<Number>>>,
    error: Option<Value>,
}

/// A whole reply, with Ollama's own counts. `base64`: the vectors as little-endian 32-bit floats in base64.
pub(crate) fn whole(body: &[u8], model: &str, base64: bool) -> Result<(Response, Value), ProviderError> {
    let told: Value = serde_json::from_slice(body).map_err(|problem| unreadable(&problem))?;
    let reply = Reply::deserialize(&told).map_err(|problem| unreadable(&problem))?;
    if let Some(told) = &reply.error {
        return Err(error::in_reply(told));
    }
    let vectors = reply.embeddings.ok_or_else(ProviderError::empty)?;
    let data = vectors.into_iter().zip(0..).map(|(values, index)| Embedding {
        object: "embedding".to_owned(),
        index,
        embedding: if base64 { Vector::Base64(packed(&values)) } else { Vector::Float(values) },
        extra: Extra::new(),
    });
    let response = Response {
        object: "list".to_owned(),
        data: data.collect(),
        model: model.to_owned(),
        usage: usage::report(&told),
        extra: Extra::new(),
    };
    Ok((response, told))
}

fn packed(values: &[Number]) -> String {
    let bytes = values.iter().flat_map(|value| (value.as_f64().unwrap_or(0.0) as f32).to_le_bytes());
    STANDARD.encode(bytes.collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use weir_adapter::WireBody;

    use super::*;

    #[test]
    fn there_and_back() {
        let request: Request = serde_json::from_value(
            json!({"model": "m", "input": ["a"], "dimensions": 256, "truncate": false, "keep_alive": "5m", "x": 1}),
        )
        .unwrap();
        let wire = encode(&request, &EncodeOptions::new("nomic-embed-text")).unwrap();
        let WireBody::Bytes(body) = &wire.body else { panic!("bytes") };
        let sent: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(
            sent,
            json!({"model": "nomic-embed-text", "input": ["a"], "dimensions": 256, "truncate": false, "keep_alive": "5m"})
        );
        assert_eq!(wire.dropped, ["x"]);
        let reply =
            br#"{"model":"m","embeddings":[[0.5,-1],[1,2.5]],"prompt_eval_count":7,"total_duration":9}"#;
        let (response, _) = whole(reply, "m", false).unwrap();
        assert_eq!(serde_json::to_value(&response.data[0].embedding).unwrap(), json!([0.5, -1]));
        assert_eq!(response.usage.unwrap().prompt_tokens, 7);
        let (response, _) = whole(reply, "m", true).unwrap();
        assert_eq!(response.data[1].embedding, Vector::Base64("AACAPwAAIEA=".to_owned()));
        assert!(whole(b"{}", "m", false).is_err());
        assert!(whole(br#"{"error":"no"}"#, "m", false).is_err());
    }

    #[test]
    fn tokens_are_refused() {
        let request = Request { input: Input::Tokens(vec![1]), ..Request::default() };
        assert!(encode(&request, &EncodeOptions::new("m")).is_err());
    }
}
